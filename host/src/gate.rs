//! The gate that every call to a provider passes: breaker, pacer, holds, forced states, health.
//!
//! There is one gate per (chain, provider, type). It answers one closed type, [`Answer`], computed
//! in one place, so that explain, the API, health and metrics all show the same [`Why`]. A call
//! that passes gets a [`Permit`], and the permit takes the call's [`Verdict`]; a permit that is
//! dropped without one (the call was cancelled, never sent, or its task died) is given back.
//!
//! **Invariants.** The gate knows neither HTTP nor plugins. Its lock is never held across an
//! await: no method is async. Deciding is pure (`machine.rs`, `breaker.rs`); only this file reads
//! a clock.
//!
//! # The way back
//!
//! A gate that was shut (open circuit, hold, forced open, quarantine) asks for the identity again
//! before it lets work through, where an identity is configured: the endpoint may serve another
//! network now. So the first call after an outage is [`Call::Identity`]; its success closes the
//! circuit and lets work through. Where no identity is configured the first call is work itself.

use std::num::NonZeroU32;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

pub mod breaker;
mod health;
mod machine;
pub mod pacer;
mod persist;
mod sync;
mod verdict;
mod words;

pub(crate) use breaker::later;
pub use breaker::{BreakerConfig, WindowConfig};
pub use health::{HealthRow, History, Moves, Totals, Transition, UsageDelta};
pub use pacer::{Pacer, PacerConfig, PacerSnapshot, RequestSlots};
pub use persist::{Persisted, PersistedBreaker, PersistedForce, PersistedHold};
pub use verdict::{Fault, Verdict};
pub use words::{
    Cause, CircuitState, ForcedState, GateState, HealthStatus, HoldReason, ProviderType, Why,
};

use crate::clock::SharedClock;
use crate::model::{ChainName, ProviderName};
use machine::{Machine, Moment, Refusal, Ticket};
use sync::{Arc, Mutex};

#[cfg(test)]
mod tests;

/// What names a gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GateKey {
    /// The chain.
    pub chain: ChainName,
    /// The provider.
    pub provider: ProviderName,
    /// What the provider is used for.
    pub kind: ProviderType,
}

/// What a gate goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct GateConfig {
    /// The breaker's numbers.
    pub breaker: BreakerConfig,
    /// A requested pause longer than this makes the provider `degraded`. Default 2 s.
    pub spill_after: Duration,
    /// Whether the chain's identity is configured and must be known before work. Default `false`.
    pub identity: bool,
    /// Faults of the plugin, without a success between them, that put it in quarantine. Default 3.
    pub plugin_faults: NonZeroU32,
    /// How long that quarantine lasts. Default 10 min.
    pub quarantine: Duration,
    /// Tells the provider's key from others; a refused key, or one whose allowance is spent, holds
    /// no other key. Default empty.
    pub credential: String,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Anything whose answer is used.
    Work,
    /// The question which network the provider serves. [`Verdict::Success`] says that it is the
    /// configured one, a hold for [`HoldReason::WrongChain`] that it is another.
    Identity,
}

/// The gate's answer to a call that wants to pass.
#[derive(Debug)]
#[must_use]
pub enum Answer {
    /// Send it.
    Pass(Permit),
    /// Send it later: nothing is wrong, the provider wants a pause or its limits leave no room.
    Wait {
        /// When to ask again.
        until: Instant,
        /// Why.
        why: Why,
    },
    /// Do not send it.
    Shut {
        /// Why.
        why: Why,
        /// When this ends by itself; `None` where it ends with an event ([`Gate::changed`]).
        until: Option<Instant>,
    },
}

/// A gate as it stands; times are epoch milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The chain.
    pub chain: ChainName,
    /// The provider.
    pub provider: ProviderName,
    /// What the provider is used for.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// The strongest of what acts on the gate.
    pub state: GateState,
    /// How the provider fares.
    pub status: HealthStatus,
    /// Why work does not pass; `None` if it does.
    pub why: Option<Why>,
    /// When that ends by itself, where that is known.
    pub until: Option<i64>,
    /// The breaker's own state, whatever is forced.
    pub breaker: CircuitState,
    /// The breaker's generation.
    pub generation: u64,
    /// Calls that passed and have not ended.
    pub in_flight: u32,
    /// Failures, last success, last error.
    #[serde(flatten)]
    pub history: History,
    /// What keeps the provider out, if a hold does.
    pub hold: Option<PersistedHold>,
    /// What an operator said.
    pub forced: Option<PersistedForce>,
    /// Every call since the process started.
    pub totals: Totals,
}

/// A gate; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: GateKey,
    fingerprint: String,
    clock: SharedClock,
    state: Mutex<State>,
    pacer: Pacer,
    /// The pacer tells it too.
    changed: std::sync::Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    /// Of the last second or so; what the wall clock shows is counted from it.
    anchor: Moment,
}

/// The right to make one call.
///
/// Dropping it gives it back and leaves the breaker as it was.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    gate: Gate,
    // Invariant: `None` only after `record`.
    ticket: Option<Ticket>,
    slots: RequestSlots,
}

// === impl GateConfig ===

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            breaker: BreakerConfig::default(),
            spill_after: Duration::from_secs(2),
            identity: false,
            plugin_faults: NonZeroU32::MIN.saturating_add(2),
            quarantine: Duration::from_secs(10 * 60),
            credential: String::new(),
        }
    }
}

// === impl Gate ===

impl Gate {
    /// A gate without a past.
    ///
    /// `fingerprint` is a hash of endpoint, plugin and options; `seed` is what the jitter of
    /// cooldowns is drawn from.
    pub fn new(
        key: GateKey,
        config: GateConfig,
        fingerprint: impl Into<String>,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        let now = Moment::of(&clock);
        let machine = Machine::new(config, seed, now);
        Self::with_machine(key, fingerprint.into(), clock, machine, now)
    }

    /// A gate that goes on where an earlier run, or an earlier configuration, ended.
    ///
    /// With another `fingerprint` breaker, hold and requested pause start clean: somebody mended
    /// the configuration. So does what a refused key is held for, with another key. What the provider did and what an operator forced is kept either way.
    /// An open circuit stays open until its deadline; a half-open one lets a new probe through at
    /// once. No deadline but an operator's lies further ahead than it could have been set today.
    pub fn restore(
        stored: &Persisted,
        key: GateKey,
        config: GateConfig,
        fingerprint: impl Into<String>,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        let fingerprint = fingerprint.into();
        let now = Moment::of(&clock);
        let machine = Machine::restore(stored, &fingerprint, config, seed, now);
        let gate = Self::with_machine(key, fingerprint, clock, machine, now);
        let same = stored.fingerprint == gate.shared.fingerprint;
        if let Some(not_before) = stored.not_before.filter(|_| same) {
            let until = now.instant(not_before, pacer::PAUSE_MAX);
            gate.shared.pacer.pause_until(until);
        }
        gate
    }

    fn with_machine(
        key: GateKey,
        fingerprint: String,
        clock: SharedClock,
        machine: Machine,
        anchor: Moment,
    ) -> Self {
        let pacer = Pacer::unlimited(clock.clone());
        let changed = std::sync::Arc::new(watch::Sender::new(0));
        pacer.tell(&changed);
        Self {
            shared: Arc::new(Shared {
                key,
                fingerprint,
                clock,
                state: Mutex::new(State { machine, anchor }),
                pacer,
                changed,
            }),
        }
    }

    /// The gate, paced by a pacer that others share, instead of one of its own without limits.
    ///
    /// A pause that is under way goes on. To be called before the gate is shared; a shared one
    /// keeps its pacer.
    #[must_use]
    pub fn paced_by(mut self, pacer: Pacer) -> Self {
        if let Some(until) = self.shared.pacer.pause() {
            pacer.pause_until(until);
        }
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            pacer.tell(&shared.changed);
            shared.pacer = pacer;
        }
        self
    }

    /// What paces it.
    #[must_use]
    pub fn pacer(&self) -> &Pacer {
        &self.shared.pacer
    }

    /// What names the gate.
    #[must_use]
    pub fn key(&self) -> &GateKey {
        &self.shared.key
    }

    /// The time that the gate goes by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    /// Asks whether a call may be sent now.
    pub fn ask(&self, call: Call) -> Answer {
        let pacer = &self.shared.pacer;
        let asked = self.with(|machine, now| {
            let is_open = machine.refusal(call, now.at).is_none();
            let held = is_open.then(|| pacer.reserve());
            match held {
                Some(Ok(held)) => Ok((machine.admit(call, now)?, held)),
                // Of several reasons the one that lasts longest.
                Some(Err(_)) | None => {
                    machine.set_paced(pacer.refusal().map(Refusal::from));
                    let refusal = machine.refusal(call, now.at);
                    Err(refusal.unwrap_or(Refusal {
                        // Room came up this very moment; whoever asks again gets it.
                        why: Why::Paced,
                        until: Some(now.at),
                    }))
                }
            }
        });
        match asked {
            Ok((ticket, held)) => Answer::Pass(Permit {
                gate: self.clone(),
                ticket: Some(ticket),
                slots: RequestSlots::with_first(pacer.clone(), Some(held)),
            }),
            Err(refusal) => refusal.into(),
        }
    }

    /// Why a call would not pass now, and until when as far as is known; takes nothing.
    #[must_use]
    pub fn refusal(&self, call: Call) -> Option<(Why, Option<Instant>)> {
        let refusal = self.with_pacer(|machine, now| machine.refusal(call, now.at));
        refusal.map(|refusal| (refusal.why, refusal.until))
    }

    /// When a call could pass, as far as is known: now, a deadline, or `None` where only an event
    /// can open the gate.
    ///
    /// While the identity is pending this is about [`Call::Identity`], else about [`Call::Work`].
    #[must_use]
    pub fn earliest_opening(&self) -> Option<Instant> {
        self.with_pacer(|machine, now| machine.earliest_opening(now))
    }

    /// Before when no call can pass, whatever is answered until then; `None` where it may pass now,
    /// or where something that is under way may open the gate at any time.
    ///
    /// An operator's word is not foreseen.
    #[must_use]
    pub fn shut_until(&self) -> Option<Instant> {
        let holds_units = self.shared.pacer.holds_units();
        self.with_pacer(|machine, now| {
            let refusal = machine.shut(now)?;
            // Units that are given back leave room before the time that is known now.
            let is_firm = refusal.why != Why::Paced || !holds_units;
            refusal.until.filter(|_| is_firm)
        })
    }

    /// Tells of every change that a waiting task may have waited for: a transition, a release, a
    /// probe that ended, an identity that was answered, a new pause.
    ///
    /// Deadlines that pass tell nobody; sleep until [`Gate::earliest_opening`] at most. Subscribe
    /// before asking, so that nothing is missed in between.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Counts an HTTP request that was really sent.
    pub fn count_http_attempt(&self) {
        self.with(|machine, _| machine.usage_mut().requests += 1);
    }

    /// What was used since the last time; the caller stores it.
    #[must_use]
    pub fn take_usage(&self) -> UsageDelta {
        self.with(|machine, _| std::mem::take(machine.usage_mut()))
    }

    /// Takes back what could not be stored.
    pub fn return_usage(&self, usage: UsageDelta) {
        self.with(|machine, _| *machine.usage_mut() += usage);
    }

    /// The transitions since the last time, oldest first; the newest 1,024 are kept.
    #[must_use]
    pub fn take_transitions(&self) -> Vec<Transition> {
        self.with(|machine, _| machine.take_transitions())
    }

    /// Takes back transitions that could not be stored.
    pub fn return_transitions(&self, transitions: Vec<Transition>) {
        self.with(|machine, _| machine.return_transitions(transitions));
    }

    /// How often the state changed since the gate was made.
    #[must_use]
    pub fn moves(&self) -> Moves {
        self.with(|machine, _| machine.moves())
    }

    /// An operator's word: `reason` is kept and shown, `lasts` is `None` until a release.
    pub fn force(&self, state: ForcedState, reason: impl Into<String>, lasts: Option<Duration>) {
        let reason = reason.into();
        self.with(|machine, now| machine.force(state, reason, lasts, now));
    }

    /// Ends a forced state, a hold and a quarantine; `false` if there was none of them.
    ///
    /// An open circuit stays open and a requested pause stays requested.
    pub fn release(&self) -> bool {
        self.with(Machine::release)
    }

    /// Keeps the provider out for a reason that no call of this gate found.
    ///
    /// `lasts` is bounded by an hour (a day for [`HoldReason::Quota`]); `None` is the reason's own
    /// time: an hour, or until midnight UTC.
    pub fn hold(&self, reason: HoldReason, lasts: Option<Duration>, message: impl Into<String>) {
        let message = message.into();
        self.with(|machine, now| machine.hold(reason, lasts, message, now));
    }

    /// Keeps the provider out because of its plugin; `lasts` is `None` until a release.
    pub fn quarantine(&self, lasts: Option<Duration>) {
        self.with(|machine, now| machine.quarantine(lasts, now));
    }

    /// Whether no work at all may pass: open circuit, hold, quarantine, forced open.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.with(|machine, _| machine.state().is_shut())
    }

    /// Whether the circuit is not closed, so that the next call that passes finds out whether the
    /// provider is back.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.with(|machine, _| machine.is_on_trial())
    }

    /// The gate as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let key = self.key().clone();
        self.with_pacer(|machine, now| {
            let refusal = machine.refusal(Call::Work, now.at);
            Snapshot {
                chain: key.chain,
                provider: key.provider,
                kind: key.kind,
                state: machine.state(),
                status: machine.status(now.at),
                why: refusal.map(|refusal| refusal.why),
                until: refusal
                    .and_then(|refusal| refusal.until)
                    .map(|until| now.wall(until)),
                breaker: machine.breaker().state().circuit(),
                generation: machine.breaker().generation(),
                in_flight: machine.in_flight(),
                history: machine.history().clone(),
                hold: machine.stored_hold(now),
                forced: machine.stored_force(now),
                totals: machine.totals(),
            }
        })
    }

    /// The gate's row of `provider_health`.
    #[must_use]
    pub fn health(&self) -> HealthRow {
        let key = self.key().clone();
        self.with_pacer(|machine, now| {
            let history = machine.history().clone();
            HealthRow {
                provider_name: key.provider,
                chain: key.chain,
                provider_type: key.kind,
                status: machine.status(now.at),
                consecutive_fails: history.consecutive_fails,
                last_success: history.last_success,
                last_error: history.last_error,
                last_error_msg: history.last_error_msg,
                circuit_state: machine.circuit(),
                updated_at: machine.updated_ms(),
            }
        })
    }

    /// What [`Gate::restore`] needs.
    #[must_use]
    pub fn persisted(&self) -> Persisted {
        let pacer = &self.shared.pacer;
        let (pause, paced) = (pacer.pause(), pacer.refusal());
        let paced = paced.filter(|refusal| refusal.why == Why::Paced);
        self.with(|machine, now| Persisted {
            not_before: pause.map(|until| now.wall(until)),
            paced_until: paced.map(|refusal| now.wall(refusal.until)),
            ..machine.persisted(&self.shared.fingerprint, now)
        })
    }

    /// Runs `f` on the machine, which knows what the pacer has to say.
    fn with_pacer<T>(&self, f: impl FnOnce(&mut Machine, Moment) -> T) -> T {
        self.with(|machine, now| {
            // The pacer's lock is taken within the gate's, never the other way round.
            machine.set_paced(self.shared.pacer.refusal().map(Refusal::from));
            f(machine, now)
        })
    }

    /// Runs `f` on the machine, brought up to now, and then wakes whoever waits.
    fn with<T>(&self, f: impl FnOnce(&mut Machine, Moment) -> T) -> T {
        let (value, wake) = {
            // A panic elsewhere must not shut every provider for ever; each step of the machine
            // leaves it whole.
            let mut state = self
                .shared
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let State { machine, anchor } = &mut *state;
            // Read under the lock, so that the machine's time never runs backwards.
            let now = anchor.now(&self.shared.clock);
            machine.advance(now);
            machine.set_paced(None);
            (f(machine, now), machine.take_wake())
        };
        if wake {
            self.shared.changed.send_modify(|version| *version += 1);
        }
        value
    }
}

// === impl Permit ===

impl Permit {
    /// Ends the call with what it says about the provider, which took the time since it passed.
    pub fn record(mut self, verdict: Verdict) {
        self.finish(Some(verdict), None);
    }

    /// Ends the call as [`Permit::record`] does, where the provider took `busy`: less than the time
    /// since the call passed if the host itself let it wait, or made several requests of it.
    pub fn record_after(mut self, verdict: Verdict, busy: Duration) {
        self.finish(Some(verdict), Some(busy));
    }

    /// The provider asked for a pause within this call, which goes on: of many cells it answered
    /// some and was asked too fast for others.
    pub fn rate_limited(&self, retry_after: Option<Duration>) {
        if let Some(ticket) = &self.ticket {
            self.slots.rate_answer(retry_after, ticket.taken_at());
            self.gate.with(|machine, _| machine.rate_limited());
        }
    }

    /// How long ago the call passed.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.ticket.map_or(Duration::ZERO, |ticket| {
            let now = self.gate.shared.clock.now();
            now.saturating_duration_since(ticket.taken_at())
        })
    }

    /// The identity was asked within this call and is the configured one; the call goes on.
    ///
    /// The trial of a provider that was shut is one call: who are you, and one balance. Only its
    /// [`Verdict`] closes the circuit, but the identity is known from here on.
    pub fn identified(&self) {
        if let Some(ticket) = &self.ticket {
            self.gate.with(|machine, _| machine.identified(ticket));
        }
    }

    /// Whether it was asked for by [`Call::Identity`].
    #[must_use]
    pub fn asks_identity(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::asks_identity)
    }

    /// What its call may send; the first request's slot is reserved.
    #[must_use]
    pub fn slots(&self) -> RequestSlots {
        self.slots.clone()
    }

    /// The gate that gave it.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn finish(&mut self, verdict: Option<Verdict>, busy: Option<Duration>) {
        // What the host let it wait is not the provider's time.
        let own = || self.age().saturating_sub(self.slots.waited());
        let busy = busy.unwrap_or_else(own);
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        // First the pacer, so that nobody passes between verdict and pause.
        match &verdict {
            Some(Verdict::RateLimited { retry_after }) => {
                self.slots.rate_answer(*retry_after, ticket.taken_at());
            }
            Some(Verdict::Success) => self.gate.shared.pacer.succeeded(ticket.taken_at()),
            _ => {}
        }
        self.slots.close();
        self.gate
            .with(|machine, now| machine.finish(ticket, verdict, Some(busy), now));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.finish(None, None);
    }
}

// === impl Answer ===

impl Answer {
    /// The permit, if the call passes.
    #[must_use]
    pub fn pass(self) -> Option<Permit> {
        match self {
            Self::Pass(permit) => Some(permit),
            Self::Wait { .. } | Self::Shut { .. } => None,
        }
    }

    /// Why the call does not pass.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        match self {
            Self::Pass(_) => None,
            Self::Wait { why, .. } | Self::Shut { why, .. } => Some(*why),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal { why, until } = refusal;
        match refusal.wait_until() {
            Some(until) => Self::Wait { until, why },
            None => Self::Shut { why, until },
        }
    }
}
