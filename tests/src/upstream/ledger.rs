//! What the simulated chains hold: told balances, and blocks that may grow with time.

mod bitcoin;
mod evm;
mod past;
mod seeded;
mod solana;

pub(crate) use self::bitcoin::genesis;
pub use self::bitcoin::{BitcoinLedger, Stats, Tally};
pub use self::evm::{EvmLedger, Token};
pub use self::seeded::{Seeded, SeededAsset};
pub use self::solana::{
    ATA_PROGRAM, Mint, SolanaLedger, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, TokenAccount,
    associated_account,
};

use std::collections::BTreeMap;

use ::bitcoin::hashes::{Hash, sha256};
use alloy::primitives::U256;

/// One chain's truth, shared by all hosts that serve it.
#[derive(Clone, Debug)]
pub enum Ledger {
    /// For Esplora hosts.
    Bitcoin(BitcoinLedger),
    /// For JSON-RPC and Etherscan hosts.
    Evm(EvmLedger),
    /// For Solana hosts.
    Solana(SolanaLedger),
}

/// The chain of blocks (on Solana: slots) of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Height at `since_ms`.
    pub height: u64,
    /// When the chain stood at `height`, in milliseconds since 1970.
    pub since_ms: i64,
    /// Milliseconds from block to block; 0 is a chain that stands still.
    pub block_ms: u64,
    /// Each reorganisation, as the first height whose block was replaced.
    pub forks: Vec<u64>,
    /// The transactions handed in, by id.
    pub transactions: BTreeMap<String, Transaction>,
}

/// A transaction that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Height when it was handed in; the block after it has the transaction.
    pub seen: u64,
    /// Never gets into a block.
    pub stuck: bool,
    /// Gets into a block and fails there; Bitcoin has no such thing.
    pub reverted: bool,
}

// === impl Ledger ===

impl Ledger {
    /// What an address holds in the end, in the smallest unit; `None` when the asset does not exist here.
    ///
    /// `asset` is the native symbol (`BTC`, `BNB`, `SOL`), a token's symbol, or its contract. An
    /// address of which the ledger was told nothing holds zero. Bitcoin's is the confirmed part.
    #[must_use]
    pub fn amount_of(&self, address: &str, asset: &str) -> Option<U256> {
        match self {
            Self::Bitcoin(ledger) => {
                (asset == "BTC").then(|| U256::from(ledger.stats(address).confirmed()))
            }
            Self::Evm(ledger) => ledger.amount_of(address, asset),
            Self::Solana(ledger) => ledger.amount_of(address, asset),
        }
    }

    /// The chain's blocks.
    #[must_use]
    pub fn blocks(&self) -> &Blocks {
        match self {
            Self::Bitcoin(ledger) => &ledger.blocks,
            Self::Evm(ledger) => &ledger.blocks,
            Self::Solana(ledger) => &ledger.blocks,
        }
    }

    /// The chain's blocks, to move or to reorganise them.
    pub fn blocks_mut(&mut self) -> &mut Blocks {
        match self {
            Self::Bitcoin(ledger) => &mut ledger.blocks,
            Self::Evm(ledger) => &mut ledger.blocks,
            Self::Solana(ledger) => &mut ledger.blocks,
        }
    }

    /// What the chain says of itself: the hash of block 0, the chain id, the genesis hash.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Bitcoin(ledger) => ledger.genesis(),
            Self::Evm(ledger) => ledger.chain_id.to_string(),
            Self::Solana(ledger) => ledger.genesis.clone(),
        }
    }
}

impl From<BitcoinLedger> for Ledger {
    fn from(ledger: BitcoinLedger) -> Self {
        Self::Bitcoin(ledger)
    }
}

impl From<EvmLedger> for Ledger {
    fn from(ledger: EvmLedger) -> Self {
        Self::Evm(ledger)
    }
}

impl From<SolanaLedger> for Ledger {
    fn from(ledger: SolanaLedger) -> Self {
        Self::Solana(ledger)
    }
}

// === impl Blocks ===

impl Blocks {
    /// A chain that stands still.
    #[must_use]
    pub fn at(height: u64) -> Self {
        Self {
            height,
            since_ms: 0,
            block_ms: 0,
            forks: Vec::new(),
            transactions: BTreeMap::new(),
        }
    }

    /// The height of the newest block.
    #[must_use]
    pub fn height_at(&self, now_ms: i64) -> u64 {
        let passed_ms = u64::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or(0);
        let grown = passed_ms.checked_div(self.block_ms);
        self.height.saturating_add(grown.unwrap_or(0))
    }

    /// Hands in a transaction; a known one stays as it is.
    pub fn hand_in(&mut self, id: String, now_ms: i64) {
        let seen = self.height_at(now_ms);
        self.transactions.entry(id).or_insert(Transaction {
            seen,
            stuck: false,
            reverted: false,
        });
    }

    /// The height of the block that has the transaction, if that is not above `tip`.
    #[must_use]
    pub fn mined(&self, id: &str, tip: u64) -> Option<u64> {
        let transaction = self
            .transactions
            .get(id)
            .filter(|transaction| !transaction.stuck)?;
        let height = transaction.seen.saturating_add(1);
        (height <= tip).then_some(height)
    }

    /// When a block was made, in seconds since 1970.
    #[must_use]
    pub fn time_s(&self, height: u64) -> i64 {
        const SPACING_OF_A_STANDING_CHAIN_MS: u64 = 1000;
        let spacing_ms = match self.block_ms {
            0 => SPACING_OF_A_STANDING_CHAIN_MS,
            block_ms => block_ms,
        };
        let as_ms = |blocks: u64| i64::try_from(blocks.saturating_mul(spacing_ms)).unwrap_or(0);
        let after_ms = as_ms(height.saturating_sub(self.height));
        let before_ms = as_ms(self.height.saturating_sub(height));
        self.since_ms
            .saturating_add(after_ms)
            .saturating_sub(before_ms)
            .div_euclid(1000)
    }

    /// The hash of a block in hex; it ends with the height, so that it can be looked up.
    #[must_use]
    pub fn hash(&self, height: u64) -> String {
        let fork = self.forks.iter().filter(|start| **start <= height).count();
        let digest = sha256::Hash::hash(format!("block {height} of fork {fork}").as_bytes());
        let digest = digest.to_string();
        format!("0000{}{height:016x}", &digest[..44])
    }

    /// The height of a block by its hash; `None` for a block that is not part of this chain.
    #[must_use]
    pub fn height_of(&self, hash: &str) -> Option<u64> {
        let height = u64::from_str_radix(hash.get(48..64)?, 16).ok()?;
        (self.hash(height) == hash).then_some(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_grows_with_time_or_stands_still() {
        let mut blocks = Blocks::at(100);
        assert_eq!(blocks.height_at(1_000_000), 100);
        blocks.block_ms = 450;
        blocks.since_ms = 1000;
        assert_eq!(blocks.height_at(0), 100);
        assert_eq!(blocks.height_at(1000 + 4500), 110);
    }

    #[test]
    fn a_reorganisation_changes_the_hashes_from_its_first_block_on() {
        let mut blocks = Blocks::at(100);
        let before = [blocks.hash(97), blocks.hash(98)];
        blocks.forks.push(98);
        assert_eq!(blocks.hash(97), before[0]);
        assert_ne!(blocks.hash(98), before[1]);
        assert_eq!(blocks.hash(98).len(), 64);
        assert_eq!(blocks.height_of(&before[1]), None);
        assert_eq!(blocks.height_of(&blocks.hash(98)), Some(98));
    }
}
