//! Quantities and data as JSON-RPC writes them.

use scanhost_plugin_api::{Amount, Error};

/// A JSON-RPC quantity of at most 64 bits: a chain id, a height.
///
/// # Errors
///
/// [`Malformed`](scanhost_plugin_api::ErrorKind::Malformed) for anything else.
pub fn quantity(text: &str) -> Result<u64, Error> {
    from_amount(&Amount::from_hex_quantity(text)?)
}

/// JSON-RPC data: `0x` and an even number of hex digits, possibly none.
///
/// # Errors
///
/// [`Malformed`](scanhost_plugin_api::ErrorKind::Malformed) for anything else.
pub fn data(text: &str) -> Result<Vec<u8>, Error> {
    let digits = text.strip_prefix("0x");
    let bytes = digits.and_then(|digits| alloy::primitives::hex::decode(digits).ok());
    // The decoder would take a second prefix.
    let bytes = bytes.filter(|bytes| bytes.len() * 2 + 2 == text.len());
    bytes.ok_or_else(|| {
        let start: String = text.chars().take(40).collect();
        Error::malformed(format!("`{start}` is not hex data"))
    })
}

/// `0x` and the bytes as hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    alloy::primitives::hex::encode_prefixed(bytes)
}

pub(crate) fn from_amount(amount: &Amount) -> Result<u64, Error> {
    let (high, low) = amount.0.split_at(24);
    match <[u8; 8]>::try_from(low) {
        Ok(low) if high.iter().all(|byte| *byte == 0) => Ok(u64::from_be_bytes(low)),
        _ => Err(Error::malformed("a number of more than 64 bits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_and_data_are_read_strictly() {
        assert_eq!(quantity("0x38").unwrap(), 56);
        assert_eq!(quantity("0xffffffffffffffff").unwrap(), u64::MAX);
        for bad in ["", "0x", "56", "0x10000000000000000", "0xzz"] {
            assert!(quantity(bad).is_err(), "{bad:?} was taken for a number");
        }
        assert_eq!(data("0x").unwrap(), Vec::<u8>::new());
        assert_eq!(data("0x00ff").unwrap(), [0, 255]);
        for bad in ["", "00", "0x0", "0xgg", "0x0x00", "0x 0"] {
            assert!(data(bad).is_err(), "{bad:?} was taken for data");
        }
        assert_eq!(hex(&[0, 255]), "0x00ff");
    }
}
