//! Networks, pool order, thresholds and identity, all from TOML.

use bitcoin::Network;
use scanhost_tests::upstream::{BodyForm, Fault, Kind, Ledger};

use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

#[track_caller]
fn check_all_by(lab: &Lab, provider: &str) {
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    let rows = run.rows();
    let other = rows.iter().find(|row| row["provider"] != provider);
    assert_eq!(other, None);
}

#[test]
fn another_evm_chain_needs_toml_alone() {
    for plugin in [Plugin::BscRpc, Plugin::Bscscan] {
        let lab = Lab::with_seeded(plugin, Ledger::seeded_evm(1, "ETH", 3, 30));
        assert_eq!(lab.truth().identity(), "1");
        check_all_by(&lab, "first");
        let testnet = Lab::with_seeded(plugin, Ledger::seeded_evm(97, "tBNB", 4, 30));
        let mut setup = Setup::of(&["first"]);
        setup.network = "testnet";
        testnet.set_up(&setup);
        check_all_by(&testnet, "first");
    }
}

#[test]
fn bitcoin_testnet_needs_toml_alone() {
    for plugin in [Plugin::Blockstream, Plugin::Mempool] {
        let lab = Lab::with_seeded(plugin, Ledger::seeded_bitcoin(Network::Testnet, 3, 30));
        let mut setup = Setup::of(&["first"]);
        setup.network = "testnet";
        lab.set_up(&setup);
        check_all_by(&lab, "first");
    }
}

#[test]
fn the_first_of_the_pool_answers() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 5);
        lab.set_up(&Setup::of(&["first", "second"]));
        check_all_by(&lab, "first");
        assert!(lab.asked("second").is_empty());
        lab.upstream.with(|world| world.clear_log());
        lab.set_up(&Setup::of(&["second", "first"]));
        check_all_by(&lab, "second");
        assert!(lab.asked("first").is_empty());
    }
}

/// A provider whose every balance request fails, one request at a time: how many it gets before
/// it is left alone for longer than the scan lasts.
#[track_caller]
fn check_threshold(failures: usize) {
    let lab = Lab::new(Plugin::Blockstream, 40);
    let chain = format!(
        "breaker = {{ failures = {failures}, cooldown = \"60s\" }}\nscan = {{ budget = \"120s\" }}\n"
    );
    let one = "connections = 1";
    lab.set_up(&Setup::of(&["first", "second"]).chain(&chain).first(one));
    let body = BodyForm::Html;
    lab.fault(Fault::at("first", Kind::Status { code: 500, body }).native());
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    assert_eq!(lab.asked("first").len(), failures, "{}", run.stderr);
}

#[test]
fn the_threshold_of_the_breaker_is_configured() {
    check_threshold(1);
    check_threshold(3);
    check_threshold(7);
}

#[test]
fn a_cooldown_that_ends_lets_one_call_find_out() {
    let lab = Lab::new(Plugin::Blockstream, 30);
    let body = BodyForm::Html;
    lab.fault(
        Fault::at("first", Kind::Status { code: 500, body })
            .native()
            .nth(1..=4),
    );
    lab.set_up(
        &Setup::of(&["first"])
            .chain(
                "breaker = { failures = 3, cooldown = \"300ms\" }\nscan = { budget = \"30s\" }\n",
            )
            .first("connections = 1"),
    );
    // Three failures open it, the probe fails, the next one is answered.
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
}

#[test]
fn a_provider_of_another_chain_is_held_and_the_next_one_answers() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 5);
        lab.fault(Fault::at("first", Kind::WrongChain));
        lab.fault(Fault::at("first", Kind::Lie));
        let run = lab.scan(&[]).expect(3);
        let rows = lab.expect_honest(&run, &lab.truth(), None);
        assert!(rows.iter().all(|row| row["status"] == "unknown"));
        let said = &rows[0]["error"]["providers"][0];
        assert_eq!(said["class"], "wrong_chain", "{}: {said}", plugin.name());
        assert!(lab.asked("first").is_empty(), "no balance is asked for");
        lab.set_up(&Setup::of(&["first", "second"]));
        check_all_by(&lab, "second");
    }
}

/// An endpoint that was down may serve another network when it is back.
#[test]
fn a_provider_that_comes_back_as_another_chain_is_held() {
    for plugin in [Plugin::Blockstream, Plugin::Mempool] {
        let lab = Lab::new(plugin, 120);
        let soon = "breaker = { failures = 3, cooldown = \"1s\" }\nspill_after = \"300ms\"\n";
        let pool = ["first", "second"];
        lab.set_up(&Setup::of(&pool).chain(soon).first("connections = 1"));
        let body = BodyForm::Html;
        lab.fault(Fault::at("first", Kind::Status { code: 500, body }).native());
        lab.fault(Fault::at("second", Kind::Delay { ms: 60 }));
        let scan = Running::scan(&lab.product);
        let failed = || {
            lab.upstream
                .log()
                .iter()
                .filter(|it| it.faulty && it.status == 500)
                .count()
        };
        lab.wait_until(|| failed() >= 3);
        lab.upstream.with(|world| {
            world.faults.clear();
            for what in [Kind::WrongChain, Kind::Lie] {
                world.faults.add(Fault::at("first", what));
            }
            world
                .faults
                .add(Fault::at("second", Kind::Delay { ms: 60 }));
        });
        // A lie of it would be told apart from the ledger's amounts.
        let run = scan.end().expect(0);
        lab.expect_all_known(&run);
        let health = lab.product.run(&["health", "--format", "json"]).expect(0);
        let rows = health.rows();
        let first = rows.iter().find(|row| row["provider_name"] == "first");
        let first = first.expect("it was asked");
        assert_eq!(
            first["why"],
            "held_wrong_chain",
            "{}: {first}",
            plugin.name()
        );
        assert_eq!(first["status"], "down", "{first}");
    }
}

#[test]
fn an_identity_of_another_configuration_holds_too() {
    let lab = Lab::new(Plugin::BscRpc, 5);
    let mut setup = Setup::of(&["first"]);
    setup.identity = Some("97".to_owned());
    lab.set_up(&setup);
    let run = lab.scan(&[]).expect(3);
    let rows = lab.expect_honest(&run, &lab.truth(), None);
    assert!(rows.iter().all(|row| row["status"] == "unknown"));
    // A mended configuration starts clean.
    lab.set_up(&Setup::of(&["first"]));
    check_all_by(&lab, "first");
}

#[test]
fn an_identity_that_is_not_answered_at_start_is_asked_again() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 5);
        let body = BodyForm::Html;
        lab.fault(Fault::at("first", Kind::Status { code: 502, body }).nth(1..=2));
        let patient =
            "breaker = { failures = 5, cooldown = \"300ms\" }\nscan = { budget = \"30s\" }\n";
        lab.set_up(&Setup::of(&["first"]).chain(patient));
        check_all_by(&lab, "first");
    }
}
