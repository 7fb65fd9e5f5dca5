//! The values that cross: plain data, nothing with behaviour.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::std_types::{RBox, ROption, RString, RVec, Tuple2};

/// Opens an integer to new codes without changing any layout.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $code:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$code_doc])* pub const $code: Self = Self($value);)*
        }
    };
}

codes! {
    /// What kind of failure an [`AbiError`] tells. A code that the reader does not know is
    /// treated as [`ErrorKind::SERVER_ERROR`].
    ErrorKind {
        /// No answer in time.
        TIMEOUT = 1,
        /// No complete answer: refused, reset, TLS, DNS, cut short.
        TRANSPORT = 2,
        /// The provider failed: 5xx, an internal error of its own.
        SERVER_ERROR = 3,
        /// Too many requests; `retry_after_ms` where the provider told one.
        RATE_LIMITED = 4,
        /// The plan's allowance is used up, or the plan does not cover the chain.
        QUOTA = 5,
        /// The key is missing, wrong or blocked.
        UNAUTHORIZED = 6,
        /// An answer that is not what the API promises.
        MALFORMED = 7,
        /// The answer left this cell out.
        MISSING = 8,
        /// The provider refuses this question, whoever asks it.
        REFUSED = 9,
        /// The batch or its answer is larger than the provider allows.
        TOO_LARGE = 10,
        /// The provider does not offer this.
        UNSUPPORTED = 11,
        /// The answer comes from another chain.
        WRONG_CHAIN = 12,
        /// The provider is behind the height that was asked for.
        LAGGING = 13,
        /// The plugin itself is at fault: a panic, a bad request.
        PLUGIN_FAULT = 14,
        /// The call was given up by the host.
        CANCELLED = 15,
        /// The chain has other decimals for the token than the configuration.
        DECIMALS_MISMATCH = 16,
        /// Not an address of this network.
        INVALID_ADDRESS = 17,
        /// Not a public key or descriptor of this network. Since 1.1.
        INVALID_KEY = 18,
        /// A private key, where a public one belongs; it was not used. Since 1.1.
        PRIVATE_KEY = 19,
    }
}

codes! {
    /// How settled a block must be for its amounts to count.
    Commitment {
        /// The newest block that the provider has.
        LATEST = 1,
        /// In a block that the network agreed on.
        CONFIRMED = 2,
        /// Past any reorganisation.
        FINALIZED = 3,
    }
}

codes! {
    /// What a [`Reading`] says.
    ReadingKind {
        /// `amount` is the balance.
        KNOWN = 1,
        /// Not answered; `error` says why.
        UNKNOWN = 2,
        /// Not answerable by anyone; `error` says why.
        INVALID = 3,
    }
}

codes! {
    /// Which accounts an amount counts.
    Scope {
        /// The address itself.
        WALLET = 1,
        /// The associated token accounts derived from the address.
        ASSOCIATED = 2,
        /// Every token account that the address owns.
        ALL = 3,
    }
}

codes! {
    /// The method of an [`HttpRequest`].
    HttpMethod {
        /// `GET`.
        GET = 1,
        /// `POST`.
        POST = 2,
    }
}

codes! {
    /// How loud a log line is.
    LogLevel {
        /// Something is broken.
        ERROR = 1,
        /// Something is odd.
        WARN = 2,
        /// What happens.
        INFO = 3,
        /// Why it happens.
        DEBUG = 4,
        /// Everything.
        TRACE = 5,
    }
}

/// A failure with what the host needs to act on it.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct AbiError {
    /// What kind.
    pub kind: ErrorKind,
    /// The status of the HTTP answer; 0 where there was none.
    pub http_status: u16,
    /// How long the provider asks to be left alone, in milliseconds; 0 where it did not say.
    pub retry_after_ms: u64,
    /// The provider's own code (JSON-RPC); 0 where there was none.
    pub code: i64,
    /// One line for a person, without secrets.
    pub message: RString,
    /// Zero.
    pub reserved: [u64; 4],
}

impl AbiError {
    /// A failure that carries nothing but a kind and a message.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<RString>) -> Self {
        Self {
            kind,
            http_status: 0,
            retry_after_ms: 0,
            code: 0,
            message: message.into(),
            reserved: [0; 4],
        }
    }
}

/// What a call is part of; goes back to the host with each of its requests.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct CallContext {
    /// The host's id of this call.
    pub call: u64,
    /// Milliseconds until the host drops the call.
    pub deadline_ms: u64,
    /// Zero.
    pub reserved: [u64; 6],
}

/// A request below the provider's endpoint.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// Path and query, appended to the endpoint: `""` is the endpoint itself, else it starts with
    /// `/` or `?`. Never absolute.
    pub path: RString,
    /// Name and value.
    pub headers: RVec<Tuple2<RString, RString>>,
    /// The body; empty for `GET`.
    pub body: RVec<u8>,
    /// Longest wait in milliseconds; 0 is the provider's timeout.
    pub timeout_ms: u64,
    /// Word [`HTTP_REQUEST_WEIGHT`] is how many calls the request is to the provider's limits, as
    /// for a JSON-RPC batch; 0, as of plugins that do not know it, is 1. The others are zero.
    pub reserved: [u64; 4],
}

/// The word of [`HttpRequest`]'s `reserved` that tells how many calls the request is worth.
pub const HTTP_REQUEST_WEIGHT: usize = 0;

/// The answer of a provider, whatever its status.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Name in lower case and value.
    pub headers: RVec<Tuple2<RString, RString>>,
    /// The whole body.
    pub body: RVec<u8>,
    /// Zero.
    pub reserved: [u64; 4],
}

/// An asset of a [`BalancesRequest`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct AssetRef {
    /// The token's contract or mint; none is the native coin.
    pub contract: ROption<RString>,
    /// The decimals that the configuration gives; the plugin compares them with the chain's.
    pub decimals: u8,
    /// Zero.
    pub reserved: [u64; 2],
}

/// One (address, asset) by its places in a [`BalancesRequest`].
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRef {
    /// Index into `addresses`.
    pub address: u32,
    /// Index into `assets`.
    pub asset: u16,
}

/// Which balances to read. Every address and asset stands once; cells are any pairs of them.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct BalancesRequest {
    /// Addresses in the form that `validate_address` gave.
    pub addresses: RVec<RString>,
    /// The assets that cells name.
    pub assets: RVec<AssetRef>,
    /// What to answer; a reading names a cell by its index here.
    pub cells: RVec<CellRef>,
    /// How settled.
    pub commitment: Commitment,
    /// Lowest height (slot) that the answer may come from; 0 is any.
    pub min_height: u64,
    /// The one height to read at, sent only to a provider with [`CAP_PINNED`]; 0 is the newest
    /// that `commitment` allows. The host takes it from an answer under the same commitment, so
    /// that the block is as settled as was asked.
    pub at_height: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// `flags` of a [`Reading`]: `height` is set.
pub const READING_HAS_HEIGHT: u32 = 1;
/// `flags` of a [`Reading`]: `block_hash` is set.
pub const READING_HAS_BLOCK_HASH: u32 = 1 << 1;
/// `flags` of a [`Reading`]: `pending` is set.
pub const READING_HAS_PENDING: u32 = 1 << 2;
/// `flags` of a [`Reading`]: the provider told whether the address was ever used, which
/// [`READING_USED`] then says. Since 1.1; without it nothing is known of that.
pub const READING_TELLS_USE: u32 = 1 << 3;
/// `flags` of a [`Reading`]: there is a transaction with the address, confirmed or not. Since 1.1.
pub const READING_USED: u32 = 1 << 4;

/// The answer for one cell.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Reading {
    /// Index into the request's `cells`.
    pub cell: u32,
    /// What it says.
    pub kind: ReadingKind,
    /// Which of the optional fields are set.
    pub flags: u32,
    /// The balance in the smallest unit, 256 bits big-endian; means nothing unless `KNOWN`.
    pub amount: [u8; 32],
    /// Height or slot that the amount was read at.
    pub height: u64,
    /// Hash of that block.
    pub block_hash: [u8; 32],
    /// Signed change not yet confirmed, 128 bits two's complement big-endian.
    pub pending: [u8; 16],
    /// Why not; set unless `KNOWN`.
    pub error: ROption<RBox<AbiError>>,
    /// Zero.
    pub reserved: [u64; 2],
}

/// `can` of [`Caps`]: reads the native coin.
pub const CAP_NATIVE: u64 = 1;
/// `can` of [`Caps`]: reads tokens.
pub const CAP_TOKENS: u64 = 1 << 1;
/// `can` of [`Caps`]: reads at one height, `at_height` of a [`BalancesRequest`].
pub const CAP_PINNED: u64 = 1 << 2;
/// `can` of [`Caps`]: gives no amount that may be older than `min_height` of a
/// [`BalancesRequest`].
pub const CAP_MIN_HEIGHT: u64 = 1 << 3;
/// `can` of [`Caps`]: derives addresses from public keys. Since 1.1.
pub const CAP_DERIVE: u64 = 1 << 4;

/// Most addresses of one [`DeriveRequest`]. Since 1.1.
pub const DERIVE_MAX: u32 = 1_000;

/// Which addresses to derive from a public key. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct DeriveRequest {
    /// An output descriptor or an extended public key; never a private one.
    pub key: RString,
    /// Which of the key's branches, from 0: those of a multipath descriptor in their order; of an
    /// account's key 0 is what it receives on, 1 its change.
    pub branch: u32,
    /// The first index.
    pub start: u32,
    /// How many from there on, 1 to [`DERIVE_MAX`]; all below 2³¹.
    pub count: u32,
    /// Zero.
    pub reserved: [u64; 4],
}

impl fmt::Debug for DeriveRequest {
    /// Without the key: whoever has it sees all addresses of a wallet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeriveRequest")
            .field("branch", &self.branch)
            .field("start", &self.start)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`DeriveRequest`]: all of its addresses in the order of their indices. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Derived {
    /// How many branches the key has; at least 1.
    pub branches: u32,
    /// `count` addresses, the first of index `start`.
    pub addresses: RVec<DerivedAddress>,
    /// Zero.
    pub reserved: [u64; 4],
}

/// An address of [`Derived`]. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct DerivedAddress {
    /// In a form that `validate_address` takes.
    pub address: RString,
    /// The path of its key for a person, from the master key where the request tells its origin:
    /// `m/84'/0'/0'/0/7`, else from the key that was given: `0/7`.
    pub path: RString,
    /// Zero.
    pub reserved: [u64; 2],
}

/// HTTP requests that a call of `balances` sends, for planning and pacing:
/// `call + native_batch (if any native cell) + native_cell × natives + token_cell × tokens`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Per call.
    pub call: u32,
    /// Once per call with a native cell.
    pub native_batch: u32,
    /// Per native cell.
    pub native_cell: u32,
    /// Per token cell.
    pub token_cell: u32,
}

/// HTTP requests that a provider sends once, on top of [`Cost`]; for planning.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Once {
    /// With its first call.
    pub call: u32,
    /// With the first call that has a token cell.
    pub tokens: u32,
    /// With the first cell of each token.
    pub per_token: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a provider can do, with its options taken into account.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Caps {
    /// Bits `CAP_*`; unknown bits are ignored.
    pub can: u64,
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
    /// What is asked once.
    pub once: Once,
    /// Zero.
    pub reserved: [u64; 6],
}
