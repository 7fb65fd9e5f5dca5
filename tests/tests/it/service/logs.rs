use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::Value;

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

const JSON: (&str, &str) = ("SCANHOST__LOG__FORMAT", "json");

/// Libraries' own lines of that level need not say anything.
const LEVEL: (&str, &str) = ("SCANHOST__LOG__LEVEL", "info,scanhost=debug");

/// Every line of standard error, each an object with the members that collectors look for.
#[track_caller]
fn lines(stderr: &str) -> Vec<Value> {
    let parse = |line: &str| -> Value {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "message", "target"] {
            assert!(value[member].is_string(), "`{member}`: {line}");
        }
        value
    };
    stderr.lines().map(parse).collect()
}

fn with_level<'l>(lines: &'l [Value], level: &str) -> Vec<&'l str> {
    let lines = lines.iter().filter(|line| line["level"] == level);
    lines.filter_map(|line| line["message"].as_str()).collect()
}

#[test]
fn each_line_of_a_service_is_json_when_it_is_told_to() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    // A warning before the log begins, and one of a provider's failures.
    let setup = Setup::of(&["first", "second"]);
    let config = lab.config(&setup).text();
    let unchecked: Vec<&str> = config
        .lines()
        .filter(|line| !line.starts_with("identity"))
        .collect();
    lab.product.write("scanhost.toml", unchecked.join("\n"));
    let body = BodyForm::Html;
    lab.fault(Fault::at("first", Kind::Status { code: 503, body }));

    let mut served = Served::with(&lab.product, &[JSON, LEVEL]);
    served.ended(&served.scan("bsc"));
    lab.product
        .write("scanhost.toml", "[storr]\n[servise]\nlisten = 1\n");
    served.running().signal("-HUP");
    let running = std::cell::RefCell::new(served.running());
    lab.wait_until(|| running.borrow().said().contains("the one before stays"));
    let stopped = served.stop().expect(0);

    let lines = lines(&stopped.stderr);
    let (info, warnings) = (with_level(&lines, "INFO"), with_level(&lines, "WARN"));
    let errors = with_level(&lines, "ERROR");
    let starts_with = |told: &[&str], start: &str| told.iter().any(|it| it.starts_with(start));
    assert!(
        starts_with(&info, "listening at http://127.0.0.1:"),
        "{info:?}"
    );
    assert!(starts_with(&info, "stopping"), "{info:?}");
    assert!(
        warnings.iter().any(|it| it.contains("identity")),
        "{warnings:?}"
    );
    // Both mistakes are in one line.
    assert!(
        errors
            .iter()
            .any(|it| it.contains("storr") && it.contains("servise")),
        "{errors:?}"
    );
}

#[test]
fn why_a_service_did_not_start_is_json_too() {
    let lab = Lab::new(Plugin::BscRpc, 1);
    lab.product.write("scanhost.toml", "[storr]\n[servise]\n");
    let mut command = lab.product.command(&["serve"]);
    command.env(JSON.0, JSON.1);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines = lines(&stderr);
    let [error] = with_level(&lines, "ERROR")[..] else {
        panic!("{stderr}");
    };
    assert!(
        error.contains("storr") && error.contains("servise"),
        "{error}"
    );
}

#[test]
fn by_default_it_is_text() {
    let lab = Lab::new(Plugin::BscRpc, 1);
    let served = Served::start(&lab.product);
    let stopped = served.stop().expect(0);
    let mut lines = stopped.stderr.lines();
    assert!(
        lines.any(|line| line.starts_with("scanhost: listening at http://127.0.0.1:")),
        "{}",
        stopped.stderr
    );
}
