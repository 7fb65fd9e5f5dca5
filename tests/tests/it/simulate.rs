//! `scanhost simulate`: what it prints and how it ends, without network, plugins or configuration.

use std::path::Path;

use scanhost_tests::product::{Config, Product, Run};

/// A folder that holds no configuration and nothing else.
fn simulate(scenario: &str, arguments: &[&str]) -> Run {
    let product = Product::new(&Config::default());
    std::fs::remove_file(product.folder().join("scanhost.toml")).expect("it is there");
    product.write("scenario.toml", scenario);
    let run = product.run(&[&["simulate", "scenario.toml"], arguments].concat());
    let left = std::fs::read_dir(product.folder())
        .expect("it is ours")
        .count();
    assert_eq!(left, 1, "it leaves nothing behind");
    run
}

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/simulate");
    std::fs::read_to_string(folder.join(name)).expect("it is shipped")
}

#[test]
fn what_held_is_a_table_and_exit_code_0() {
    let run = simulate(&shipped("outage.toml"), &["--seed", "5"]).expect(0);
    let last = run.stdout.lines().last().unwrap();
    assert!(last.starts_with("scenario.toml, seed 5: "), "{last}");
    assert!(last.ends_with(" of virtual time"), "{last}");
    let held = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("held "))
        .count();
    assert!(
        last.contains(&format!("{held} of {held} held")),
        "{}",
        run.stdout
    );
    let provider = |name: &str| {
        let mut lines = run.stdout.lines();
        let line = lines.find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(
        (provider("a"), provider("b")),
        ("closed".into(), "closed".into())
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn the_same_seed_prints_the_same_bytes() {
    let scenario = shipped("flapping.toml");
    let tell = |seed: &str| {
        let run = simulate(&scenario, &["--seed", seed, "--format", "json"]);
        run.expect(0).stdout
    };
    let first = tell("1");
    assert_eq!(tell("1"), first);
    assert_ne!(tell("2"), first);
    // The seed is 0 when nobody names one.
    let unnamed = simulate(&scenario, &["--format", "json"]).expect(0);
    assert_eq!(unnamed.stdout, tell("0"));
    assert_eq!(unnamed.rows()[0]["seed"], 0);
}

#[test]
fn what_did_not_hold_is_exit_code_3() {
    let scenario = shipped("give_up.toml").replace("gave_up", "complete");
    let run = simulate(&scenario, &[]).expect(3);
    let broken: Vec<_> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("broken "))
        .collect();
    assert_eq!(broken.len(), 1, "{}", run.stdout);
    assert!(broken[0].contains("ending = complete"), "{}", broken[0]);
    assert!(broken[0].ends_with("pass 0: gave_up"), "{}", broken[0]);
}

#[test]
fn every_mistake_of_a_file_is_told_with_exit_code_2() {
    let scenario = shipped("outage.toml");
    let scenario = scenario
        .replace("batch", "bach")
        .replace("\"down\"", "\"dwon\"");
    let run = simulate(&scenario, &[]).expect(2);
    assert_eq!(run.stdout, "");
    for told in ["did you mean `batch`?", "did you mean `down`?", "3 errors"] {
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
    let run = Product::new(&Config::default()).run(&["simulate", "none.toml"]);
    assert!(run.expect(2).stderr.contains("failed to read the scenario"));
}

#[test]
fn what_is_wrong_with_its_arguments_is_told_plainly() {
    let run = simulate(&shipped("outage.toml"), &["--seed", "-1"]).expect(2);
    assert!(
        run.stderr.contains("a seed is a whole number from 0"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("tip:"), "{}", run.stderr);
    let run = simulate("addresses = 0", &[]).expect(2);
    assert!(
        run.stderr.contains("errors in the scenario"),
        "{}",
        run.stderr
    );
    let help = simulate("", &["--help"]).expect(0);
    assert!(
        help.stdout.contains("3 something did not hold"),
        "{}",
        help.stdout
    );
}
