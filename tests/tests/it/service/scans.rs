use serde_json::{Value, json};

use scanhost_tests::upstream::{BodyForm, Fault, Kind};

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

/// The amount of an address as the ledger has it.
fn truth(lab: &Lab, address: &str, symbol: &str) -> Value {
    let amount = lab.truth().amount_of(address, symbol).expect("it is there");
    Value::String(amount.to_string())
}

#[test]
fn a_scan_by_request_is_told_by_its_id_and_by_the_store() {
    let lab = Lab::new(Plugin::BscRpc, 120);
    let served = Served::start(&lab.product);
    let id = served.scan("bsc");
    let scan = served.ended(&id);
    let cells = 120 * lab.assets.len();
    for (key, expected) in [
        ("cells", cells),
        ("known", cells),
        ("unknown", 0),
        ("invalid", 0),
    ] {
        assert_eq!(scan[key], expected, "{scan}");
    }
    assert_eq!(
        (&scan["status"], &scan["kind"]),
        (&json!("complete"), &json!("set")),
        "{scan}"
    );
    assert_eq!(
        scan["providers"],
        json!([{ "provider": "first", "cells": cells }])
    );
    let balances = served.items("balances?chain=bsc&limit=70");
    assert_eq!(balances.len(), cells);
    for balance in &balances {
        let address = balance["address"].as_str().unwrap();
        let symbol = balance["asset"].as_str().unwrap();
        assert_eq!(balance["amount"], truth(&lab, address, symbol), "{balance}");
        assert_eq!(
            (&balance["provider"], &balance["scan"]),
            (&json!("first"), &json!(id))
        );
    }
    let chain = served.get("chains/bsc").expect(200);
    assert_eq!(chain["last_scan"]["id"], json!(id), "{chain}");
    assert_eq!(
        (&chain["scan"], &chain["holes"]),
        (&Value::Null, &json!(0)),
        "{chain}"
    );
    assert_eq!(served.stop().code, 0);
}

#[test]
fn one_scan_of_a_chains_set_runs_at_a_time_and_chains_side_by_side() {
    let lab = Lab::new(Plugin::BscRpc, 50);
    lab.fault(Fault::at("first", Kind::Hang));
    let served = Served::start(&lab.product);
    let id = served.scan("bsc");
    let again = served.post("scans", &json!({ "chain": "bsc" }));
    let problem = again.problem(409, "scan_running");
    assert!(
        problem["detail"].as_str().unwrap().contains(&id),
        "{problem}"
    );
    // Some addresses, now, may be asked for beside it.
    let spot = json!({ "chain": "bsc", "addresses": [lab.addresses[0]] });
    let spot = served.post("scans", &spot).expect(202)["id"].clone();
    let running = served.items("scans?status=running");
    assert_eq!(running.len(), 2, "{running:?}");
    for id in [json!(id), spot] {
        let id = id.as_str().unwrap();
        served.delete(&format!("scans/{id}")).expect(202);
        let scan = served.ended(id);
        assert_eq!(scan["status"], "cancelled", "{scan}");
        served
            .delete(&format!("scans/{id}"))
            .problem(409, "scan_ended");
    }
    lab.upstream.mend();
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(scan["status"], "complete", "{scan}");
}

#[test]
fn just_these_addresses_are_read_now() {
    let lab = Lab::new(Plugin::BscRpc, 30);
    let served = Served::start(&lab.product);
    let asked = [
        lab.addresses[3].to_lowercase(),
        lab.addresses[7].clone(),
        "0x12".to_owned(),
    ];
    let body = json!({ "chain": "bsc", "addresses": asked, "assets": ["usdt"] });
    let begun = served.post("scans", &body).expect(202);
    assert_eq!(begun["cells"], 2, "{begun}");
    assert_eq!(begun["invalid"].as_array().unwrap().len(), 1, "{begun}");
    let scan = served.ended(begun["id"].as_str().unwrap());
    assert_eq!(
        (&scan["kind"], &scan["known"]),
        (&json!("spot"), &json!(2)),
        "{scan}"
    );
    let path = format!("balances?chain=bsc&address={},{}", asked[0], asked[1]);
    let balances = served.items(&path);
    assert_eq!(balances.len(), 2, "{balances:?}");
    for balance in balances {
        let address = balance["address"].as_str().unwrap();
        assert_eq!(balance["amount"], truth(&lab, address, "USDT"), "{balance}");
    }
}

#[test]
fn what_is_unknown_is_told_with_its_reasons_and_the_last_good_value() {
    let lab = Lab::new(Plugin::BscRpc, 10);
    lab.set_up(&Setup::of(&["first", "second"]));
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    let before = lab.truth();
    lab.grow();
    for host in ["first", "second"] {
        let body = BodyForm::Html;
        lab.fault(Fault::at(host, Kind::Status { code: 500, body }).token());
    }
    let id = served.scan("bsc");
    let scan = served.ended(&id);
    assert_eq!(scan["status"], "gave_up", "{scan}");
    let holes = served.items(&format!("scans/{id}/holes?limit=3"));
    assert_eq!(holes.len(), 10 * (lab.assets.len() - 1), "{holes:?}");
    for hole in &holes {
        let (address, asset) = (
            hole["address"].as_str().unwrap(),
            hole["asset"].as_str().unwrap(),
        );
        let last = before.amount_of(address, asset).unwrap().to_string();
        assert_eq!(hole["last"]["amount"], json!(last), "{hole}");
        assert_eq!(hole["providers"].as_array().unwrap().len(), 2, "{hole}");
    }
    let stored = served.items("balances?chain=bsc");
    for balance in stored {
        let (address, asset) = (
            balance["address"].as_str().unwrap(),
            balance["asset"].as_str().unwrap(),
        );
        let native = balance["contract"].is_null();
        let held = if native { lab.truth() } else { before.clone() };
        let amount = held.amount_of(address, asset).unwrap().to_string();
        assert_eq!(balance["amount"], json!(amount), "{balance}");
    }
}
