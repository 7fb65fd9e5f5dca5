//! Balances from the Etherscan API V2, which took BscScan's place; the chain is a parameter.
//!
//! Natives come 20 at a time from `balancemulti`, a token's balance one address at a time from
//! `tokenbalance`, decimals and the chain id from the `proxy` module. None of these tells a block,
//! so that amounts bear no height. A failure comes with status 200 and a text in `result`, where
//! the amount would be.
//!
//! Balances are those of `latest` alone: the explorer does not read at a height, and promises none.
//! A lowest height keeps it out while its `eth_blockNumber` is below, which is no proof for the
//! balances beside it. A pass at one height asks others first.
//!
//! Sources: Etherscan, "Supported Chains", "Rate Limits", "Common Error Messages", "Get Ether
//! Balance for Multiple Addresses", "Get ERC20-Token Account Balance", "Geth/Parity Proxy",
//! "V2 Migration" (<https://docs.etherscan.io>).

mod options;
mod provider;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

use provider::BscScan;

scanhost_plugin_api::export_plugin!(BscScan, "plugin.json");
