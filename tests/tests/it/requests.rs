//! A scan sends hardly more requests than the batches that its cells fill.

use crate::lab::{Lab, Plugin, Setup};

/// Requests of a provider before its first batch: identity, probes, mints.
const AT_START: usize = 8;

/// Scans the first `assets` of `count` addresses, for which `full` batches are enough.
#[track_caller]
fn check(plugin: Plugin, count: usize, assets: usize, full: usize) {
    let mut lab = Lab::new(plugin, count);
    lab.assets.truncate(assets);
    lab.set_up(&Setup::of(&["first"]).chain("scan = { budget = \"60s\" }"));
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
    let requests = lab.asked("first").len();
    let others = lab.upstream.log().len() - requests;
    let plugin = plugin.name();
    assert!(
        others <= AT_START,
        "{plugin}: {others} requests at the start"
    );
    assert!(
        requests * 100 <= full * 105,
        "{plugin}: {requests} requests where {full} are enough"
    );
}

#[test]
fn bsc_rpc_fills_its_batches() {
    check(Plugin::BscRpc, 50_000, 3, 150);
}

#[test]
fn solana_rpc_fills_its_batches() {
    check(Plugin::SolanaRpc, 5_000, 1, 50);
}

#[test]
fn solana_rpc_fills_its_batches_with_tokens() {
    check(Plugin::SolanaRpc, 5_000, 3, 150);
}

#[test]
fn bscscan_fills_its_batches() {
    check(Plugin::Bscscan, 5_000, 1, 250);
}

/// 5,000 addresses of BSC with both tokens took the scanner before this one 480 requests.
#[test]
fn five_thousand_addresses_take_what_was_promised() {
    check(Plugin::BscRpc, 5_000, 3, 15);
}
