//! Addresses of any EVM chain.

use alloy::primitives::Address;
use scanhost_plugin_api::Error;

/// Reads `0x` and 40 hex digits; digits of mixed case must bear a right checksum.
///
/// Source: EIP-55. Digits of one case bear no checksum and are taken as they are.
///
/// # Errors
///
/// [`InvalidAddress`](scanhost_plugin_api::ErrorKind::InvalidAddress) with the reason.
pub fn parse_address(text: &str) -> Result<Address, Error> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Err(Error::invalid_address("an address starts with `0x`"));
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = "an address has only hex digits after `0x`";
        return Err(Error::invalid_address(message));
    }
    if digits.len() != 40 {
        let message = format!("an address has 40 hex digits, not {}", digits.len());
        return Err(Error::invalid_address(message));
    }
    let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
        && digits.bytes().any(|byte| byte.is_ascii_uppercase());
    let parsed = if mixed {
        Address::parse_checksummed(text, None).map_err(|_| {
            "the checksum does not match: a letter is mistyped, or write the address in lower case"
        })
    } else {
        text.parse::<Address>().map_err(|_| "not an address")
    };
    parsed.map_err(Error::invalid_address)
}

/// The one spelling under which an address is kept: `0x` and digits in lower case.
#[must_use]
pub fn canonical(address: &Address) -> String {
    format!("{address:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanhost_plugin_api::ErrorKind;

    #[test]
    fn spellings_of_one_address_have_one_form() {
        let lower = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
        for text in [
            lower,
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
        ] {
            assert_eq!(canonical(&parse_address(text).unwrap()), lower);
        }
        // Digits alone have no case.
        let digits = "0x1111111111111111111111111111111111111111";
        assert_eq!(canonical(&parse_address(digits).unwrap()), digits);
    }

    #[test]
    fn nothing_else_is_an_address() {
        for bad in [
            "",
            "0x",
            "0x12",
            "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
            " 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaéd",
            // One letter of the checksum is in the wrong case.
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            "B8UwBUUnKwCyKuGMbFKWaG7exYdDk2ozZrPg72NyVbfj",
        ] {
            let error = parse_address(bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidAddress, "{bad:?}");
        }
    }
}
