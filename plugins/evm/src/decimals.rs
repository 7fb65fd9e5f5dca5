//! The decimals that a chain gives for its tokens, read once per contract.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use alloy::primitives::Address;
use scanhost_plugin_api::{Amount, Error, ErrorKind};

use crate::{canonical, wire};

/// What is known of the tokens' decimals. A contract's decimals do not change.
#[derive(Debug, Default)]
pub struct Decimals {
    by_token: Mutex<HashMap<Address, u8>>,
}

impl Decimals {
    /// The decimals of `token`, where they were learned.
    #[must_use]
    pub fn get(&self, token: &Address) -> Option<u8> {
        let by_token = self.by_token.lock();
        let by_token = by_token.unwrap_or_else(PoisonError::into_inner);
        by_token.get(token).copied()
    }

    /// Learns what `decimals()` of `token` returned.
    ///
    /// # Errors
    ///
    /// [`Refused`](ErrorKind::Refused) above 255, by which it is no token; nothing is learned.
    pub fn learn(&self, token: Address, word: &Amount) -> Result<u8, Error> {
        let decimals = wire::from_amount(word).ok();
        let decimals = decimals.and_then(|decimals| u8::try_from(decimals).ok());
        let decimals = decimals.ok_or_else(|| {
            let token = canonical(&token);
            let message = format!("the decimals of {token} exceed 255: not an ERC-20 token");
            Error::new(ErrorKind::Refused, message)
        })?;
        let by_token = self.by_token.lock();
        let mut by_token = by_token.unwrap_or_else(PoisonError::into_inner);
        by_token.insert(token, decimals);
        Ok(decimals)
    }
}

/// Compares the decimals that the configuration gives with the chain's.
///
/// # Errors
///
/// [`DecimalsMismatch`](ErrorKind::DecimalsMismatch), naming both.
pub fn check_decimals(token: &Address, configured: u8, chain: u8) -> Result<(), Error> {
    if configured == chain {
        return Ok(());
    }
    let message = format!(
        "{} has {chain} decimals on the chain but {configured} in the configuration",
        canonical(token)
    );
    Err(Error::new(ErrorKind::DecimalsMismatch, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_learned_once_and_compared() {
        let token = Address::repeat_byte(1);
        let decimals = Decimals::default();
        assert_eq!(decimals.get(&token), None);
        assert!(decimals.learn(token, &Amount::from(256_u64)).is_err());
        assert!(decimals.learn(token, &Amount([0xff; 32])).is_err());
        assert_eq!(decimals.get(&token), None);
        assert_eq!(decimals.learn(token, &Amount::from(18_u64)).unwrap(), 18);
        assert_eq!(decimals.get(&token), Some(18));
        assert!(check_decimals(&token, 18, 18).is_ok());
        let error = check_decimals(&token, 6, 18).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DecimalsMismatch);
        assert!(error.message.contains("18 decimals") && error.message.contains("but 6"));
    }
}
