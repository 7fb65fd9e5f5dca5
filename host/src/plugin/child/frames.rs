//! What host and child tell each other: a length, a kind, and the fields.

use scanhost_abi::types::{
    AbiError, BalancesRequest, CallContext, Caps, DeriveRequest, Derived, HttpRequest,
    HttpResponse, LogLevel, Reading,
};
use scanhost_abi::{RResult, RString, RVec};

use super::values::record;
use super::wire::{BadFrame, Input, Wire};

/// The longest frame, without its length; the body of an answer is shorter by its own limit.
pub(super) const FRAME_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a frame's length.
pub(super) const LENGTH: usize = 4;

/// A frame that would be longer than [`FRAME_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What one side sends.
pub(super) trait Frame: Sized {
    /// Appends kind and fields.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads a whole frame, without its length.
    fn parse(bytes: &[u8]) -> Result<Self, BadFrame>;

    /// The frame with its length in front.
    fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = vec![0; LENGTH];
        self.put(&mut out);
        let length = out.len() - LENGTH;
        let prefix = u32::try_from(length).map_err(|_| TooLong)?;
        if length > FRAME_MAX {
            return Err(TooLong);
        }
        out[..LENGTH].copy_from_slice(&prefix.to_le_bytes());
        Ok(out)
    }
}

macro_rules! frames {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$kind_doc:meta])* $code:literal = $kind:ident { $($field:ident: $type:ty,)* },)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) enum $name {
            $($(#[$kind_doc])* $kind { $($field: $type,)* },)+
        }

        impl Frame for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$kind { $($field,)* } => {
                        out.push($code);
                        $($field.put(out);)*
                    })+
                }
            }

            fn parse(bytes: &[u8]) -> Result<Self, BadFrame> {
                let mut input = Input::new(bytes);
                let frame = match u8::take(&mut input)? {
                    $($code => Self::$kind { $($field: <$type as Wire>::take(&mut input)?,)* },)+
                    _ => return Err(BadFrame("it is of no known kind")),
                };
                input.end()?;
                Ok(frame)
            }
        }
    };
}

frames! {
    /// What the host sends. Ids are the host's own, but for `Answered`.
    ToChild {
        /// The first frame, and only that.
        1 = Launch { launch: Launch, },
        /// Judge these addresses.
        2 = Validate { id: u64, addresses: RVec<RString>, },
        /// Who is the chain?
        3 = Identity { id: u64, call: CallContext, },
        /// Read these cells.
        4 = Balances { id: u64, call: CallContext, request: BalancesRequest, },
        /// Nobody waits for that call any more.
        5 = Cancel { id: u64, },
        /// What came of a request; the id is the child's.
        6 = Answered { id: u64, answer: RResult<HttpResponse, AbiError>, },
        /// Still there?
        7 = Ping {},
        /// Derive addresses.
        8 = Derive { id: u64, request: DeriveRequest, },
    }
}

frames! {
    /// What the child sends. Ids are the host's, but for `Http` and `HttpDropped`.
    ToHost {
        /// Comes before any code of the plugin runs.
        1 = Confined { confinement: Confinement, },
        /// The plugin is loaded and its provider open, or not.
        2 = Opened { outcome: RResult<Caps, Refused>, },
        /// One verdict for each address.
        3 = Validated { id: u64, verdicts: RVec<RResult<RString, AbiError>>, },
        /// Who the chain is.
        4 = Identified { id: u64, answer: RResult<RString, AbiError>, },
        /// What was read.
        5 = Balanced { id: u64, answer: RResult<RVec<Reading>, AbiError>, },
        /// A request of a call; the id is the child's.
        6 = Http { id: u64, call: u64, request: HttpRequest, },
        /// The plugin no longer waits for that request.
        7 = HttpDropped { id: u64, },
        /// A line for the log.
        8 = Log { level: LogLevel, message: RString, },
        /// Still there.
        9 = Pong {},
        /// What was derived.
        10 = Derived { id: u64, answer: RResult<Derived, AbiError>, },
    }
}

/// What a child needs to become a provider.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The private copy's path.
    pub(super) copy: RVec<u8>,
    /// What the library must say of itself.
    pub(super) manifest: RString,
    /// What `open` is told, as JSON.
    pub(super) settings: RString,
    /// Bytes that the plugin may have.
    pub(super) memory_max: u64,
}

/// What holds around the plugin, and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::plugin) struct Confinement {
    /// What holds, each a few words.
    pub(in crate::plugin) holds: RVec<RString>,
    /// What does not, and what that lets a plugin do.
    pub(in crate::plugin) lacks: RVec<RString>,
}

/// Why a plugin was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The word of the step.
    pub(super) code: RString,
    /// Why.
    pub(super) message: RString,
}

record!(Launch {
    copy: RVec<u8>,
    manifest: RString,
    settings: RString,
    memory_max: u64,
});

record!(Confinement {
    holds: RVec<RString>,
    lacks: RVec<RString>,
});

record!(Refused {
    code: RString,
    message: RString,
});

#[cfg(test)]
mod tests;
