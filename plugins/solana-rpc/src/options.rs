//! What the operator may set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the Solana JSON-RPC plugin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Most accounts in one request; default 100, which is what nodes allow. Nodes that allow
    /// fewer say so and are believed: set it only to ask for less than is allowed.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) batch: u32,
    /// Which token accounts an amount counts; default `associated`.
    pub(crate) token_accounts: TokenAccounts,
}

/// Which token accounts of a wallet count.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenAccounts {
    /// The associated token account, which wallets and exchanges use: many per request.
    Associated,
    /// Every token account that the wallet owns: one request per wallet and token.
    All,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: 100,
            token_accounts: TokenAccounts::Associated,
        }
    }
}
