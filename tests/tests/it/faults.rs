//! Upstreams that fail in every way the simulator knows: an unknown is never a zero.

use std::thread;

use scanhost_tests::product::Run;
use scanhost_tests::upstream::{BodyForm, Fault, Kind, RetryAfter};
use serde_json::Value;

use crate::lab::{Lab, Plugin, Setup};

/// Enough for several Etherscan chunks, few enough for a test of many scenarios.
const ADDRESSES: usize = 23;
/// Scenarios of one test that run at once.
const AT_ONCE: usize = 4;

/// Which requests a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    All,
    Native,
    Token,
}

/// What becomes of the touched cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Some stay unknown.
    Unknown,
    /// Some stay unknown, and none of the other class does.
    UnknownAlone,
    /// The fault does no harm.
    Known,
}
use Then::{Known, Unknown, UnknownAlone};

/// Runs a fault through three scans: a good one; one with the fault after every amount changed,
/// which must keep the good values; and one in which a healthy second provider knows everything.
#[track_caller]
fn check(plugin: Plugin, what: &Kind, place: Where, then: Then) {
    let scenario = format!("{} {what:?} {place:?} {then:?}", plugin.name());
    let lab = Lab::new(plugin, ADDRESSES);
    lab.expect_all_known(&lab.scan(&[]).expect(0));
    let before = lab.truth();
    lab.grow();
    let truth = lab.truth();

    let fault = Fault::at("first", what.clone());
    lab.fault(match place {
        Where::All => fault,
        Where::Native => fault.native(),
        Where::Token => fault.token(),
    });
    // Only what never answers needs a short timeout; the machine may be busy.
    let short = match what {
        Kind::Hang | Kind::Delay { .. } => "timeout = \"500ms\"",
        _ => "",
    };
    lab.set_up(&Setup::of(&["first"]).first(short));
    let run = lab.scan(&[]);
    let rows = lab.expect_honest(&run, &truth, Some(&before));
    let unknown: Vec<&Value> = rows.iter().filter(|it| it["status"] == "unknown").collect();
    let code = if then == Known { 0 } else { 3 };
    assert_eq!(run.code, code, "{scenario}\n{}\n{unknown:#?}", run.stderr);
    assert_eq!(unknown.is_empty(), then == Known, "{scenario}");
    if then == UnknownAlone {
        let native = lab.assets[0].symbol.as_str();
        let other = unknown
            .iter()
            .find(|row| (row["asset"] == native) != (place == Where::Native));
        assert_eq!(other, None, "{scenario}");
    }
    for row in &unknown {
        let told = row["error"]["providers"].as_array();
        let names_it = told.is_some_and(|it| it.iter().any(|it| it["provider"] == "first"));
        assert!(names_it, "{scenario}: {row}");
    }

    lab.set_up(&Setup::of(&["first", "second"]).first(short));
    let run: Run = lab.scan(&[]);
    let rows = lab.expect_honest(&run, &truth, Some(&before));
    let unknown = rows.iter().find(|row| row["status"] != "known");
    assert_eq!(unknown, None, "{scenario} with a second\n{}", run.stderr);
    assert_eq!(run.code, 0, "{scenario} with a second\n{}", run.stderr);
}

/// Runs scenarios, a few at once; every one that fails is told.
#[track_caller]
fn check_all(plugin: Plugin, places: &[Where], scenarios: &[(Kind, Then)]) {
    let all = places
        .iter()
        .flat_map(|place| scenarios.iter().map(|(what, then)| (what, *place, *then)));
    let all: Vec<_> = all.collect();
    let mut failed: Vec<&(&Kind, Where, Then)> = Vec::new();
    for some in all.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let run = |(what, place, then): &(&Kind, Where, Then)| {
                let (what, place, then) = ((*what).clone(), *place, *then);
                scope.spawn(move || check(plugin, &what, place, then))
            };
            let threads: Vec<_> = some.iter().map(run).collect();
            let joined = threads.into_iter().zip(some);
            failed.extend(joined.filter_map(|(it, scenario)| it.join().err().map(|_| scenario)));
        });
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

/// Where a plugin's balances are asked for.
fn classes(plugin: Plugin) -> &'static [Where] {
    if plugin.has_tokens() {
        &[Where::Native, Where::Token]
    } else {
        &[Where::Native]
    }
}

fn status(code: u16, body: BodyForm) -> (Kind, Then) {
    (Kind::Status { code, body }, Unknown)
}

fn rate(retry_after: RetryAfter) -> (Kind, Then) {
    (Kind::RateLimit { retry_after }, Unknown)
}

/// What happens to whole responses of any server, each with every request.
fn check_whole_responses(plugin: Plugin) {
    let elsewhere = "http://127.0.0.1:9/elsewhere".to_owned();
    let scenarios = [
        status(500, BodyForm::Json),
        status(502, BodyForm::Html),
        status(503, BodyForm::Empty),
        status(403, BodyForm::Html),
        status(404, BodyForm::Text),
        status(200, BodyForm::Empty),
        status(204, BodyForm::Empty),
        (
            Kind::Redirect {
                location: elsewhere,
            },
            Unknown,
        ),
        (Kind::WrongChain, Unknown),
    ];
    check_all(plugin, &[Where::All], &scenarios);
    let scenarios = [
        status(500, BodyForm::Html),
        status(400, BodyForm::Json),
        status(413, BodyForm::Empty),
        (Kind::EmptyObject, Unknown),
        (Kind::Html, Unknown),
        (Kind::Truncated, Unknown),
    ];
    check_all(plugin, classes(plugin), &scenarios);
}

/// What happens to time and to connections.
fn check_the_wire(plugin: Plugin) {
    let scenarios = [
        (Kind::Delay { ms: 4_000 }, Unknown),
        (Kind::Hang, Unknown),
        (Kind::Reset, Unknown),
        (Kind::CutOnWire, Unknown),
        rate(RetryAfter::None),
        rate(RetryAfter::Seconds(30)),
        rate(RetryAfter::HttpDate(30)),
    ];
    check_all(plugin, classes(plugin), &scenarios);
}

#[test]
fn blockstream_whole_responses() {
    check_whole_responses(Plugin::Blockstream);
}

#[test]
fn mempool_whole_responses() {
    check_whole_responses(Plugin::Mempool);
}

#[test]
fn bscscan_whole_responses() {
    check_whole_responses(Plugin::Bscscan);
}

#[test]
fn bsc_rpc_whole_responses() {
    check_whole_responses(Plugin::BscRpc);
}

#[test]
fn solana_rpc_whole_responses() {
    check_whole_responses(Plugin::SolanaRpc);
}

#[test]
fn blockstream_wire() {
    check_the_wire(Plugin::Blockstream);
}

#[test]
fn mempool_wire() {
    check_the_wire(Plugin::Mempool);
}

#[test]
fn bscscan_wire() {
    check_the_wire(Plugin::Bscscan);
}

#[test]
fn bsc_rpc_wire() {
    check_the_wire(Plugin::BscRpc);
}

#[test]
fn solana_rpc_wire() {
    check_the_wire(Plugin::SolanaRpc);
}

/// What Esplora hosts may put into an address's statistics.
fn check_statistics(plugin: Plugin) {
    let scenarios = [
        (Kind::RateLimitText, Unknown),
        (error_in_200(), Unknown),
        (Kind::Short, Unknown),
        (Kind::Uninvited, Unknown),
        (Kind::Null, Unknown),
        (Kind::NumberAsText, Unknown),
        (Kind::Huge, Unknown),
        (Kind::ItemError, Unknown),
    ];
    check_all(plugin, &[Where::Native], &scenarios);
}

fn error_in_200() -> Kind {
    Kind::ErrorIn200 {
        code: None,
        message: None,
    }
}

#[test]
fn blockstream_statistics() {
    check_statistics(Plugin::Blockstream);
}

#[test]
fn mempool_statistics() {
    check_statistics(Plugin::Mempool);
}

#[test]
fn bscscan_lists_and_amounts() {
    let scenarios = [
        (Kind::RateLimitText, Unknown),
        (error_in_200(), Unknown),
        (Kind::NoSuchMethod, Unknown),
        (Kind::Null, UnknownAlone),
        (Kind::NumberAsText, UnknownAlone),
        (Kind::TextAsNumber, UnknownAlone),
        (Kind::Huge, UnknownAlone),
        (Kind::EmptyReturnData, UnknownAlone),
        (Kind::ItemError, UnknownAlone),
    ];
    check_all(Plugin::Bscscan, classes(Plugin::Bscscan), &scenarios);
    let lists = [
        (Kind::Short, UnknownAlone),
        (Kind::Doubled, UnknownAlone),
        (Kind::Uninvited, Known),
        (Kind::Reordered, Known),
    ];
    check_all(Plugin::Bscscan, &[Where::Native], &lists);
}

#[test]
fn bsc_rpc_lists_and_amounts() {
    let scenarios = [
        (Kind::RateLimitText, Unknown),
        (error_in_200(), Unknown),
        (Kind::NoSuchMethod, Unknown),
        (Kind::Short, Unknown),
        (Kind::Uninvited, Unknown),
        (Kind::Null, Unknown),
        (Kind::TextAsNumber, Unknown),
        (Kind::NumberAsText, UnknownAlone),
        (Kind::Huge, UnknownAlone),
        (Kind::EmptyReturnData, UnknownAlone),
        (Kind::ItemError, UnknownAlone),
        (Kind::Reordered, Known),
    ];
    check_all(Plugin::BscRpc, classes(Plugin::BscRpc), &scenarios);
    let decimals = [(Kind::WrongDecimals { decimals: 6 }, UnknownAlone)];
    check_all(Plugin::BscRpc, &[Where::Token], &decimals);
}

#[test]
fn solana_rpc_lists_and_amounts() {
    let scenarios = [
        (Kind::RateLimitText, Unknown),
        (error_in_200(), Unknown),
        (Kind::NoSuchMethod, Unknown),
        (Kind::Short, Unknown),
        (Kind::Doubled, Unknown),
        (Kind::Uninvited, Unknown),
        (Kind::Null, Unknown),
        (Kind::NumberAsText, UnknownAlone),
    ];
    check_all(Plugin::SolanaRpc, classes(Plugin::SolanaRpc), &scenarios);
    let lamports = [(Kind::Huge, UnknownAlone)];
    check_all(Plugin::SolanaRpc, &[Where::Native], &lamports);
    let tokens = [
        (Kind::EmptyReturnData, UnknownAlone),
        (Kind::WrongOwner, UnknownAlone),
        (Kind::WrongMint, UnknownAlone),
        (Kind::NotATokenAccount, UnknownAlone),
    ];
    check_all(Plugin::SolanaRpc, &[Where::Token], &tokens);
    // Mints are no cells.
    let decimals = [(Kind::WrongDecimals { decimals: 9 }, UnknownAlone)];
    check_all(Plugin::SolanaRpc, &[Where::All], &decimals);
}
