use serde_json::json;

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
