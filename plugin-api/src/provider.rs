//! The trait that a plugin implements.

use async_trait::async_trait;
use scanhost_abi::types as abi;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Balances, Cx, Derive, Derived, Error, Host, Readings};

/// One configured provider.
///
/// The host calls it from one thread of the plugin's own; calls interleave at their awaits. A call
/// that blocks stops all calls of this plugin, and after 5 s the plugin is taken out of service.
#[async_trait]
pub trait Provider: Send + Sync + Sized + 'static {
    /// The `[providers.NAME.options]` table. The host has checked it against the manifest's
    /// schema before any code of the plugin runs.
    type Options: DeserializeOwned + JsonSchema;

    /// Opens a provider. No I/O: the endpoint may be down, and that is no reason not to open.
    ///
    /// # Errors
    ///
    /// Settings that no schema can refuse; the provider is then skipped with this message.
    fn open(host: Host, settings: Settings<Self::Options>) -> Result<Self, Error>;

    /// What this provider can do, with its options taken into account. Asked once, after `open`.
    fn caps(&self) -> Caps;

    /// The canonical form of an address of this network; cheap, no I/O.
    ///
    /// Two spellings of one address have one canonical form: the host finds doubled addresses by
    /// it, keeps balances under it, and passes it to [`balances`](Self::balances).
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`](crate::ErrorKind::InvalidAddress) with the reason.
    fn validate_address(&self, address: &str) -> Result<String, Error>;

    /// What the chain behind the endpoint says of itself, in the form that the configuration's
    /// `identity` has: the chain id in decimal, the hash of block 0, the genesis hash.
    ///
    /// # Errors
    ///
    /// Any failure to get an answer. A different chain is an answer, not an error.
    async fn identity(&self, cx: &Cx) -> Result<String, Error>;

    /// Balances of the request's cells, at most as many as [`caps`](Self::caps) allows.
    ///
    /// Answer what was answered: a failure that concerns one cell is that cell's
    /// [`Readings::unknown`]. A cell without a reading counts as `missing`; two readings for one
    /// cell make it missing too.
    ///
    /// # Errors
    ///
    /// Nothing was answered. A call of more than one cell may come again in halves.
    ///
    /// # Cancel safety
    ///
    /// The host drops the future when the call's deadline is over; do not block in `drop`.
    async fn balances(&self, cx: &Cx, request: &Balances) -> Result<Readings, Error>;

    /// Addresses of a public key: an extended key or an output descriptor; cheap, no I/O.
    ///
    /// Called only with [`Caps::derive`], with at most [`Derive::MAX`] indices at once, all below
    /// 2³¹. Either every address of the request or an error: an address that is left out would be
    /// money that nobody looks for.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`](crate::ErrorKind::InvalidKey) with the reason and what is understood,
    /// [`PrivateKey`](crate::ErrorKind::PrivateKey) for private key material. The message never
    /// quotes the key: a public one shows a whole wallet, a private one is money.
    fn derive(&self, request: &Derive) -> Result<Derived, Error> {
        let _ = request;
        Err(Error::unsupported("the plugin derives no addresses"))
    }
}

/// What a provider is opened with.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "O: DeserializeOwned")]
#[non_exhaustive]
pub struct Settings<O> {
    /// The chain's name in the configuration; for messages only.
    pub chain: String,
    /// The provider's name in the configuration; for messages only.
    pub provider: String,
    /// Which network's addresses are valid: `mainnet`, `testnet`, `testnet4`, `signet`,
    /// `regtest`, `devnet`.
    pub network: String,
    /// The identity that the configuration expects, where it names one. A provider that must name
    /// the chain in its requests takes it from here.
    pub identity: Option<String>,
    /// The provider's own options.
    pub options: O,
}

/// How settled a block must be for its amounts to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commitment {
    /// The newest block that the provider has.
    Latest,
    /// In a block that the network agreed on.
    Confirmed,
    /// Past any reorganisation.
    Finalized,
}

impl Commitment {
    pub(crate) fn to_abi(self) -> abi::Commitment {
        match self {
            Self::Latest => abi::Commitment::LATEST,
            Self::Confirmed => abi::Commitment::CONFIRMED,
            Self::Finalized => abi::Commitment::FINALIZED,
        }
    }

    /// A newer host's word is read as the most careful one.
    pub(crate) fn from_abi(commitment: abi::Commitment) -> Self {
        match commitment {
            abi::Commitment::LATEST => Self::Latest,
            abi::Commitment::CONFIRMED => Self::Confirmed,
            _ => Self::Finalized,
        }
    }
}

/// Which accounts a token amount counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The address itself.
    Wallet,
    /// The associated token accounts derived from the address.
    Associated,
    /// Every token account that the address owns.
    All,
}

/// HTTP requests that a call of [`Provider::balances`] sends:
/// `call + native_batch (if any native cell) + native_cell × natives + token_cell × tokens`.
///
/// The host plans and paces by it. What is asked once (a mint, decimals, the tip) comes on top;
/// `scanhost plan` counts it by the `once` fields. The identity, which the host asks for itself, is
/// in none of them.
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

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Reads the native coin.
    pub native: bool,
    /// Reads tokens.
    pub tokens: bool,
    /// Reads at one height: every amount of a call is of
    /// [`Balances::at_height`](crate::Balances::at_height), where the request names one. Without
    /// it no such request comes.
    pub pinned: bool,
    /// Gives no amount that may be older than
    /// [`Balances::min_height`](crate::Balances::min_height).
    pub min_height: bool,
    /// Derives addresses by [`Provider::derive`]; `address_derivation` among the manifest's
    /// capabilities.
    pub derive: bool,
    /// Most cells in one call; at least 1.
    pub cells_per_call_max: u32,
    /// Most distinct addresses in one call; at least 1.
    pub addresses_per_call_max: u32,
    /// Most distinct assets in one call; at least 1.
    pub assets_per_call_max: u32,
    /// What a call costs.
    pub cost: Cost,
    /// What token amounts count.
    pub token_scope: Scope,
    /// What is read when the configuration names no commitment.
    pub commitment_default: Commitment,
}

impl Caps {
    /// One native balance in one request per call.
    #[must_use]
    pub const fn native(commitment_default: Commitment) -> Self {
        Self {
            native: true,
            tokens: false,
            pinned: false,
            min_height: false,
            derive: false,
            cells_per_call_max: 1,
            addresses_per_call_max: 1,
            assets_per_call_max: 1,
            cost: Cost {
                call: 0,
                native_batch: 0,
                native_cell: 1,
                token_cell: 0,
                once: 0,
                once_tokens: 0,
                once_per_token: 0,
            },
            token_scope: Scope::Wallet,
            commitment_default,
        }
    }

    pub(crate) fn to_abi(self) -> abi::Caps {
        let bit = |can: bool, bit: u64| if can { bit } else { 0 };
        abi::Caps {
            can: bit(self.native, abi::CAP_NATIVE)
                | bit(self.tokens, abi::CAP_TOKENS)
                | bit(self.pinned, abi::CAP_PINNED)
                | bit(self.min_height, abi::CAP_MIN_HEIGHT)
                | bit(self.derive, abi::CAP_DERIVE),
            cells_per_call_max: self.cells_per_call_max,
            addresses_per_call_max: self.addresses_per_call_max,
            assets_per_call_max: self.assets_per_call_max,
            cost: abi::Cost {
                call: self.cost.call,
                native_batch: self.cost.native_batch,
                native_cell: self.cost.native_cell,
                token_cell: self.cost.token_cell,
            },
            token_scope: match self.token_scope {
                Scope::Wallet => abi::Scope::WALLET,
                Scope::Associated => abi::Scope::ASSOCIATED,
                Scope::All => abi::Scope::ALL,
            },
            commitment_default: self.commitment_default.to_abi(),
            once: abi::Once {
                call: self.cost.once,
                tokens: self.cost.once_tokens,
                per_token: self.cost.once_per_token,
                reserved: 0,
            },
            reserved: [0; 6],
        }
    }
}
