use serde_json::json;

use scanhost_tests::upstream::{BodyForm, Fault, Kind, World};

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

#[test]
fn a_chain_is_scanned_every_so_often_by_itself() {
    let lab = Lab::new(Plugin::BscRpc, 10);
    let scan = "scan = { every = \"300ms\", budget = \"2s\", max_pool_failures = 2 }";
    let breaker = "breaker = { failures = 3, cooldown = \"300ms\" }";
    lab.set_up(&Setup::of(&["first"]).chain(&format!("{breaker}\n{scan}\n")));
    let served = Served::start(&lab.product);
    lab.wait_until(|| served.items("scans?status=complete").len() >= 3);
    let chain = served.get("chains/bsc").expect(200);
    assert_eq!(chain["every_ms"], 300, "{chain}");
    assert_eq!(served.stop().code, 0);
    let book = lab.book();
    book.check();
    // One at a time: each begins after the one before has ended.
    let events = book.events.iter();
    let mut open = None;
    for event in events {
        match &*event.kind {
            "scan_started" => {
                assert_eq!(open, None, "two at a time");
                open = event.scan.clone();
            }
            "scan_complete" | "scan_error" => {
                assert_eq!(open, event.scan);
                open = None;
            }
            _ => {}
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_is_told_and_the_service_goes_on() {
    let lab = Lab::new(Plugin::BscRpc, 3);
    let scan = "scan = { every = \"300ms\", budget = \"2s\", max_pool_failures = 2 }\n";
    lab.set_up(&Setup::of(&["first"]).chain(scan));
    let list = std::fs::read(lab.product.folder().join("list.csv")).unwrap();
    std::fs::remove_file(lab.product.folder().join("list.csv")).unwrap();
    let served = Served::start(&lab.product);
    let trouble = || served.get("chains/bsc").expect(200)["trouble"].clone();
    lab.wait_until(|| trouble().is_string());
    assert!(
        trouble().as_str().unwrap().contains("list.csv"),
        "{}",
        trouble()
    );
    let refused = served.post("scans", &json!({ "chain": "bsc" }));
    assert!(
        refused.status == 422 || refused.status == 409,
        "{}",
        refused.text
    );
    assert_eq!(served.get("/readyz").status, 200);
    lab.product.write("list.csv", list);
    lab.wait_until(|| !served.items("scans?status=complete").is_empty());
    lab.wait_until(|| trouble().is_null());
}

/// The addresses in the order in which a host was asked for their balances.
fn asked(lab: &Lab) -> Vec<String> {
    let log = lab.asked("first").into_iter();
    let address = |path: String| path.rsplit('/').next().map(str::to_owned);
    log.filter_map(|entry| address(entry.method)).collect()
}

#[test]
fn what_was_never_known_and_what_the_last_scan_missed_is_asked_for_first() {
    let lab = Lab::new(Plugin::Blockstream, 30);
    let scan = "scan = { budget = \"2s\", max_pool_failures = 2, order = \"stale\" }\n";
    let breaker = "breaker = { failures = 3, cooldown = \"300ms\" }\n";
    let setup = Setup::of(&["first"])
        .chain(&format!("{breaker}{scan}"))
        .first("connections = 1");
    lab.set_up(&setup);
    let (never, missed) = (&lab.addresses[20], &lab.addresses[10]);
    let body = BodyForm::Html;
    let refuses =
        |address: &str| Fault::at("first", Kind::Status { code: 400, body }).address(address);
    lab.fault(refuses(never));
    let served = Served::start(&lab.product);
    served.ended(&served.scan("btc"));
    lab.fault(refuses(missed));
    served.ended(&served.scan("btc"));
    lab.upstream.mend();
    lab.upstream.with(World::clear_log);
    let scan = served.ended(&served.scan("btc"));
    assert_eq!(scan["known"], 30, "{scan}");
    let asked = asked(&lab);
    assert_eq!(asked.len(), 30, "each once");
    assert_eq!(asked[..2], [never.clone(), missed.clone()]);
    let rest: Vec<_> = lab
        .addresses
        .iter()
        .filter(|it| *it != never && *it != missed)
        .collect();
    assert_eq!(
        asked[2..].iter().collect::<Vec<_>>(),
        rest,
        "the rest as the list has it"
    );
}

#[test]
fn what_is_funded_is_asked_for_first() {
    let lab = Lab::new(Plugin::Blockstream, 30);
    let scan = "scan = { budget = \"2s\", max_pool_failures = 2, order = \"funded\" }\n";
    lab.set_up(&Setup::of(&["first"]).chain(scan).first("connections = 1"));
    let served = Served::start(&lab.product);
    served.ended(&served.scan("btc"));
    lab.upstream.with(World::clear_log);
    served.ended(&served.scan("btc"));
    let truth = lab.truth();
    let is_funded = |address: &String| truth.amount_of(address, "BTC").unwrap().to_string() != "0";
    let (funded, empty): (Vec<_>, Vec<_>) = lab.addresses.iter().partition(|it| is_funded(it));
    assert!(!funded.is_empty() && !empty.is_empty());
    let expected: Vec<&String> = funded.into_iter().chain(empty).collect();
    assert_eq!(asked(&lab).iter().collect::<Vec<_>>(), expected);
}
