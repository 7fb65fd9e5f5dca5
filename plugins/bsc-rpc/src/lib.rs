//! Balances over the JSON-RPC of an EVM node; BNB Smart Chain by default, any EVM chain by
//! configuration.
//!
//! One `eth_call` of Multicall3 reads natives and tokens of one block, and the same call bears the
//! block's number and the chain's id: wrong or absent, they void the whole answer. Where there is
//! no Multicall3, calls go as JSON-RPC batches; where batches are refused, one by one. Neither of
//! these is one state of the chain, so that their amounts bear no height, unless the request names
//! one.
//!
//! # One height
//!
//! A request at a height puts that number where the tag would be, in every call. The canary must
//! equal it. A node that does not have the block yet is `lagging`; one that has thrown its state
//! away does not offer it (`unsupported`): geth and its kin keep 128 states, which on BNB Smart
//! Chain are a minute, and an archive keeps all. Some nodes answer for a state that they do not
//! have with zeros (bnb-chain/bsc issue 1072), so that without Multicall3, whose code is in the
//! state, an answer of nothing but zeros must be proved.
//!
//! Sources: Ethereum execution-apis (`eth_call`, `eth_getBalance`, `eth_getCode`, `eth_chainId`);
//! Multicall3 (<https://github.com/mds1/multicall3>); BNB Chain, "JSON-RPC Endpoint" (hosts and
//! their rate limit); `geth` and `erigon` for what a refused batch looks like.

mod batch;
mod block;
mod multicall;
mod options;
mod proof;
mod provider;
mod read;
mod rungs;
mod singles;
#[cfg(test)]
mod tests;

use provider::BscRpc;

scanhost_plugin_api::export_plugin!(BscRpc, "plugin.json");
