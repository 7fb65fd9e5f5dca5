//! Failures, told so that the host can act on them.

use std::fmt;
use std::time::Duration;

use scanhost_abi::types::{AbiError, ErrorKind as AbiKind};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $abi:ident,)*) => {
        /// What kind of failure; decides what the host does with it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            pub(crate) fn to_abi(self) -> AbiKind {
                match self {
                    $(Self::$kind => AbiKind::$abi,)*
                }
            }

            pub(crate) fn from_abi(kind: AbiKind) -> Self {
                match kind {
                    $(AbiKind::$abi => Self::$kind,)*
                    // A newer host's word; the safest reading of an unknown failure.
                    _ => Self::ServerError,
                }
            }
        }
    };
}

kinds! {
    /// No answer in time. The provider's fault.
    Timeout = TIMEOUT,
    /// No complete answer: refused, reset, TLS, DNS, cut short. The provider's fault.
    Transport = TRANSPORT,
    /// The provider failed: 5xx, an internal error of its own. The provider's fault.
    ServerError = SERVER_ERROR,
    /// Too many requests; the provider is left alone for a while.
    RateLimited = RATE_LIMITED,
    /// The plan's allowance is used up or does not cover the chain; the provider is held.
    Quota = QUOTA,
    /// The key is missing, wrong or blocked; the provider is held.
    Unauthorized = UNAUTHORIZED,
    /// An answer that is not what the API promises. The provider's fault.
    Malformed = MALFORMED,
    /// The answer left this cell out; it is asked again.
    Missing = MISSING,
    /// The provider refuses this question. Of many cells, the host splits the call.
    Refused = REFUSED,
    /// The batch or its answer is larger than allowed; the host splits the call.
    TooLarge = TOO_LARGE,
    /// The provider does not offer this; the next one is asked.
    Unsupported = UNSUPPORTED,
    /// The answer comes from another chain; the provider is held.
    WrongChain = WRONG_CHAIN,
    /// The provider is behind the height that was asked for; the next one is asked.
    Lagging = LAGGING,
    /// The plugin itself is at fault.
    PluginFault = PLUGIN_FAULT,
    /// The host gave the call up.
    Cancelled = CANCELLED,
    /// The chain has other decimals for the token than the configuration.
    DecimalsMismatch = DECIMALS_MISMATCH,
    /// Not an address of this network.
    InvalidAddress = INVALID_ADDRESS,
    /// Not a public key or descriptor of this network, or of a kind that is not derived.
    InvalidKey = INVALID_KEY,
    /// A private key, where a public one belongs. Say that it was not used; never quote it.
    PrivateKey = PRIVATE_KEY,
}

/// A failure of one cell or of a whole call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// One line for a person. Bodies are quoted shortened; never a secret (plugins have none).
    pub message: String,
    /// The status of the HTTP answer, where there was one.
    pub http_status: Option<u16>,
    /// How long the provider asks to be left alone, where it said.
    pub retry_after: Option<Duration>,
    /// The provider's own code (JSON-RPC), where there was one.
    pub code: Option<i64>,
}

impl Error {
    /// A failure of `kind`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            http_status: None,
            retry_after: None,
            code: None,
        }
    }

    /// The answer is not what the API promises.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// The answer left a cell out.
    #[must_use]
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    /// Not an address of this network.
    #[must_use]
    pub fn invalid_address(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidAddress, message)
    }

    /// The provider does not offer this.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The same failure with the status of the answer that told it.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// The same failure with the provider's own code.
    #[must_use]
    pub fn with_code(mut self, code: i64) -> Self {
        self.code = Some(code);
        self
    }

    /// The same failure with the delay that the answer's head asks for, if it is about that.
    pub(crate) fn with_delay(mut self, retry_after: Option<Duration>) -> Self {
        if self.kind == ErrorKind::RateLimited {
            self.retry_after = self.retry_after.or(retry_after);
        }
        self
    }

    pub(crate) fn to_abi(&self) -> AbiError {
        let retry_after_ms = self.retry_after.unwrap_or_default().as_millis();
        AbiError {
            http_status: self.http_status.unwrap_or(0),
            retry_after_ms: u64::try_from(retry_after_ms).unwrap_or(u64::MAX),
            code: self.code.unwrap_or(0),
            ..AbiError::new(self.kind.to_abi(), self.message.as_str())
        }
    }

    pub(crate) fn from_abi(error: AbiError) -> Self {
        Self {
            kind: ErrorKind::from_abi(error.kind),
            message: error.message.into_string(),
            http_status: (error.http_status != 0).then_some(error.http_status),
            retry_after: (error.retry_after_ms != 0)
                .then(|| Duration::from_millis(error.retry_after_ms)),
            code: (error.code != 0).then_some(error.code),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
