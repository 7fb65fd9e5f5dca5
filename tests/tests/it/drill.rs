//! `scan --record`, `--replay` and `--inject`.

use std::fs;

use scanhost_tests::product::{Run, built};
use scanhost_tests::upstream::{Fault, Kind};
use serde_json::Value;

use crate::lab::{API_KEY, Lab, Plugin, Setup};

const COUNT: usize = 60;
const RECORDING: &str = "traffic.jsonl";

fn recording(lab: &Lab) -> String {
    let path = lab.product.folder().join(RECORDING);
    path.to_str().expect("it is UTF-8").to_owned()
}

/// What a run printed, without when it was seen.
fn told(run: &Run) -> Vec<Value> {
    let mut rows = run.rows();
    for row in &mut rows {
        row.as_object_mut()
            .expect("it is one")
            .remove("observed_at");
    }
    rows
}

fn lab(plugin: Plugin) -> Lab {
    let lab = Lab::new(plugin, COUNT);
    lab.set_up(&Setup::of(&["first", "second"]));
    lab
}

#[test]
fn a_recorded_scan_is_replayed_with_the_network_gone() {
    for plugin in Plugin::ALL {
        let lab = lab(plugin);
        let file = recording(&lab);
        let recorded = lab.scan(&["--record", &file]).expect(0);
        lab.expect_all_known(&recorded);
        let tape = fs::read_to_string(&file).expect("it was written");
        assert!(tape.starts_with("{\"scanhost_cassette\":1}\n"), "{tape}");
        assert!(!tape.contains(API_KEY), "the key is in the recording");
        // Whoever asks the network gets nothing, and the ledger holds something else.
        lab.grow();
        for host in ["first", "second"] {
            lab.fault(Fault::at(host, Kind::Reset));
        }
        let sent = lab.upstream.log().len();
        let before = fs::read(lab.product.folder().join("scanhost.db")).expect("it is there");
        let replayed = lab.scan(&["--replay", &file]).expect(0);
        assert_eq!(told(&replayed), told(&recorded), "{}", plugin.name());
        assert_eq!(lab.upstream.log().len(), sent, "the network was asked");
        assert!(replayed.stderr.contains("not kept"), "{}", replayed.stderr);
        let after = fs::read(lab.product.folder().join("scanhost.db")).expect("it is there");
        assert_eq!(before, after, "the store was written");
    }
}

#[test]
fn failures_are_recorded_and_replayed_as_such() {
    let lab = lab(Plugin::BscRpc);
    let file = recording(&lab);
    lab.fault(Fault::at("first", Kind::Reset));
    let recorded = lab.scan(&["--record", &file]).expect(0);
    lab.expect_all_known(&recorded);
    lab.upstream.mend();
    let replayed = lab.scan(&["--replay", &file]).expect(0);
    assert_eq!(told(&replayed), told(&recorded));
    assert!(
        told(&replayed)
            .iter()
            .all(|row| row["provider"] == "second")
    );
}

#[test]
fn what_was_not_recorded_is_unknown_and_says_so() {
    let lab = lab(Plugin::BscRpc);
    let file = recording(&lab);
    let _ = lab.scan(&["--asset", "BNB", "--record", &file]).expect(0);
    let run = lab.scan(&["--replay", &file]).expect(3);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    for row in rows {
        let is_known = row["status"] == "known";
        assert_eq!(is_known, row["asset"] == "BNB", "{row}");
        let why = row.to_string();
        assert!(
            is_known || why.contains("the recording has no answer"),
            "{why}"
        );
    }
}

#[test]
fn an_injected_fault_is_unknown_with_its_reason_or_goes_to_the_next_provider() {
    for plugin in [Plugin::Blockstream, Plugin::BscRpc, Plugin::SolanaRpc] {
        let lab = lab(plugin);
        for (fault, class) in [
            ("status=503", "server_error"),
            ("status=429", "rate_limited"),
            ("timeout", "timeout"),
            ("reset", "transport"),
            ("truncate", "malformed"),
            ("garbage", "malformed"),
        ] {
            let at_first = format!("provider=first,{fault}");
            let run = lab.scan(&["--inject", &at_first]).expect(0);
            lab.expect_all_known(&run);
            // The upstream is well; nothing but the injection can be the reason.
            let run = lab
                .scan(&["--inject", fault, "--budget", "500ms"])
                .expect(3);
            for row in lab.expect_honest(&run, &lab.truth(), None) {
                assert_eq!(row["status"], "unknown", "{fault}: {row}");
                assert_eq!(row["last"], Value::Null, "{fault}: {row}");
                assert!(row.to_string().contains(class), "{fault}: {row}");
            }
        }
        let run = lab
            .scan(&["--inject", "reset,every=3", "--inject", "delay=1ms"])
            .expect(0);
        lab.expect_all_known(&run);
        // No drill has opened a circuit of the operator's.
        lab.expect_all_known(&lab.scan(&[]).expect(0));
        assert!(
            lab.book()
                .events
                .iter()
                .all(|it| it.kind != "provider_state")
        );
    }
}

#[test]
fn the_checks_that_want_amounts_are_done_on_a_recording() {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = |name: &str| {
        let path = built().join(format!("{prefix}scanhost_plugin_{name}{suffix}"));
        path.to_str().expect("it is UTF-8").to_owned()
    };
    let lab = Lab::new(Plugin::Blockstream, 3);
    let file = recording(&lab);
    let _ = lab.scan(&["--record", &file]).expect(0);
    let addresses = lab.addresses.iter().map(|it| format!("--address={it}"));
    let addresses: Vec<_> = addresses.collect();
    let verify = |library: &str, more: &[&str]| {
        let all = [
            "plugins",
            "verify",
            library,
            "--cassette",
            &file,
            "--format",
            "json",
        ];
        let run = lab.product.run(&[&all[..], more].concat()).expect(0);
        let rows = run.rows();
        let verdicts = rows.into_iter().filter(|row| row.get("check").is_some());
        let word = |row: Value| row["result"].as_str().expect("it is a word").to_owned();
        verdicts.map(word).collect::<Vec<_>>()
    };
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let passed = vec!["passed"; 23];
    assert_eq!(verify(&library("blockstream"), &addresses), passed);
    // It asks for something that nobody recorded: that is not its fault.
    let verdicts = verify(
        &library("mempool"),
        &["--address=1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"],
    );
    assert!(verdicts.iter().any(|it| it == "skipped"), "{verdicts:?}");
}

#[test]
fn what_cannot_be_recorded_replayed_or_injected_is_told_before_anything_is_sent() {
    let lab = lab(Plugin::BscRpc);
    lab.product.write("there", "mine");
    for (arguments, wanted) in [
        (&["--record", "there"][..], "name a new file"),
        (&["--record", "none/there"], "name a new file"),
        (&["--replay", "there"], "scanhost_cassette"),
        (&["--replay", "none"], "none"),
        (&["--inject", "nonsense"], "status=N"),
        (&["--inject", "provider=nobody,reset"], "`first`"),
    ] {
        let run = lab.scan(arguments).expect(2);
        assert!(run.stderr.contains(wanted), "{arguments:?}: {}", run.stderr);
    }
    let there = fs::read_to_string(lab.product.folder().join("there"));
    assert_eq!(there.expect("it is there"), "mine");
    assert_eq!(lab.upstream.log().len(), 0);
}

#[test]
fn no_result_is_written_over_a_recording_or_the_real_store() {
    let lab = lab(Plugin::BscRpc);
    let file = recording(&lab);
    let _ = lab.scan(&["--record", &file]).expect(0);
    let read = |name: &str| fs::read(lab.product.folder().join(name)).expect("it is there");
    let (tape, store) = (read(RECORDING), read("scanhost.db"));
    for arguments in [
        &["--replay", &*file, "--output", RECORDING][..],
        &["--replay", &file, "--output", "scanhost.db"],
        &["--inject", "reset", "--output", "scanhost.db"],
        &["--record", "new", "--output", "new"],
    ] {
        let run = lab.scan(arguments).expect(2);
        assert!(run.stderr.contains("would overwrite"), "{}", run.stderr);
    }
    assert!(read(RECORDING) == tape && read("scanhost.db") == store);
    // What never begins leaves no file in the way of the next try.
    let _ = lab
        .scan(&["--record", "new", "--provider", "nobody"])
        .expect(2);
    assert!(!lab.product.folder().join("new").exists());
}

#[test]
fn a_delay_beyond_the_timeout_is_one() {
    let lab = Lab::new(Plugin::BscRpc, 2);
    lab.set_up(&Setup::of(&["first"]).first("timeout = \"200ms\""));
    let run = lab
        .scan(&["--inject", "delay=1m", "--budget", "300ms"])
        .expect(3);
    for row in run.rows() {
        assert_eq!(row["error"]["providers"][0]["class"], "timeout", "{row}");
    }
}
