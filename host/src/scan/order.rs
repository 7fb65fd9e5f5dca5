//! Which addresses of a list are asked for first.
//!
//! The list is streamed once for each turn, and each turn takes the addresses that it is for, by what
//! the ledger knows of them at that moment. The last turn takes whatever is left, so every address is
//! taken once, whatever else is read meanwhile. What is kept is one bit per address.

use std::sync::Arc;

use crate::config::ScanOrder;
use crate::ledger::{Ledger, LedgerError, Standing};
use crate::model::{Asset, ChainName};

/// The turns in which a list is gone through.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Before the last turn, which is for all that is left.
    turns: Vec<Turn>,
    turn: usize,
    /// Addresses of the list that were passed in this turn.
    passed: usize,
    /// One bit per address: it had its turn.
    taken: Vec<u64>,
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Addresses with a cell that was never known.
    NeverKnown,
    /// Addresses with a cell that was last read before then.
    ReadBefore(i64),
    /// Addresses with a balance above zero.
    Funded,
}

// === impl Order ===

impl Order {
    /// The turns of an order. `last_pass` is when the last pass of the chain began, in milliseconds
    /// since 1970: what was not read since then is what that pass missed.
    #[must_use]
    pub fn new(order: ScanOrder, last_pass: Option<i64>) -> Self {
        let turns = match order {
            ScanOrder::List => Vec::new(),
            ScanOrder::Funded => vec![Turn::Funded],
            ScanOrder::Stale => {
                let missed = last_pass.map(Turn::ReadBefore);
                [Turn::NeverKnown].into_iter().chain(missed).collect()
            }
        };
        Self {
            turns,
            ..Self::default()
        }
    }

    /// Goes on to the next turn; `false` after the last.
    pub(super) fn next_turn(&mut self) -> bool {
        if self.turn >= self.turns.len() {
            return false;
        }
        self.turn += 1;
        self.passed = 0;
        true
    }

    /// Of these addresses, which stand in the list behind those that were passed, the ones whose
    /// turn it is.
    pub(super) async fn choose(
        &mut self,
        addresses: Vec<Arc<str>>,
        chain: &ChainName,
        assets: &[Asset],
        ledger: &Ledger,
    ) -> Result<Vec<Arc<str>>, LedgerError> {
        if self.turns.is_empty() {
            return Ok(addresses);
        }
        let first = self.passed;
        self.passed += addresses.len();
        let left = (first..).zip(addresses);
        let left: Vec<_> = left.filter(|(place, _)| !self.is_taken(*place)).collect();
        let Some(turn) = self.turns.get(self.turn).copied() else {
            return Ok(left.into_iter().map(|(_, address)| address).collect());
        };
        let asked: Vec<&str> = left.iter().map(|(_, address)| &**address).collect();
        let keys: Vec<&str> = assets.iter().map(Asset::key).collect();
        let standings = ledger.standings(chain, &asked, &keys).await?;
        let mut chosen = Vec::new();
        for (place, address) in left {
            let standing = standings.get(&*address);
            if turn.is_for(standing, keys.len()) {
                self.take(place);
                chosen.push(address);
            }
        }
        Ok(chosen)
    }

    fn is_taken(&self, place: usize) -> bool {
        let word = self.taken.get(place / 64);
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn take(&mut self, place: usize) {
        let at = place / 64;
        if self.taken.len() <= at {
            self.taken.resize(at + 1, 0);
        }
        self.taken[at] |= 1 << (place % 64);
    }
}

// === impl Turn ===

impl Turn {
    fn is_for(self, standing: Option<&Standing>, assets: usize) -> bool {
        match (self, standing) {
            (Self::NeverKnown, None) => true,
            (Self::NeverKnown, Some(standing)) => standing.known < assets as u64,
            (Self::ReadBefore(then), Some(standing)) => standing.oldest < then,
            (Self::Funded, Some(standing)) => standing.is_funded,
            (Self::ReadBefore(_) | Self::Funded, None) => false,
        }
    }
}
