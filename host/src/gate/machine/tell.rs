//! What the machine tells: its state, its health, its transitions.

use tokio::time::Instant;

use super::breaker::{Event, Reply, Step, later};
use super::{Cause, CircuitState, ForcedState, GateState, HealthStatus, Identity, Machine, Moment};
use super::{TRANSITIONS_MAX, Transition, breaker};
use crate::gate::breaker::Breaker;
use crate::gate::health::{History, Moves, Totals};

impl Machine {
    pub(super) fn tell_breaker(&mut self, event: Event, now: Moment) -> Reply {
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

    pub(super) fn note_steps(&mut self, steps: &[Step], now: Moment) {
        for step in steps {
            self.note(step.cause, step.at, now);
        }
    }

    /// Tells the world if the state of the whole gate is another one now.
    pub(super) fn note(&mut self, why: Cause, at: Instant, now: Moment) {
        let (from, to) = (self.told, self.state());
        if from == to {
            return;
        }
        if from.is_shut() && !to.is_shut() {
            self.ask_identity_again();
        }
        self.told = to;
        self.transitions_seq += 1;
        self.moves.note(to, why);
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
    pub(in crate::gate) fn state(&self) -> GateState {
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

    pub(in crate::gate) fn circuit(&self) -> CircuitState {
        match self.force.as_ref().map(|force| force.state) {
            Some(ForcedState::Open) => CircuitState::Open,
            Some(ForcedState::Closed | ForcedState::Disabled) => CircuitState::Closed,
            None => self.breaker.state().circuit(),
        }
    }

    pub(in crate::gate) fn status(&self, now: Instant) -> HealthStatus {
        let state = self.state();
        let waits_long = self
            .paced
            .and_then(|paced| paced.until)
            .is_some_and(|until| until > later(now, self.config.spill_after));
        if state.is_shut() {
            HealthStatus::Down
        } else if state == GateState::HalfOpen || self.history.consecutive_fails > 0 || waits_long {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        }
    }

    pub(in crate::gate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(in crate::gate) fn history(&self) -> &History {
        &self.history
    }

    pub(in crate::gate) fn totals(&self) -> Totals {
        self.totals
    }

    pub(in crate::gate) fn moves(&self) -> Moves {
        self.moves
    }

    pub(in crate::gate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(in crate::gate) fn updated_ms(&self) -> i64 {
        self.updated_ms
    }
}
