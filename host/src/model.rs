//! The nouns that every part of the host shares: names, assets, amounts, readings, reasons.
//!
//! Nothing here does I/O. The rule of the house lives in [`Reading`]: only `Known` carries an
//! amount, so an unknown can be neither stored nor printed as a zero.

use std::fmt;
use std::sync::Arc;

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A chain as the operator named it in TOML: `btc`, `bsc`, `btc-testnet`.
    ChainName
}
name! {
    /// A configured provider: the key of a `[providers.NAME]` table.
    ProviderName
}
name! {
    /// A plugin's name as its manifest has it: `bsc-rpc`.
    PluginName
}
name! {
    /// An asset's symbol: `BTC`, `USDT`. Unique within a chain.
    Symbol
}
name! {
    /// The id of one pass: 32 hex digits from the system's random generator.
    PassId
}

/// The names of the events that are stored, in the order of the documentation.
pub const EVENTS: [&str; 11] = [
    "scan_started",
    "scan_token_error",
    "scan_error",
    "scan_complete",
    "scan_state",
    "balance_changed",
    "provider_state",
    "tx_state",
    "reconcile_mismatch",
    "alert_firing",
    "alert_resolved",
];

/// The native coin of a chain or one of its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asset {
    /// Symbol, unique within the chain.
    pub symbol: Symbol,
    /// Token contract (on Solana: mint) as configured; `None` is the native coin.
    pub contract: Option<Arc<str>>,
    /// Digits after the decimal point of one whole coin.
    pub decimals: u8,
}

impl Asset {
    /// Whether this is the chain's native coin.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.contract.is_none()
    }

    /// What names the asset in the store: the contract, or `""` for the native coin.
    ///
    /// Symbols may be renamed in TOML without losing what was read.
    #[must_use]
    pub fn key(&self) -> &str {
        self.contract.as_deref().unwrap_or_default()
    }
}

/// A balance in the smallest unit of its asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub U256);

impl Amount {
    /// From 32 big-endian bytes, the form that crosses the ABI.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    /// Zero-padded to 78 digits, so that text order is numeric order.
    #[must_use]
    pub fn sort_key(&self) -> String {
        format!("{:0>78}", self.0.to_string())
    }

    /// In whole coins with all `decimals` digits' worth of precision, trailing zeros trimmed.
    #[must_use]
    pub fn in_coins(&self, decimals: u8) -> String {
        let digits = format!(
            "{:0>width$}",
            self.0.to_string(),
            width = usize::from(decimals) + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
        match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Amount {
    type Err = ParseAmountError;

    /// Decimal digits only: no sign, no prefix, no separators.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseAmountError(text.to_owned()));
        }
        let amount = U256::from_str_radix(text, 10);
        amount
            .map(Self)
            .map_err(|_| ParseAmountError(text.to_owned()))
    }
}

/// The text is not a decimal number of at most 256 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount in the smallest unit")]
pub struct ParseAmountError(String);

/// How settled a block must be for its amounts to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commitment {
    /// The newest block that the provider has.
    Latest,
    /// In a block that the network agreed on.
    Confirmed,
    /// Past any reorganisation.
    Finalized,
}

impl Commitment {
    /// The word used in configuration, output and store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
        }
    }
}

/// Where the chain stood when an amount was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Block height, on Solana the slot; `None` where the provider does not tell.
    pub height: Option<u64>,
    /// Lower-case hex without prefix, or what the chain uses (base58 on Solana).
    pub block_hash: Option<String>,
    /// The commitment that was asked for.
    pub commitment: Commitment,
}

/// The answer for a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The provider answered.
    Known {
        /// Whether there was ever a transaction with the address, where the provider tells it.
        used: Option<bool>,
        /// Confirmed amount in the smallest unit.
        amount: Amount,
        /// Signed change that is not confirmed yet, where the chain tells one.
        pending: Option<i128>,
        /// Where the chain stood.
        at: Checkpoint,
    },
    /// Nobody answered; the last good value stays.
    Unknown {
        /// Why.
        reason: Reason,
    },
    /// The question itself is wrong, whoever is asked.
    Invalid {
        /// Why.
        reason: Reason,
    },
}

/// Why a cell is not known: the closed list that output, API and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Class {
    Timeout,
    Transport,
    ServerError,
    RateLimited,
    Quota,
    Unauthorized,
    Malformed,
    Missing,
    Refused,
    TooLarge,
    Unsupported,
    WrongChain,
    Lagging,
    CircuitOpen,
    NoProvider,
    PluginFault,
    Cancelled,
    GaveUp,
    DecimalsMismatch,
    InvalidAddress,
}

impl Class {
    /// Every class, in the order of the contract.
    pub const ALL: [Self; 20] = [
        Self::Timeout,
        Self::Transport,
        Self::ServerError,
        Self::RateLimited,
        Self::Quota,
        Self::Unauthorized,
        Self::Malformed,
        Self::Missing,
        Self::Refused,
        Self::TooLarge,
        Self::Unsupported,
        Self::WrongChain,
        Self::Lagging,
        Self::CircuitOpen,
        Self::NoProvider,
        Self::PluginFault,
        Self::Cancelled,
        Self::GaveUp,
        Self::DecimalsMismatch,
        Self::InvalidAddress,
    ];

    /// The word used in output, API, metrics and store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::ServerError => "server_error",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::WrongChain => "wrong_chain",
            Self::Lagging => "lagging",
            Self::CircuitOpen => "circuit_open",
            Self::NoProvider => "no_provider",
            Self::PluginFault => "plugin_fault",
            Self::Cancelled => "cancelled",
            Self::GaveUp => "gave_up",
            Self::DecimalsMismatch => "decimals_mismatch",
            Self::InvalidAddress => "invalid_address",
        }
    }

    /// The class of a word, as read back from the store.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one provider said instead of an amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderError {
    /// Who.
    pub provider: ProviderName,
    /// What kind of failure.
    pub class: Class,
    /// One line for a person.
    pub message: String,
    /// The status line of the answer, where there was one.
    pub http_status: Option<u16>,
}

/// Why a cell stayed unknown, with every provider that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The class of the whole.
    pub class: Class,
    /// One line for a person.
    pub message: String,
    /// Each provider's own word, in the order they were tried; may be empty.
    pub providers: Vec<ProviderError>,
}

impl Reason {
    /// A reason that no provider gave.
    #[must_use]
    pub fn host(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            providers: Vec::new(),
        }
    }
}

/// Whether a terminal would obey the character, or show something else than was sent: control
/// characters, marks of writing direction, and what has no width.
#[must_use]
pub fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_in_coins() {
        let check = |amount: &str, decimals, expected: &str| {
            assert_eq!(
                amount.parse::<Amount>().unwrap().in_coins(decimals),
                expected
            );
        };
        check("0", 8, "0");
        check("1", 8, "0.00000001");
        check("150000000", 8, "1.5");
        check("7", 0, "7");
        check("1000000000000000000", 18, "1");
    }

    #[test]
    fn amounts_are_decimal_digits_only() {
        for bad in ["", "-1", "0x10", "1.5", "1e9", " 1"] {
            assert!(
                bad.parse::<Amount>().is_err(),
                "{bad:?} was taken for an amount"
            );
        }
    }

    #[test]
    fn sort_keys_order_like_numbers() {
        let max = Amount(U256::MAX);
        assert_eq!(max.sort_key().len(), 78);
        assert!(
            "9".parse::<Amount>().unwrap().sort_key() < "10".parse::<Amount>().unwrap().sort_key()
        );
        assert!("10".parse::<Amount>().unwrap().sort_key() < max.sort_key());
    }

    #[test]
    fn classes_survive_their_word() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.as_str()), Some(class));
        }
    }
}
