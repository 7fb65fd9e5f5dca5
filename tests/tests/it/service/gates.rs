use scanhost_tests::upstream::{Fault, Kind};
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

const BREAKER: &str = "chains/bsc/providers/first/breaker?type=scan";

fn lab() -> Lab {
    let lab = Lab::new(Plugin::BscRpc, 20);
    lab.set_up(&Setup::of(&["first", "second"]));
    lab
}

fn provider(served: &Served, name: &str) -> Value {
    let all = served.items("providers?chain=bsc");
    all.into_iter()
        .find(|it| it["provider"] == name)
        .expect("it is there")
}

#[test]
fn an_operator_shuts_a_provider_which_outlives_restarts_until_it_is_released() {
    let lab = lab();
    let served = Served::start(&lab.product);
    let force = json!({ "state": "open", "reason": "their maintenance", "for": "1h" });
    let forced = served.post(BREAKER, &force).expect(200);
    assert_eq!(
        (&forced["status"], &forced["state"]),
        (&json!("down"), &json!("forced_open"))
    );
    assert_eq!(forced["forced"]["reason"], "their maintenance");
    assert!(forced["forced"]["until"].is_string(), "{forced}");
    served.ended(&served.scan("bsc"));
    assert_eq!(lab.asked("first").len(), 0);
    let skipped = served.items("decisions?chain=bsc&limit=2");
    let why = &skipped[0]["skipped"][0]["why"];
    assert_eq!(*why, "forced_open", "{skipped:?}");
    // Killed, so that only what was written at once is there.
    served.kill();
    let served = Served::start(&lab.product);
    assert_eq!(
        provider(&served, "first")["forced"]["reason"],
        "their maintenance"
    );
    let health = lab
        .product
        .run(&["health", "--format", "json"])
        .expect(0)
        .rows();
    let told = health
        .iter()
        .find(|row| row["provider_name"] == "first")
        .unwrap();
    assert_eq!(
        (&told["status"], &told["circuit_state"]),
        (&json!("down"), &json!("open"))
    );
    let explain = lab.product.run(&["explain"]).expect(0).stdout;
    assert!(
        explain.contains("forced_open") || explain.contains("shut"),
        "{explain}"
    );
    let released = served.delete(BREAKER).expect(200);
    assert_eq!(
        (&released["state"], &released["forced"]),
        (&json!("closed"), &Value::Null)
    );
    served.ended(&served.scan("bsc"));
    assert!(!lab.asked("first").is_empty());
}

#[test]
fn a_breaker_that_is_forced_closed_lets_calls_through_whatever_fails() {
    let lab = lab();
    lab.fault(Fault::at("first", Kind::Reset));
    let served = Served::start(&lab.product);
    let force = json!({ "state": "closed", "reason": "we know" });
    served.post(BREAKER, &force).expect(200);
    for _ in 0..5 {
        served.ended(&served.scan("bsc"));
    }
    let first = provider(&served, "first");
    assert_eq!(first["state"], "forced_closed", "{first}");
    assert!(first["consecutive_fails"].as_u64().unwrap() > 3, "{first}");
    assert_eq!(first["until"], Value::Null, "until a release");
}

#[test]
fn a_provider_that_is_back_is_seen_to_be_though_nothing_is_scanned() {
    let lab = lab();
    let breaker = "breaker = { failures = 1, cooldown = \"300ms\" }";
    lab.set_up(&Setup::of(&["first", "second"]).first(breaker));
    lab.fault(Fault::at("first", Kind::Reset));
    let served = Served::start(&lab.product);
    assert_eq!(served.ended(&served.scan("bsc"))["status"], "complete");
    assert_ne!(provider(&served, "first")["state"], "closed");
    let balances = lab.asked("first").len();
    lab.upstream.mend();
    lab.wait_until(|| provider(&served, "first")["state"] == "closed");
    assert_eq!(
        lab.asked("first").len(),
        balances,
        "no balance was asked for"
    );
}

#[test]
fn what_cannot_be_forced_is_told() {
    let lab = lab();
    let served = Served::start(&lab.product);
    let check = |path: &str, body: Value, status: u16, code: &str| {
        served.post(path, &body).problem(status, code);
    };
    let good = json!({ "state": "open", "reason": "x" });
    check(
        "chains/nope/providers/first/breaker",
        good.clone(),
        404,
        "unknown_chain",
    );
    check(
        "chains/bsc/providers/nope/breaker",
        good.clone(),
        404,
        "unknown_provider",
    );
    check(
        "chains/bsc/providers/third/breaker",
        good,
        404,
        "unknown_provider",
    );
    check(
        BREAKER,
        json!({ "state": "ajar", "reason": "x" }),
        422,
        "invalid_state",
    );
    check(
        BREAKER,
        json!({ "state": "open", "reason": " " }),
        422,
        "invalid_reason",
    );
    check(
        BREAKER,
        json!({ "state": "open", "reason": "a\nb" }),
        422,
        "invalid_reason",
    );
    let forever = json!({ "state": "open", "reason": "x", "for": "soon" });
    check(BREAKER, forever, 422, "invalid_duration");
    check(BREAKER, json!({ "state": "open" }), 422, "invalid_body");
    assert_eq!(provider(&served, "first")["forced"], Value::Null);
}
