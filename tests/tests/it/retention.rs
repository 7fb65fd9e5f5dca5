//! What leaves the store, as a client of the stream meets it.

use serde_json::Value;

use crate::lab::{Lab, Plugin};
use crate::served::Served;

#[test]
fn events_that_are_too_old_leave_and_a_stream_from_before_begins_anew() {
    let lab = Lab::new(Plugin::BscRpc, 10);
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    let log = served.items("events/log");
    let newest: i64 = log[0]["id"].as_str().unwrap().parse().unwrap();
    assert!(log.len() >= 3, "{log:?}");
    assert_eq!(served.stop().code, 0);

    let keep = [("SCANHOST__STORE__KEEP__EVENTS", "1s")];
    let served = Served::with(&lab.product, &keep);
    lab.wait_until(|| served.items("events/log").is_empty());
    // The balances and the scan are there as ever.
    let balances = served.items("balances");
    assert_eq!(balances.len(), 10 * lab.assets.len());
    assert_eq!(served.items("scans").len(), 1);
    // Whoever was in the middle learns how things stand, and goes on from there.
    let mut stream = served.events("", Some(newest - 2));
    let id = served.scan("bsc");
    let events = served.read_until(&mut stream, |event| event.kind == "scan_complete");
    assert_eq!(events[0].kind, "scan_state", "{events:?}");
    assert_eq!(events.last().unwrap().data["scan"], Value::String(id));
    let ids: Vec<i64> = events.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(ids.iter().all(|id| *id > newest - 2), "{ids:?}");
    assert!(
        *ids.last().unwrap() > newest,
        "no id is given twice: {ids:?}"
    );
    assert_eq!(served.stop().code, 0);
}
