//! `scanhost plugins verify`: the steps of a load and the conformance checks, each where its crash
//! is its own.

use scanhost_tests::fixtures::plugin;
use scanhost_tests::product::{Config, Product, Run, built};
use serde_json::Value;

/// The plugins of the workspace.
const REAL: [&str; 6] = [
    "blockstream",
    "mempool",
    "bscscan",
    "bsc_rpc",
    "solana_rpc",
    "litecoin_space",
];
/// How many checks there are.
const CHECKS: usize = 23;

fn library(name: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let file = format!("{prefix}scanhost_plugin_{name}{suffix}");
    built().join(file).to_str().expect("it is UTF-8").to_owned()
}

fn fixture(name: &str) -> String {
    let path = plugin(&format!("fixture-{name}")).unwrap_or_else(|error| panic!("{error}"));
    path.to_str().expect("it is UTF-8").to_owned()
}

/// The verdict on each check, by its id.
fn verdicts(run: &Run) -> Vec<Value> {
    let mut rows = run.rows();
    rows.retain(|row| row.get("check").is_some());
    assert_eq!(rows.len(), CHECKS, "{}{}", run.stdout, run.stderr);
    rows
}

/// What a fixture that crashes is verified with.
fn crashing(options: &str) -> Run {
    let product = Product::new(&Config::new());
    product.write("scanhost.toml", "[plugins]\nimports = \"warn\"\n");
    let file = fixture("crashes");
    product.run(&[
        "plugins",
        "verify",
        &file,
        "--format",
        "json",
        "--address",
        "alice",
        "--options",
        options,
    ])
}

#[test]
fn all_of_ours_pass_what_can_be_checked_without_a_recording() {
    let product = Product::new(&Config::new());
    for name in REAL {
        let run = product.run(&["plugins", "verify", &library(name), "--format", "json"]);
        let run = run.expect(0);
        let verdicts = verdicts(&run);
        let passed = verdicts.iter().filter(|row| row["result"] == "passed");
        assert!(passed.count() >= 16, "{name}: {}", run.stdout);
        for row in &verdicts {
            let why = row["why"].as_str().unwrap();
            let is_good = match row["result"].as_str().unwrap() {
                "passed" => true,
                "skipped" => why.contains("give recorded traffic"),
                _ => false,
            };
            assert!(is_good, "{name}: {row}");
        }
    }
}

#[test]
fn a_check_in_which_the_plugin_dies_fails_and_the_others_are_done_all_the_same() {
    let run = crashing(r#"{"crash":"segfault","place":"identity"}"#);
    let (died, others): (Vec<_>, Vec<_>) = verdicts(&run.expect(1))
        .into_iter()
        .partition(|row| row["why"].as_str().unwrap().contains("SIGSEGV"));
    assert!(!died.is_empty());
    assert!(died.iter().all(|row| row["result"] == "failed"), "{died:?}");
    let opened = others.iter().find(|row| row["check"] == "C01");
    assert_eq!(opened.unwrap()["result"], "passed");
}

#[test]
fn what_ends_the_process_while_it_opens_is_told() {
    for (crash, how) in [
        ("segfault", "SIGSEGV"),
        ("exit", "exit code 0"),
        ("abort", "SIGABRT"),
    ] {
        let run = crashing(&format!(r#"{{"crash":"{crash}","place":"open"}}"#)).expect(1);
        assert!(
            run.stderr.contains(how),
            "{crash}: {}{}",
            run.stdout,
            run.stderr
        );
        assert!(
            run.stderr.contains("while it was loaded or opened"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn what_a_plugin_imports_is_a_step_of_its_own() {
    let product = Product::new(&Config::new());
    let run = product
        .run(&["plugins", "verify", &fixture("crashes")])
        .expect(2);
    assert!(run.stdout.contains("FAILED [imports]"), "{}", run.stdout);
    assert!(run.stdout.contains("socket"), "{}", run.stdout);
}

#[test]
fn bad_arguments_are_told_before_anything_is_loaded() {
    let product = Product::new(&Config::new());
    let file = fixture("echo");
    let recording = product.folder().join("none.jsonl");
    let recording = recording.to_str().expect("it is UTF-8");
    for (arguments, told) in [
        (&["--options", "[]"][..], "is no JSON object"),
        (&["--options", "{"][..], "--options"),
        (&["--cassette", recording][..], "none.jsonl"),
        (&["--provider", "x"][..], "--cassette"),
    ] {
        let all = [&["plugins", "verify", &*file][..], arguments].concat();
        let run = product.run(&all).expect(2);
        assert!(run.stderr.contains(told), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}
