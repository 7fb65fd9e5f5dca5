//! Amounts of 256 bits, read strictly.

use crate::Error;

/// An unsigned amount in the smallest unit: 256 bits, big-endian.
///
/// There is no default and no lenient parse: what is not exactly a number is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub [u8; 32]);

impl Amount {
    /// From a decimal number as text: digits only.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) for anything else, and above 256 bits.
    pub fn from_decimal(text: &str) -> Result<Self, Error> {
        Self::from_digits(text, text, 10)
    }

    /// From a JSON-RPC quantity: `0x` and hex digits, at least one.
    ///
    /// Source: Ethereum execution-apis, "quantity"; leading zeros are let pass, as some nodes
    /// send them.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) for anything else (`0x` alone is no zero), and
    /// above 256 bits.
    pub fn from_hex_quantity(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix("0x").ok_or_else(|| not_an_amount(text))?;
        Self::from_digits(text, digits, 16)
    }

    /// From exactly 32 big-endian bytes, the ABI encoding of a `uint256`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) for any other length: no bytes are no zero.
    pub fn from_word(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self).map_err(|_| {
            Error::malformed(format!("an amount of {} bytes instead of 32", bytes.len()))
        })
    }

    fn from_digits(whole: &str, digits: &str, radix: u32) -> Result<Self, Error> {
        let too_large = || Error::malformed(format!("`{}` exceeds 256 bits", shortened(whole)));
        let mut amount = [0_u8; 32];
        if digits.is_empty() {
            return Err(not_an_amount(whole));
        }
        for digit in digits.chars() {
            let mut carry = digit.to_digit(radix).ok_or_else(|| not_an_amount(whole))?;
            for byte in amount.iter_mut().rev() {
                carry += u32::from(*byte) * radix;
                *byte = u8::try_from(carry & 0xff).expect("one byte is left");
                carry >>= 8;
            }
            if carry != 0 {
                return Err(too_large());
            }
        }
        Ok(Self(amount))
    }
}

impl From<u64> for Amount {
    fn from(amount: u64) -> Self {
        u128::from(amount).into()
    }
}

impl From<u128> for Amount {
    fn from(amount: u128) -> Self {
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&amount.to_be_bytes());
        Self(bytes)
    }
}

fn not_an_amount(text: &str) -> Error {
    Error::malformed(format!("`{}` is not an amount", shortened(text)))
}

/// At most 80 characters of `text` on one line, for messages.
pub(crate) fn shortened(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(80)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// A parser's words: what was found stands at their beginning, what was expected and where at
/// their end, and between them may be a whole body.
pub(crate) fn clipped(error: &impl std::fmt::Display) -> String {
    const HEAD: usize = 100;
    const TAIL: usize = 100;
    let text = error.to_string();
    let length = text.chars().count();
    if length <= HEAD + TAIL {
        return text;
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(length - TAIL).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsers_words_do_not_carry_a_body() {
        let body = format!("\"{}\"", "x".repeat(20_000));
        let error = serde_json::from_str::<u64>(&body).unwrap_err();
        let told = clipped(&error);
        assert!(told.starts_with("invalid type: string \"xxx"), "{told}");
        assert!(
            told.ends_with("expected u64 at line 1 column 20002"),
            "{told}"
        );
        assert_eq!(told.chars().count(), 201);
        let short = serde_json::from_str::<u64>("{}").unwrap_err();
        assert_eq!(clipped(&short), short.to_string());
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(Amount::from_decimal("0").unwrap(), Amount::from(0_u64));
        assert_eq!(Amount::from_decimal("40891626854930000000000").unwrap(), {
            Amount::from(40_891_626_854_930_000_000_000_u128)
        });
        assert_eq!(
            Amount::from_hex_quantity("0x2a").unwrap(),
            Amount::from(42_u64)
        );
        assert_eq!(
            Amount::from_hex_quantity("0x0").unwrap(),
            Amount::from(0_u64)
        );
        let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(Amount::from_decimal(max).unwrap(), Amount([0xff; 32]));
    }

    #[test]
    fn nothing_else_is_a_number() {
        let over = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        for bad in [
            "", " 1", "1 ", "-1", "+1", "1.0", "1e3", "0x1", "null", "１", over,
        ] {
            assert!(
                Amount::from_decimal(bad).is_err(),
                "{bad:?} was taken for a number"
            );
        }
        let over = format!("0x1{}", "0".repeat(64));
        for bad in ["", "0x", "2a", "0xg", "0x-1", "0X1", "0x 1", &over] {
            assert!(
                Amount::from_hex_quantity(bad).is_err(),
                "{bad:?} was taken for a number"
            );
        }
        for length in [0, 31, 33, 64] {
            assert!(Amount::from_word(&vec![0; length]).is_err());
        }
    }
}
