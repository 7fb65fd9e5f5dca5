//! Answers and errors of a node.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scanhost_plugin_api::{Commitment, Error, ErrorKind};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use solana_pubkey::Pubkey;

/// Values, and the slot that all of them were read at.
#[derive(Debug, Deserialize)]
pub(crate) struct Stamped {
    pub(crate) context: Context,
    /// Not parsed further, so that one odd value does not take the others with it.
    pub(crate) value: Vec<Box<RawValue>>,
}

/// Where the node stood.
#[derive(Debug, Deserialize)]
pub(crate) struct Context {
    pub(crate) slot: u64,
}

/// An account. What it says beyond these fields is not read: among it is `rentEpoch`, 2^64 - 1,
/// which some nodes print as a larger number.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) lamports: u64,
    #[serde(deserialize_with = "pubkey")]
    pub(crate) owner: Pubkey,
    #[serde(deserialize_with = "base64_pair")]
    pub(crate) data: Vec<u8>,
    /// Length of the whole data, not only of the slice. Nodes before 1.14 do not tell.
    pub(crate) space: Option<u64>,
}

/// An account of a list that the node looked up.
#[derive(Debug, Deserialize)]
pub(crate) struct Keyed {
    #[serde(deserialize_with = "pubkey")]
    pub(crate) pubkey: Pubkey,
    pub(crate) account: Account,
}

/// How accounts are to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) commitment: Commitment,
    /// Lowest slot; 0 is any.
    pub(crate) min_slot: u64,
    /// Bytes of data to send, from the first.
    pub(crate) slice: usize,
}

impl View {
    /// The configuration object of a request.
    pub(crate) fn config(self) -> Value {
        let commitment = match self.commitment {
            Commitment::Latest => "processed",
            Commitment::Confirmed => "confirmed",
            Commitment::Finalized => "finalized",
        };
        let mut config = json!({
            "encoding": "base64",
            "commitment": commitment,
            "dataSlice": {"offset": 0, "length": self.slice},
        });
        if self.min_slot > 0 {
            config["minContextSlot"] = self.min_slot.into();
        }
        config
    }

    /// The slot, unless it lies below what was asked for: not every node knows `minContextSlot`.
    pub(crate) fn check(self, context: &Context) -> Result<u64, Error> {
        if context.slot >= self.min_slot {
            return Ok(context.slot);
        }
        let message = format!(
            "the answer is of slot {}, before {}",
            context.slot, self.min_slot
        );
        Err(Error::new(ErrorKind::Lagging, message))
    }
}

/// One value of [`Stamped`].
pub(crate) fn value<T: for<'de> Deserialize<'de>>(raw: &RawValue) -> Result<T, Error> {
    scanhost_plugin_api::parse_json(raw)
        .map_err(|error| Error::malformed(format!("not an account as expected: {error}")))
}

/// What Solana's codes mean; elsewhere the same numbers mean other things.
pub(crate) fn by_code(error: Error) -> Error {
    let text = error.message.to_ascii_lowercase();
    let kind = match error.code {
        // "Node is behind by N slots"; "Node is unhealthy" when it does not know by how many.
        Some(-32005) if text.contains("behind") => ErrorKind::Lagging,
        Some(-32005) if text.contains("unhealthy") => ErrorKind::ServerError,
        // "Slot N was skipped"; gateways in front of nodes use the number for rate limits.
        Some(-32007) if text.contains("slot") => ErrorKind::ServerError,
        // "K excluded from account secondary indexes; this RPC method unavailable for key"
        Some(-32010) => ErrorKind::Unsupported,
        // "Minimum context slot has not been reached"
        Some(-32016) => ErrorKind::Lagging,
        _ => error.kind,
    };
    Error { kind, ..error }
}

/// N of "Too many inputs provided; max N".
pub(crate) fn inputs_max(error: &Error) -> Option<usize> {
    if error.kind != ErrorKind::TooLarge {
        return None;
    }
    let (_, max) = error.message.split_once("Too many inputs provided; max ")?;
    let digits = max.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|max| *max > 0)
}

fn pubkey<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pubkey, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| de::Error::custom("an address that is not 32 bytes of base58"))
}

fn base64_pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let (data, encoding) = <(String, String)>::deserialize(deserializer)?;
    if encoding != "base64" {
        return Err(de::Error::custom("data in another encoding than base64"));
    }
    BASE64_STANDARD
        .decode(data)
        .map_err(|_| de::Error::custom("data that is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_they_mean_on_solana() {
        let check = |code, message: &str, before, after| {
            let error = Error::new(before, message).with_code(code);
            assert_eq!(by_code(error).kind, after, "{code} {message}");
        };
        let limited = ErrorKind::RateLimited;
        let server = ErrorKind::ServerError;
        check(
            -32005,
            "Node is behind by 42 slots",
            limited,
            ErrorKind::Lagging,
        );
        check(-32005, "Node is unhealthy", limited, server);
        check(-32005, "limit exceeded", limited, limited);
        check(
            -32007,
            "Slot 7 was skipped, or missing due to ledger jump to recent snapshot",
            limited,
            server,
        );
        check(-32007, "50/second request limit reached", limited, limited);
        check(
            -32010,
            "X excluded from account secondary indexes; this RPC method unavailable for key",
            server,
            ErrorKind::Unsupported,
        );
        check(
            -32016,
            "Minimum context slot has not been reached",
            server,
            ErrorKind::Lagging,
        );
        check(429, "Too many requests", limited, limited);
        check(-32603, "Internal error", server, server);
    }

    #[test]
    fn the_cap_is_read_from_the_refusal() {
        let max =
            |message: &str| inputs_max(&Error::new(ErrorKind::TooLarge, message).with_code(-32602));
        assert_eq!(max("Too many inputs provided; max 5"), Some(5));
        assert_eq!(max("Too many inputs provided; max 100."), Some(100));
        for other in [
            "Too many inputs provided; max 0",
            "Too many inputs provided; max -1",
            "Too many inputs provided",
            "max 5",
        ] {
            assert_eq!(max(other), None, "{other}");
        }
    }
}
