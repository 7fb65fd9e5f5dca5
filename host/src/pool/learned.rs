//! How many cells a provider takes in one call, as it taught by refusing more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ledger::Learned;

/// How the ledger names the limit.
pub const KEY: &str = "cells_per_call";

/// A limit is forgotten after this: a host may allow more tomorrow.
pub const LEARNED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The learned limit of one provider; none until a call was refused as too large.
#[derive(Debug, Default)]
pub struct BatchLimit {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    limit: Option<Limit>,
    /// The store does not have it yet.
    unsaved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    cells: usize,
    expires_at: i64,
}

impl BatchLimit {
    /// Most cells in a call at `now_ms`; `usize::MAX` where nothing was learned or it expired.
    #[must_use]
    pub fn cells_max(&self, now_ms: i64) -> usize {
        let limit = self.lock().limit;
        let valid = limit.filter(|limit| limit.expires_at > now_ms);
        valid.map_or(usize::MAX, |limit| limit.cells)
    }

    /// Learns that no more than `cells` are taken; `false` where as little was known before.
    pub fn learn(&self, cells: usize, now_ms: i64) -> bool {
        let lasts = i64::try_from(LEARNED_FOR.as_millis()).unwrap_or(i64::MAX);
        let mut state = self.lock();
        let valid = state.limit.filter(|limit| limit.expires_at > now_ms);
        if valid.is_some_and(|limit| limit.cells <= cells) {
            return false;
        }
        *state = State {
            limit: Some(Limit {
                cells,
                expires_at: now_ms.saturating_add(lasts),
            }),
            unsaved: true,
        };
        true
    }

    /// Goes on with what was learned before; anything but [`KEY`] and a number is passed over.
    pub fn restore(&self, learned: &Learned) {
        let cells = learned.value.parse().ok().filter(|cells| *cells > 0);
        if let Some(cells) = cells.filter(|_| learned.key == KEY) {
            self.lock().limit = Some(Limit {
                cells,
                expires_at: learned.expires_at,
            });
        }
    }

    /// What the store does not have yet.
    #[must_use]
    pub fn unsaved(&self) -> Option<Learned> {
        let state = *self.lock();
        let limit = state.limit.filter(|_| state.unsaved)?;
        Some(Learned {
            key: KEY.to_owned(),
            value: limit.cells.to_string(),
            expires_at: limit.expires_at,
        })
    }

    /// The store has this now.
    pub fn saved(&self, learned: &Learned) {
        let mut state = self.lock();
        let same = |limit: Limit| limit.cells.to_string() == learned.value;
        state.unsaved &= !state.limit.is_some_and(same);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200_000;
    const DAY: i64 = 86_400_000;

    #[test]
    fn a_limit_only_shrinks_and_expires_after_a_day() {
        let batch = BatchLimit::default();
        assert_eq!(batch.cells_max(NOW), usize::MAX);
        assert!(batch.learn(500, NOW));
        assert!(!batch.learn(600, NOW), "more was refused already");
        assert!(batch.learn(250, NOW));
        assert_eq!(batch.cells_max(NOW + DAY - 1), 250);
        assert_eq!(batch.cells_max(NOW + DAY), usize::MAX);
        assert!(batch.learn(600, NOW + DAY), "the day is over");
    }

    #[test]
    fn what_was_saved_reads_back() {
        let batch = BatchLimit::default();
        batch.learn(500, NOW);
        let learned = batch.unsaved().expect("it is new");
        batch.saved(&learned);
        assert_eq!(batch.unsaved(), None);
        let other = BatchLimit::default();
        other.restore(&learned);
        assert_eq!((other.cells_max(NOW), other.unsaved()), (500, None));
    }

    #[test]
    fn a_limit_learned_while_another_was_saved_is_still_to_be_saved() {
        let batch = BatchLimit::default();
        batch.learn(500, NOW);
        let first = batch.unsaved().expect("it is new");
        batch.learn(250, NOW);
        batch.saved(&first);
        assert_eq!(batch.unsaved().expect("it is newer").value, "250");
    }

    #[test]
    fn garbage_in_the_store_is_no_limit() {
        for value in ["", "0", "-1", "many"] {
            let batch = BatchLimit::default();
            batch.restore(&Learned {
                key: KEY.to_owned(),
                value: value.to_owned(),
                expires_at: NOW + 1,
            });
            assert_eq!(batch.cells_max(NOW), usize::MAX, "{value:?}");
        }
    }
}
