//! Solana JSON-RPC: SOL and token balances, up to 100 accounts in one request.
//!
//! One call is one `getMultipleAccounts`: a wallet's own account for SOL, and the token account
//! that is derived from wallet, token program and mint for a token. All values of one answer come
//! from one slot. The mint tells the token program (Token or Token-2022) and the decimals; it is
//! read once.
//!
//! What a token amount is: the `amount` field of the associated token account. What a Token-2022
//! mint keeps elsewhere (confidential balances, withheld fees, interest) is not in it. Accounts
//! at other addresses count with the option `token_accounts = "all"`, which costs one request per
//! wallet and token.
//!
//! # What a height is
//!
//! A height is a slot. A node reads its newest state at the commitment and no other, so that a call
//! cannot be pinned to one slot; a lowest height goes along as `minContextSlot` and holds for every
//! value: a node that has not reached it, or answers from before it all the same, is `lagging`. A
//! pass that is pinned has nothing older than its pin, and each amount tells its slot.
//!
//! # What is allowed
//!
//! Public nodes let an address send 100 requests in 10 s, but only 40 of one method, and nearly
//! every request of this plugin is of one method.
//!
//! Sources: solana.com/docs/rpc (methods), solana.com/docs/references/clusters (limits),
//! `solana-rpc-client-types` 4.2.2 `request.rs` (100 accounts), `solana-rpc-client-api` 4.2.2
//! `custom_error.rs` (codes and texts), `spl-token-interface` 3.0.0 `state.rs` (layouts),
//! `spl-associated-token-account-interface` 2.0.0 `address.rs` (derivation).

mod answers;
mod node;
mod options;
mod provider;
#[cfg(test)]
mod tests;
mod token;
mod wire;

use scanhost_plugin_api::export_plugin;

use crate::provider::SolanaRpc;

export_plugin!(SolanaRpc, "plugin.json");
