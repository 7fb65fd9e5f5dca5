//! Why a provider was used or passed over: one record per dispatch, in a ring.
//!
//! Whoever dispatches records what it saw at that moment; `scanhost explain` shows it. The newest
//! `KEPT` are held in memory, and the recorder writes those that are new to the store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::gate::Why;
use crate::model::{ChainName, PassId, ProviderName};

/// Records held in memory.
const KEPT: usize = 1_024;

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Balances.
    Work,
    /// Which network the provider serves, before its first work.
    Identity,
    /// Whether a provider whose circuit was open is back.
    Trial,
    /// A second reading, to compare with the first.
    Sample,
}

/// Why a provider did not get the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// All its connections were in use.
    ConnectionsBusy,
    /// It was asked for these cells in this round already.
    AskedAlready,
    /// It does not read such assets, or not at the height of the pass.
    CannotRead,
    /// It stands behind the chain; others are asked meanwhile.
    Behind,
    /// A pinned pass waits for the answer that decides its height.
    HeightPending,
    /// It answered that it does not offer such assets; others are asked first.
    NotOffered,
    /// The work is spread: it takes a chunk of its own in its turn.
    TakingTurns,
    /// The pass waits after a round without an answer; only trials are sent.
    Resting,
    /// Others took what there was, or are about to take it.
    NotNeeded,
    /// Its gate let nothing through.
    #[serde(untagged)]
    Gate(Why),
}

/// A provider that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which.
    pub provider: ProviderName,
    /// Why.
    pub why: Skip,
    /// When that ends by itself, where it is known, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Grows within a process; distinct between processes that do not start within a millisecond.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The chain.
    pub chain: ChainName,
    /// The pass.
    pub scan: PassId,
    /// What for.
    pub purpose: Purpose,
    /// Who got the call; `None`: nobody could, and the pass waits.
    pub provider: Option<ProviderName>,
    /// Cells that travelled, or that wait.
    pub cells: u64,
    /// The other providers of the pool, in its order.
    pub skipped: Vec<Skipped>,
}

/// All decisions of a pool since it was made, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Work that nobody could take.
    pub nobody: u64,
    /// By provider.
    pub providers: BTreeMap<ProviderName, ProviderCounts>,
}

/// The decisions about one provider, in numbers; a word that is not there never came up.
#[derive(Clone, Debug, Default)]
pub struct ProviderCounts {
    /// Calls that it got.
    pub given: BTreeMap<Purpose, u64>,
    /// Calls that it did not get.
    pub skipped: BTreeMap<Skip, u64>,
}

/// The newest decisions of a chain's pool.
#[derive(Debug, Default)]
pub struct Decisions {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    newest: VecDeque<Decision>,
    last_id: i64,
    /// Up to here the store has them.
    taken: i64,
    counts: Counts,
}

impl Decisions {
    /// Keeps a decision and numbers it.
    pub fn record(&self, mut decision: Decision) -> i64 {
        let mut ring = self.lock();
        // A thousand ids per millisecond: told apart from those of earlier processes.
        decision.id = decision.at.saturating_mul(1_000).max(ring.last_id + 1);
        let id = decision.id;
        ring.last_id = id;
        ring.counts.note(&decision);
        if ring.newest.len() >= KEPT {
            ring.newest.pop_front();
        }
        ring.newest.push_back(decision);
        id
    }

    /// Those that were not taken before, oldest first.
    #[must_use]
    pub fn take_new(&self) -> Vec<Decision> {
        let mut ring = self.lock();
        let from = ring
            .newest
            .partition_point(|decision| decision.id <= ring.taken);
        ring.taken = ring.last_id;
        ring.newest.range(from..).cloned().collect()
    }

    /// Takes back decisions that could not be stored; `first` is the oldest of them.
    pub fn return_from(&self, first: i64) {
        let mut ring = self.lock();
        ring.taken = ring.taken.min(first.saturating_sub(1));
    }

    /// All of them in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// The newest `limit`, newest first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Decision> {
        let ring = self.lock();
        ring.newest.iter().rev().take(limit).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Counts ===

impl Counts {
    fn note(&mut self, decision: &Decision) {
        match &decision.provider {
            Some(name) => *self.of(name).given.entry(decision.purpose).or_default() += 1,
            None => self.nobody += 1,
        }
        for skipped in &decision.skipped {
            let counts = self.of(&skipped.provider);
            *counts.skipped.entry(skipped.why).or_default() += 1;
        }
    }

    /// Names are copied once per provider, not once per decision.
    fn of(&mut self, name: &ProviderName) -> &mut ProviderCounts {
        if !self.providers.contains_key(name) {
            let fresh = ProviderCounts::default();
            self.providers.insert(name.clone(), fresh);
        }
        self.providers.get_mut(name).expect("it is there by now")
    }
}

// === impl Purpose ===

impl Purpose {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Work, Self::Identity, Self::Trial, Self::Sample];

    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Identity => "identity",
            Self::Trial => "trial",
            Self::Sample => "sample",
        }
    }
}

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Gate(why) => return why.fmt(f),
            Self::ConnectionsBusy => "all its connections were in use",
            Self::AskedAlready => "it was asked for these cells in this round",
            Self::CannotRead => "it does not read these assets here",
            Self::Behind => "it stands behind the chain",
            Self::HeightPending => "the pass waits for the answer that decides its height",
            Self::NotOffered => "it does not offer these assets, and others are asked first",
            Self::TakingTurns => "the work is spread, and it takes its own share in its turn",
            Self::Resting => "the scan waits after a round without an answer",
            Self::NotNeeded => "others took the work, or are about to take it",
        };
        f.write_str(text)
    }
}

impl Skip {
    /// Every reason.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::ConnectionsBusy,
            Self::AskedAlready,
            Self::CannotRead,
            Self::Behind,
            Self::HeightPending,
            Self::NotNeeded,
        ];
        let gate = Why::ALL.iter().map(|why| Self::Gate(*why));
        own.into_iter().chain(gate)
    }

    /// The word for programs and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate(why) => why.as_str(),
            Self::ConnectionsBusy => "connections_busy",
            Self::AskedAlready => "asked_already",
            Self::CannotRead => "cannot_read",
            Self::Behind => "behind",
            Self::HeightPending => "height_pending",
            Self::NotOffered => "not_offered",
            Self::TakingTurns => "taking_turns",
            Self::Resting => "resting",
            Self::NotNeeded => "not_needed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(at: i64) -> Decision {
        Decision {
            id: 0,
            at,
            chain: "bsc".into(),
            scan: PassId::from("00".to_owned()),
            purpose: Purpose::Work,
            provider: Some("a".into()),
            cells: 1,
            skipped: vec![Skipped {
                provider: "b".into(),
                why: Skip::Gate(Why::CircuitOpen),
                until: Some(7),
            }],
        }
    }

    #[test]
    fn ids_grow_also_within_a_millisecond_and_when_the_clock_steps_back() {
        let decisions = Decisions::default();
        let ids = [5, 5, 6, 3].map(|at| decisions.record(decision(at)));
        assert_eq!(ids, [5_000, 5_001, 6_000, 6_001]);
    }

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let decisions = Decisions::default();
        decisions.record(decision(1));
        assert_eq!(decisions.take_new().len(), 1);
        assert!(decisions.take_new().is_empty());
        decisions.record(decision(1));
        assert_eq!(decisions.take_new().len(), 1);
        assert_eq!(decisions.newest(9).len(), 2);
    }

    #[test]
    fn what_leaves_the_ring_stays_counted() {
        let decisions = Decisions::default();
        for _ in 0..KEPT + 5 {
            decisions.record(decision(1));
        }
        decisions.record(Decision {
            provider: None,
            ..decision(1)
        });
        let counts = decisions.counts();
        let all = u64::try_from(KEPT).unwrap() + 5;
        assert_eq!(counts.nobody, 1);
        let given = &counts.providers[&ProviderName::from("a")].given;
        assert_eq!(given.get(&Purpose::Work), Some(&all));
        let skipped = &counts.providers[&ProviderName::from("b")].skipped;
        let open = Skip::Gate(Why::CircuitOpen);
        assert_eq!(skipped.get(&open), Some(&(all + 1)));
    }

    #[test]
    fn the_ring_is_bounded() {
        let decisions = Decisions::default();
        for _ in 0..KEPT + 5 {
            decisions.record(decision(1));
        }
        assert_eq!(decisions.newest(usize::MAX).len(), KEPT);
        assert_eq!(decisions.take_new().len(), KEPT);
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        for why in [
            Skip::Gate(Why::RetryAfter),
            Skip::ConnectionsBusy,
            Skip::NotNeeded,
            Skip::NotOffered,
            Skip::TakingTurns,
            Skip::Resting,
        ] {
            let mut written = decision(1);
            written.skipped[0].why = why;
            let json = serde_json::to_string(&written).unwrap();
            assert!(json.contains(&format!("\"{}\"", why.as_str())), "{json}");
            assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), written);
        }
    }
}
