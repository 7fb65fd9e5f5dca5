//! Webhooks: a receiver that fails, a service that is killed, and nothing is missed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin};
use crate::receiver::Receiver;
use crate::served::Served;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const VARIABLES: [(&str, &str); 1] = [("HOOK", SECRET)];

/// The lab's configuration with a webhook behind it.
fn configure(lab: &Lab, url: &str, more: &str) {
    let file = lab.product.folder().join("scanhost.toml");
    let text = std::fs::read_to_string(file).expect("it was written");
    let before = text.split("[[webhooks]]").next().unwrap_or_default();
    let webhook = format!(
        "[[webhooks]]\nname = \"ops\"\nurl = {url:?}\nsecret = {{ env = \"HOOK\" }}\n{more}"
    );
    lab.product
        .write("scanhost.toml", format!("{before}{webhook}"));
}

fn webhook(served: &Served) -> Value {
    let webhooks = served.items("webhooks");
    assert_eq!(webhooks.len(), 1, "{webhooks:?}");
    webhooks[0].clone()
}

/// The ids of all stored events from `first` on, in order.
fn ids_from(lab: &Lab, first: i64) -> Vec<String> {
    let events = lab.book().events;
    let ids = events.iter().map(|event| event.id);
    ids.filter(|id| *id >= first)
        .map(|id| id.to_string())
        .collect()
}

#[test]
fn a_receiver_that_fails_and_a_service_that_is_killed_miss_nothing() {
    let lab = Lab::new(Plugin::BscRpc, 20);
    let receiver = Receiver::start();
    configure(&lab, &receiver.url, "");
    let served = Served::with(&lab.product, &VARIABLES);
    // It begins with what happens after it was begun.
    lab.wait_until(|| webhook(&served)["pending"] == 0);
    served.ended(&served.scan("bsc"));
    lab.wait_until(|| {
        receiver
            .taken()
            .iter()
            .any(|it| it["type"] == "scan_complete")
    });
    let first: i64 = receiver.taken()[0]["id"].as_str().unwrap().parse().unwrap();

    receiver.answer(503, None);
    lab.grow();
    served.ended(&served.scan("bsc"));
    lab.wait_until(|| webhook(&served)["status"] == "failing");
    let failing = webhook(&served);
    assert_eq!(
        failing["last_error"], "the receiver answered 503",
        "{failing}"
    );
    assert!(failing["pending"].as_u64().unwrap() > 20, "{failing}");
    assert!(
        receiver
            .url
            .starts_with(failing["origin"].as_str().unwrap())
    );
    assert!(!failing.to_string().contains("/hook"), "{failing}");
    let said = served.kill();
    let tried = receiver.received().last().unwrap().id.clone();

    receiver.answer(0, None);
    let served = Served::with(&lab.product, &VARIABLES);
    lab.wait_until(|| webhook(&served)["pending"] == 0 && webhook(&served)["status"] == "ok");
    assert!(webhook(&served)["next_attempt_at"].is_null());
    let said = format!("{}{}", said.stderr, served.stop().stderr);
    assert!(!said.contains("MfKQ") && !said.contains("/hook"), "{said}");

    let key = STANDARD
        .decode(SECRET.trim_start_matches("whsec_"))
        .unwrap();
    let received = receiver.received();
    for request in &received {
        request.check(&key);
    }
    let after = received
        .iter()
        .find(|it| it.id == tried && it.status == 204);
    assert!(after.is_some(), "a repeat has the id of the first attempt");
    // Each stored event once and in order, but for one whose answer the kill may have swallowed.
    let mut taken: Vec<String> = receiver
        .taken()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    taken.dedup();
    let stored = ids_from(&lab, first);
    assert_eq!(taken, stored[..taken.len()]);
    assert!(
        stored.len() - taken.len() <= 1,
        "the last may come after the look"
    );
    let changed = receiver.taken();
    let changed = changed.iter().find(|it| it["type"] == "balance_changed");
    let changed = changed.expect("the second scan found other amounts");
    assert_eq!(changed["data"]["chain"], "bsc", "{changed}");
    assert!(
        changed["timestamp"].as_str().unwrap().ends_with('Z'),
        "{changed}"
    );
}

#[test]
fn a_receiver_that_is_gone_is_told_again_after_a_change() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let receiver = Receiver::start();
    receiver.answer(410, None);
    configure(&lab, &receiver.url, "events = [\"scan_complete\"]\n");
    let served = Served::with(&lab.product, &VARIABLES);
    lab.wait_until(|| !served.items("webhooks").is_empty());
    lab.wait_until(|| webhook(&served)["pending"] == 0);
    served.ended(&served.scan("bsc"));
    lab.wait_until(|| webhook(&served)["status"] == "gone");
    assert_eq!(webhook(&served)["pending"], 1);
    receiver.answer(0, None);
    configure(
        &lab,
        &receiver.url,
        "events = [\"scan_complete\", \"scan_error\"]\n",
    );
    served.post("reload", &Value::Null).expect(200);
    lab.wait_until(|| webhook(&served)["delivered"] == 1);
    let taken = receiver.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0]["type"], "scan_complete");
    // One that is taken out of the configuration is not told of what follows.
    let file = lab.product.folder().join("scanhost.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let without = text.split("[[webhooks]]").next().unwrap().to_owned();
    lab.product.write("scanhost.toml", without);
    served.post("reload", &Value::Null).expect(200);
    served.ended(&served.scan("bsc"));
    assert_eq!(served.get("webhooks").expect(200)["items"], json!([]));
    assert_eq!(served.stop().code, 0);
    assert_eq!(receiver.taken().len(), 1);
}
