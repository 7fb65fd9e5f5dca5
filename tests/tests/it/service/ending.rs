use scanhost_tests::upstream::{Fault, Kind};
use serde_json::json;

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

/// Bitcoin, one request for each address, which takes a while.
fn slow() -> Lab {
    let lab = Lab::new(Plugin::Blockstream, 400);
    lab.set_up(&Setup::of(&["first"]).first("connections = 4"));
    lab.fault(Fault::at("first", Kind::Delay { ms: 10 }));
    lab
}

fn known(served: &Served, id: &str) -> u64 {
    let scan = served.get(&format!("scans/{id}")).expect(200);
    scan["known"].as_u64().expect("it counts")
}

/// A scan that has read something and has something left; its id.
fn half_way(lab: &Lab, served: &Served) -> String {
    let id = served.scan("btc");
    lab.wait_until(|| known(served, &id) > 20);
    id
}

/// The scan goes on by itself and ends complete; nothing is missing, doubled, or asked again but
/// what was in flight.
fn goes_on(lab: &Lab, id: &str) {
    let served = Served::start(&lab.product);
    let scan = served.ended(id);
    assert_eq!(
        (&scan["status"], &scan["known"]),
        (&json!("complete"), &json!(400)),
        "{scan}"
    );
    assert_eq!(served.stop().code, 0);
    let book = lab.book();
    book.check();
    assert_eq!(book.passes.len(), 1, "{:?}", book.passes);
    for balance in &book.balances {
        let held = lab
            .truth()
            .amount_of(&balance.address, &balance.symbol)
            .expect("it is there");
        assert_eq!(balance.amount, held.to_string());
    }
    assert_eq!(book.balances.len(), 400);
    let asked = lab.asked("first").len();
    assert!((400..=400 + 8).contains(&asked), "{asked} requests");
}

#[test]
fn a_service_that_is_stopped_leaves_its_scan_to_the_next_one() {
    let lab = slow();
    let served = Served::start(&lab.product);
    let id = half_way(&lab, &served);
    let stopped = served.stop();
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    goes_on(&lab, &id);
}

#[test]
fn a_service_that_is_killed_leaves_its_scan_to_the_next_one() {
    let lab = slow();
    let served = Served::start(&lab.product);
    let id = half_way(&lab, &served);
    served.kill();
    goes_on(&lab, &id);
}

#[test]
fn a_hung_provider_does_not_hold_up_the_end() {
    let lab = Lab::new(Plugin::Blockstream, 5);
    lab.fault(Fault::at("first", Kind::Hang));
    let served = Served::start(&lab.product);
    served.scan("btc");
    let spot = json!({ "chain": "btc", "addresses": [lab.addresses[0]] });
    let spot = served.post("scans", &spot).expect(202)["id"].clone();
    let stopped = served.stop();
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    let book = lab.book();
    book.check();
    let of_spot = book
        .passes
        .iter()
        .find(|pass| json!(pass.id) == spot)
        .unwrap();
    assert_eq!(of_spot.status, "cancelled");
}
