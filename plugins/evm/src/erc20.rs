//! The two calls of an ERC-20 token that a scan needs.

use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use scanhost_plugin_api::{Amount, Error, ErrorKind};

use crate::canonical;

mod abi {
    alloy::sol! {
        interface Erc20 {
            function balanceOf(address holder) external view returns (uint256);
            function decimals() external view returns (uint8);
        }
    }
}
use abi::Erc20;

/// The data of `balanceOf(holder)`.
#[must_use]
pub fn balance_of(holder: Address) -> Vec<u8> {
    Erc20::balanceOfCall { holder }.abi_encode()
}

/// The data of `decimals()`.
#[must_use]
pub fn decimals() -> Vec<u8> {
    Erc20::decimalsCall {}.abi_encode()
}

/// The one word that a call of `token` returned.
///
/// # Errors
///
/// [`Refused`](ErrorKind::Refused) for any other length: the contract answers so, and another
/// question would not. A call of an address without code succeeds and returns nothing, which is no
/// zero.
pub fn token_word(token: &Address, returned: &[u8]) -> Result<Amount, Error> {
    let token = canonical(token);
    let message = match returned.len() {
        32 => return Amount::from_word(returned),
        0 => format!("no contract at {token}: check the asset's `contract` and the chain"),
        length => format!("{token} returned {length} bytes instead of 32: not an ERC-20 token"),
    };
    Err(Error::new(ErrorKind::Refused, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn calls_are_encoded_as_tokens_expect() {
        assert_eq!(hex(&decimals()), "0x313ce567");
        assert_eq!(
            hex(&balance_of(Address::repeat_byte(0x11))),
            "0x70a082310000000000000000000000001111111111111111111111111111111111111111"
        );
    }

    #[test]
    fn no_bytes_are_no_zero() {
        let token = Address::repeat_byte(0x22);
        let error = token_word(&token, &[]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("no contract at 0x2222"));
        for length in [1, 31, 33, 64] {
            let error = token_word(&token, &vec![0; length]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused);
        }
        assert!(token_word(&token, &[0; 32]).is_ok());
    }
}
