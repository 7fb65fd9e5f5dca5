//! Balances over the JSON-RPC of an EVM node; BNB Smart Chain by default, any EVM chain by
//! configuration.
//!
//! One `eth_call` of Multicall3 reads natives and tokens of one block, and the same call bears the
//! block's number and the chain's id: wrong or absent, they void the whole answer. Where there is
//! no Multicall3, calls go as JSON-RPC batches; where batches are refused, one by one. Neither of
//! these is one state of the chain, so that their amounts bear no height.
//!
//! Sources: Ethereum execution-apis (`eth_call`, `eth_getBalance`, `eth_getCode`, `eth_chainId`);
//! Multicall3 (<https://github.com/mds1/multicall3>); BNB Chain, "JSON-RPC Endpoint" (hosts and
//! their rate limit); `geth` and `erigon` for what a refused batch looks like.

mod batch;
mod multicall;
mod options;
mod provider;
mod read;
mod rungs;
mod singles;
#[cfg(test)]
mod tests;

use provider::BscRpc;

scanhost_plugin_api::export_plugin!(BscRpc, "plugin.json");
