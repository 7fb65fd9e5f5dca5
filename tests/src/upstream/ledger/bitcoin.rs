//! Bitcoin's told balances.

use std::collections::HashMap;

use bitcoin::Network;

use super::Blocks;
use super::past::Past;

/// A Bitcoin network with its addresses' statistics.
#[derive(Clone, Debug)]
pub struct BitcoinLedger {
    /// Which addresses are valid, and which block is block 0.
    pub network: Network,
    /// The chain.
    pub blocks: Blocks,
    addresses: HashMap<String, Stats>,
    past: Past<String, Stats>,
}

/// What Esplora tells of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Of confirmed transactions.
    pub chain: Tally,
    /// Of unconfirmed transactions.
    pub mempool: Tally,
}

/// Sums over an address's transactions; amounts in satoshis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Outputs received.
    pub funded_txo_count: u64,
    /// Amount received.
    pub funded_txo_sum: u64,
    /// Outputs spent.
    pub spent_txo_count: u64,
    /// Amount spent.
    pub spent_txo_sum: u64,
    /// Transactions.
    pub tx_count: u64,
}

// === impl BitcoinLedger ===

impl BitcoinLedger {
    /// A network on which no address was ever used.
    #[must_use]
    pub fn new(network: Network, height: u64) -> Self {
        Self {
            network,
            blocks: Blocks::at(height),
            addresses: HashMap::new(),
            past: Past::default(),
        }
    }

    /// Tells the statistics of an address.
    pub fn set(&mut self, address: &str, stats: Stats) {
        self.addresses.insert(canonical(address), stats);
    }

    /// Tells a confirmed balance that was never spent from.
    pub fn set_confirmed(&mut self, address: &str, sats: u64) {
        self.set(address, Stats::confirmed_only(sats));
    }

    /// Lets the block at `height` change the statistics of an address. Below it reads what was
    /// told before, also while the chain has not come so far.
    ///
    /// # Panics
    ///
    /// When a later block changed them already.
    pub fn change(&mut self, address: &str, height: u64, stats: Stats) {
        let address = canonical(address);
        let held = self.addresses.insert(address.clone(), stats);
        self.past.keep(address, height, held.unwrap_or_default());
    }

    /// The statistics of an address when the block at `height` was the newest.
    #[must_use]
    pub fn stats_at(&self, address: &str, height: u64) -> Stats {
        let past = self.past.at(&canonical(address), height);
        past.unwrap_or_else(|| self.stats(address))
    }

    /// The statistics of an address in the end; all zero when it was never used.
    #[must_use]
    pub fn stats(&self, address: &str) -> Stats {
        let stats = self.addresses.get(&canonical(address));
        stats.copied().unwrap_or_default()
    }

    /// All addresses of which something was told, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, Stats)> {
        self.addresses
            .iter()
            .map(|(address, stats)| (&**address, *stats))
    }

    /// The hash of block 0.
    #[must_use]
    pub fn genesis(&self) -> String {
        genesis(self.network)
    }
}

/// The hash of a network's block 0.
pub(crate) fn genesis(network: Network) -> String {
    let block = bitcoin::constants::genesis_block(network);
    block.block_hash().to_string()
}

/// Bech32 is the same in upper and lower case, base58 is not.
fn canonical(address: &str) -> String {
    let bech32 = ["bc1", "tb1", "bcrt1"].iter().any(|prefix| {
        let start = address.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    if bech32 {
        address.to_ascii_lowercase()
    } else {
        address.to_owned()
    }
}

// === impl Stats ===

impl Stats {
    /// One confirmed output of this amount; all zero for 0.
    #[must_use]
    pub fn confirmed_only(sats: u64) -> Self {
        let used = u64::from(sats > 0);
        let chain = Tally {
            funded_txo_count: used,
            funded_txo_sum: sats,
            tx_count: used,
            ..Tally::default()
        };
        Self {
            chain,
            mempool: Tally::default(),
        }
    }

    /// The confirmed balance.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        let Tally {
            funded_txo_sum,
            spent_txo_sum,
            ..
        } = self.chain;
        funded_txo_sum.saturating_sub(spent_txo_sum)
    }

    /// What the mempool would change; negative when confirmed coins are being spent.
    #[must_use]
    pub fn pending(&self) -> i128 {
        i128::from(self.mempool.funded_txo_sum) - i128::from(self.mempool.spent_txo_sum)
    }
}
