//! Alerts: an amount crosses a threshold both ways, and an outage crosses nothing.

use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::Value;

use crate::lab::{Lab, Plugin};
use crate::served::Served;

/// The sum of the native amounts, as the ledger has it.
fn sum(lab: &Lab) -> u128 {
    let truth = lab.truth();
    let amount = |address: &String| truth.amount_of(address, "BNB").expect("it is there");
    let amounts = lab.addresses.iter().map(amount);
    amounts
        .map(|amount| u128::try_from(amount).expect("the seeds are small"))
        .sum()
}

fn configure(lab: &Lab, alerts: &str) {
    let file = lab.product.folder().join("scanhost.toml");
    let text = std::fs::read_to_string(file).expect("it was written");
    let before = text.split("[[alerts]]").next().unwrap_or_default();
    lab.product
        .write("scanhost.toml", format!("{before}{alerts}"));
}

fn alert(served: &Served, name: &str) -> Value {
    let alerts = served.items("alerts");
    let found = alerts.iter().find(|alert| alert["name"] == name);
    found.unwrap_or_else(|| panic!("{alerts:?}")).clone()
}

/// The alerts' events in the store, as name and kind.
fn told(lab: &Lab) -> Vec<(String, String)> {
    let events = lab.book().events;
    let told = events
        .iter()
        .filter(|event| event.kind.starts_with("alert_"));
    let name = |data: &Value| data["alert"].as_str().unwrap_or_default().to_owned();
    told.map(|event| (name(&event.data), event.kind.clone()))
        .collect()
}

#[test]
fn a_sum_that_crosses_is_told_both_ways_and_an_outage_is_no_zero() {
    let lab = Lab::new(Plugin::BscRpc, 20);
    let before = sum(&lab);
    // Each growth adds one to each address: 20 in all.
    let above = format!(
        "[[alerts]]\nname = \"high\"\nchain = \"bsc\"\nset = \"list\"\nasset = \"BNB\"\n\
         above = \"{}\"\n",
        before + 10
    );
    let below = format!(
        "[[alerts]]\nname = \"low\"\nchain = \"bsc\"\nasset = \"BNB\"\nbelow = \"{}\"\n",
        before + 10
    );
    configure(&lab, &format!("{above}{below}"));
    let served = Served::start(&lab.product);
    lab.wait_until(|| alert(&served, "low")["evaluated_at"].is_string());
    let low = alert(&served, "low");
    assert_eq!(
        (&low["state"], &low["unknown"]),
        (&"unknown".into(), &20.into()),
        "{low}"
    );

    assert_eq!(low["amount"], Value::Null, "an unknown is no zero: {low}");

    served.ended(&served.scan("bsc"));
    lab.wait_until(|| alert(&served, "low")["state"] == "firing");
    lab.wait_until(|| alert(&served, "high")["state"] == "ok");
    let metrics = || served.get("/metrics").text;
    lab.wait_until(|| metrics().contains("scanhost_alert_firing{alert=\"low\"} 1\n"));
    lab.wait_until(|| metrics().contains("scanhost_alert_firing{alert=\"high\"} 0\n"));
    assert_eq!(alert(&served, "low")["amount"], before.to_string());

    // All providers are away: nothing is known, and neither alert changes its mind.
    let body = BodyForm::Html;
    for host in ["first", "second", "third"] {
        lab.fault(Fault::at(host, Kind::Status { code: 503, body }));
    }
    let scan = served.ended(&served.scan("bsc"));
    assert_eq!(
        (&scan["status"], &scan["known"]),
        (&"gave_up".into(), &0.into()),
        "{scan}"
    );
    lab.wait_until(|| alert(&served, "high")["state"] == "unknown");
    lab.wait_until(|| alert(&served, "low")["decided"] == false);
    let low = alert(&served, "low");
    assert_eq!(
        (&low["state"], &low["unknown"]),
        (&"firing".into(), &20.into()),
        "{low}"
    );
    assert_eq!(told(&lab), [("low".to_owned(), "alert_firing".to_owned())]);

    lab.upstream.mend();
    lab.grow();
    // What the last pass has made of the provider's circuit is over soon.
    served.stop();
    let served = Served::start(&lab.product);
    assert_eq!(
        alert(&served, "low")["state"],
        "firing",
        "it outlives the process"
    );
    served.ended(&served.scan("bsc"));
    lab.wait_until(|| alert(&served, "high")["state"] == "firing");
    lab.wait_until(|| alert(&served, "low")["state"] == "ok");
    let mut events = told(&lab);
    events.sort();
    let expected = [
        ("high", "alert_firing"),
        ("low", "alert_firing"),
        ("low", "alert_resolved"),
    ];
    let expected = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(events, expected);

    // One that is taken out while it fires is resolved.
    configure(&lab, &below);
    served.post("reload", &Value::Null).expect(200);
    let resolved = ("high".to_owned(), "alert_resolved".to_owned());
    lab.wait_until(|| told(&lab).contains(&resolved));
    assert_eq!(served.items("alerts").len(), 1);
    assert_eq!(served.stop().code, 0);
}

#[test]
fn an_alert_waits_until_it_has_held_for_its_time() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let address = &lab.addresses[0];
    let alerts = format!(
        "[[alerts]]\nname = \"slow\"\nchain = \"bsc\"\naddresses = [{address:?}]\nasset = \"BNB\"\n\
         below = \"1000000000\"\nunit = \"coins\"\nfor = \"2s\"\n"
    );
    configure(&lab, &alerts);
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    lab.wait_until(|| alert(&served, "slow")["state"] == "firing");
    let slow = alert(&served, "slow");
    let at = |key: &str| slow[key].as_str().unwrap().to_owned();
    assert!(at("fired_at") > at("since"), "{slow}");
    assert_eq!(slow["cells"], 1, "{slow}");
    assert_eq!(served.stop().code, 0);
}
