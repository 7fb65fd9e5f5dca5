//! What the calls to a provider are counted by, for whoever scrapes a running service.
//!
//! Nothing here allocates, and nothing is done per cell: a call is one note, its cells are three
//! numbers. A provider without a meter, as in `scanhost scan`, notes nothing.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::Member;
use crate::model::Class;

/// What a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Balances.
    Balances,
    /// Which network the provider serves.
    Identity,
}

/// Where the calls to one provider are counted.
#[derive(Debug)]
pub struct Meter {
    /// HTTP requests that were really sent.
    pub requests: Counter,
    /// Calls for balances.
    pub balances: CallMeter,
    /// Questions for the identity.
    pub identity: CallMeter,
    /// What the host let calls wait to keep to the provider's limits, in seconds.
    pub waits: Histogram,
    /// Cells of one call.
    pub sizes: Histogram,
    /// What became of cells.
    pub cells: CellMeter,
    /// What the comparison with another provider's readings came to; of the whole chain.
    pub compared: ComparedMeter,
}

/// Where calls of one kind are counted.
#[derive(Debug)]
pub struct CallMeter {
    /// Answered.
    pub answered: Counter,
    /// Not answered, in the order of [`Class::ALL`].
    pub failed: [Counter; Class::ALL.len()],
    /// How long answers took, in seconds.
    pub answered_after: Histogram,
    /// How long failures took, in seconds.
    pub failed_after: Histogram,
}

/// Where cells are counted, by what a call made of them.
#[derive(Debug)]
pub struct CellMeter {
    /// With an amount.
    pub known: Counter,
    /// Without one.
    pub unknown: Counter,
    /// Not addresses of the chain.
    pub invalid: Counter,
}

/// Where compared cells are counted.
#[derive(Debug)]
pub struct ComparedMeter {
    /// Both tell the same.
    pub same: Counter,
    /// Each insists on another amount.
    pub mismatch: Counter,
    /// They differed once and not again.
    pub unsettled: Counter,
}

/// One call that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How it failed; `None` is an answer.
    pub failure: Option<Class>,
    /// How long the provider took.
    pub took: Duration,
    /// What the host let it wait before.
    pub waited: Duration,
    /// HTTP requests that it sent.
    pub requests: u32,
}

// === impl Op ===

impl Op {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Balances, Self::Identity];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Balances => "balances",
            Self::Identity => "identity",
        }
    }
}

// === impl CallMeter ===

impl CallMeter {
    fn note(&self, ended: &Ended) {
        match ended.failure {
            None => {
                self.answered.increment(1);
                self.answered_after.record(ended.took);
            }
            Some(class) => {
                let place = Class::ALL.iter().position(|it| *it == class);
                if let Some(place) = place {
                    self.failed[place].increment(1);
                }
                self.failed_after.record(ended.took);
            }
        }
    }
}

// === impl Member ===

impl Member {
    /// Notes the end of a call.
    pub fn note_call(&self, op: Op, ended: &Ended) {
        let Some(meter) = self.meter.get() else {
            return;
        };
        meter.requests.increment(u64::from(ended.requests));
        meter.waits.record(ended.waited);
        match op {
            Op::Balances => meter.balances.note(ended),
            Op::Identity => meter.identity.note(ended),
        }
    }

    /// Notes how many cells a call was asked for.
    pub fn note_size(&self, cells: usize) {
        if let Some(meter) = self.meter.get() {
            // No call is larger than this.
            let cells = u32::try_from(cells).unwrap_or(u32::MAX);
            meter.sizes.record(f64::from(cells));
        }
    }

    /// Notes what a call made of its cells.
    pub fn note_cells(&self, known: u64, unknown: u64, invalid: u64) {
        if let Some(meter) = self.meter.get() {
            meter.cells.known.increment(known);
            meter.cells.unknown.increment(unknown);
            meter.cells.invalid.increment(invalid);
        }
    }

    /// Notes what comparisons with its readings came to.
    pub fn note_compared(&self, same: u64, mismatch: u64, unsettled: u64) {
        if let Some(meter) = self.meter.get() {
            meter.compared.same.increment(same);
            meter.compared.mismatch.increment(mismatch);
            meter.compared.unsettled.increment(unsettled);
        }
    }
}
