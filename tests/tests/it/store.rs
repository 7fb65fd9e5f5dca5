//! The store under a scan that is stopped, killed or not alone.

use scanhost_tests::upstream::{Fault, Kind};
use serde_json::Value;

use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

/// Waits until the simulator was asked for this many cells.
fn wait_for_cells(lab: &Lab, cells: usize) {
    let asked = || -> usize {
        lab.asked("first")
            .iter()
            .map(|it| it.native + it.tokens)
            .sum()
    };
    lab.wait_until(|| asked() >= cells);
}

/// 2,000 addresses in chunks of 50 cells, of which each takes a while.
fn slow() -> Lab {
    let lab = Lab::new(Plugin::BscRpc, 2_000);
    let small = "connections = 2\n[providers.first.options]\nbatch = 50\n";
    let patient = "scan = { budget = \"60s\" }";
    lab.set_up(&Setup::of(&["first"]).first(small).chain(patient));
    lab.fault(Fault::at("first", Kind::Delay { ms: 100 }).on("eth_call"));
    lab
}

fn cells(lab: &Lab) -> usize {
    lab.addresses.len() * lab.assets.len()
}

#[test]
fn a_killed_scan_goes_on_where_it_was() {
    let lab = slow();
    let scan = Running::scan(&lab.product);
    wait_for_cells(&lab, 1_500);
    scan.kill();
    let killed = scan.end();
    assert_eq!(killed.stdout, "");
    let before: usize = lab
        .asked("first")
        .iter()
        .map(|it| it.native + it.tokens)
        .sum();
    assert!(before < cells(&lab), "the kill came in the middle");

    lab.upstream.mend();
    lab.upstream.with(|world| world.clear_log());
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert!(run.stderr.contains("continuing the scan"), "{}", run.stderr);
    let after: usize = lab
        .asked("first")
        .iter()
        .map(|it| it.native + it.tokens)
        .sum();
    // What was under way: a chunk per connection, and one whose answer came with the kill.
    let in_flight = 50 * (2 + 1);
    assert!(before + after >= cells(&lab), "{before} + {after}");
    assert!(
        before + after <= cells(&lab) + 2 * in_flight,
        "{before} + {after}"
    );
}

#[test]
fn fresh_starts_over() {
    let lab = slow();
    let scan = Running::scan(&lab.product);
    wait_for_cells(&lab, 500);
    scan.kill();
    let _ = scan.end();
    lab.upstream.mend();
    lab.upstream.with(|world| world.clear_log());
    let run = lab.scan(&["--fresh"]).expect(0);
    lab.expect_all_known(&run);
    let after: usize = lab
        .asked("first")
        .iter()
        .map(|it| it.native + it.tokens)
        .sum();
    assert!(after >= cells(&lab), "{after}");
}

#[test]
fn an_interrupted_scan_prints_every_cell_and_goes_on_later() {
    let lab = slow();
    let scan = Running::scan(&lab.product);
    wait_for_cells(&lab, 1_000);
    scan.signal("-INT");
    let run = scan.end().expect(1);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    let (known, unknown): (Vec<&Value>, Vec<_>) =
        rows.iter().partition(|row| row["status"] == "known");
    assert!(!known.is_empty() && !unknown.is_empty());
    let other = unknown
        .iter()
        .find(|row| row["error"]["class"] != "cancelled");
    assert_eq!(other, None);

    lab.upstream.mend();
    lab.upstream.with(|world| world.clear_log());
    let again = lab.scan(&[]).expect(0);
    lab.expect_all_known(&again);
    let after: usize = lab
        .asked("first")
        .iter()
        .map(|it| it.native + it.tokens)
        .sum();
    assert!(
        after <= unknown.len() + 100,
        "{after} for {} unknown",
        unknown.len()
    );
}

#[test]
fn a_second_process_is_told_who_holds_the_store() {
    let lab = slow();
    let scan = Running::scan(&lab.product);
    wait_for_cells(&lab, 100);
    let second = lab.scan(&[]).expect(1);
    let pid = scan.pid().to_string();
    assert!(second.stderr.contains(&pid), "{pid}: {}", second.stderr);
    assert_eq!(second.stdout, "");
    lab.upstream.mend();
    let run = scan.end().expect(0);
    lab.expect_all_known(&run);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let lab = Lab::new(Plugin::BscRpc, 2);
    let text = b"dear diary, this is no database\n".repeat(200);
    lab.product.write("scanhost.db", &text);
    let run = lab.scan(&[]).expect(1);
    assert!(run.stderr.contains("scanhost.db"), "{}", run.stderr);
    let left = std::fs::read(lab.product.folder().join("scanhost.db"));
    assert_eq!(left.expect("it is still there"), text);
    assert!(lab.upstream.log().is_empty());
}

#[test]
fn a_store_in_a_folder_that_is_not_there_is_told() {
    let lab = Lab::new(Plugin::BscRpc, 2);
    let setup = Setup::of(&["first"]);
    let text = lab.config(&setup).text();
    let store = "[store]\nurl = \"sqlite://no/such/folder/x.db\"\n";
    lab.product.write("scanhost.toml", format!("{store}{text}"));
    let run = lab.scan(&[]).expect(1);
    assert!(run.stderr.contains("no/such/folder"), "{}", run.stderr);
}

#[test]
fn balances_shows_the_last_good_value_after_a_failed_scan() {
    for plugin in [Plugin::Blockstream, Plugin::BscRpc, Plugin::SolanaRpc] {
        let lab = Lab::new(plugin, 5);
        let stored = || {
            lab.product
                .run(&["balances", "--format", "json"])
                .expect(0)
                .rows()
        };
        lab.expect_all_known(&lab.scan(&[]).expect(0));
        let before = stored();
        assert!(!before.is_empty());
        lab.grow();
        lab.fault(Fault::at("first", Kind::EmptyObject));
        let failed = lab.scan(&["--fresh"]).expect(3).rows();
        assert!(failed.iter().all(|row| row["status"] == "unknown"));
        assert_eq!(stored(), before, "{}", plugin.name());
    }
}
