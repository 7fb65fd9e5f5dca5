//! The pacer: how fast an origin may be asked, whoever of us asks.
//!
//! One pacer stands for one origin and credential, or for one `limit_group`; every gate and every
//! HTTP client that talks to it holds the same one. It paces and does not reject: who may not send
//! now is told when he may. Every real HTTP request takes a *slot*, worth as many units as the
//! request weighs:
//!
//! - [`Gate::ask`](super::Gate::ask) reserves one unit together with the breaker's permit; the
//!   permit hands it to its call as [`RequestSlots`], and a permit that sends nothing gives it back;
//! - further requests of a call wait in turn ([`RequestSlots::take`]), before callers at the gate;
//! - the answer is told to the slot: a rate answer pauses the pacer at once and halves its rate.
//!
//! What a pacer keeps over a restart is in `persist`: windows of an hour and longer, quotas, and
//! pauses. Deciding is pure (`core`); only this file reads a clock.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

mod core;
mod pause;
mod persist;
mod slots;
mod throttle;
mod window;

#[cfg(test)]
mod tests;

pub(super) use pause::PAUSE_MAX;
pub use persist::{PersistedPacer, PersistedQuota, PersistedWindow, Save};
pub use slots::{PacedOut, RequestSlots, Slot, WAIT_MAX};

use self::core::Core;
pub(super) use self::core::Refusal;
use super::machine::Moment;
use crate::clock::SharedClock;
use crate::config::{Quota, Window};
use slots::Held;

/// What a pacer keeps to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacerConfig {
    /// Windows, all of which hold. Default none: no limit.
    pub windows: Vec<Window>,
    /// Quotas by the calendar, all of which hold.
    pub quotas: Vec<Quota>,
    /// Connections at once; `None` is no limit beyond each provider's own.
    pub connections: Option<NonZeroU32>,
    /// What names it in the store. Default empty: it is not stored.
    pub key: String,
}

/// A pacer; clones are the same pacer.
#[derive(Clone, Debug)]
pub struct Pacer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: String,
    clock: SharedClock,
    state: Mutex<State>,
    /// For those who wait in a call.
    changed: watch::Sender<u64>,
    /// Gates, which tell those who wait for them.
    listeners: Mutex<Vec<Weak<watch::Sender<u64>>>>,
    /// Who is next of those who wait in a call; one permit, given in turn.
    turn: Semaphore,
    connections: Option<Arc<Semaphore>>,
    /// Something should be stored soon.
    save_wanted: Notify,
    /// One save at a time; its permit is held until the store has answered.
    save_turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    core: Core,
    /// Of the last second or so; what the wall clock shows is counted from it.
    anchor: Moment,
}

/// A pacer as it stands; times are epoch milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PacerSnapshot {
    /// Its windows and quotas.
    pub limits: Vec<LimitUse>,
    /// The share of the rate that is left after rate answers; 1 is all of it.
    pub share: f64,
    /// Until when the provider asked to be left alone.
    pub not_before: Option<i64>,
    /// When one more unit could be sent; `None` is now.
    pub next: Option<i64>,
    /// Units that calls under way wait for.
    pub waiting: u64,
}

/// How far a limit is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitUse {
    /// As in the configuration: `700/h`.
    pub limit: String,
    /// Units that are spent or reserved.
    pub used: u64,
}

// === impl Pacer ===

impl Pacer {
    /// A pacer without a past.
    #[must_use]
    pub fn new(config: &PacerConfig, clock: SharedClock) -> Self {
        let anchor = Moment::of(&clock);
        let core = Core::new(&config.windows, &config.quotas, anchor);
        let connections = config.connections.map(|connections| {
            let connections = usize::try_from(connections.get()).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)))
        });
        Self {
            shared: Arc::new(Shared {
                key: config.key.clone(),
                clock,
                state: Mutex::new(State { core, anchor }),
                changed: watch::Sender::new(0),
                listeners: Mutex::default(),
                turn: Semaphore::new(1),
                connections,
                save_wanted: Notify::new(),
                save_turn: Arc::new(Semaphore::new(1)),
            }),
        }
    }

    /// A pacer without limits; what the provider asks for is kept to.
    #[must_use]
    pub fn unlimited(clock: SharedClock) -> Self {
        Self::new(&PacerConfig::default(), clock)
    }

    /// What names it in the store; empty where it is not stored.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.shared.key
    }

    /// The end of the pause that the provider asked for, if there is one now.
    #[must_use]
    pub fn pause(&self) -> Option<Instant> {
        self.with(|core, now| core.pause.until(now.at))
    }

    /// Lets nothing be sent before `until`; a pause is never made shorter.
    pub fn pause_until(&self, until: Instant) {
        let longest = self.shared.clock.now() + PAUSE_MAX;
        self.with(|core, _| core.pause.extend(until.min(longest)));
        self.wake();
    }

    /// A rate answer to what was sent at `sent`: a pause of `told`, and half the rate.
    ///
    /// Answers to what was under way together halve the rate once. `told` is cut to an hour;
    /// `None` is a second, twice as much for each further such answer, at most a minute.
    pub fn rate_answer(&self, told: Option<Duration>, sent: Instant) {
        let asked = self.shared.clock.now();
        self.rate_answer_of(told, sent, asked);
    }

    fn rate_answer_of(&self, told: Option<Duration>, sent: Instant, asked: Instant) {
        self.with(|core, now| core.rate_answer(told, sent, asked, now));
        self.shared.save_wanted.notify_one();
        self.wake();
    }

    /// The provider answered well what was begun at `begun`: pauses that it does not name begin
    /// short again.
    pub(super) fn succeeded(&self, begun: Instant) {
        self.with(|core, _| core.pause.answered(begun));
    }

    /// Whether units are reserved that may be given back.
    pub(super) fn holds_units(&self) -> bool {
        self.with(|core, _| core.held() > 0)
    }

    /// Why a call may not begin now.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let (refusal, low) = self.with(|core, now| {
            let refusal = core.refusal(1, true, now);
            if refusal.is_some() {
                core.note_refusal();
            }
            (refusal, core.wants_grant(1))
        });
        if low {
            self.shared.save_wanted.notify_one();
        }
        refusal
    }

    /// Reserves the slot of a call that begins, behind the requests of calls that wait.
    pub(super) fn reserve(&self) -> Result<Held, Refusal> {
        self.reserve_units(1, true)
    }

    fn reserve_units(&self, weight: u64, behind: bool) -> Result<Held, Refusal> {
        let (reserved, low) = self.with(|core, now| {
            let reserved = core.reserve(weight, behind, now);
            if reserved.is_err() {
                core.note_refusal();
            }
            (reserved, core.wants_grant(weight))
        });
        if low {
            self.shared.save_wanted.notify_one();
        }
        reserved.map(|()| Held::new(self.clone(), weight))
    }

    /// The pacer as it stands.
    #[must_use]
    pub fn snapshot(&self) -> PacerSnapshot {
        self.with(|core, now| {
            let held = core.held();
            let windows = core.windows.iter().map(|window| LimitUse {
                limit: window.window().to_string(),
                used: window.spent() + held,
            });
            let quotas = core.quotas.iter().map(|quota| LimitUse {
                limit: quota.quota().to_string(),
                used: quota.spent() + held,
            });
            PacerSnapshot {
                limits: windows.chain(quotas).collect(),
                share: core.throttle().map_or(1.0, throttle::Throttle::share),
                not_before: core.pause.until(now.at).map(|until| now.wall(until)),
                next: core
                    .refusal(1, true, now)
                    .map(|refusal| now.wall(refusal.until)),
                waiting: core.waiting(),
            }
        })
    }

    /// Is told whenever a pause begins or units are given back, until it is dropped.
    pub(super) fn tell(&self, listener: &Arc<watch::Sender<u64>>) {
        self.listeners().push(Arc::downgrade(listener));
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Weak<watch::Sender<u64>>>> {
        let listeners = self.shared.listeners.lock();
        listeners.unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for this pacer.
    fn wake(&self) {
        self.shared.changed.send_modify(|version| *version += 1);
        self.listeners()
            .retain(|listener| match listener.upgrade() {
                Some(listener) => {
                    listener.send_modify(|version| *version += 1);
                    true
                }
                None => false,
            });
    }

    /// Runs `f` on the core, brought up to now.
    fn with<T>(&self, f: impl FnOnce(&mut Core, Moment) -> T) -> T {
        // Each step of the core leaves it whole, so a panic elsewhere must not stop every caller.
        let state = self.shared.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let State { core, anchor } = &mut *state;
        // Read under the lock, so that the core's time never runs backwards.
        let now = anchor.now(&self.shared.clock);
        core.advance(now);
        f(core, now)
    }
}
