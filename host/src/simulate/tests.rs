//! The shipped scenarios, each with several seeds, and what the simulation promises of itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Report, run};
use crate::config::{Scenario, load_scenario, load_scenario_text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/simulate")
}

fn shipped(name: &str) -> Scenario {
    let path = folder().join(format!("{name}.toml"));
    load_scenario(&path).unwrap_or_else(|errors| panic!("{errors}"))
}

fn scenario(text: &str) -> Scenario {
    load_scenario_text(Path::new("test.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn check_held(scenario: &Scenario, seed: u64) -> Report {
    let report = run(scenario, seed).unwrap();
    let broken: Vec<_> = report.checks.iter().filter(|check| !check.held).collect();
    let Report {
        passes, providers, ..
    } = &report;
    assert!(
        broken.is_empty(),
        "seed {seed}: {broken:#?}\n{passes:#?}\n{providers:#?}"
    );
    report
}

/// One test for each shipped scenario, and the list that is held against the folder.
macro_rules! shipped {
    ($($name:ident,)+) => {
        const SHIPPED: &[&str] = &[$(stringify!($name)),+];

        mod holds {
            $(#[test]
            fn $name() {
                let scenario = super::shipped(stringify!($name));
                for seed in [0, 1, 7] {
                    super::check_held(&scenario, seed);
                }
            })+
        }
    };
}

shipped! {
    bad_day,
    dead_provider,
    flapping,
    garbage,
    give_up,
    hung,
    lagging,
    limits,
    long_outage,
    outage,
    poison,
    rate_storm,
    rate_storm_untold,
    short_outage,
    slow,
    split_in_pause,
    spread,
    unanswered_identity,
    wrong_chain,
    wrong_chain_after_outage,
}

#[test]
fn every_shipped_scenario_has_its_test() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, SHIPPED);
}

#[test]
fn the_same_seed_tells_the_same_and_another_one_does_not() {
    let mut scenario = shipped("bad_day");
    scenario.scan.passes = 12;
    let tell = |seed| serde_json::to_string(&run(&scenario, seed).unwrap()).unwrap();
    let first = tell(3);
    for _ in 0..3 {
        assert_eq!(tell(3), first);
    }
    assert_ne!(tell(4), first);
}

#[test]
fn virtual_time_is_exact() {
    // The first call hangs for twice the timeout of 15 s, the round has failed and is followed by
    // a second of rest, the next call takes 20 ms.
    let scenario = scenario(
        "addresses = 10\npool = [\"a\"]\n[providers.a]\nbatch = 10\n\
         [[providers.a.faults]]\nwhat = \"timeout\"\nuntil = \"20s\"\n",
    );
    let report = run(&scenario, 0).unwrap();
    assert_eq!((report.took_ms, report.passes[0].known), (31_020, 10));
}

/// Runs a scenario of one provider with that fault; the broken expectations.
#[track_caller]
fn check_broken(fault: &str, expect: &str, expected: &[&str]) {
    let text = format!(
        "addresses = 50\npool = [\"a\"]\n[providers.a]\nbatch = 10\n{fault}\n[expect]\n{expect}\n"
    );
    let report = run(&scenario(&text), 0).unwrap();
    let broken = report.checks.iter().filter(|check| !check.held);
    let broken: Vec<_> = broken.map(|check| check.expected.as_str()).collect();
    assert_eq!(broken, expected, "{report:#?}");
    assert_eq!(report.held(), expected.is_empty());
}

#[test]
fn what_does_not_hold_is_told() {
    check_broken("", "", &[]);
    check_broken(
        "[[providers.a.faults]]\nwhat = \"lie\"\ncells_share = 0.1",
        "",
        &["every known amount is the chain's"],
    );
    check_broken(
        "[[providers.a.faults]]\nwhat = \"timeout\"",
        "ending = \"complete\"\nholes = 0\nmax_duration = \"1m\"\nmin_answered = { a = 1 }\n\
         max_failed_calls = { a = 1 }\nstate = { a = \"closed\" }\nnever_shut = [\"a\"]",
        &[
            "ending = complete",
            "holes = 0",
            "max_duration = 1m",
            "max_failed_calls.a = 1",
            "min_answered.a = 1",
            "state.a = closed",
            "never_shut.a = 0",
        ],
    );
}

#[test]
fn hours_pass_in_no_time_between_passes() {
    let scenario = scenario(
        "addresses = 5\npool = [\"a\"]\n[scan]\npasses = 3\nevery = \"8h\"\n[providers.a]\n",
    );
    let report = check_held(&scenario, 0);
    let began: Vec<_> = report.passes.iter().map(|pass| pass.began_ms).collect();
    let every = i64::try_from(Duration::from_secs(8 * 3_600).as_millis()).unwrap();
    assert_eq!(began, [0, every, 2 * every]);
}
