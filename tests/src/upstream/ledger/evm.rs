//! Told balances of an EVM chain.

use std::collections::HashMap;

use alloy::primitives::{Address, U256};

use super::Blocks;
use super::past::Past;

/// An EVM chain with its native balances and tokens.
#[derive(Clone, Debug)]
pub struct EvmLedger {
    /// 56 is BNB Smart Chain, 97 its testnet.
    pub chain_id: u64,
    /// Symbol of the native coin.
    pub symbol: String,
    /// Whether Multicall3 is deployed here.
    pub multicall: bool,
    /// The chain.
    pub blocks: Blocks,
    /// Native balances in wei; an address that is not here holds zero.
    pub native: HashMap<Address, U256>,
    /// Token contracts; every other address has no code.
    pub tokens: HashMap<Address, Token>,
    /// By contract, if any, and holder.
    past: Past<(Option<Address>, Address), U256>,
}

/// An ERC-20 contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// What `decimals()` answers.
    pub decimals: u8,
    /// What `symbol()` answers.
    pub symbol: String,
    /// Balances in base units; an address that is not here holds zero.
    pub balances: HashMap<Address, U256>,
}

// === impl EvmLedger ===

impl EvmLedger {
    /// A chain on which nobody holds anything, with Multicall3.
    #[must_use]
    pub fn new(chain_id: u64, symbol: &str, height: u64) -> Self {
        Self {
            chain_id,
            symbol: symbol.to_owned(),
            multicall: true,
            blocks: Blocks::at(height),
            native: HashMap::new(),
            tokens: HashMap::new(),
            past: Past::default(),
        }
    }

    /// Deploys a token.
    pub fn add_token(&mut self, contract: Address, symbol: &str, decimals: u8) -> &mut Token {
        let token = Token {
            decimals,
            symbol: symbol.to_owned(),
            balances: HashMap::new(),
        };
        self.tokens.entry(contract).insert_entry(token).into_mut()
    }

    /// Lets the block at `height` change what a holder has natively, or in a token. Below it reads
    /// what was told before, also while the chain has not come so far.
    ///
    /// # Panics
    ///
    /// When there is no such token, or a later block changed it already.
    pub fn change(
        &mut self,
        contract: Option<Address>,
        holder: Address,
        height: u64,
        amount: U256,
    ) {
        let balances = match contract {
            None => &mut self.native,
            Some(contract) => {
                let token = self.tokens.get_mut(&contract);
                &mut token.expect("the token was added").balances
            }
        };
        let held = balances.insert(holder, amount).unwrap_or_default();
        self.past.keep((contract, holder), height, held);
    }

    /// The native balance in wei when the block at `height` was the newest.
    #[must_use]
    pub fn native_at(&self, address: Address, height: u64) -> U256 {
        let past = self.past.at(&(None, address), height);
        past.unwrap_or_else(|| self.native_of(address))
    }

    /// The balance in base units of a token when the block at `height` was the newest; `None` for
    /// a contract that is none.
    #[must_use]
    pub fn token_at(&self, contract: Address, holder: Address, height: u64) -> Option<U256> {
        let token = self.tokens.get(&contract)?;
        let past = self.past.at(&(Some(contract), holder), height);
        Some(past.unwrap_or_else(|| token.balance_of(holder)))
    }

    /// The native balance in wei, in the end.
    #[must_use]
    pub fn native_of(&self, address: Address) -> U256 {
        self.native.get(&address).copied().unwrap_or_default()
    }

    pub(super) fn amount_of(&self, address: &str, asset: &str) -> Option<U256> {
        let address: Address = address.parse().ok()?;
        if asset == self.symbol {
            return Some(self.native_of(address));
        }
        let token = match asset.parse::<Address>() {
            Ok(contract) => self.tokens.get(&contract)?,
            Err(_) => self.tokens.values().find(|token| token.symbol == asset)?,
        };
        Some(token.balance_of(address))
    }
}

// === impl Token ===

impl Token {
    /// The balance in base units, in the end.
    #[must_use]
    pub fn balance_of(&self, address: Address) -> U256 {
        self.balances.get(&address).copied().unwrap_or_default()
    }
}
