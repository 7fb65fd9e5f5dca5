//! Between the ABI's types and the host's: what a plugin says is cleaned and bounded here.

use std::time::Duration;

use scanhost_abi::types as abi;
use scanhost_abi::{RNone, ROption, RSome};

use super::{Answer, BalancesRequest, CallError, Caps, Cost, Outcome};
use crate::http::Redactor;
use crate::model::{Amount, Asset, Class, Commitment, is_unprintable};

/// Longest message that is kept of a plugin's.
const MESSAGE_MAX: usize = 300;
/// Longest canonical address, in bytes; Bitcoin's longest has 90.
const CANONICAL_MAX: usize = 256;

/// A plugin's error, without secrets.
pub(super) fn error_of(error: &abi::AbiError, redactor: &Redactor) -> CallError {
    let class = class_of(error.kind);
    CallError {
        class,
        message: redactor.redact_line(&clean(&error.message)),
        http_status: (error.http_status != 0).then_some(error.http_status),
        // A fault of the plugin's own is no provider's pause, and not its to talk away.
        retry_after: (error.retry_after_ms != 0 && class != Class::PluginFault)
            .then(|| Duration::from_millis(error.retry_after_ms)),
    }
}

/// What a plugin says of one cell.
pub(super) fn answer_of(reading: &abi::Reading, redactor: &Redactor) -> Answer {
    let has = |flag: u32| reading.flags & flag != 0;
    let error = |fallback: &str| match &reading.error {
        ROption::RSome(error) => error_of(error, redactor),
        ROption::RNone => CallError::new(Class::Malformed, fallback),
    };
    let outcome = match reading.kind {
        abi::ReadingKind::KNOWN => Outcome::Known {
            amount: Amount::from_be_bytes(reading.amount),
            pending: has(abi::READING_HAS_PENDING).then(|| i128::from_be_bytes(reading.pending)),
            height: has(abi::READING_HAS_HEIGHT).then_some(reading.height),
            block_hash: has(abi::READING_HAS_BLOCK_HASH).then(|| hex::encode(reading.block_hash)),
            used: has(abi::READING_TELLS_USE).then(|| has(abi::READING_USED)),
        },
        abi::ReadingKind::UNKNOWN => Outcome::Unknown(error("unknown without a reason")),
        abi::ReadingKind::INVALID => Outcome::Invalid(error("invalid without a reason")),
        other => {
            let message = format!(
                "a reading of a kind that this host does not know ({})",
                other.0
            );
            Outcome::Unknown(CallError::new(Class::PluginFault, message))
        }
    };
    Answer {
        cell: reading.cell,
        outcome,
    }
}

pub(super) fn request_of(request: BalancesRequest) -> abi::BalancesRequest {
    let asset = |asset: &Asset| abi::AssetRef {
        contract: asset
            .contract
            .as_deref()
            .map_or(RNone, |contract| RSome(contract.into())),
        decimals: asset.decimals,
        reserved: [0; 2],
    };
    let cell = |(address, asset): (u32, u16)| abi::CellRef { address, asset };
    abi::BalancesRequest {
        addresses: request
            .addresses
            .iter()
            .map(|address| (&**address).into())
            .collect(),
        assets: request.assets.iter().map(asset).collect(),
        cells: request.cells.into_iter().map(cell).collect(),
        commitment: match request.commitment {
            Commitment::Latest => abi::Commitment::LATEST,
            Commitment::Confirmed => abi::Commitment::CONFIRMED,
            Commitment::Finalized => abi::Commitment::FINALIZED,
        },
        min_height: request.min_height,
        at_height: request.at_height.unwrap_or(0),
        reserved: [0; 3],
    }
}

pub(super) fn caps_of(caps: &abi::Caps) -> Result<Caps, String> {
    let limit = |what: &str, limit: u32| match limit {
        0 => Err(format!("it allows no {what} in a call")),
        limit => Ok(limit as usize),
    };
    let (native, tokens) = (
        caps.can & abi::CAP_NATIVE != 0,
        caps.can & abi::CAP_TOKENS != 0,
    );
    if !native && !tokens {
        return Err("it can read neither the native coin nor tokens".into());
    }
    Ok(Caps {
        native,
        tokens,
        pinned: caps.can & abi::CAP_PINNED != 0,
        min_height: caps.can & abi::CAP_MIN_HEIGHT != 0,
        derive: caps.can & abi::CAP_DERIVE != 0,
        cells_max: limit("cells", caps.cells_per_call_max)?,
        addresses_max: limit("addresses", caps.addresses_per_call_max)?,
        assets_max: limit("assets", caps.assets_per_call_max)?,
        cost: Cost {
            call: caps.cost.call,
            native_batch: caps.cost.native_batch,
            native_cell: caps.cost.native_cell,
            token_cell: caps.cost.token_cell,
            once: caps.once.call,
            once_tokens: caps.once.tokens,
            once_per_token: caps.once.per_token,
        },
        token_scope: match caps.token_scope {
            abi::Scope::ASSOCIATED => "associated",
            abi::Scope::ALL => "all",
            _ => "wallet",
        },
        commitment_default: match caps.commitment_default {
            abi::Commitment::LATEST => Commitment::Latest,
            abi::Commitment::CONFIRMED => Commitment::Confirmed,
            _ => Commitment::Finalized,
        },
    })
}

/// A kind that this host does not know is a newer plugin's; it is taken for a server's failure.
pub(in crate::plugin) fn class_of(kind: abi::ErrorKind) -> Class {
    match kind {
        abi::ErrorKind::TIMEOUT => Class::Timeout,
        abi::ErrorKind::TRANSPORT => Class::Transport,
        abi::ErrorKind::RATE_LIMITED => Class::RateLimited,
        abi::ErrorKind::QUOTA => Class::Quota,
        abi::ErrorKind::UNAUTHORIZED => Class::Unauthorized,
        abi::ErrorKind::MALFORMED => Class::Malformed,
        abi::ErrorKind::MISSING => Class::Missing,
        abi::ErrorKind::REFUSED => Class::Refused,
        abi::ErrorKind::TOO_LARGE => Class::TooLarge,
        abi::ErrorKind::UNSUPPORTED => Class::Unsupported,
        abi::ErrorKind::WRONG_CHAIN => Class::WrongChain,
        abi::ErrorKind::LAGGING => Class::Lagging,
        abi::ErrorKind::PLUGIN_FAULT => Class::PluginFault,
        abi::ErrorKind::CANCELLED => Class::Cancelled,
        abi::ErrorKind::DECIMALS_MISMATCH => Class::DecimalsMismatch,
        abi::ErrorKind::INVALID_ADDRESS => Class::InvalidAddress,
        _ => Class::ServerError,
    }
}

/// What a plugin says is untrusted: one line, no control characters, not too long.
pub(in crate::plugin) fn clean(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(MESSAGE_MAX)
        .map(|char| if is_unprintable(char) { ' ' } else { char })
        .collect();
    if text.chars().nth(MESSAGE_MAX).is_some() {
        line.push('…');
    }
    line
}

/// Addresses are told apart by their canonical form: an empty one would be the same for all.
pub(in crate::plugin) fn canonical_of(address: &str) -> Result<String, CallError> {
    let printable = !address.chars().any(|char| char.is_control() || char == ' ');
    if (1..=CANONICAL_MAX).contains(&address.len()) && printable {
        return Ok(address.to_owned());
    }
    let message = format!(
        "`validate_address` gave {} bytes for a canonical address, not 1 to {CANONICAL_MAX} \
         printable ones",
        address.len()
    );
    Err(CallError::new(Class::PluginFault, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_says_of_heights_is_taken_bit_by_bit() {
        let heights = |can| {
            let caps = abi::Caps {
                can: can | abi::CAP_NATIVE,
                cells_per_call_max: 1,
                addresses_per_call_max: 1,
                assets_per_call_max: 1,
                cost: abi::Cost::default(),
                token_scope: abi::Scope::WALLET,
                commitment_default: abi::Commitment::LATEST,
                once: abi::Once::default(),
                reserved: [0; 6],
            };
            let caps = caps_of(&caps).unwrap();
            (caps.pinned, caps.min_height)
        };
        assert_eq!(heights(0), (false, false));
        assert_eq!(heights(abi::CAP_PINNED), (true, false));
        assert_eq!(heights(abi::CAP_MIN_HEIGHT), (false, true));
        // A newer plugin's bits mean nothing here.
        assert_eq!(heights(1 << 63), (false, false));
    }

    #[test]
    fn the_heights_of_a_request_reach_the_plugin() {
        let sent = |min_height, at_height| {
            let request = request_of(BalancesRequest {
                addresses: vec!["a".into()],
                assets: Vec::new(),
                cells: Vec::new(),
                commitment: Commitment::Latest,
                min_height,
                at_height,
            });
            (request.min_height, request.at_height)
        };
        assert_eq!(sent(0, None), (0, 0));
        assert_eq!(sent(5, Some(7)), (5, 7));
    }

    #[test]
    fn a_canonical_address_that_tells_nothing_apart_is_the_plugins_fault() {
        for bad in ["", " ", "a b", "a\nb", &"a".repeat(CANONICAL_MAX + 1)] {
            let error = canonical_of(bad).unwrap_err();
            assert_eq!(error.class, Class::PluginFault, "{bad:?}");
            assert!(error.message.len() < MESSAGE_MAX);
        }
        let longest = "a".repeat(CANONICAL_MAX);
        for good in ["a", "0x12", &longest] {
            assert_eq!(canonical_of(good).as_deref(), Ok(good));
        }
    }
}
