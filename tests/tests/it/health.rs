//! What is known of providers outlives the process: rows, counts, and the gate's state.

use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::Value;

use crate::book::Health;
use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

const LONG: &str = "breaker = { failures = 3, cooldown = \"60s\" }\n";
const SHORT: &str = "breaker = { failures = 3, cooldown = \"300ms\" }\n";

/// Bitcoin, one request for each of a few addresses.
fn lab(pool: &[&'static str], breaker: &str) -> Lab {
    let lab = Lab::new(Plugin::Blockstream, 6);
    set_up(&lab, pool, breaker);
    lab
}

fn set_up(lab: &Lab, pool: &[&'static str], breaker: &str) {
    lab.set_up(&Setup::of(pool).chain(breaker).first("connections = 1"));
}

fn fails() -> Fault {
    let body = BodyForm::Html;
    Fault::at("first", Kind::Status { code: 500, body }).native()
}

fn row_of(lab: &Lab, provider: &str) -> Health {
    let key = (lab.plugin.chain().to_owned(), provider.to_owned());
    let book = lab.book();
    book.check();
    book.health.get(&key).expect("it was asked").clone()
}

/// What [`told`] says, where the simulator must have counted the same requests.
#[track_caller]
fn counted(lab: &Lab) -> Value {
    let line = told(lab);
    let book = lab.book();
    let log = lab.upstream.log();
    for ((_, name), counted) in &book.usage {
        let sent = log.iter().filter(|it| it.host == *name).count();
        assert_eq!(*counted, sent as u64, "{name}");
    }
    line
}

/// What `scanhost health` says of the first provider, which must be what the store holds.
#[track_caller]
fn told(lab: &Lab) -> Value {
    let run = lab.product.run(&["health", "--format", "json"]).expect(0);
    let lines = run.rows();
    let table = lab.product.run(&["health"]).expect(0).stdout;
    for line in &lines {
        let name = line["provider_name"].as_str().expect("it has a name");
        let row = row_of(lab, name);
        assert_eq!(line["chain"], lab.plugin.chain(), "{line}");
        assert_eq!(line["provider_type"], "scan", "{line}");
        assert_eq!(line["status"], *row.status, "{line}");
        assert_eq!(line["circuit_state"], *row.circuit, "{line}");
        assert_eq!(line["consecutive_fails"], row.fails, "{line}");
        assert_eq!(
            line["last_success"].as_str(),
            row.last_success.as_deref(),
            "{line}"
        );
        assert_eq!(
            line["last_error"].as_str(),
            row.last_error.as_deref(),
            "{line}"
        );
        assert_eq!(
            line["last_error_msg"].as_str(),
            row.last_error_msg.as_deref(),
            "{line}"
        );
        let shown = table.lines().find(|shown| shown.contains(name));
        let shown = shown.unwrap_or_else(|| panic!("{name} is not in\n{table}"));
        let words: Vec<&str> = shown.split_whitespace().collect();
        assert!(words.contains(&&*row.status), "{shown}");
        assert!(words.contains(&&*row.circuit), "{shown}");
    }
    let first = lines
        .into_iter()
        .find(|line| line["provider_name"] == "first");
    first.expect("it was asked")
}

#[track_caller]
fn check(line: &Value, status: &str, circuit: &str, why: Option<&str>) {
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["circuit_state"], circuit, "{line}");
    assert_eq!(line["why"].as_str(), why, "{line}");
}

#[test]
fn a_closed_circuit_stays_closed() {
    let lab = lab(&["first"], LONG);
    for _ in 0..2 {
        lab.expect_all_known(&lab.scan(&[]).expect(0));
        let line = counted(&lab);
        check(&line, "healthy", "closed", None);
        assert_eq!(line["consecutive_fails"], 0);
        assert!(line["last_success"].is_string(), "{line}");
        assert!(line["last_error"].is_null(), "{line}");
    }
}

#[test]
fn a_failure_makes_degraded_and_is_kept() {
    let lab = lab(&["first", "second"], LONG);
    // The last of the six is the one that fails.
    lab.fault(fails().nth(6..=6));
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let line = counted(&lab);
    check(&line, "degraded", "closed", None);
    assert_eq!(line["consecutive_fails"], 1);
    let message = line["last_error_msg"].as_str().unwrap_or_default();
    assert!(message.contains("HTTP 500"), "{line}");
    // The next process starts from there, and its first success ends it.
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let line = counted(&lab);
    check(&line, "healthy", "closed", None);
    assert!(line["last_error"].is_string(), "{line}");
}

#[test]
fn an_open_circuit_stays_open_until_its_time() {
    let lab = lab(&["first", "second"], LONG);
    lab.fault(fails());
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    assert_eq!(lab.asked("first").len(), 3);
    let before = counted(&lab);
    check(&before, "down", "open", Some("circuit_open"));
    assert_eq!(before["consecutive_fails"], 3);
    // Mended or not: it is not asked before the cooldown is over.
    lab.upstream.mend();
    let asked = lab.upstream.log().len();
    lab.expect_all_known(&lab.scan(&["--fresh"]).expect(0));
    let log = lab.upstream.log();
    let early = log[asked..].iter().find(|it| it.host == "first");
    assert_eq!(early, None);
    let after = counted(&lab);
    check(&after, "down", "open", Some("circuit_open"));
    for kept in ["last_error", "last_error_msg", "last_success"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    check_until(&after, &before);
}

/// A time is kept as such and used as what is left of it, so a millisecond may get lost.
#[track_caller]
fn check_until(after: &Value, before: &Value) {
    let moved = ms_of_day(&after["until"]) - ms_of_day(&before["until"]);
    assert!(moved.abs() < 100, "{moved} ms: {after} {before}");
}

/// Milliseconds since midnight of `2026-11-21T00:00:05.000Z`.
fn ms_of_day(time: &Value) -> i64 {
    let text = time.as_str().expect("a time is text");
    let (_, clock) = text.split_once('T').expect("it has a clock");
    let parts = clock.trim_end_matches('Z').split([':', '.']);
    let parts = parts.map(|part| part.parse::<i64>().expect("it has digits"));
    let parts: Vec<i64> = parts.collect();
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + parts[3]
}

#[test]
fn a_circuit_whose_time_came_while_nothing_ran_is_probed() {
    let lab = lab(&["first", "second"], SHORT);
    lab.fault(fails());
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    assert_eq!(counted(&lab)["circuit_state"], "open");
    // Wall time passes, no process runs.
    lab.wait_until(|| told(&lab)["why"].is_null());
    lab.upstream.mend();
    lab.expect_all_known(&lab.scan(&["--fresh"]).expect(0));
    check(&counted(&lab), "healthy", "closed", None);
    assert!(!lab.asked("first").is_empty());
}

#[test]
fn a_scan_that_ends_half_open_is_probed_again() {
    let lab = lab(&["first"], SHORT);
    lab.fault(fails());
    let scan = Running::scan(&lab.product);
    let with = |status: u16| {
        let log = lab.upstream.log();
        log.iter()
            .filter(|it| it.faulty && it.status == status)
            .count()
    };
    lab.wait_until(|| with(500) >= 3);
    // The circuit is open; the call that finds out hangs.
    lab.upstream.mend();
    lab.fault(Fault::at("first", Kind::Hang));
    lab.wait_until(|| with(0) > 0);
    lab.upstream.mend();
    scan.signal("-INT");
    let run = scan.end().expect(1);
    assert!(run.stderr.contains("interrupted"), "{}", run.stderr);
    check(&told(&lab), "degraded", "half_open", None);
    assert_eq!(row_of(&lab, "first").fails, 3);
    let asked = lab.upstream.log().len();
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    // One call finds out: it asks for no cell, or for one.
    let probe = &lab.upstream.log()[asked];
    assert!(probe.native <= 1, "{probe:?}");
    check(&told(&lab), "healthy", "closed", None);
}

#[test]
fn a_hold_is_kept_until_the_configuration_changes() {
    let lab = Lab::new(Plugin::Bscscan, 3);
    lab.product.write("bscscan.key", "wrong-8d1c77e0aa");
    // Nobody waits the hour for which it is held.
    let soon = format!("{SHORT}scan = {{ budget = \"1s\" }}\n");
    set_up(&lab, &["first"], &soon);
    let _ = lab.scan(&[]).expect(3);
    let before = counted(&lab);
    assert_eq!(before["status"], "down", "{before}");
    let why = before["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.starts_with("held_"), "{before}");
    let asked = lab.upstream.log().len();
    let _ = lab.scan(&["--fresh"]).expect(3);
    assert_eq!(lab.upstream.log().len(), asked, "it is not asked");
    let after = counted(&lab);
    for kept in ["status", "why", "last_error_msg"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    check_until(&after, &before);
    // A mended endpoint is another configuration.
    lab.product.write("bscscan.key", crate::lab::API_KEY);
    let text = lab.config(&Setup::of(&["first"]).chain(&soon)).text();
    let endpoint = lab.upstream.endpoint("first");
    let other = endpoint.replacen("127.0.0.1", "localhost", 1);
    lab.product
        .write("scanhost.toml", text.replacen(&endpoint, &other, 1));
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    check(&counted(&lab), "healthy", "closed", None);
}

#[test]
fn a_new_key_in_the_same_file_ends_the_hold_of_the_old_one() {
    let lab = Lab::new(Plugin::Bscscan, 3);
    lab.product.write("bscscan.key", "wrong-8d1c77e0aa");
    set_up(&lab, &["first"], SHORT);
    // Nobody waits where the hold is longer than patience.
    let run = lab.scan(&[]).expect(3);
    assert!(
        run.stderr
            .contains("gave up: no provider can be asked before"),
        "{}",
        run.stderr
    );
    let held = counted(&lab);
    check(&held, "down", "closed", Some("held_unauthorized"));
    lab.product.write("bscscan.key", crate::lab::API_KEY);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    check(&counted(&lab), "healthy", "closed", None);
    let store = std::fs::read(lab.product.folder().join("scanhost.db")).expect("it is there");
    for key in ["wrong-8d1c77e0aa", crate::lab::API_KEY] {
        let found = store
            .windows(key.len())
            .any(|bytes| bytes == key.as_bytes());
        assert!(!found, "the store holds a key");
    }
}

#[test]
fn a_spent_quota_is_told_with_its_end() {
    let lab = Lab::new(Plugin::Blockstream, 6);
    lab.set_up(&Setup::of(&["first"]).chain(LONG).first("quota = \"3/day\""));
    let run = lab.scan(&[]).expect(3);
    assert!(
        run.stderr
            .contains("gave up: no provider can be asked before"),
        "{}",
        run.stderr
    );
    let rows = run.rows();
    let hole = rows
        .iter()
        .find(|row| row["status"] == "unknown")
        .expect("some are");
    let said = hole["error"]["providers"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(
        said.contains("no room for it soon enough (until 20"),
        "{hole}"
    );
    let line = counted(&lab);
    assert_eq!(line["why"], "paced", "{line}");
    assert!(line["until"].is_string(), "{line}");
}

#[test]
fn health_of_one_chain_leaves_out_the_others() {
    let lab = lab(&["first"], LONG);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let config = std::fs::read_to_string(lab.product.folder().join("scanhost.toml"));
    let config = config.expect("it is there");
    let (_, more) = config.split_once("[chains.btc]").expect("it is there");
    let (more, providers) = more.split_once("[providers").expect("they are there");
    let second = more.replace("chains.btc", "chains.other");
    let both = format!("{config}[chains.other]{second}");
    assert!(!providers.is_empty());
    lab.product.write("scanhost.toml", both);
    for (chain, lines) in [("btc", 1), ("other", 0)] {
        let arguments = ["health", "--format", "json", "--chain", chain];
        assert_eq!(lab.product.run(&arguments).expect(0).rows().len(), lines);
    }
    let run = lab.product.run(&["health", "--chain", "bct"]).expect(2);
    assert!(run.stderr.contains("did you mean `btc`?"), "{}", run.stderr);
    let run = lab.product.run(&["explain", "-5"]).expect(2);
    assert!(run.stderr.contains("an ID is a number"), "{}", run.stderr);
}

#[test]
fn a_pause_that_was_asked_for_outlives_the_process() {
    let lab = lab(&["first", "second"], LONG);
    let retry_after = scanhost_tests::upstream::RetryAfter::Seconds(60);
    lab.fault(Fault::at("first", Kind::RateLimit { retry_after }).native());
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let line = counted(&lab);
    assert_eq!(line["why"], "retry_after", "{line}");
    assert_eq!(line["circuit_state"], "closed", "{line}");
    assert_eq!(line["consecutive_fails"], 0, "{line}");
    lab.upstream.mend();
    let asked = lab.asked("first").len();
    assert_eq!(asked, 1);
    lab.expect_all_known(&lab.scan(&["--fresh"]).expect(0));
    assert_eq!(lab.asked("first").len(), asked, "not before its time");
}

/// Splits, retries and answers of every kind: what is counted is what came.
#[test]
fn every_attempt_is_counted() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 120);
        set_up(&lab, &["first", "second"], LONG);
        let body = BodyForm::Json;
        let poisoned = lab.addresses[57].clone();
        lab.fault(Fault::at("first", Kind::Status { code: 400, body }).address(&poisoned));
        lab.fault(Fault::at("first", Kind::EmptyObject).native().nth(2..=2));
        lab.expect_all_known(&lab.scan(&[]).expect(0));
        let _ = counted(&lab);
        lab.expect_all_known(&lab.scan(&["--fresh"]).expect(0));
        let _ = counted(&lab);
    }
}
