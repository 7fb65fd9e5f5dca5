use std::time::Duration;

use scanhost_tests::upstream::{Fault, Kind};
use serde_json::json;

use crate::lab::{Lab, Plugin};
use crate::served::{Event, Served};

fn is_last(event: &Event) -> bool {
    ["scan_complete", "scan_error"].contains(&event.kind.as_str())
}

fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().filter_map(|event| event.id).collect()
}

#[test]
fn a_new_client_gets_the_state_of_each_chain_and_then_what_happens() {
    let lab = Lab::new(Plugin::BscRpc, 40);
    let served = Served::start(&lab.product);
    let mut stream = served.events("", None);
    let id = served.scan("bsc");
    let events = served.read_until(&mut stream, is_last);
    let kinds: Vec<&str> = events.iter().map(|event| &*event.kind).collect();
    assert_eq!(
        (kinds[0], kinds[1]),
        ("scan_state", "scan_started"),
        "{kinds:?}"
    );
    assert_eq!(events[0].data["status"], "idle");
    let last = events.last().unwrap();
    assert_eq!(
        (&*last.kind, &last.data["scan"]),
        ("scan_complete", &json!(id))
    );
    assert_eq!(last.data["known"], 40 * lab.assets.len());
    let ids = ids(&events);
    assert!(ids.is_sorted_by(|one, two| one < two), "{ids:?}");
    let place = |kind: &str| kinds.iter().position(|it| *it == kind);
    assert!(
        place("scan_progress").is_none_or(|at| Some(at) > place("scan_started")),
        "{kinds:?}"
    );
    let without_id = events.iter().filter(|event| event.id.is_none());
    for event in without_id {
        assert_eq!(event.kind, "scan_progress");
    }
    // The state that a later client begins with is that of the pass.
    let mut later = served.events("?chain=bsc", None);
    let state = served.read_until(&mut later, |_| true).remove(0);
    assert_eq!(
        (&state.data["scan"], &state.data["status"]),
        (&json!(id), &json!("complete"))
    );
}

#[test]
fn what_was_missed_is_replayed_and_what_is_filtered_is_not_sent() {
    let lab = Lab::new(Plugin::BscRpc, 60);
    let served = Served::start(&lab.product);
    let mut stream = served.events("", None);
    served.ended(&served.scan("bsc"));
    lab.grow();
    served.ended(&served.scan("bsc"));
    let mut ends = 0;
    let all = {
        let mut events = Vec::new();
        while ends < 2 {
            events.extend(served.read_until(&mut stream, is_last));
            ends += 1;
        }
        events
    };
    let changed = all
        .iter()
        .filter(|event| event.kind == "balance_changed")
        .count();
    assert_eq!(changed, 60 * lab.assets.len(), "each cell changed once");
    let stored: Vec<&Event> = all.iter().filter(|event| event.id.is_some()).collect();
    for at in [0, 1, stored.len() / 2, stored.len() - 2] {
        let mut replay = served.events("", stored[at].id);
        let newest = stored.last().unwrap().id;
        let told = served.read_until(&mut replay, |event| event.id == newest);
        let expected: Vec<&Event> = stored[at + 1..].to_vec();
        assert_eq!(
            told.iter().collect::<Vec<_>>(),
            expected,
            "after {:?}",
            stored[at].id
        );
    }
    let mut only = served.events("?types=scan_complete,scan_error", stored[0].id);
    let first = served.read_until(&mut only, |_| true);
    assert_eq!(first[0].kind, "scan_complete");
}

#[test]
fn an_id_that_was_never_given_gets_the_states_and_one_that_is_no_number_a_problem() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let served = Served::start(&lab.product);
    let mut ahead = served.events("", Some(1_000_000));
    let first = served.read_until(&mut ahead, |_| true);
    assert_eq!(first[0].kind, "scan_state");
    // Of the gap even those are told who asked for something else.
    let mut some = served.events("?types=scan_complete", Some(1_000_000));
    let first = served.read_until(&mut some, |_| true);
    assert_eq!(first[0].kind, "scan_state");
    let request = served
        .request(reqwest::Method::GET, "events")
        .header("last-event-id", "x");
    served.send(request).problem(400, "invalid_last_event_id");
    served
        .get("events?types=nonsense")
        .problem(400, "unknown_event");
    served
        .get("events?chain=nonsense")
        .problem(404, "unknown_chain");
}

#[test]
fn a_stream_outlives_every_timeout_of_the_server() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let timeouts = [
        ("SCANHOST__SERVICE__HEADER_TIMEOUT", "1s"),
        ("SCANHOST__SERVICE__REQUEST_TIMEOUT", "1s"),
        ("SCANHOST__SERVICE__SHUTDOWN_TIMEOUT", "1s"),
    ];
    let served = Served::with(&lab.product, &timeouts);
    let mut stream = served.events("", None);
    served.read_until(&mut stream, |event| event.kind == "scan_state");
    // Ten times every timeout; nothing is to happen in that time.
    let quiet = served
        .runtime()
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), stream.next()).await });
    assert!(
        quiet.is_err(),
        "the stream ended, or told something: {quiet:?}"
    );
    let id = served.scan("bsc");
    let events = served.read_until(&mut stream, is_last);
    assert_eq!(events.last().unwrap().data["scan"], json!(id));
}

#[test]
fn a_storm_of_reconnecting_clients_misses_nothing_and_those_that_never_read_cost_nobody() {
    storm(120, 80, 2_000, Duration::from_secs(60));
}

#[test]
fn soak_a_thousand_clients_reconnect_during_a_scan_of_100_000_cells() {
    storm(900, 100, 33_334, Duration::from_secs(540));
}

/// Readers that break their connections again and again while a scan changes every cell, beside
/// clients that never read.
fn storm(readers: usize, idle: usize, addresses: usize, patience: Duration) {
    let lab = Lab::new(Plugin::BscRpc, addresses);
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    lab.grow();
    // Slow enough for the clients to come and go meanwhile.
    lab.fault(Fault::at("first", Kind::Delay { ms: 100 }));
    let mut first = served.events("", None);
    let from = served
        .read_until(&mut first, |_| true)
        .remove(0)
        .id
        .expect("it has one");
    let idle: Vec<_> = (0..idle).map(|_| served.events("", Some(from))).collect();
    let url = format!("{}/api/v1/events", served.url);
    let client = served.client().clone();
    let readers: Vec<_> = (0..readers)
        .map(|reader| read_in_pieces(client.clone(), url.clone(), from, reader))
        .map(|reader| served.runtime().spawn(reader))
        .collect();
    let id = served.scan("bsc");
    let events = served.read_within(patience, &mut first, is_last);
    let last = events.last().expect("there is one");
    assert_eq!(last.data["scan"], json!(id));
    let expected: Vec<i64> = (from + 1..=last.id.expect("it has one")).collect();
    assert_eq!(expected.len(), addresses * lab.assets.len() + 2);
    for reader in readers {
        let ids = served
            .runtime()
            .block_on(reader)
            .expect("it does not panic");
        assert!(ids == expected, "{} of {} ids", ids.len(), expected.len());
    }
    drop(idle);
    assert_eq!(served.stop().code, 0);
}

/// Reads from `after` to the end of the scan, breaking the connection again and again.
async fn read_in_pieces(
    client: reqwest::Client,
    url: String,
    after: i64,
    reader: usize,
) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut last = after;
    let mut piece = 1 + reader;
    let mut has_ended = false;
    while !has_ended {
        let request = client.get(&url).header("last-event-id", last);
        let mut response = request.send().await.expect("it answers");
        let mut text = String::new();
        let mut taken = 0;
        while taken < piece && !has_ended {
            let Ok(Some(chunk)) = response.chunk().await else {
                break;
            };
            text.push_str(std::str::from_utf8(&chunk).expect("frames are whole"));
            let whole = text.rfind("\n\n").map_or(0, |at| at + 2);
            for frame in text[..whole].split_terminator("\n\n") {
                let id = frame
                    .strip_prefix("id: ")
                    .and_then(|it| it.split('\n').next());
                if let Some(id) = id.filter(|_| taken < piece) {
                    last = id.parse().expect("ids are numbers");
                    ids.push(last);
                    taken += 1;
                    has_ended = frame.contains("event: scan_complete");
                }
            }
            text.drain(..whole);
        }
        piece = piece * 2 + 7;
    }
    ids
}
