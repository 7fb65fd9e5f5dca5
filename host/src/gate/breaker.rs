//! The circuit breaker as a pure function of (state, event, now).
//!
//! Nothing here reads a clock, takes a lock or does I/O, so that tables, random sequences, a model
//! checker and a replay can all drive the very code that runs. It knows neither HTTP nor plugins:
//! who calls it has already decided what was a fault of the provider.
//!
//! Every transition starts a new generation. A call remembers the generation that admitted it, and
//! its verdict decides nothing once that generation is over: a call that hung since before the
//! outage can neither re-open a mended circuit nor close a broken one.

use std::time::Duration;

use tokio::time::Instant;

use super::words::{Cause, CircuitState};

mod config;
#[cfg(test)]
mod tests;
mod window;

use config::lengthened;
pub use config::{BreakerConfig, WindowConfig};
use window::{Call, Window};

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls pass. Left for `Open` when `failures`, or a ratio of the window, reaches its limit.
    Closed {
        /// Failures since the last success.
        failures: u32,
    },
    /// No call passes. Left for `HalfOpen` at `until`.
    Open {
        /// The end of the cooldown.
        until: Instant,
    },
    /// Some calls pass. Left for `Closed` when all succeeded, for `Open` at the first failure.
    HalfOpen {
        /// Admitted, without a verdict yet.
        in_flight: u32,
        /// Succeeded.
        successes: u32,
    },
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        match self {
            Self::Closed { .. } => CircuitState::Closed,
            Self::Open { .. } => CircuitState::Open,
            Self::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }
}

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time went by.
    Look,
    /// Somebody wants to call.
    Acquire,
    /// A call that was admitted in `generation` ended without saying anything about the provider.
    GiveBack {
        /// What admitted it.
        generation: u64,
    },
    /// The provider answered a call that was admitted in `generation`.
    Succeed {
        /// What admitted it.
        generation: u64,
        /// How long the provider took.
        took: Duration,
    },
    /// The provider failed a call that was admitted in `generation`.
    Fail {
        /// What admitted it.
        generation: u64,
        /// How long the provider took.
        took: Duration,
    },
    /// An operator closes the circuit; whatever was in flight decides nothing any more.
    Reset,
}

/// What an event led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The answer to the event itself.
    pub reply: Reply,
    /// Transitions in the order they happened: at most the end of a cooldown, then the event's own.
    pub steps: Vec<Step>,
}

/// The answer to an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The call may be sent.
    Admitted {
        /// To be named in the call's verdict.
        generation: u64,
    },
    /// The call may not be sent.
    Refused(Refusal),
    /// The event counted.
    Counted,
    /// The verdict is of an older generation: nothing changed.
    Stale,
}

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The circuit is open.
    Open {
        /// The end of the cooldown.
        until: Instant,
    },
    /// Every call that a half-open circuit lets through is on its way.
    HalfOpenBusy,
}

/// One transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state that was left.
    pub from: CircuitState,
    /// The state that was entered.
    pub to: CircuitState,
    /// Why.
    pub cause: Cause,
    /// When; the end of a cooldown keeps its own time however late it was looked at.
    pub at: Instant,
    /// The generation that began.
    pub generation: u64,
}

/// A breaker; see the module.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Invariant: grows with every transition.
    generation: u64,
    /// Openings since the circuit was last closed, for the length of the next cooldown.
    openings: u32,
    /// Invariant: holds calls of the current generation only.
    window: Option<Window>,
    rng: fastrand::Rng,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker; `seed` is what the jitter of cooldowns is drawn from.
    #[must_use]
    pub fn new(config: BreakerConfig, seed: u64) -> Self {
        Self::restored(config, seed, State::Closed { failures: 0 }, 0)
    }

    /// A breaker that goes on from an earlier run.
    ///
    /// Failures are kept below the limit, which may have been lowered meanwhile, and no deadline
    /// is checked here: whoever read it from disk has bounded it. The window starts empty.
    #[must_use]
    pub fn restored(config: BreakerConfig, seed: u64, state: State, openings: u32) -> Self {
        let state = match state {
            State::Closed { failures } => State::Closed {
                failures: failures.min(config.failures.get() - 1),
            },
            // Whoever was in flight died with the earlier run.
            State::HalfOpen { .. } => State::HalfOpen {
                in_flight: 0,
                successes: 0,
            },
            open @ State::Open { .. } => open,
        };
        Self {
            window: config.window.map(Window::new),
            config,
            state,
            generation: 0,
            openings,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// What the breaker goes by.
    #[must_use]
    pub fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// The state as of the last event.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The current generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Openings since the circuit was last closed.
    #[must_use]
    pub fn openings(&self) -> u32 {
        self.openings
    }

    /// Why a call would not be admitted at `now`; `None` if it would.
    #[must_use]
    pub fn refusal(&self, now: Instant) -> Option<Refusal> {
        match self.state {
            State::Open { until } if until > now => Some(Refusal::Open { until }),
            State::HalfOpen {
                in_flight,
                successes,
            } if in_flight.saturating_add(successes) >= self.config.half_open.get() => {
                Some(Refusal::HalfOpenBusy)
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Lets `event` happen at `now`, which never lies before the `now` of an earlier event.
    pub fn apply(&mut self, event: Event, now: Instant) -> Outcome {
        let mut steps = Vec::new();
        if let State::Open { until } = self.state
            && until <= now
        {
            steps.push(self.half_open(until));
        }
        let reply = match event {
            Event::Look => Reply::Counted,
            Event::Acquire => self.acquire(now),
            Event::Reset => {
                steps.extend(self.reset(now));
                Reply::Counted
            }
            Event::GiveBack { generation }
            | Event::Succeed { generation, .. }
            | Event::Fail { generation, .. }
                if generation != self.generation =>
            {
                Reply::Stale
            }
            Event::GiveBack { .. } => {
                if let State::HalfOpen { in_flight, .. } = &mut self.state {
                    *in_flight = in_flight.saturating_sub(1);
                }
                Reply::Counted
            }
            Event::Succeed { took, .. } => {
                let failed = self.config.is_too_slow(took);
                steps.extend(self.end(failed, took, now));
                Reply::Counted
            }
            Event::Fail { took, .. } => {
                steps.extend(self.end(true, took, now));
                Reply::Counted
            }
        };
        Outcome { reply, steps }
    }

    fn acquire(&mut self, now: Instant) -> Reply {
        if let Some(refusal) = self.refusal(now) {
            return Reply::Refused(refusal);
        }
        if let State::HalfOpen { in_flight, .. } = &mut self.state {
            *in_flight += 1;
        }
        Reply::Admitted {
            generation: self.generation,
        }
    }

    /// A call of the current generation ended.
    fn end(&mut self, failed: bool, took: Duration, now: Instant) -> Option<Step> {
        match &mut self.state {
            State::Closed { failures } => {
                *failures = if failed {
                    failures.saturating_add(1)
                } else {
                    0
                };
                let in_a_row = *failures >= self.config.failures.get();
                let slow = self.config.is_slow(took);
                let ratio = self
                    .window
                    .as_mut()
                    .and_then(|window| window.count(Call { failed, slow }, now));
                let cause = in_a_row.then_some(Cause::Failures).or(ratio)?;
                Some(self.open(cause, now))
            }
            State::HalfOpen { .. } if failed => Some(self.open(Cause::ProbeFailed, now)),
            State::HalfOpen {
                in_flight,
                successes,
            } => {
                *in_flight = in_flight.saturating_sub(1);
                *successes += 1;
                (*successes >= self.config.half_open.get())
                    .then(|| self.close(Cause::ProbeSucceeded, now))
            }
            State::Open { .. } => None,
        }
    }

    fn reset(&mut self, now: Instant) -> Option<Step> {
        let was_closed = matches!(self.state, State::Closed { .. });
        let step = self.close(Cause::Forced, now);
        (!was_closed).then_some(step)
    }

    fn open(&mut self, cause: Cause, now: Instant) -> Step {
        let until = later(now, self.next_cooldown());
        self.openings = self.openings.saturating_add(1);
        self.enter(State::Open { until }, cause, now)
    }

    fn half_open(&mut self, at: Instant) -> Step {
        let state = State::HalfOpen {
            in_flight: 0,
            successes: 0,
        };
        self.enter(state, Cause::CooldownOver, at)
    }

    fn close(&mut self, cause: Cause, now: Instant) -> Step {
        self.openings = 0;
        self.enter(State::Closed { failures: 0 }, cause, now)
    }

    fn enter(&mut self, state: State, cause: Cause, at: Instant) -> Step {
        let from = self.state.circuit();
        self.state = state;
        self.generation += 1;
        if let Some(window) = &mut self.window {
            window.clear();
        }
        Step {
            from,
            to: state.circuit(),
            cause,
            at,
            generation: self.generation,
        }
    }

    fn next_cooldown(&mut self) -> Duration {
        let first = self.config.cooldown;
        let longest = self.config.cooldown_max.unwrap_or_default().max(first);
        let doubled = 2_u32
            .checked_pow(self.openings)
            .and_then(|factor| first.checked_mul(factor))
            .map_or(longest, |doubled| doubled.min(longest));
        // Added rather than taken off: an operator's cooldown is the least that is waited.
        lengthened(doubled, self.config.jitter * self.rng.f64())
    }
}

/// `now + wait`, however long an operator made the wait.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now + wait.min(FAR)
}
