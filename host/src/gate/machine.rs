//! Everything that decides whether a call may pass, as one state machine without clock or lock.
//!
//! [`Machine::refusal`] is the one place where breaker, hold, forced state, quarantine, a
//! requested pause and the identity meet.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{self, Breaker, Event, Reply, Step, later};
use super::health::{History, Totals, Transition, UsageDelta};
use super::verdict::Verdict;
use super::words::{Cause, CircuitState, ForcedState, GateState, HealthStatus, HoldReason, Why};
use super::{Call, GateConfig};
use crate::clock::SharedClock;

mod store;

/// The longest pause that a provider can ask for.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a provider with the wrong network or a refused key is left alone before a new look.
const NEW_LOOK: Duration = Duration::from_secs(60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The first pause after a rate answer that names none; each further one doubles it.
const PAUSE_UNTOLD: Duration = Duration::from_secs(1);
const PAUSE_UNTOLD_MAX: Duration = Duration::from_secs(60);
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
    /// The operator's and the holds' generation.
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

#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) reason: HoldReason,
    pub(super) message: String,
    pub(super) until: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Force {
    pub(super) state: ForcedState,
    pub(super) reason: String,
    pub(super) until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    until: Option<Instant>,
}

/// Pauses that the provider asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    not_before: Option<Instant>,
    /// Rate answers in a row that named no time.
    untold: u32,
    last_asked: Option<Instant>,
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

#[derive(Clone, Debug)]
pub(super) struct Machine {
    config: GateConfig,
    breaker: Breaker,
    hold: Option<Hold>,
    force: Option<Force>,
    quarantine: Option<Quarantine>,
    /// Faults of the plugin since its last success.
    plugin_faults: u32,
    pause: Pause,
    identity: Identity,
    /// Grows when the identity must be asked anew, so that an old answer does not count.
    identity_round: u64,
    /// Grows when a hold, a forced state or a quarantine comes or goes.
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
    fn instant(&self, unix_ms: i64, longest: Duration) -> Instant {
        let ahead = u64::try_from(unix_ms.saturating_sub(self.unix_ms)).unwrap_or(0);
        later(self.at, Duration::from_millis(ahead).min(longest))
    }
}

// === impl Refusal ===

impl Refusal {
    /// Only a requested pause is a wait; everything else may end otherwise than planned.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        self.until.filter(|_| self.why == Why::RetryAfter)
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
            pause: Pause::default(),
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
            wake: false,
        }
    }

    // --- asking ---

    pub(super) fn ask(&mut self, call: Call, now: Moment) -> Result<Ticket, Refusal> {
        self.advance(now);
        if let Some(refusal) = self.refusal(call, now.at) {
            return Err(refusal);
        }
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
        let paused = self
            .pause
            .not_before
            .filter(|&not_before| not_before > now)
            .map(|not_before| Refusal {
                why: Why::RetryAfter,
                until: Some(not_before),
            });
        let open = by_breaker.filter(|refusal| refusal.until.is_some());

        let mut longest = None;
        for refusal in [forced, quarantined, held, open, paused]
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
    pub(super) fn earliest_opening(&mut self, now: Moment) -> Option<Instant> {
        self.advance(now);
        let call = match self.identity {
            Identity::Pending { .. } => Call::Identity,
            Identity::Unchecked | Identity::Same => Call::Work,
        };
        match self.refusal(call, now.at) {
            None => Some(now.at),
            Some(refusal) => refusal.until,
        }
    }

    // --- verdicts ---

    /// Ends a call; `None`: it was dropped without a verdict.
    pub(super) fn finish(&mut self, ticket: Ticket, verdict: Option<Verdict>, now: Moment) {
        self.advance(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let decides = match ticket.generation {
            Some(generation) => generation == self.breaker.generation(),
            None => ticket.epoch == self.epoch,
        };
        if !decides {
            self.totals.late += 1;
        }
        if verdict.is_some() {
            self.updated_ms = now.unix_ms;
        }
        self.end_identity_question(&ticket, decides, verdict.as_ref());

        match verdict {
            None => {
                self.totals.given_back += 1;
                self.give_back(&ticket, now);
            }
            Some(Verdict::Success) => {
                self.totals.successes += 1;
                self.usage.successes += 1;
                self.succeed(&ticket, decides, now);
            }
            Some(Verdict::Failure {
                fault,
                message,
                http_status,
            }) => {
                self.totals.failures += 1;
                self.usage.failures += 1;
                if decides {
                    self.history
                        .failure(fault, http_status, &message, now.unix_ms);
                }
                self.fail(&ticket, now);
            }
            Some(Verdict::Neutral { class: _ }) => {
                self.totals.neutral += 1;
                self.give_back(&ticket, now);
            }
            Some(Verdict::RateLimited { retry_after }) => {
                self.totals.rate_limited += 1;
                self.usage.rate_limited += 1;
                self.give_back(&ticket, now);
                self.pause(retry_after, ticket.taken_at, now);
            }
            Some(Verdict::Hold {
                reason,
                lasts,
                message,
            }) => {
                self.totals.holds += 1;
                self.give_back(&ticket, now);
                // A call from before an operator's release must not undo the release.
                if ticket.epoch == self.epoch {
                    self.hold(reason, lasts, message, now);
                }
            }
            Some(Verdict::PluginFault { message }) => {
                self.totals.plugin_faults += 1;
                self.give_back(&ticket, now);
                self.plugin_fault(&message, ticket.epoch == self.epoch, now);
            }
        }
    }

    fn succeed(&mut self, ticket: &Ticket, decides: bool, now: Moment) {
        // First the breaker, so that its transition still shows the failures before.
        if let Some(generation) = ticket.generation {
            if self.is_forced(ForcedState::Disabled) {
                self.tell_breaker(Event::GiveBack { generation }, now);
            } else {
                self.tell_breaker(Event::Succeed { generation }, now);
            }
        }
        if !decides {
            return;
        }
        self.history.success(now.unix_ms);
        self.plugin_faults = 0;
        if self
            .pause
            .last_asked
            .is_none_or(|asked| ticket.taken_at > asked)
        {
            self.pause.untold = 0;
        }
    }

    fn fail(&mut self, ticket: &Ticket, now: Moment) {
        let Some(generation) = ticket.generation else {
            return;
        };
        let silenced = self.is_forced(ForcedState::Closed) || self.is_forced(ForcedState::Disabled);
        let event = if silenced {
            Event::GiveBack { generation }
        } else {
            Event::Fail { generation }
        };
        self.tell_breaker(event, now);
    }

    fn give_back(&mut self, ticket: &Ticket, now: Moment) {
        if let Some(generation) = ticket.generation {
            self.tell_breaker(Event::GiveBack { generation }, now);
        }
    }

    fn end_identity_question(&mut self, ticket: &Ticket, decides: bool, verdict: Option<&Verdict>) {
        if ticket.identity_round != Some(self.identity_round) {
            return;
        }
        if let Identity::Pending { asked } = &mut self.identity {
            *asked = false;
            if decides && verdict == Some(&Verdict::Success) {
                self.identity = Identity::Same;
            }
            self.wake = true;
        }
    }

    fn pause(&mut self, told: Option<Duration>, taken_at: Instant, now: Moment) {
        // Of several calls that were under way together only the first one makes pauses longer.
        let is_news = self.pause.last_asked.is_none_or(|asked| taken_at > asked);
        let wait = match told.filter(|told| !told.is_zero()) {
            Some(told) => told.min(PAUSE_MAX),
            None => {
                if is_news {
                    self.pause.untold = self.pause.untold.saturating_add(1);
                }
                let doublings = self.pause.untold.saturating_sub(1).min(31);
                PAUSE_UNTOLD
                    .saturating_mul(1 << doublings)
                    .min(PAUSE_UNTOLD_MAX)
            }
        };
        let until = later(now.at, wait);
        if self.pause.not_before.is_none_or(|before| before < until) {
            self.pause.not_before = Some(until);
        }
        self.pause.last_asked = Some(now.at);
        self.wake = true;
    }

    fn plugin_fault(&mut self, message: &str, current: bool, now: Moment) {
        if !current {
            return;
        }
        self.history
            .error(&format!("plugin_fault: {message}"), now.unix_ms);
        self.plugin_faults = self.plugin_faults.saturating_add(1);
        if self.plugin_faults >= self.config.plugin_faults.get() {
            self.quarantine(Some(self.config.quarantine), now);
        }
    }

    // --- holds, forced states, quarantine ---

    pub(super) fn hold(
        &mut self,
        reason: HoldReason,
        lasts: Option<Duration>,
        message: String,
        now: Moment,
    ) {
        self.advance(now);
        self.history
            .error(&format!("{}: {message}", reason.as_str()), now.unix_ms);
        let lasts = lasts
            .unwrap_or_else(|| reason_lasts(reason, now.unix_ms))
            .min(hold_longest(reason));
        self.hold = Some(Hold {
            reason,
            message,
            until: later(now.at, lasts),
        });
        // Calls that are under way keep their epoch: several of them find the same thing.
        self.note(reason.cause(), now.at, now);
    }

    pub(super) fn force(
        &mut self,
        state: ForcedState,
        reason: String,
        lasts: Option<Duration>,
        now: Moment,
    ) {
        self.advance(now);
        if state == ForcedState::Closed {
            // Told as the force itself, below.
            self.breaker.apply(Event::Reset, now.at);
        }
        self.force = Some(Force {
            state,
            reason,
            until: lasts.map(|lasts| later(now.at, lasts)),
        });
        self.epoch += 1;
        self.note(Cause::Forced, now.at, now);
    }

    /// Ends a forced state, a hold and a quarantine; `false` if there was none of them.
    pub(super) fn release(&mut self, now: Moment) -> bool {
        self.advance(now);
        let had = self.force.take().is_some()
            | self.hold.take().is_some()
            | self.quarantine.take().is_some();
        self.plugin_faults = 0;
        self.epoch += 1;
        self.note(Cause::Released, now.at, now);
        self.wake = true;
        had
    }

    pub(super) fn quarantine(&mut self, lasts: Option<Duration>, now: Moment) {
        self.advance(now);
        self.quarantine = Some(Quarantine {
            until: lasts.map(|lasts| later(now.at, lasts)),
        });
        self.note(Cause::Quarantined, now.at, now);
    }

    fn is_forced(&self, state: ForcedState) -> bool {
        self.force
            .as_ref()
            .is_some_and(|force| force.state == state)
    }

    // --- time ---

    /// Ends what has ended by `now`, in the order in which it did.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some((at, due)) = self.next_due(now.at) {
            match due {
                Due::Force => {
                    self.force = None;
                    self.epoch += 1;
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

    // --- telling ---

    fn tell_breaker(&mut self, event: Event, now: Moment) -> Reply {
        let outcome = self.breaker.apply(event, now.at);
        self.note_steps(&outcome.steps, now);
        if outcome.reply == Reply::Counted
            && self.breaker.state().circuit() == CircuitState::HalfOpen
        {
            // A place in the half-open circuit is free again.
            self.wake = true;
        }
        outcome.reply
    }

    fn note_steps(&mut self, steps: &[Step], now: Moment) {
        for step in steps {
            self.note(step.cause, step.at, now);
        }
    }

    /// Tells the world if the state of the whole gate is another one now.
    fn note(&mut self, why: Cause, at: Instant, now: Moment) {
        let (from, to) = (self.told, self.state());
        if from == to {
            return;
        }
        if from.is_shut() && !to.is_shut() {
            self.ask_identity_again();
        }
        self.told = to;
        self.transitions_seq += 1;
        if self.transitions.len() == TRANSITIONS_MAX {
            self.transitions.pop_front();
        }
        let at = now.wall(at);
        self.transitions.push_back(Transition {
            seq: self.transitions_seq,
            from,
            to,
            why,
            at,
            until: self.state_until().map(|until| now.wall(until)),
            consecutive_failures: self.history.consecutive_fails,
            totals: self.totals,
            last_error_msg: self.history.last_error_msg.clone(),
        });
        self.updated_ms = self.updated_ms.max(at);
        self.wake = true;
    }

    /// What stood behind the endpoint may have changed while the gate was shut.
    fn ask_identity_again(&mut self) {
        if !matches!(self.identity, Identity::Unchecked) {
            self.identity = Identity::Pending { asked: false };
            self.identity_round += 1;
        }
    }

    /// The strongest of what acts on the gate.
    pub(super) fn state(&self) -> GateState {
        if self.is_forced(ForcedState::Open) {
            GateState::ForcedOpen
        } else if self.quarantine.is_some() {
            GateState::Quarantined
        } else if self.hold.is_some() {
            GateState::Held
        } else if self.is_forced(ForcedState::Closed) {
            GateState::ForcedClosed
        } else if self.is_forced(ForcedState::Disabled) {
            GateState::Disabled
        } else {
            self.breaker.state().circuit().into()
        }
    }

    fn state_until(&self) -> Option<Instant> {
        match self.state() {
            GateState::ForcedOpen | GateState::ForcedClosed | GateState::Disabled => {
                self.force.as_ref().and_then(|force| force.until)
            }
            GateState::Quarantined => self.quarantine.and_then(|quarantine| quarantine.until),
            GateState::Held => self.hold.as_ref().map(|hold| hold.until),
            GateState::Open => match self.breaker.state() {
                breaker::State::Open { until } => Some(until),
                breaker::State::Closed { .. } | breaker::State::HalfOpen { .. } => None,
            },
            GateState::Closed | GateState::HalfOpen => None,
        }
    }

    pub(super) fn circuit(&self) -> CircuitState {
        match self.force.as_ref().map(|force| force.state) {
            Some(ForcedState::Open) => CircuitState::Open,
            Some(ForcedState::Closed | ForcedState::Disabled) => CircuitState::Closed,
            None => self.breaker.state().circuit(),
        }
    }

    pub(super) fn status(&self, now: Instant) -> HealthStatus {
        let state = self.state();
        let waits_long = self
            .pause
            .not_before
            .is_some_and(|not_before| not_before > later(now, self.config.spill_after));
        if state.is_shut() {
            HealthStatus::Down
        } else if state == GateState::HalfOpen || self.history.consecutive_fails > 0 || waits_long {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        }
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn updated_ms(&self) -> i64 {
        self.updated_ms
    }

    pub(super) fn usage_mut(&mut self) -> &mut UsageDelta {
        &mut self.usage
    }

    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        self.transitions.drain(..).collect()
    }

    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.wake)
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

/// How long a provider is held where nobody said: an allowance is renewed at midnight UTC.
fn reason_lasts(reason: HoldReason, unix_ms: i64) -> Duration {
    match reason {
        HoldReason::WrongChain | HoldReason::Unauthorized => NEW_LOOK,
        HoldReason::Quota => {
            let left_ms = DAY_MS - unix_ms.rem_euclid(DAY_MS);
            Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
        }
    }
}

/// No hold outlives this, whoever asked for it and whatever the wall clock says on load.
fn hold_longest(reason: HoldReason) -> Duration {
    match reason {
        HoldReason::WrongChain | HoldReason::Unauthorized => NEW_LOOK,
        HoldReason::Quota => Duration::from_secs(24 * 60 * 60),
    }
}
