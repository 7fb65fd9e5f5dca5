//! What a gate keeps over a restart.
//!
//! Deadlines are written as wall time and bounded when they are read: a machine's clock may have
//! jumped while the service was down, and a provider must not stay out for a year because of it.

use serde::{Deserialize, Serialize};

use super::health::History;
use super::words::{CircuitState, ForcedState, HoldReason};

/// A gate as it is stored; times are epoch milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persisted {
    /// Hash of endpoint, plugin and options that all but `history` and `forced` belong to.
    pub fingerprint: String,
    /// Kept whatever the fingerprint is.
    pub history: History,
    /// The breaker.
    pub breaker: PersistedBreaker,
    /// What keeps the provider out, if anything does.
    #[serde(default)]
    pub hold: Option<PersistedHold>,
    /// Tells the key that was used from others; a hold for a refused key is that key's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What an operator said; kept whatever the fingerprint is.
    #[serde(default)]
    pub forced: Option<PersistedForce>,
    /// Until when the provider asked to be left alone.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// Until when its limits left no room; for whoever looks, since a pacer keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced_until: Option<i64>,
}

/// The breaker's part of [`Persisted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedBreaker {
    /// Its state.
    pub circuit: CircuitState,
    /// Failures in a row while closed.
    pub failures: u32,
    /// Openings since it was last closed.
    pub openings: u32,
    /// The end of the cooldown while open.
    pub open_until: Option<i64>,
}

/// A hold as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedHold {
    /// Why.
    pub reason: HoldReason,
    /// One line for a person.
    pub message: String,
    /// When it ends.
    pub until: i64,
}

/// A forced state as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedForce {
    /// Which.
    pub state: ForcedState,
    /// What the operator gave as reason.
    pub reason: String,
    /// When it ends; `None`: when an operator releases it.
    pub until: Option<i64>,
}
