//! Providers that are away for a while, for good, or never answer: no cell is lost to it.

use std::time::Duration;

use scanhost_tests::upstream::{BodyForm, Fault, Kind, server};
use tokio::time::Instant;

use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

/// A run beside one that hangs ends before this, on a busy machine too.
const LONGEST: Duration = Duration::from_secs(30);

fn away(host: &str) -> Fault {
    let body = BodyForm::Html;
    Fault::at(host, Kind::Status { code: 503, body })
}

/// All providers are away for the cooldown and 5 s more, from the middle of the scan on.
#[track_caller]
fn check_outage(plugin: Plugin, count: usize, what: fn(&str) -> Fault) {
    const COOLDOWN_S: u64 = 6;
    let lab = Lab::new(plugin, count);
    let chain = format!("breaker = {{ failures = 3, cooldown = \"{COOLDOWN_S}s\" }}\n");
    let pool = ["first", "second", "third"];
    lab.set_up(&Setup::of(&pool).chain(&chain).first("connections = 1"));
    for host in pool {
        lab.fault(Fault::at(host, Kind::Delay { ms: 50 }));
    }
    let scan = Running::scan(&lab.product);
    lab.wait_until(|| lab.asked("first").len() >= 5);
    let begins = server::now_ms();
    let ends = begins + 1_000 * (COOLDOWN_S + 5).cast_signed();
    for host in pool {
        lab.fault(what(host).during(begins, ends));
    }
    let run = scan.end().expect(0);
    lab.expect_all_known(&run);
    let book = lab.book();
    book.check();
    let pass = book.pass(plugin.chain()).expect("it was begun");
    assert_eq!(pass.status, "complete");
    let log = lab.upstream.log();
    let after = log.iter().filter(|it| it.at_ms >= ends && it.native > 0);
    assert!(after.count() > 0, "it came in the middle");
    // Each provider opens after three failures, and may be tried once when its cooldown is over;
    // a chunk that fails is asked for in halves before it counts.
    let during = log.iter().filter(|it| (begins..ends).contains(&it.at_ms));
    let asked = during.filter(|it| it.faulty && it.status != 200).count();
    assert!(
        asked <= 3 * (3 * 3 + 1),
        "{asked} requests while all were away"
    );
}

#[test]
fn an_outage_longer_than_the_cooldown_leaves_no_hole() {
    check_outage(Plugin::Blockstream, 100, away);
}

#[test]
fn an_outage_of_connections_leaves_no_hole() {
    check_outage(Plugin::SolanaRpc, 1_000, |host| {
        Fault::at(host, Kind::Reset)
    });
}

/// One of three dies: that costs no cell, and hardly a call.
#[test]
fn a_dead_provider_of_three_costs_no_cell_and_one_call_each_cooldown() {
    const COOLDOWN_MS: i64 = 400;
    let lab = Lab::new(Plugin::Blockstream, 200);
    let chain = format!(
        "breaker = {{ failures = 3, cooldown = \"{COOLDOWN_MS}ms\" }}\nspill_after = \"300ms\"\n"
    );
    let pool = ["first", "second", "third"];
    lab.set_up(&Setup::of(&pool).chain(&chain).first("connections = 1"));
    // It says who it is, answers some, and dies.
    lab.fault(away("first").nth(10..=u64::MAX));
    for host in ["second", "third"] {
        lab.fault(Fault::at(host, Kind::Delay { ms: 100 }));
    }
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    let log = lab.upstream.log();
    let dead: Vec<i64> = log
        .iter()
        .filter(|it| it.faulty && it.status == 503)
        .map(|it| it.at_ms)
        .collect();
    let (failed, probes) = dead.split_at(dead.len().min(3));
    let opened = failed.last().copied().expect("it was asked");
    assert!(probes.len() > 1, "it is tried again: {dead:?}");
    let mut last = opened;
    for probe in probes {
        let apart = probe - last;
        assert!(
            apart >= COOLDOWN_MS,
            "{apart} ms before {probe} in {dead:?}"
        );
        last = *probe;
    }
}

/// One of three is dead from the start.
#[test]
fn a_provider_that_never_answers_costs_no_cell() {
    const COOLDOWN_MS: i64 = 400;
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 50);
        let chain = format!("breaker = {{ failures = 3, cooldown = \"{COOLDOWN_MS}ms\" }}\n");
        lab.set_up(&Setup::of(&["first", "second", "third"]).chain(&chain));
        lab.fault(away("first"));
        lab.fault(Fault::at("second", Kind::Delay { ms: 50 }));
        let run = lab.scan(&[]).expect(0);
        lab.expect_all_known(&run);
        let log = lab.upstream.log();
        let dead: Vec<i64> = log
            .iter()
            .filter(|it| it.host == "first")
            .map(|it| it.at_ms)
            .collect();
        let span = dead
            .last()
            .zip(dead.first())
            .map_or(0, |(last, first)| last - first);
        let most = 3 + span / COOLDOWN_MS;
        assert!(
            dead.len().cast_signed() as i64 <= most,
            "{}: {dead:?}",
            plugin.name()
        );
    }
}

/// The first provider's socket hangs; the deadline ends each call and the next one answers.
#[test]
fn a_hung_socket_is_bounded_by_the_deadline() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 30);
        lab.set_up(&Setup::of(&["first", "second"]).first("timeout = \"500ms\""));
        lab.fault(Fault::at("first", Kind::Hang));
        let began = Instant::now();
        let run = lab.scan(&[]).expect(0);
        assert!(began.elapsed() < LONGEST, "{}", plugin.name());
        lab.expect_all_known(&run);
        let other = run
            .rows()
            .into_iter()
            .find(|row| row["provider"] != "second");
        assert_eq!(other, None);
    }
}

/// The same once the provider said who it is.
#[test]
fn a_socket_that_hangs_later_is_bounded_too() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, 30);
        lab.set_up(&Setup::of(&["first", "second"]).first("timeout = \"500ms\""));
        lab.fault(Fault::at("first", Kind::Hang).native());
        lab.fault(Fault::at("first", Kind::Hang).token());
        let began = Instant::now();
        let run = lab.scan(&[]).expect(0);
        assert!(began.elapsed() < LONGEST, "{}", plugin.name());
        lab.expect_all_known(&run);
        let book = lab.book();
        let health = &book.health[&(plugin.chain().to_owned(), "first".to_owned())];
        let told = health.last_error_msg.as_deref().unwrap_or_default();
        assert!(told.starts_with("timeout"), "{}: {health:?}", plugin.name());
    }
}
