//! One simulated server: its kind, its manners and its limits.

use serde::{Deserialize, Serialize};

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKind {
    /// Blockstream's Esplora; endpoint `/NAME/api`.
    Esplora,
    /// mempool.space; endpoint `/NAME/api`, the backend under `/NAME/api/v1`.
    Mempool,
    /// Etherscan V2; endpoint `/NAME/v2/api`.
    Etherscan,
    /// An EVM node; endpoint `/NAME`.
    Evm,
    /// A Solana node; endpoint `/NAME`.
    Solana,
}

/// One simulated server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Which formats it speaks.
    pub kind: HostKind,
    /// Name of its ledger in the world.
    pub ledger: String,
    /// Etherscan: the accepted key; any key that is not empty when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Etherscan: the key's plan does not cover this chain.
    #[serde(default)]
    pub free_plan: bool,
    /// Esplora: tokens are needed, from `POST /NAME/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Oauth2>,
    /// JSON-RPC: largest batch; 1,000 as in geth.
    #[serde(default = "batch_max")]
    pub batch_max: usize,
    /// EVM: most sub-calls of one `aggregate3`, above which the call runs out of gas; 6,000.
    #[serde(default = "subcalls_max")]
    pub subcalls_max: usize,
    /// EVM: states that are kept, from the newest back; 128 as in geth.
    #[serde(default = "states_kept")]
    pub states_kept: u64,
    /// Solana: most accounts of one `getMultipleAccounts`; 100.
    #[serde(default = "accounts_max")]
    pub accounts_max: usize,
    /// Rate windows that the host enforces with 429; none by default.
    #[serde(default)]
    pub windows: Vec<Window>,
}

/// The credentials of an enterprise host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: String,
    /// How long a token lives, in milliseconds; five minutes as at Blockstream.
    #[serde(default = "token_life_ms")]
    pub token_life_ms: u32,
}

/// At most so many requests in any stretch of time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Requests.
    pub max: usize,
    /// Length in milliseconds.
    pub per_ms: i64,
}

// === impl Oauth2 ===

impl Oauth2 {
    /// These credentials, for tokens that live as long as at Blockstream.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            token_life_ms: token_life_ms(),
        }
    }
}

// === impl Host ===

impl Host {
    /// A host with the documented limits of its kind.
    #[must_use]
    pub fn new(kind: HostKind, ledger: &str) -> Self {
        Self {
            kind,
            ledger: ledger.to_owned(),
            api_key: None,
            free_plan: false,
            oauth2: None,
            batch_max: batch_max(),
            subcalls_max: subcalls_max(),
            states_kept: states_kept(),
            accounts_max: accounts_max(),
            windows: Vec::new(),
        }
    }

    /// What is appended to `/NAME` for the endpoint that a client is configured with.
    #[must_use]
    pub fn base_path(&self) -> &'static str {
        match self.kind {
            HostKind::Esplora | HostKind::Mempool => "/api",
            HostKind::Etherscan => "/v2/api",
            HostKind::Evm | HostKind::Solana => "",
        }
    }
}

fn token_life_ms() -> u32 {
    300_000
}

fn batch_max() -> usize {
    1000
}

fn subcalls_max() -> usize {
    6000
}

fn states_kept() -> u64 {
    128
}

fn accounts_max() -> usize {
    100
}
