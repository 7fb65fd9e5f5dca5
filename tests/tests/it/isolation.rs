//! Plugins in processes of their own: whatever they do, the scan and the service go on.

mod real;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, Config, IMPATIENT, Product, Run};
use serde_json::Value;

/// Addresses of the fixture's chain; two fit one call.
const ADDRESSES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// A folder of the test's own with these fixtures in it.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in [
            "fixture-crashes",
            "fixture-crashes-at-load",
            "fixture-hangs",
        ] {
            let file = fixtures::plugin(name).unwrap_or_else(|error| panic!("{error}"));
            let name = file.file_name().expect("it is a file");
            fs::copy(&file, folder.path().join(name)).expect("it is there");
        }
        Self { folder }
    }

    /// `odd` runs the fixture in a process of its own; `next` is a provider that is well.
    fn product(&self, pool: &[&str], plugin: &str, more: &str) -> Product {
        let folder: PathBuf = self.folder.path().to_owned();
        let chain = Chain {
            name: "odd",
            network: "mainnet",
            identity: Some("odd-1"),
            pool,
            assets: &[("ODD", None, 8)],
            list: Some("odd.txt"),
            more: IMPATIENT,
        };
        let config = Config::new()
            .plugins(&[&folder])
            .chain(&chain)
            .provider("odd", plugin, "http://127.0.0.1:1", more)
            .provider("next", "fixture-hangs", "http://127.0.0.1:1", "");
        let product = Product::new(&config);
        // It is a crashing fixture that imports what no plugin should.
        let text = config.text();
        let text = text.replacen("[plugins]\n", "[plugins]\nimports = \"warn\"\n", 1);
        product.write("scanhost.toml", text);
        product.write("odd.txt", ADDRESSES.join("\n"));
        product
    }

    #[track_caller]
    fn scan(&self, pool: &[&str], plugin: &str, more: &str, code: i32) -> Run {
        let product = self.product(pool, plugin, more);
        product.run(&["scan", "--format", "json"]).expect(code)
    }
}

/// The lines of an isolated provider with these options.
fn isolated(options: &str) -> String {
    format!("isolation = \"process\"\ntimeout = \"1s\"\n[providers.odd.options]\n{options}\n")
}

/// Fails unless every cell is known, by the provider that is well where it had to be.
#[track_caller]
fn assert_all_known(run: &Run) {
    let rows = run.rows();
    assert_eq!(rows.len(), ADDRESSES.len(), "{}", run.stderr);
    for row in rows {
        assert_eq!(row["status"], "known", "{row}\n{}", run.stderr);
        assert_eq!(row["amount"], "1", "{row}");
    }
}

/// Fails unless no cell is known, none has an amount, and the first says why.
#[track_caller]
fn assert_all_unknown(run: &Run, reason: &str) {
    let rows = run.rows();
    assert_eq!(rows.len(), ADDRESSES.len(), "{}", run.stderr);
    let mut told = false;
    for row in &rows {
        assert_eq!(row["status"], "unknown", "{row}");
        assert_eq!(row.get("amount"), None, "{row}");
        assert_eq!(
            row["error"]["providers"][0]["class"], "plugin_fault",
            "{row}"
        );
        told |= message(row).contains(reason);
    }
    assert!(told, "{reason}: {rows:#?}\n{}", run.stderr);
}

fn message(row: &Value) -> &str {
    let message = &row["error"]["providers"][0]["message"];
    message.as_str().unwrap_or_default()
}

/// How each crash is told; what stands in the way of each place is the same.
const CRASHES: [(&str, &str); 5] = [
    ("segfault", "signal 11 (SIGSEGV)"),
    ("exit", "its process exited with code 0"),
    ("abort", "signal 6 (SIGABRT)"),
    (
        "overflow",
        "its stack overflowed, and its process was ended by signal 6 (SIGABRT)",
    ),
    (
        "allocate",
        "its process ran out of its memory limit of 64 MiB",
    ),
];

#[test]
fn a_crash_loses_no_address_beside_a_provider_that_is_well() {
    let lab = Lab::new();
    for (crash, _) in CRASHES {
        let more = isolated(&format!("crash = {crash:?}"));
        let more = format!("memory_max = \"64MiB\"\n{more}");
        assert_all_known(&lab.scan(&["odd", "next"], "fixture-crashes", &more, 0));
    }
}

#[test]
fn a_crash_alone_is_told_by_its_name() {
    let lab = Lab::new();
    for (crash, reason) in CRASHES {
        let more = isolated(&format!("crash = {crash:?}"));
        let more = format!("memory_max = \"64MiB\"\n{more}");
        assert_all_unknown(&lab.scan(&["odd"], "fixture-crashes", &more, 3), reason);
    }
}

#[test]
fn a_crash_while_it_is_opened_costs_that_provider_alone() {
    let lab = Lab::new();
    let more = isolated("crash = \"segfault\"\nplace = \"open\"");
    let run = lab.scan(&["odd", "next"], "fixture-crashes", &more, 0);
    assert!(
        run.stderr.contains("provider `odd` is left out"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("signal 11 (SIGSEGV)"), "{}", run.stderr);
    assert_all_known(&run);

    let run = lab.scan(
        &["odd", "next"],
        "fixture-crashes-at-load",
        &isolated(""),
        0,
    );
    assert!(
        run.stderr.contains("provider `odd` is left out"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("signal 11 (SIGSEGV)"), "{}", run.stderr);
    assert_all_known(&run);
}

#[test]
fn one_address_that_crashes_a_plugin_does_not_cost_the_others() {
    let lab = Lab::new();
    let more = isolated("crash = \"on_carol\"");
    assert_all_known(&lab.scan(&["odd", "next"], "fixture-crashes", &more, 0));
}

#[test]
fn a_child_that_ended_is_started_again() {
    let lab = Lab::new();
    let more = isolated("crash = \"every_second\"");
    // Each process answers one call: alone, it answers all of them, one round after the other.
    let more = format!("connections = 1\n{more}");
    let run = lab.scan(&["odd"], "fixture-crashes", &more, 0);
    assert_all_known(&run);
    assert!(run.stderr.contains("signal 11 (SIGSEGV)"), "{}", run.stderr);
}

#[test]
fn a_plugin_that_hangs_is_ended() {
    let lab = Lab::new();
    let more = isolated("crash = \"hang\"").replace("\"1s\"", "\"30s\"");
    let run = lab.scan(&["odd"], "fixture-crashes", &more, 3);
    assert_all_unknown(&run, "the plugin hangs; its process was ended");
}

#[test]
fn what_a_plugin_prints_is_told_in_bounds_and_is_no_result() {
    let lab = Lab::new();
    let run = lab.scan(
        &["odd"],
        "fixture-crashes",
        &isolated("crash = \"print\""),
        0,
    );
    assert_all_known(&run);
    assert!(run.stderr.contains("prints: line 0"), "{}", run.stderr);
    assert!(run.stderr.contains("prints too much"), "{}", run.stderr);
    assert!(run.stderr.lines().count() < 400, "{}", run.stderr.len());
}

/// What the fixture says that it could reach: asked, and while it was opened.
#[track_caller]
fn reached(run: &Run) -> String {
    let rows = run.rows();
    let row = rows.first().expect("there are rows");
    message(row).to_owned()
}

#[test]
fn a_plugin_in_a_process_reaches_no_file_no_network_and_no_process() {
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let options = format!("crash = \"reach\"\nport = {port}");
    let run = lab.scan(&["odd"], "fixture-crashes", &isolated(&options), 3);
    assert_eq!(
        reached(&run),
        "now: nothing; at load: nothing",
        "{}",
        run.stderr
    );

    // The same code in the host's own process reaches all of it, so the tries are real.
    let open = isolated(&options).replace("isolation = \"process\"\n", "");
    let run = lab.scan(&["odd"], "fixture-crashes", &open, 3);
    let reached = reached(&run);
    for what in [
        "read",
        "list",
        "look",
        "write",
        "environment",
        "connect",
        "listen",
        "udp",
        "unix",
        "exec",
        "fork",
        "thread",
        "signal",
    ] {
        assert!(reached.contains(what), "{what}: {reached}");
    }
}
