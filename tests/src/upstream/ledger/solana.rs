//! Told balances of a Solana cluster.

use std::collections::HashMap;

use alloy::primitives::U256;
use solana_pubkey::Pubkey;

use super::Blocks;
use super::past::Past;

/// The legacy token program.
pub const TOKEN_PROGRAM: Pubkey =
    Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// The Token-2022 program.
pub const TOKEN_2022_PROGRAM: Pubkey =
    Pubkey::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
/// The program that derives associated token accounts.
pub const ATA_PROGRAM: Pubkey =
    Pubkey::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");

/// A Solana cluster with its wallets, mints and token accounts.
#[derive(Clone, Debug)]
pub struct SolanaLedger {
    /// Hash of the genesis block in base58.
    pub genesis: String,
    /// The chain; its heights are slots.
    pub blocks: Blocks,
    /// Lamports of wallets; a wallet that is not here does not exist.
    pub lamports: HashMap<Pubkey, u64>,
    mints: HashMap<Pubkey, Mint>,
    accounts: HashMap<Pubkey, TokenAccount>,
    by_owner: HashMap<Pubkey, Vec<Pubkey>>,
    past_lamports: Past<Pubkey, Option<u64>>,
    past_accounts: Past<Pubkey, Option<TokenAccount>>,
}

/// A mint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// Symbol, for [`super::Ledger::amount_of`]; the chain does not know it.
    pub symbol: String,
    /// Decimals.
    pub decimals: u8,
    /// [`TOKEN_PROGRAM`] or [`TOKEN_2022_PROGRAM`].
    pub program: Pubkey,
}

/// A token account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAccount {
    /// Its mint.
    pub mint: Pubkey,
    /// The wallet that it belongs to.
    pub owner: Pubkey,
    /// Base units.
    pub amount: u64,
    /// Whether it is frozen; a frozen balance is a balance.
    pub frozen: bool,
}

/// The associated token account of a wallet, a mint and the mint's program.
#[must_use]
pub fn associated_account(wallet: &Pubkey, mint: &Pubkey, program: &Pubkey) -> Pubkey {
    let seeds: [&[u8]; 3] = [wallet.as_ref(), program.as_ref(), mint.as_ref()];
    Pubkey::find_program_address(&seeds, &ATA_PROGRAM).0
}

// === impl SolanaLedger ===

impl SolanaLedger {
    /// The genesis hash of mainnet-beta.
    pub const MAINNET_GENESIS: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
    /// The genesis hash of devnet.
    pub const DEVNET_GENESIS: &str = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG";

    /// A cluster on which nobody holds anything.
    #[must_use]
    pub fn new(genesis: &str, slot: u64) -> Self {
        Self {
            genesis: genesis.to_owned(),
            blocks: Blocks::at(slot),
            lamports: HashMap::new(),
            mints: HashMap::new(),
            accounts: HashMap::new(),
            by_owner: HashMap::new(),
            past_lamports: Past::default(),
            past_accounts: Past::default(),
        }
    }

    /// Adds a mint.
    pub fn add_mint(&mut self, mint: Pubkey, symbol: &str, decimals: u8, program: Pubkey) {
        let symbol = symbol.to_owned();
        let known = Mint {
            symbol,
            decimals,
            program,
        };
        self.mints.insert(mint, known);
    }

    /// Sets the balance of a wallet's associated account, which exists from then on, with 0 too.
    ///
    /// # Panics
    ///
    /// When the mint was not added before: a test that forgot it would test nothing.
    pub fn set_token(&mut self, owner: Pubkey, mint: Pubkey, amount: u64) -> Pubkey {
        let program = self.mints.get(&mint).expect("the mint was added").program;
        let address = associated_account(&owner, &mint, &program);
        let account = TokenAccount {
            mint,
            owner,
            amount,
            frozen: false,
        };
        self.set_account(address, account);
        address
    }

    /// Sets a token account at any address, also one that is not associated.
    pub fn set_account(&mut self, address: Pubkey, account: TokenAccount) {
        if self.accounts.insert(address, account).is_none() {
            self.by_owner
                .entry(account.owner)
                .or_default()
                .push(address);
        }
    }

    /// Lets the block of a slot change the balance of a wallet. Below it reads what was told
    /// before, also while the chain has not come so far.
    ///
    /// # Panics
    ///
    /// When a later slot changed it already.
    pub fn change(&mut self, wallet: Pubkey, slot: u64, lamports: u64) {
        let held = self.lamports.insert(wallet, lamports);
        self.past_lamports.keep(wallet, slot, held);
    }

    /// As [`change`](Self::change), of a wallet's associated account.
    ///
    /// # Panics
    ///
    /// When a later slot changed it already, or the mint was not added before.
    pub fn change_token(&mut self, owner: Pubkey, mint: Pubkey, slot: u64, amount: u64) {
        let program = self.mints.get(&mint).expect("the mint was added").program;
        let address = associated_account(&owner, &mint, &program);
        let held = self.account(&address).copied();
        self.past_accounts.keep(address, slot, held);
        self.set_token(owner, mint, amount);
    }

    /// The lamports of a wallet when a slot was the newest; `None` where there is no wallet.
    #[must_use]
    pub fn lamports_at(&self, wallet: &Pubkey, slot: u64) -> Option<u64> {
        let past = self.past_lamports.at(wallet, slot);
        past.unwrap_or_else(|| self.lamports.get(wallet).copied())
    }

    /// A token account when a slot was the newest.
    #[must_use]
    pub fn account_at(&self, address: &Pubkey, slot: u64) -> Option<TokenAccount> {
        let past = self.past_accounts.at(address, slot);
        past.unwrap_or_else(|| self.account(address).copied())
    }

    /// A mint by its address.
    #[must_use]
    pub fn mint(&self, address: &Pubkey) -> Option<&Mint> {
        self.mints.get(address)
    }

    /// A token account by its address.
    #[must_use]
    pub fn account(&self, address: &Pubkey) -> Option<&TokenAccount> {
        self.accounts.get(address)
    }

    /// The token accounts of a wallet, oldest first.
    pub fn accounts_of(&self, owner: &Pubkey) -> impl Iterator<Item = (Pubkey, &TokenAccount)> {
        let addresses = self.by_owner.get(owner).into_iter().flatten();
        let accounts = addresses.map(|address| (*address, self.accounts.get(address)));
        accounts.filter_map(|(address, account)| Some((address, account?)))
    }

    /// The sum of all accounts of a mint.
    #[must_use]
    pub fn supply(&self, mint: &Pubkey) -> u64 {
        let accounts = self.accounts.values();
        accounts
            .filter(|account| account.mint == *mint)
            .fold(0, |sum, account| sum.saturating_add(account.amount))
    }

    pub(super) fn amount_of(&self, address: &str, asset: &str) -> Option<U256> {
        let wallet: Pubkey = address.parse().ok()?;
        if asset == "SOL" {
            let lamports = self.lamports.get(&wallet).copied();
            return Some(U256::from(lamports.unwrap_or_default()));
        }
        let by_address = asset
            .parse()
            .ok()
            .and_then(|key| self.mints.get_key_value(&key));
        let by_symbol = || self.mints.iter().find(|(_, mint)| mint.symbol == asset);
        let (mint, known) = by_address.or_else(by_symbol)?;
        let account = self.account(&associated_account(&wallet, mint, &known.program));
        Some(U256::from(account.map_or(0, |account| account.amount)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_accounts_equal_the_published_vectors() {
        #[track_caller]
        fn check(owner: &str, mint: &str, expected: &str) {
            let [owner, mint] = [owner, mint].map(|key| key.parse().unwrap());
            let account = associated_account(&owner, &mint, &TOKEN_PROGRAM);
            assert_eq!(account.to_string(), expected);
        }
        const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
        const USDT: &str = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB";
        check(
            "B8UwBUUnKwCyKuGMbFKWaG7exYdDk2ozZrPg72NyVbfj",
            "7o36UsWR1JQLpZ9PE2gn9L4SQ69CNNiWAXd4Jt7rqz9Z",
            "DShWnroshVbeUp28oopA3Pu7oFPDBtC1DBmPECXXAQ9n",
        );
        let wallet = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
        check(wallet, USDC, "5N3f1tj9v1vc5TUZ8S7mCAnVmjVKrfnzXWhxLaxyZAgt");
        check(wallet, USDT, "6pXYguUixhfdydHDMgsvSy3sAWjStL2eEYh4KeYJAUDk");
        check(
            "7oPa2PHQdZmjSPqvpZN7MQxnC7Dcf3uL7oRqPdkEg2tz",
            USDC,
            "3J9yoYf2Rb8ZBgUKnDrb2AgzQS8axSe4nVCQvpdoAC6Y",
        );
    }

    #[test]
    fn the_two_token_programs_derive_different_accounts() {
        let [wallet, mint] = [
            Pubkey::new_from_array([7; 32]),
            Pubkey::new_from_array([9; 32]),
        ];
        let legacy = associated_account(&wallet, &mint, &TOKEN_PROGRAM);
        assert_ne!(
            legacy,
            associated_account(&wallet, &mint, &TOKEN_2022_PROGRAM)
        );
    }

    #[test]
    fn genesis_hashes_are_32_bytes() {
        for genesis in [SolanaLedger::MAINNET_GENESIS, SolanaLedger::DEVNET_GENESIS] {
            assert!(genesis.parse::<Pubkey>().is_ok(), "{genesis}");
        }
    }
}
