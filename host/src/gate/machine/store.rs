//! The machine to and from what is stored.

use std::time::Duration;

use super::{Force, Hold, Machine, Moment, holds};
use crate::gate::GateConfig;
use crate::gate::breaker::{Breaker, State};
use crate::gate::health::History;
use crate::gate::persist::{Persisted, PersistedBreaker, PersistedForce, PersistedHold};
use crate::gate::words::{CircuitState, GateState};

impl Machine {
    /// Goes on where `stored` ended, as far as the configuration is still the same.
    pub(in crate::gate) fn restore(
        stored: &Persisted,
        fingerprint: &str,
        config: GateConfig,
        seed: u64,
        now: Moment,
    ) -> Self {
        let is_same = stored.fingerprint == fingerprint;
        let mut machine = if is_same {
            let state = breaker_state(&stored.breaker, config.breaker.cooldown_longest(), now);
            let openings = stored.breaker.openings;
            let breaker = Breaker::restored(config.breaker.clone(), seed, state, openings);
            Self::with_breaker(config, breaker, now)
        } else {
            Self::new(config, seed, now)
        };
        machine.history = stored.history.clone();
        if is_same {
            let credential = &machine.config.credential;
            let is_new_key = stored
                .credential
                .as_ref()
                .is_some_and(|it| it != credential);
            let hold = stored.hold.as_ref();
            let hold = hold.filter(|hold| !(is_new_key && hold.reason.is_of_the_key()));
            machine.hold = hold.map(|hold| Hold {
                reason: hold.reason,
                message: hold.message.clone(),
                until: now.instant(hold.until, holds::longest(hold.reason)),
            });
        } else {
            // The failures were those of another endpoint, plugin or set of options.
            machine.history = History {
                consecutive_fails: 0,
                ..stored.history.clone()
            };
        }
        machine.force = stored.forced.as_ref().map(|forced| Force {
            state: forced.state,
            reason: forced.reason.clone(),
            // An operator's word may be meant for weeks.
            until: forced.until.map(|until| now.instant(until, Duration::MAX)),
        });
        // What was restored is no news; what ended meanwhile is.
        machine.told = machine.state();
        let was_half_open = stored.breaker.circuit == CircuitState::HalfOpen;
        if is_same && was_half_open && machine.told == GateState::Open {
            // It is half-open again at once.
            machine.told = GateState::HalfOpen;
        }
        machine
    }

    pub(in crate::gate) fn persisted(&self, fingerprint: &str, now: Moment) -> Persisted {
        let state = self.breaker.state();
        let (failures, open_until) = match state {
            State::Closed { failures } => (failures, None),
            State::Open { until } => (0, Some(now.wall(until))),
            State::HalfOpen { .. } => (0, None),
        };
        Persisted {
            fingerprint: fingerprint.to_owned(),
            history: self.history.clone(),
            breaker: PersistedBreaker {
                circuit: state.circuit(),
                failures,
                openings: self.breaker.openings(),
                open_until,
            },
            hold: self.stored_hold(now),
            credential: Some(self.config.credential.clone()),
            forced: self.stored_force(now),
            // The pacer's; the gate fills them in.
            not_before: None,
            paced_until: None,
        }
    }

    pub(in crate::gate) fn stored_hold(&self, now: Moment) -> Option<PersistedHold> {
        self.hold.as_ref().map(|hold| PersistedHold {
            reason: hold.reason,
            message: hold.message.clone(),
            until: now.wall(hold.until),
        })
    }

    pub(in crate::gate) fn stored_force(&self, now: Moment) -> Option<PersistedForce> {
        self.force.as_ref().map(|force| PersistedForce {
            state: force.state,
            reason: force.reason.clone(),
            until: force.until.map(|until| now.wall(until)),
        })
    }
}

fn breaker_state(stored: &PersistedBreaker, longest: Duration, now: Moment) -> State {
    match stored.circuit {
        CircuitState::Closed => State::Closed {
            failures: stored.failures,
        },
        CircuitState::Open => State::Open {
            until: stored
                .open_until
                .map_or(now.at, |until| now.instant(until, longest)),
        },
        // Its probe died with the earlier run: the next look lets a new one through.
        CircuitState::HalfOpen => State::Open { until: now.at },
    }
}
