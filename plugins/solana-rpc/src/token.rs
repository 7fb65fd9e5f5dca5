//! Mints and token accounts of both token programs, read from their bytes.

use scanhost_plugin_api::{Error, ErrorKind};
use solana_pubkey::{Pubkey, pubkey};

use crate::wire::Account;

const TOKEN: Pubkey = pubkey!("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const TOKEN_2022: Pubkey = pubkey!("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ASSOCIATED_TOKEN: Pubkey = pubkey!("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");

/// Bytes of a mint that say whether it is one: the base layout, and where Token-2022 extends it,
/// the account type behind the length of a token account.
pub(crate) const MINT_SLICE: usize = ACCOUNT_TYPE + 1;
/// Bytes of a token account up to and including its state.
pub(crate) const HOLDING_SLICE: usize = 109;

const MINT_LENGTH: usize = 82;
const HOLDING_LENGTH: u64 = 165;
const ACCOUNT_TYPE: usize = 165;
const ACCOUNT_TYPE_MINT: u8 = 1;
const INITIALIZED: u8 = 1;
const FROZEN: u8 = 2;

/// A token as its mint tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mint {
    pub(crate) address: Pubkey,
    pub(crate) program: Pubkey,
    pub(crate) decimals: u8,
}

impl Mint {
    /// The mint in the account at `address`; `None` is no account.
    ///
    /// An account that is no mint is a matter of the configuration, not a fault of the provider.
    pub(crate) fn read(address: Pubkey, account: Option<&Account>) -> Result<Self, Error> {
        let refused = |what: &str| {
            let message = format!("{what} at `{address}`: check the mint and the chain's endpoint");
            Error::new(ErrorKind::Refused, message)
        };
        let account = account.ok_or_else(|| refused("there is no account"))?;
        if account.owner != TOKEN && account.owner != TOKEN_2022 {
            return Err(refused("there is no mint but another program's account"));
        }
        let data = &account.data;
        let extended = account.owner == TOKEN_2022
            && data.len() >= MINT_SLICE
            && data[ACCOUNT_TYPE] == ACCOUNT_TYPE_MINT;
        if data.len() != MINT_LENGTH && !extended {
            return Err(refused("there is no mint but another token account"));
        }
        if data[45] != INITIALIZED {
            return Err(refused("there is a mint that is not initialized"));
        }
        Ok(Self {
            address,
            program: account.owner,
            decimals: data[44],
        })
    }

    /// [`DecimalsMismatch`](ErrorKind::DecimalsMismatch) unless the mint has `decimals`.
    pub(crate) fn check_decimals(&self, decimals: u8) -> Result<(), Error> {
        if self.decimals == decimals {
            return Ok(());
        }
        let message = format!(
            "the mint `{}` has {} decimals, the configuration says {decimals}",
            self.address, self.decimals
        );
        Err(Error::new(ErrorKind::DecimalsMismatch, message))
    }

    /// Address of the wallet's associated token account.
    pub(crate) fn associated(&self, wallet: &Pubkey) -> Result<Pubkey, Error> {
        let seeds = [
            wallet.as_ref(),
            self.program.as_ref(),
            self.address.as_ref(),
        ];
        match Pubkey::try_find_program_address(&seeds, &ASSOCIATED_TOKEN) {
            Some((address, _)) => Ok(address),
            None => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "`{wallet}` has no associated account for `{}`",
                    self.address
                ),
            )),
        }
    }

    /// What the token account holds, after checking that it is this wallet's and this token's: an
    /// associated account can be handed to another owner.
    pub(crate) fn holding(&self, wallet: &Pubkey, account: &Account) -> Result<u64, Error> {
        let malformed = |what: String| Error::malformed(format!("a token account {what}"));
        if account.owner != self.program {
            return Err(malformed(format!("of the program `{}`", account.owner)));
        }
        if account.space.is_some_and(|space| space < HOLDING_LENGTH) {
            return Err(malformed("shorter than one is".to_owned()));
        }
        let data: &[u8; HOLDING_SLICE] = account.data.first_chunk().ok_or_else(|| {
            malformed(format!(
                "of {} bytes instead of {HOLDING_SLICE}",
                account.data.len()
            ))
        })?;
        if data[..32] != self.address.to_bytes() {
            return Err(malformed("of another mint".to_owned()));
        }
        if data[32..64] != wallet.to_bytes() {
            return Err(malformed("that another wallet owns".to_owned()));
        }
        if !matches!(data[108], INITIALIZED | FROZEN) {
            return Err(malformed(format!("in state {}", data[108])));
        }
        let amount = data[64..72].try_into().expect("eight bytes");
        Ok(u64::from_le_bytes(amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_accounts_have_the_known_addresses() {
        const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
        const USDT: &str = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB";
        // The first is the vector of the SPL token library's own tests.
        for (wallet, mint, expected) in [
            (
                "B8UwBUUnKwCyKuGMbFKWaG7exYdDk2ozZrPg72NyVbfj",
                "7o36UsWR1JQLpZ9PE2gn9L4SQ69CNNiWAXd4Jt7rqz9Z",
                "DShWnroshVbeUp28oopA3Pu7oFPDBtC1DBmPECXXAQ9n",
            ),
            (
                "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
                USDC,
                "5N3f1tj9v1vc5TUZ8S7mCAnVmjVKrfnzXWhxLaxyZAgt",
            ),
            (
                "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
                USDT,
                "6pXYguUixhfdydHDMgsvSy3sAWjStL2eEYh4KeYJAUDk",
            ),
            (
                "7oPa2PHQdZmjSPqvpZN7MQxnC7Dcf3uL7oRqPdkEg2tz",
                USDC,
                "3J9yoYf2Rb8ZBgUKnDrb2AgzQS8axSe4nVCQvpdoAC6Y",
            ),
        ] {
            let wallet = wallet.parse().unwrap();
            let mut token = Mint {
                address: mint.parse().unwrap(),
                program: TOKEN,
                decimals: 6,
            };
            assert_eq!(token.associated(&wallet).unwrap().to_string(), expected);
            token.program = TOKEN_2022;
            assert_ne!(token.associated(&wallet).unwrap().to_string(), expected);
        }
    }
}
