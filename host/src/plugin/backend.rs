//! A provider as the rest of the host calls it, wherever its code runs.
//!
//! A place is where that is: this process (`in_process`), or a child
//! of it. What a plugin says comes from there as it is; `opened` holds it to a call's budget and
//! judges it, `convert` turns the ABI's types into the host's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::derive::{DeriveError, DeriveRequest, Derived};
use crate::gate::RequestSlots;
use crate::model::{Amount, Asset, ChainName, Class, Commitment, ProviderName};

mod convert;
pub(super) use convert::{canonical_of, class_of, clean};
pub(super) mod in_process;
pub(super) mod opened;

pub use in_process::PluginHost;
pub use opened::Opened;

/// A failure of a call, before anyone judged whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What kind.
    pub class: Class,
    /// One line, without secrets.
    pub message: String,
    /// The status of the HTTP answer, where there was one.
    pub http_status: Option<u16>,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// A failure that the host itself found.
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            http_status: None,
            retry_after: None,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// HTTP requests of a call:
/// `call + native_batch (if any native cell) + native_cell × natives + token_cell × tokens`, and
/// what is asked once on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Per call.
    pub call: u32,
    /// Once per call with a native cell.
    pub native_batch: u32,
    /// Per native cell.
    pub native_cell: u32,
    /// Per token cell.
    pub token_cell: u32,
    /// Once, with the first call.
    pub once: u32,
    /// Once, with the first call that has a token cell.
    pub once_tokens: u32,
    /// Once for each token, with its first cell.
    pub once_per_token: u32,
}

impl Cost {
    /// HTTP requests of one call with that many cells, without what is asked once.
    #[must_use]
    pub fn requests(&self, natives: u32, tokens: u32) -> u32 {
        let batch = if natives > 0 { self.native_batch } else { 0 };
        self.call
            .saturating_add(batch)
            .saturating_add(self.native_cell.saturating_mul(natives))
            .saturating_add(self.token_cell.saturating_mul(tokens))
    }
}

/// What a provider can do; every limit is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Reads the native coin.
    pub native: bool,
    /// Reads tokens.
    pub tokens: bool,
    /// Reads at one height; without it a request has no `at_height`.
    pub pinned: bool,
    /// Gives no amount older than a request's `min_height`.
    pub min_height: bool,
    /// Derives addresses from public keys.
    pub derive: bool,
    /// Most cells in a call.
    pub cells_max: usize,
    /// Most distinct addresses in a call.
    pub addresses_max: usize,
    /// Most distinct assets in a call.
    pub assets_max: usize,
    /// What a call costs.
    pub cost: Cost,
    /// What token amounts count: `wallet`, `associated`, `all`.
    pub token_scope: &'static str,
    /// What is read when the configuration names no commitment.
    pub commitment_default: Commitment,
}

/// Which balances to read, within [`Caps`].
#[derive(Clone, Debug)]
pub struct BalancesRequest {
    /// Distinct canonical addresses.
    pub addresses: Vec<Arc<str>>,
    /// Distinct assets.
    pub assets: Vec<Asset>,
    /// Pairs of indices into the two.
    pub cells: Vec<(u32, u16)>,
    /// How settled.
    pub commitment: Commitment,
    /// Lowest height that counts; 0 is any.
    pub min_height: u64,
    /// The one height to read at, where the pass is pinned; `None` is the provider's newest.
    pub at_height: Option<u64>,
}

/// What one call may cost.
#[derive(Debug)]
pub struct CallBudget {
    /// How long it may take, without its waits for slots and connections.
    pub deadline: Duration,
    /// What its requests take their slots from.
    pub slots: RequestSlots,
}

/// One answer as the provider gave it, not yet matched to its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Index into the request's cells; may be any number.
    pub cell: u32,
    /// What it says.
    pub outcome: Outcome,
}

/// What an [`Answer`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A balance.
    Known {
        /// In the smallest unit.
        amount: Amount,
        /// Signed change not yet confirmed.
        pending: Option<i128>,
        /// Height or slot.
        height: Option<u64>,
        /// Lower-case hex.
        block_hash: Option<String>,
        /// Whether there was ever a transaction with the address, where the provider tells it.
        used: Option<bool>,
    },
    /// Not answered.
    Unknown(CallError),
    /// Not answerable by anyone.
    Invalid(CallError),
}

/// What came of a call, and what it cost.
#[derive(Clone, Debug)]
pub struct CallReport<T> {
    /// The answer.
    pub result: Result<T, CallError>,
    /// Real HTTP attempts of the call.
    pub http_attempts: u32,
}

/// A provider's code, in this process or another. All calls end by their deadline.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// The canonical form of each address, or why it is none of the network.
    ///
    /// # Errors
    ///
    /// The plugin's fault: nothing was judged.
    async fn validate_addresses(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Result<String, String>>, CallError>;

    /// What the chain behind the endpoint says of itself.
    async fn identity(&self, budget: CallBudget) -> CallReport<String>;

    /// Balances, in any order, with holes.
    async fn balances(
        &self,
        request: BalancesRequest,
        budget: CallBudget,
    ) -> CallReport<Vec<Answer>>;

    /// Addresses of a public key; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`DeriveError`].
    async fn derive(&self, _request: DeriveRequest) -> Result<Derived, DeriveError> {
        Err(DeriveError::Unsupported(
            "it derives no addresses".to_owned(),
        ))
    }
}

/// What a plugin's `open` is told.
#[derive(Clone, Debug, Serialize)]
pub struct OpenSettings {
    /// The chain's name.
    pub chain: ChainName,
    /// The provider's name.
    pub provider: ProviderName,
    /// Which network's addresses are valid.
    pub network: String,
    /// What the chain says of itself, where the configuration tells it.
    pub identity: Option<String>,
    /// The provider's options.
    pub options: serde_json::Value,
}
