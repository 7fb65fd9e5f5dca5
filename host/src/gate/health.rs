//! What a gate tells about its provider: the health row, the usage counters, the events.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::verdict::Fault;
use super::words::{Cause, CircuitState, GateState, HealthStatus, ProviderType};
use crate::model::{ChainName, ProviderName};

/// Longest text of an error that is kept, in characters.
const MESSAGE_CHARS: usize = 200;

/// One row of `provider_health`; times are epoch milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRow {
    /// Who.
    pub provider_name: ProviderName,
    /// On which chain.
    pub chain: ChainName,
    /// Used for what.
    pub provider_type: ProviderType,
    /// How it fares.
    pub status: HealthStatus,
    /// Failures since the last success.
    pub consecutive_fails: u32,
    /// When it last answered.
    pub last_success: Option<i64>,
    /// When it last failed, refused the key, or its plugin failed.
    pub last_error: Option<i64>,
    /// What it said then.
    pub last_error_msg: Option<String>,
    /// The breaker's state; forced states show as the state that they force.
    pub circuit_state: CircuitState,
    /// When anything of the row last changed.
    pub updated_at: i64,
}

/// The part of a provider's record that outlives restarts and mended configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Failures since the last success.
    pub consecutive_fails: u32,
    /// When it last answered, in epoch milliseconds.
    pub last_success: Option<i64>,
    /// When it last failed, in epoch milliseconds.
    pub last_error: Option<i64>,
    /// What it said then.
    pub last_error_msg: Option<String>,
}

/// What was used since the caller last asked, for the daily usage rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDelta {
    /// HTTP requests that were really sent.
    pub requests: u64,
    /// Calls that were answered.
    pub successes: u64,
    /// Calls that the provider failed.
    pub failures: u64,
    /// Calls that the provider answered with a request to slow down.
    pub rate_limited: u64,
}

/// Every call that ended since the gate was made, by how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Let through.
    pub passed: u64,
    /// Answered.
    pub successes: u64,
    /// Of them, the ones that took longer than the breaker's `slow_call`.
    pub slow: u64,
    /// Failed by the provider.
    pub failures: u64,
    /// Nothing learned.
    pub neutral: u64,
    /// Answered with a request to slow down.
    pub rate_limited: u64,
    /// Answered with a reason to keep the provider out.
    pub holds: u64,
    /// Failed by the plugin.
    pub plugin_faults: u64,
    /// Given back without a verdict.
    pub given_back: u64,
    /// Of all these, the ones that came too late to decide anything.
    pub late: u64,
}

/// A gate changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// Counts up by one from 1 within this gate and process.
    pub seq: u64,
    /// The state that was left; always the `to` of the transition before.
    pub from: GateState,
    /// The state that was entered.
    pub to: GateState,
    /// What made it change.
    pub why: Cause,
    /// When, in epoch milliseconds.
    pub at: i64,
    /// When the new state ends by itself, in epoch milliseconds; `None` where that is not known.
    pub until: Option<i64>,
    /// Failures since the last success, before a success that caused this was counted.
    pub consecutive_failures: u32,
    /// Every call so far, the one that caused this included.
    pub totals: Totals,
    /// The last error before or at this transition.
    pub last_error_msg: Option<String>,
}

/// How often a gate changed its state since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    to: [u64; GateState::ALL.len()],
    why: [u64; Cause::ALL.len()],
}

// === impl Moves ===

impl Moves {
    pub(super) fn note(&mut self, to: GateState, why: Cause) {
        let places = GateState::ALL.iter().zip(&mut self.to);
        let places = places.filter(|(state, _)| **state == to);
        places.for_each(|(_, count)| *count += 1);
        let places = Cause::ALL.iter().zip(&mut self.why);
        let places = places.filter(|(cause, _)| **cause == why);
        places.for_each(|(_, count)| *count += 1);
    }

    /// Changes by the state that was entered.
    pub fn to(&self) -> impl Iterator<Item = (GateState, u64)> {
        GateState::ALL.iter().copied().zip(self.to)
    }

    /// Changes by what made them.
    pub fn why(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.iter().copied().zip(self.why)
    }
}

// === impl History ===

impl History {
    pub(super) fn success(&mut self, unix_ms: i64) {
        self.consecutive_fails = 0;
        self.last_success = Some(unix_ms);
    }

    pub(super) fn failure(
        &mut self,
        fault: Fault,
        http_status: Option<u16>,
        message: &str,
        unix_ms: i64,
    ) {
        self.consecutive_fails = self.consecutive_fails.saturating_add(1);
        let class = fault.class();
        match http_status {
            Some(status) => self.error(&format!("{class} (HTTP {status}): {message}"), unix_ms),
            None => self.error(&format!("{class}: {message}"), unix_ms),
        }
    }

    /// An answer that came so late that it is a failure.
    pub(super) fn too_slow(&mut self, took: Duration, unix_ms: i64) {
        self.last_success = Some(unix_ms);
        let message = format!("answered after {} ms: a slow call", took.as_millis());
        self.failure(Fault::Timeout, None, &message, unix_ms);
    }

    /// Keeps an error that is not the provider's failure.
    pub(super) fn error(&mut self, message: &str, unix_ms: i64) {
        self.last_error = Some(unix_ms);
        self.last_error_msg = Some(message.chars().take(MESSAGE_CHARS).collect());
    }
}

// === impl UsageDelta ===

impl UsageDelta {
    /// Whether nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for UsageDelta {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.successes += other.successes;
        self.failures += other.failures;
        self.rate_limited += other.rate_limited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_counted_by_state_and_by_cause() {
        let mut moves = Moves::default();
        moves.note(GateState::Open, Cause::Failures);
        moves.note(GateState::Open, Cause::ProbeFailed);
        let open = moves.to().find(|(state, _)| *state == GateState::Open);
        assert_eq!(open, Some((GateState::Open, 2)));
        let failures = moves.why().find(|(cause, _)| *cause == Cause::Failures);
        assert_eq!(failures, Some((Cause::Failures, 1)));
        assert_eq!(moves.to().map(|(_, count)| count).sum::<u64>(), 2);
        assert_eq!(moves.why().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
