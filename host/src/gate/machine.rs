//! Everything that decides whether a call may pass, as one state machine without clock or lock.
//!
//! [`Machine::refusal`] is the one place where breaker, hold, forced state, quarantine, the pacer
//! and the identity meet.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{self, Breaker, Event, Reply, later};
use super::health::{History, Moves, Totals, Transition, UsageDelta};
use super::verdict::Verdict;
use super::words::{Cause, CircuitState, ForcedState, GateState, HealthStatus, HoldReason, Why};
use super::{Call, GateConfig, pacer};
use crate::clock::SharedClock;

mod holds;
mod store;
mod tell;
mod verdicts;

use holds::{Force, Hold, Quarantine};

/// Transitions that nobody took are dropped, oldest first, beyond this many.
const TRANSITIONS_MAX: usize = 1024;

/// A point in time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) unix_ms: i64,
}

/// What a permit remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// The breaker's generation; `None`: the breaker was switched off and not asked.
    generation: Option<u64>,
    /// The generation of holds and quarantines.
    epoch: u64,
    /// The round of identity questions that this call may answer.
    identity_round: Option<u64>,
    taken_at: Instant,
}

/// Why a call may not pass, and until when as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) until: Option<Instant>,
}

/// Whether the provider has said which network it serves.
#[derive(Clone, Copy, Debug)]
enum Identity {
    /// It is not to be checked.
    Unchecked,
    /// Not yet: only the question itself passes, once at a time.
    Pending { asked: bool },
    /// It is the network that was configured.
    Same,
}

/// The state of one gate.
///
/// Every method expects that [`Machine::advance`] was called with the same moment before.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    config: GateConfig,
    breaker: Breaker,
    hold: Option<Hold>,
    force: Option<Force>,
    quarantine: Option<Quarantine>,
    /// Faults of the plugin since its last success.
    plugin_faults: u32,
    /// What the pacer says now; told with every moment.
    paced: Option<Refusal>,
    identity: Identity,
    /// Grows when the identity must be asked anew, so that an old answer does not count.
    identity_round: u64,
    /// Grows when a hold or a quarantine ends, so that what was found before does not bring it back.
    epoch: u64,
    /// Calls that passed and have not ended.
    in_flight: u32,
    history: History,
    updated_ms: i64,
    usage: UsageDelta,
    totals: Totals,
    /// The state that the last transition led to.
    told: GateState,
    transitions: VecDeque<Transition>,
    transitions_seq: u64,
    moves: Moves,
    /// Something happened that a waiting task may have waited for.
    wake: bool,
}

enum Due {
    Force,
    Quarantine,
    Hold,
    Breaker,
}

// === impl Moment ===

impl Moment {
    pub(super) fn of(clock: &SharedClock) -> Self {
        Self {
            at: clock.now(),
            unix_ms: clock.unix_ms(),
        }
    }

    /// Now; `self` becomes the moment that it was last read on both clocks.
    ///
    /// The wall clock is the dearer one, and needed to the millisecond by nobody: it is read once
    /// in a second and counted on from there, so that it is still followed when it is set.
    pub(super) fn now(&mut self, clock: &SharedClock) -> Self {
        const FRESH: Duration = Duration::from_secs(1);
        let at = clock.now();
        let since = at.saturating_duration_since(self.at);
        if since >= FRESH {
            let unix_ms = clock.unix_ms();
            *self = Self { at, unix_ms };
            return *self;
        }
        let unix_ms = self.unix_ms.saturating_add(since.subsec_millis().into());
        Self { at, unix_ms }
    }

    /// `instant` as epoch milliseconds.
    pub(super) fn wall(&self, instant: Instant) -> i64 {
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        if instant >= self.at {
            self.unix_ms.saturating_add(ms(instant - self.at))
        } else {
            self.unix_ms.saturating_sub(ms(self.at - instant))
        }
    }

    /// Epoch milliseconds as an instant from now on, at most `longest` away.
    pub(super) fn instant(&self, unix_ms: i64, longest: Duration) -> Instant {
        let ahead = u64::try_from(unix_ms.saturating_sub(self.unix_ms)).unwrap_or(0);
        later(self.at, Duration::from_millis(ahead).min(longest))
    }
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn asks_identity(&self) -> bool {
        self.identity_round.is_some()
    }

    pub(super) fn taken_at(&self) -> Instant {
        self.taken_at
    }
}

// === impl Refusal ===

impl Refusal {
    /// What the pacer says is a wait; everything else may end otherwise than planned.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        let is_wait = matches!(self.why, Why::RetryAfter | Why::Paced);
        self.until.filter(|_| is_wait)
    }

    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(this), Some(other)) => this > other,
        }
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(config: GateConfig, seed: u64, now: Moment) -> Self {
        let breaker = Breaker::new(config.breaker.clone(), seed);
        Self::with_breaker(config, breaker, now)
    }

    fn with_breaker(config: GateConfig, breaker: Breaker, now: Moment) -> Self {
        let identity = if config.identity {
            Identity::Pending { asked: false }
        } else {
            Identity::Unchecked
        };
        Self {
            config,
            breaker,
            hold: None,
            force: None,
            quarantine: None,
            plugin_faults: 0,
            paced: None,
            identity,
            identity_round: 0,
            epoch: 0,
            in_flight: 0,
            history: History::default(),
            updated_ms: now.unix_ms,
            usage: UsageDelta::default(),
            totals: Totals::default(),
            told: GateState::Closed,
            transitions: VecDeque::new(),
            transitions_seq: 0,
            moves: Moves::default(),
            wake: false,
        }
    }

    /// Lets a call through that nothing refuses.
    pub(super) fn admit(&mut self, call: Call, now: Moment) -> Result<Ticket, Refusal> {
        let generation = if self.is_forced(ForcedState::Disabled) {
            None
        } else {
            match self.tell_breaker(Event::Acquire, now) {
                Reply::Admitted { generation } => Some(generation),
                Reply::Refused(refusal) => return Err(refusal.into()),
                // Only verdicts are counted or stale.
                Reply::Counted | Reply::Stale => return Err(breaker::Refusal::HalfOpenBusy.into()),
            }
        };
        if let (Call::Identity, Identity::Pending { asked }) = (call, &mut self.identity) {
            *asked = true;
        }
        self.in_flight += 1;
        self.totals.passed += 1;
        Ok(Ticket {
            generation,
            epoch: self.epoch,
            identity_round: (call == Call::Identity).then_some(self.identity_round),
            taken_at: now.at,
        })
    }

    /// Why `call` would not pass; of several reasons the one that lasts longest, since the gate
    /// opens when that one ends.
    pub(super) fn refusal(&self, call: Call, now: Instant) -> Option<Refusal> {
        let force = self.force.as_ref();
        let forced = force
            .filter(|force| force.state == ForcedState::Open)
            .map(|force| Refusal {
                why: Why::ForcedOpen,
                until: force.until,
            });
        let quarantined = self.quarantine.map(|quarantine| Refusal {
            why: Why::Quarantined,
            until: quarantine.until,
        });
        let held = self.hold.as_ref().map(|hold| Refusal {
            why: hold.reason.why(),
            until: Some(hold.until),
        });
        let by_breaker = if self.is_forced(ForcedState::Disabled) {
            None
        } else {
            self.breaker.refusal(now).map(Refusal::from)
        };
        let open = by_breaker.filter(|refusal| refusal.until.is_some());

        let mut longest = None;
        for refusal in [forced, quarantined, held, open, self.paced]
            .into_iter()
            .flatten()
        {
            if longest.is_none_or(|longest| refusal.outlasts(&longest)) {
                longest = Some(refusal);
            }
        }
        // These two end with a call that is under way or still to be made, not by themselves.
        longest.or_else(|| self.unidentified(call)).or(by_breaker)
    }

    fn unidentified(&self, call: Call) -> Option<Refusal> {
        let refusal = Refusal {
            why: Why::IdentityPending,
            until: None,
        };
        match (self.identity, call) {
            (Identity::Unchecked | Identity::Same, _) => None,
            (Identity::Pending { asked: false }, Call::Identity) => None,
            (Identity::Pending { .. }, _) => Some(refusal),
        }
    }

    /// When a call could pass as far as is known, the identity's own question included.
    pub(super) fn earliest_opening(&self, now: Moment) -> Option<Instant> {
        match self.shut(now) {
            None => Some(now.at),
            Some(refusal) => refusal.until,
        }
    }

    /// Why no call at all could pass, not even the identity's own question where that comes first.
    pub(super) fn shut(&self, now: Moment) -> Option<Refusal> {
        let call = match self.identity {
            Identity::Pending { .. } => Call::Identity,
            Identity::Unchecked | Identity::Same => Call::Work,
        };
        self.refusal(call, now.at)
    }

    pub(super) fn is_on_trial(&self) -> bool {
        let closed = matches!(self.breaker.state(), breaker::State::Closed { .. });
        !closed && !self.is_forced(ForcedState::Disabled)
    }

    /// What the pacer says at this moment.
    pub(super) fn set_paced(&mut self, paced: Option<Refusal>) {
        self.paced = paced;
    }

    fn is_forced(&self, state: ForcedState) -> bool {
        self.force
            .as_ref()
            .is_some_and(|force| force.state == state)
    }

    /// Ends what has ended by `now`, in the order in which it did.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some((at, due)) = self.next_due(now.at) {
            match due {
                Due::Force => {
                    self.force = None;
                    self.note(Cause::ForceOver, at, now);
                }
                Due::Quarantine => {
                    self.quarantine = None;
                    self.epoch += 1;
                    self.note(Cause::QuarantineOver, at, now);
                }
                Due::Hold => {
                    self.hold = None;
                    self.epoch += 1;
                    self.note(Cause::HoldOver, at, now);
                }
                Due::Breaker => {
                    let outcome = self.breaker.apply(Event::Look, at);
                    self.note_steps(&outcome.steps, now);
                }
            }
        }
    }

    fn next_due(&self, now: Instant) -> Option<(Instant, Due)> {
        let force = self.force.as_ref().and_then(|force| force.until);
        let quarantine = self.quarantine.and_then(|quarantine| quarantine.until);
        let hold = self.hold.as_ref().map(|hold| hold.until);
        let cooldown = match self.breaker.state() {
            breaker::State::Open { until } => Some(until),
            breaker::State::Closed { .. } | breaker::State::HalfOpen { .. } => None,
        };
        [
            (force, Due::Force),
            (quarantine, Due::Quarantine),
            (hold, Due::Hold),
            (cooldown, Due::Breaker),
        ]
        .into_iter()
        .filter_map(|(at, due)| Some((at?, due)))
        .filter(|(at, _)| *at <= now)
        .min_by_key(|(at, _)| *at)
    }

    pub(super) fn usage_mut(&mut self) -> &mut UsageDelta {
        &mut self.usage
    }

    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        self.transitions.drain(..).collect()
    }

    /// Takes back what could not be stored, before what came since.
    pub(super) fn return_transitions(&mut self, transitions: Vec<Transition>) {
        for transition in transitions.into_iter().rev() {
            self.transitions.push_front(transition);
        }
    }

    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.wake)
    }
}

impl From<pacer::Refusal> for Refusal {
    fn from(refusal: pacer::Refusal) -> Self {
        Self {
            why: refusal.why,
            until: Some(refusal.until),
        }
    }
}

impl From<breaker::Refusal> for Refusal {
    fn from(refusal: breaker::Refusal) -> Self {
        match refusal {
            breaker::Refusal::Open { until } => Self {
                why: Why::CircuitOpen,
                until: Some(until),
            },
            breaker::Refusal::HalfOpenBusy => Self {
                why: Why::HalfOpenBusy,
                until: None,
            },
        }
    }
}
