//! What a simulation tells; the same scenario and seed tell the same, byte for byte.

use serde::Serialize;

/// The result of a simulation; times are virtual, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What everything was drawn from.
    pub seed: u64,
    /// From the start of the first pass to the end of the last.
    pub took_ms: i64,
    /// Each pass, in order.
    pub passes: Vec<PassReport>,
    /// Each provider, in the order of the pool.
    pub providers: Vec<ProviderReport>,
    /// What was expected: first what must hold always, then what the scenario says.
    pub checks: Vec<Check>,
    /// What happened, in order: stored events and what gates told, one line each.
    pub events: Vec<String>,
}

/// One pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassReport {
    /// From 0.
    pub number: u32,
    /// `complete`, `gave_up`, or `endless` for one that was stopped after 30 days.
    pub ending: String,
    /// When it began.
    pub began_ms: i64,
    /// How long it took.
    pub took_ms: i64,
    /// Cells that it asked for.
    pub cells: u64,
    /// Of them, known in the end.
    pub known: u64,
    /// Of them, unknown in the end.
    pub unknown: u64,
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderReport {
    /// Its name.
    pub provider: String,
    /// Calls that reached it.
    pub calls: u64,
    /// Of them, failed as a whole.
    pub failed: u64,
    /// Cells that it answered.
    pub answered: u64,
    /// How long its gate was not closed, in all.
    pub open_ms: i64,
    /// The longest that it kept work waiting: its gate not closed, or a pause that it asked for.
    pub longest_wait_ms: i64,
    /// Where its gate stands in the end.
    pub state: String,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was expected.
    pub expected: String,
    /// Whether it held.
    pub held: bool,
    /// What was seen.
    pub seen: String,
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.checks.iter().all(|check| check.held)
    }
}
