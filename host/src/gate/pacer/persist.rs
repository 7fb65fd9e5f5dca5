//! What a pacer keeps over a restart, even one by kill -9.
//!
//! Windows of an hour and longer, quotas and pauses are stored. So that a kill at any moment never
//! lets the server see more than a window holds, units are spent only up to a *grant* that the
//! store already has: a block of some 2 % of the smallest such limit, extended before it is used
//! up. What was granted and not accounted for counts as spent when it is read back; a clean end
//! writes exact numbers. A pacer that is not attached to a store needs no grants.
//!
//! Times are stored as wall time and bounded when they are read: nothing is dated later than now,
//! so that no clock that jumped keeps units spent for longer than their window.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::core::Core;
use super::pause::PAUSE_MAX;
use super::window::{Sliding, begins};
use super::{Moment, Pacer};
use crate::config::{Quota, QuotaPeriod};

/// Windows this long and longer are kept.
const KEPT_MIN: Duration = Duration::from_secs(60 * 60);
/// What part of the smallest kept limit is granted at a time.
const BLOCK_PART: u64 = 50;

/// A pacer as it is stored; times are epoch milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedPacer {
    /// The kept windows, whatever their counts.
    #[serde(default)]
    pub windows: Vec<PersistedWindow>,
    /// The quotas.
    #[serde(default)]
    pub quotas: Vec<PersistedQuota>,
    /// Units that may have been spent since.
    #[serde(default)]
    pub granted: u64,
    /// Until when the provider asked to be left alone.
    #[serde(default)]
    pub not_before: Option<i64>,
}

/// A window as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedWindow {
    /// Its length in milliseconds.
    pub per_ms: u64,
    /// When how many units were spent.
    pub spent: Vec<(i64, u64)>,
}

/// A quota as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedQuota {
    /// Whether it is a month's; else a day's.
    pub monthly: bool,
    /// When its period began.
    pub start: i64,
    /// Units that were spent in it.
    pub spent: u64,
}

/// A state on its way to the store; what it grants may be spent after [`Save::stored`].
#[derive(Debug)]
#[must_use = "nothing is granted before it is stored"]
pub struct Save {
    pacer: Pacer,
    state: PersistedPacer,
    grants: u64,
    _turn: OwnedSemaphorePermit,
}

// === impl Pacer ===

impl Pacer {
    /// Goes on where an earlier run ended, and keeps to grants of the store from now on.
    ///
    /// Limits may be others than then: a window knows what was sent as far as the stored windows
    /// reach back, and a quota what was sent in the same sort of period.
    pub fn attach(&self, stored: Option<&PersistedPacer>) {
        self.with(|core, now| {
            if let Some(stored) = stored {
                core.load(stored, now);
            }
            if core.block().is_some() {
                core.granted.get_or_insert(0);
            }
        });
        self.wake();
    }

    /// Whether the store must know of this pacer at all.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.with(|core, now| core.block().is_some() || core.pause.until(now.at).is_some())
    }

    /// Returns when the store should be told: a grant runs low, or a pause began.
    pub async fn save_wanted(&self) {
        self.shared.save_wanted.notified().await;
    }

    /// What the store is to know from now on, with a new grant in it.
    ///
    /// One save at a time: the next one waits until this one is stored or dropped.
    pub async fn save(&self) -> Option<Save> {
        self.begin_save(true).await
    }

    /// What the store is to know at a clean end: exact numbers, and no grant is left to spend.
    pub async fn save_last(&self) -> Option<Save> {
        self.begin_save(false).await
    }

    async fn begin_save(&self, grants: bool) -> Option<Save> {
        // Fails only when closed, which nobody does.
        let turn = self.shared.save_turn.clone().acquire_owned().await.ok()?;
        self.with(|core, now| {
            let grants = if grants {
                core.next_grant()
            } else {
                core.revoke()
            };
            let left = core.granted.unwrap_or(0) + core.held();
            let state = core.persisted(left + grants, now);
            let is_empty = state == PersistedPacer::default();
            (!is_empty).then(|| Save {
                pacer: self.clone(),
                state,
                grants,
                _turn: turn,
            })
        })
    }
}

// === impl Save ===

impl Save {
    /// What is to be stored.
    #[must_use]
    pub fn state(&self) -> &PersistedPacer {
        &self.state
    }

    /// It is stored: what it grants may be spent.
    pub fn stored(self) {
        if self.grants == 0 {
            return;
        }
        self.pacer.with(|core, _| core.grant(self.grants));
        self.pacer.wake();
    }
}

// === impl Core ===

impl Core {
    /// How many units are granted at a time; `None` where no limit is kept.
    fn block(&self) -> Option<u64> {
        let windows = self.windows.iter();
        let windows = windows.filter(|window| window.per() >= KEPT_MIN);
        let quotas = self.quotas.iter();
        let quotas = quotas.map(|quota| u64::from(quota.quota().count));
        let smallest = windows.map(Sliding::count).chain(quotas).min()?;
        Some(smallest.div_ceil(BLOCK_PART))
    }

    /// How many units the store should grant now: none while half a block is left, and none
    /// that no limit has room for.
    fn next_grant(&self) -> u64 {
        let (Some(granted), Some(block)) = (self.granted, self.block()) else {
            return 0;
        };
        if granted > block / 2 && granted >= self.demand {
            return 0;
        }
        let kept = self.windows.iter().filter(|it| it.per() >= KEPT_MIN);
        let windows = kept.map(|window| (window.count(), window.spent()));
        let quotas = self.quotas.iter();
        let quotas = quotas.map(|quota| (u64::from(quota.quota().count), quota.spent()));
        let room = windows.chain(quotas).map(|(count, spent)| {
            let used = spent + self.held() + granted;
            // An empty window takes more than it ever holds.
            let count = if used == granted {
                count.max(self.demand)
            } else {
                count
            };
            count.saturating_sub(used)
        });
        room.min().unwrap_or(0).min(block.max(self.demand))
    }

    /// Takes back what was granted and not reserved.
    fn revoke(&mut self) -> u64 {
        if let Some(granted) = &mut self.granted {
            *granted = 0;
        }
        0
    }

    /// Whether the store should grant more, now that `weight` units were asked for.
    pub(super) fn wants_grant(&mut self, weight: u64) -> bool {
        if self.granted.is_some_and(|granted| granted < weight) {
            self.demand = self.demand.max(weight);
        }
        self.next_grant() > 0
    }

    fn grant(&mut self, units: u64) {
        self.demand = 0;
        if let Some(granted) = &mut self.granted {
            *granted += units;
        }
    }

    fn persisted(&self, granted: u64, now: Moment) -> PersistedPacer {
        let windows = self.windows.iter();
        let kept = windows.filter(|window| window.per() >= KEPT_MIN);
        let is_kept = self.block().is_some();
        PersistedPacer {
            windows: kept
                .map(|window| PersistedWindow {
                    per_ms: millis(window.per()),
                    spent: window
                        .slices()
                        .map(|(at, units)| (now.wall(at), units))
                        .collect(),
                })
                .collect(),
            quotas: self
                .quotas
                .iter()
                .map(|quota| PersistedQuota {
                    monthly: quota.quota().period == QuotaPeriod::Month,
                    start: quota.start_ms(),
                    spent: quota.spent(),
                })
                .collect(),
            granted: if is_kept { granted } else { 0 },
            not_before: self.pause.until(now.at).map(|until| now.wall(until)),
        }
    }

    fn load(&mut self, stored: &PersistedPacer, now: Moment) {
        for window in &mut self.windows {
            if window.per() < KEPT_MIN {
                continue;
            }
            window.begin_before();
            for (at_ms, units) in told_for(millis(window.per()), &stored.windows) {
                // A time that is still to come is that of a clock that was set back.
                let ago_ms = u64::try_from(now.unix_ms.saturating_sub(*at_ms)).unwrap_or(0);
                window.spend_before(*units, Duration::from_millis(ago_ms), now.at);
            }
            if stored.granted > 0 {
                window.spend_before(stored.granted, Duration::ZERO, now.at);
            }
        }
        for quota in &mut self.quotas {
            let Quota { period, .. } = quota.quota();
            let same = |it: &&PersistedQuota| it.monthly == (period == QuotaPeriod::Month);
            let before = stored.quotas.iter().find(same);
            // A period that begins later than this one is that of a clock that was set back.
            let same_period = before.filter(|it| it.start >= begins(period, quota.start_ms()));
            quota.spend(stored.granted + same_period.map_or(0, |it| it.spent));
        }
        if let Some(not_before) = stored.not_before {
            self.pause.extend(now.instant(not_before, PAUSE_MAX));
        }
    }
}

/// What the stored windows say of one of `per_ms`: the shortest that reaches back as far, else the
/// longest.
fn told_for(per_ms: u64, windows: &[PersistedWindow]) -> &[(i64, u64)] {
    let reaching = windows.iter().filter(|window| window.per_ms >= per_ms);
    let told = reaching
        .min_by_key(|window| window.per_ms)
        .or_else(|| windows.iter().max_by_key(|window| window.per_ms));
    told.map_or(&[], |window| &window.spent)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
