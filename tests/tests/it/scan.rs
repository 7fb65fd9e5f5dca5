//! What a scan reads when nothing goes wrong, from lists of every size.

mod keys;
mod pools;
mod refusals;
mod tokens;

use crate::lab::{Lab, Plugin, Setup};

/// Scans `count` addresses by one provider and holds every row against the ledger.
#[track_caller]
fn check(plugin: Plugin, count: usize) {
    let lab = Lab::new(plugin, count);
    let patient = "scan = { budget = \"60s\" }";
    lab.set_up(&Setup::of(&["first"]).chain(patient));
    let run = lab.scan(&[]).expect(0);
    lab.expect_all_known(&run);
}

#[track_caller]
fn check_sizes(plugin: Plugin) {
    for count in [0, 1, 100, 101] {
        check(plugin, count);
    }
}

#[test]
fn blockstream_reads_what_the_ledger_holds() {
    check_sizes(Plugin::Blockstream);
}

#[test]
fn mempool_reads_what_the_ledger_holds() {
    check_sizes(Plugin::Mempool);
}

#[test]
fn bscscan_reads_what_the_ledger_holds() {
    check_sizes(Plugin::Bscscan);
}

#[test]
fn bsc_rpc_reads_what_the_ledger_holds() {
    check_sizes(Plugin::BscRpc);
}

#[test]
fn solana_rpc_reads_what_the_ledger_holds() {
    check_sizes(Plugin::SolanaRpc);
}

#[test]
fn blockstream_reads_five_thousand_addresses() {
    check(Plugin::Blockstream, 5_000);
}

#[test]
fn mempool_reads_five_thousand_addresses() {
    check(Plugin::Mempool, 5_000);
}

#[test]
fn bscscan_reads_five_thousand_addresses() {
    check(Plugin::Bscscan, 5_000);
}

#[test]
fn bsc_rpc_reads_five_thousand_addresses() {
    check(Plugin::BscRpc, 5_000);
}

#[test]
fn solana_rpc_reads_five_thousand_addresses() {
    check(Plugin::SolanaRpc, 5_000);
}
