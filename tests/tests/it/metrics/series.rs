//! Which series there are, and what they count.

use serde_json::{Value, json};

use super::exposition::Scrape;
use crate::lab::{API_KEY, Lab, Plugin, Setup};
use crate::served::Served;

const ADDRESSES: usize = 40;

fn lab(pool: &[&'static str]) -> Lab {
    let lab = Lab::new(Plugin::Bscscan, ADDRESSES);
    set_up(&lab, pool);
    lab
}

fn set_up(lab: &Lab, pool: &[&'static str]) {
    lab.set_up(&Setup::of(pool).first("limits = [\"90/s\"]\n"));
}

fn scanned(served: &Served) {
    let id = served.scan("bsc");
    let scan = served.ended(&id);
    assert_eq!(scan["status"], "complete", "{scan}");
}

#[track_caller]
fn assert_nothing_fell(before: &Scrape, after: &Scrape) {
    for (series, value) in before.growing() {
        let now = after.samples.get(series);
        assert!(
            now.is_some_and(|now| *now >= value),
            "{series:?}: {value} to {now:?}"
        );
    }
}

/// Nothing that tells addresses, hosts or keys.
#[track_caller]
fn assert_discreet(lab: &Lab, scrape: &Scrape) {
    let secrets = [API_KEY, "127.0.0.1", "http:", "0x", "localhost"];
    let addresses = lab.addresses.iter().map(String::as_str);
    for secret in addresses.chain(secrets) {
        let found = scrape.text.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}

#[test]
fn every_series_is_there_before_the_first_scan() {
    let lab = lab(&["first", "second"]);
    let file = lab.product.folder().join("scanhost.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let told = "[[alerts]]\nname = \"low\"\nchain = \"bsc\"\nasset = \"BNB\"\nbelow = \"1\"\n\
        [[webhooks]]\nname = \"desk\"\nurl = \"http://127.0.0.1:9/\"\n\
        secret = { file = \"hook.secret\" }\n";
    let secret = "nobody is to read this sentence";
    lab.product.write("hook.secret", secret);
    lab.product
        .write("scanhost.toml", format!("{text}\n{told}"));
    let served = Served::start(&lab.product);
    let fresh = Scrape::of(&served);
    let list = lab.product.run(&["metrics", "list"]).expect(0).stdout;
    let mut listed = 0;
    for line in list.lines().skip(1) {
        let mut words = line.split_whitespace();
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        let told = fresh.families.get(name).map(String::as_str);
        assert_eq!(told, Some(kind), "{name}");
        listed += 1;
    }
    assert_eq!(fresh.families.len(), listed);
    for (series, value) in fresh.growing() {
        if !series.0.starts_with("scanhost_breaker_late") {
            assert!(value.abs() < f64::EPSILON, "{series:?} is {value}");
        }
    }
    for provider in ["first", "second"] {
        let at = [("chain", "bsc"), ("provider", provider)];
        for states in ["provider_health", "provider_state", "breaker_state"] {
            let sum = fresh.sum(&format!("scanhost_{states}"), &at);
            assert!((sum - 1.0).abs() < f64::EPSILON, "{states}");
        }
        assert!((fresh.sum("scanhost_provider_loaded", &at) - 1.0).abs() < f64::EPSILON);
        // Nobody has asked it anything: that is not the year 1970.
        assert!(
            fresh
                .sum("scanhost_provider_last_success_timestamp_seconds", &at)
                .is_nan()
        );
    }
    assert!(
        fresh
            .sum("scanhost_scan_last_complete_timestamp_seconds", &[])
            .is_nan()
    );
    assert!(fresh.sum("scanhost_scan_cells", &[]).is_nan());
    let idle = fresh.sum("scanhost_scan_state", &[("state", "idle")]);
    assert!((idle - 1.0).abs() < f64::EPSILON);
    assert_discreet(&lab, &fresh);
    scanned(&served);
    let after = Scrape::of(&served);
    assert_eq!(fresh.series(), after.series());
    assert_nothing_fell(&fresh, &after);
    assert_discreet(&lab, &after);
}

#[test]
fn a_scan_is_told_in_numbers() {
    let lab = lab(&["first", "second"]);
    let served = Served::start(&lab.product);
    scanned(&served);
    let wanted = u32::try_from(ADDRESSES * lab.assets.len()).unwrap();
    let cells = || {
        let scrape = Scrape::of(&served);
        scrape.sum("scanhost_scan_cells", &[("result", "known")])
    };
    // What the store tells may be two seconds old.
    lab.wait_until(|| (cells() - f64::from(wanted)).abs() < f64::EPSILON);
    let scrape = Scrape::of(&served);
    let is = |name: &str, labels: &[(&str, &str)], expected: u32| {
        let told = scrape.sum(&format!("scanhost_{name}"), labels);
        assert!(
            (told - f64::from(expected)).abs() < f64::EPSILON,
            "{name} {labels:?}: {told}"
        );
    };
    let log = lab.upstream.log();
    for provider in ["first", "second"] {
        let sent = log.iter().filter(|it| it.host == provider).count();
        is(
            "provider_requests_total",
            &[("provider", provider)],
            u32::try_from(sent).unwrap(),
        );
    }
    is("provider_cells_total", &[("result", "known")], wanted);
    is("provider_cells_total", &[("result", "unknown")], 0);
    is("scan_cells", &[("result", "unknown")], 0);
    is("scan_wanted_cells", &[], wanted);
    is("balances", &[], wanted);
    is("scan_ever_complete", &[], 1);
    is("scan_state", &[("state", "complete")], 1);
    is(
        "scan_duration_seconds_count",
        &[("kind", "set"), ("result", "complete")],
        1,
    );
    is(
        "provider_calls_total",
        &[
            ("provider", "first"),
            ("op", "identity"),
            ("outcome", "success"),
        ],
        1,
    );
    is(
        "provider_call_duration_seconds_count",
        &[("op", "identity"), ("result", "answered")],
        1,
    );
    is("store_writable", &[], 1);
    is("config_last_reload_ok", &[], 1);
    is("event_streams", &[], 0);
    let given = scrape.sum("scanhost_pool_given_total", &[("purpose", "work")]);
    let calls = [("op", "balances"), ("outcome", "success")];
    let calls = scrape.sum("scanhost_provider_calls_total", &calls);
    assert!(
        (given - calls).abs() < f64::EPSILON && given > 0.0,
        "{given} {calls}"
    );
    for name in ["store_size_bytes", "events_stored", "scan_funded_cells"] {
        assert!(scrape.sum(&format!("scanhost_{name}"), &[]) > 0.0, "{name}");
    }
    let _stream = served.events("", None);
    let streams = || Scrape::of(&served).sum("scanhost_event_streams", &[]);
    lab.wait_until(|| (streams() - 1.0).abs() < f64::EPSILON);
}

#[test]
fn counters_go_on_over_a_reload_and_series_follow_the_pool() {
    let lab = lab(&["first"]);
    let served = Served::start(&lab.product);
    scanned(&served);
    let before = Scrape::of(&served);
    assert_eq!(
        before
            .some("scanhost_provider_state", &[("provider", "second")])
            .count(),
        0
    );
    set_up(&lab, &["second", "first"]);
    served.post("reload", &Value::Null).expect(200);
    let reloaded = Scrape::of(&served);
    assert_nothing_fell(&before, &reloaded);
    assert_eq!(
        reloaded
            .some("scanhost_breaker_state", &[("provider", "second")])
            .count(),
        3
    );
    let taken = reloaded.sum("scanhost_config_reloads_total", &[("result", "taken")]);
    assert!((taken - 1.0).abs() < f64::EPSILON);
    let calls = |scrape: &Scrape, provider| {
        let at = [("provider", provider), ("verdict", "success")];
        scrape.sum("scanhost_breaker_verdicts_total", &at)
    };
    assert!((calls(&reloaded, "first") - calls(&before, "first")).abs() < f64::EPSILON);
    served.post("scans", &json!({ "chain": "bsc" })).expect(202);
    lab.wait_until(|| calls(&Scrape::of(&served), "second") > 0.0);
    let working = Scrape::of(&served);
    assert_nothing_fell(&reloaded, &working);
    set_up(&lab, &["second"]);
    served.post("reload", &Value::Null).expect(200);
    let left = Scrape::of(&served);
    assert_nothing_fell(&working, &left);
    // What is no longer configured has no state, and what it counted stays.
    assert_eq!(
        left.some("scanhost_provider_state", &[("provider", "first")])
            .count(),
        0
    );
    assert!(calls(&left, "first") > 0.0);
}

#[test]
fn metrics_want_a_token_where_the_configuration_says_so() {
    let lab = lab(&["first"]);
    let open = [("SCANHOST__SERVICE__TOKEN", "an-admin-token-of-the-test")];
    let served = Served::with(&lab.product, &open);
    assert_eq!(served.get("chains").status, 401);
    assert_eq!(served.get("/metrics").status, 200);
    assert_eq!(served.stop().code, 0);
    let guarded = [
        open[0],
        (
            "SCANHOST__SERVICE__READ_TOKEN",
            "a-reading-token-of-the-test",
        ),
        ("SCANHOST__SERVICE__METRICS", "token"),
    ];
    let mut served = Served::with(&lab.product, &guarded);
    served.get("/metrics").problem(401, "unauthorized");
    served.log_in("a-reading-token-of-the-test");
    assert_eq!(served.get("/metrics").status, 200);
}
