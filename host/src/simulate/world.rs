//! What the scripted chain really says, and what was told of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ruint::aliases::U256;
use tokio::time::Instant;

use crate::model::Amount;

/// An address and an asset, by their indices.
pub(super) type CellIndex = (u32, u16);

/// The chain that all providers of a simulation serve.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    start: Instant,
    pass: AtomicU32,
    /// Cells that some provider told truly in this pass.
    told: Mutex<HashSet<CellIndex>>,
}

impl World {
    pub(super) fn new(seed: u64, start: Instant) -> Self {
        Self {
            seed,
            start,
            pass: AtomicU32::new(0),
            told: Mutex::default(),
        }
    }

    /// Virtual time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The pass that is under way, from 0.
    pub(super) fn pass(&self) -> u32 {
        self.pass.load(Ordering::Relaxed)
    }

    /// Every balance changes, and nothing was told of it yet.
    pub(super) fn begin_pass(&self, pass: u32) {
        self.pass.store(pass, Ordering::Relaxed);
        self.told().clear();
    }

    /// What the cell holds in this pass.
    ///
    /// Every fifth address holds nothing, so that a zero is now and then the truth; elsewhere every
    /// pass has another amount, so that a stale one is noticed.
    pub(super) fn amount(&self, cell: CellIndex) -> Amount {
        self.amount_in(cell, self.pass())
    }

    /// What the cell held in that pass.
    pub(super) fn amount_in(&self, (address, asset): CellIndex, pass: u32) -> Amount {
        if address % 5 == 4 {
            return Amount::default();
        }
        let base = mix(&[self.seed, u64::from(address), u64::from(asset)]) % 1_000_000_000;
        Amount(U256::from(1 + base + u64::from(pass)))
    }

    /// An amount that is not the cell's, and never zero.
    pub(super) fn other_amount(&self, cell: CellIndex) -> Amount {
        Amount(self.amount(cell).0 + U256::from(1_000_000_007_u64))
    }

    /// A provider told the truth about the cell.
    pub(super) fn note_told(&self, cell: CellIndex) {
        self.told().insert(cell);
    }

    pub(super) fn was_told(&self, cell: CellIndex) -> bool {
        self.told().contains(&cell)
    }

    /// Numbers for one call of one provider, whatever else goes on.
    pub(super) fn dice(&self, provider: usize, call: usize) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix(&[self.seed, provider as u64, call as u64]))
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashSet<CellIndex>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The canonical address with that index.
pub(super) fn address(index: u32) -> String {
    format!("a{index}")
}

/// The index of a canonical address; `None` for one that is none of the simulation's.
pub(super) fn index_of(address: &str) -> Option<u32> {
    address.strip_prefix('a')?.parse().ok()
}

/// Numbers mixed into one (`SplitMix64`), so that neighbours have nothing in common.
pub(super) fn mix(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |state, number| {
        let mut z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
