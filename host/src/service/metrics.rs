//! Metrics: one table says what there is, and everything else is made from it.
//!
//! `family` is what a row of the table means, [`registry`] the table; `sheet` the series in the
//! exposition, `stored` what the store tells, `gather` a scrape; [`dashboard`] and [`rules`] are made
//! for Grafana and Prometheus from the same table.
//!
//! **Invariants.** A series exists from the start, or from the reload that brought its chain or
//! provider. A gauge whose value is not known is `NaN`, never 0. A counter never falls within a
//! process, also over a reload, which makes every gate anew. Labels have closed lists of values, or
//! names from the configuration: no address, URL, key or text of an error is ever one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub mod dashboard;
mod family;
mod gather;
pub mod registry;
pub mod rules;
mod sheet;
mod stored;

pub use self::family::{Family, Group, Kind, Label, Scope};
use self::sheet::Growing;
use self::stored::Stored;
use super::setup::{Setup, SetupError};
use crate::clock::SharedClock;
use crate::ledger::{PassKind, PassStatus};
use crate::model::{ChainName, Class};
use crate::pool::Member;
use crate::pool::meter::{CallMeter, CellMeter, ComparedMeter, Meter, Op};

/// Observations wait in memory for this long at most when nobody scrapes.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// The metrics of a service; clones are the same.
#[derive(Clone)]
pub(super) struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    started_ms: i64,
    growing: Mutex<Growing>,
    reload_ok: std::sync::atomic::AtomicBool,
    stored: tokio::sync::Mutex<Option<(Instant, Stored)>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

// === impl Metrics ===

impl Metrics {
    /// Metrics of a service that begins with this setup.
    pub(super) fn new(setup: &Setup, clock: &SharedClock) -> Self {
        let growing = Growing::new();
        begin(&growing, setup);
        Self {
            shared: Arc::new(Shared {
                started_ms: clock.unix_ms(),
                growing: Mutex::new(growing),
                // A service that runs has read one.
                reload_ok: true.into(),
                stored: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Folds observations until it is told to stop.
    pub(super) async fn keep(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FOLD_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.growing().fold(),
            }
        }
    }

    /// Replaces a setup by another: what its gates and pools counted is taken over first, and no
    /// scrape sees the one with the numbers of the other. Nobody works with either meanwhile.
    pub(super) fn turn(&self, before: &Setup, next: &Setup, replace: impl FnOnce()) {
        let mut growing = self.growing();
        gather::follow(&mut growing, before);
        growing.forget_sources();
        begin(&growing, next);
        replace();
    }

    /// A reload ended.
    pub(super) fn reloaded<T>(&self, result: &Result<T, SetupError>) {
        let word = match result {
            Ok(_) => "taken",
            Err(SetupError::Config(_)) => "rejected",
            Err(SetupError::Ledger(_)) => "failed",
        };
        self.growing()
            .counter(&registry::RELOADS, &[word])
            .increment(1);
        let ok = result.is_ok();
        let order = std::sync::atomic::Ordering::Relaxed;
        self.shared.reload_ok.store(ok, order);
    }

    /// A pass ended.
    pub(super) fn pass_ended(
        &self,
        chain: &ChainName,
        kind: PassKind,
        status: PassStatus,
        took: Duration,
    ) {
        let values = [chain.as_str(), kind.as_str(), status.as_str()];
        let growing = self.growing();
        growing
            .histogram(&registry::SCAN_DURATION, &values)
            .record(took);
    }

    fn growing(&self) -> std::sync::MutexGuard<'_, Growing> {
        let growing = self.shared.growing.lock();
        growing.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the series of a setup, and gives each of its providers a meter.
fn begin(growing: &Growing, setup: &Setup) {
    growing.begin(&gather::scope(setup));
    for (name, chain) in &setup.chains {
        for member in &chain.pool.members {
            // It is fresh; a meter that it has is the same one.
            let _ = member.meter.set(meter(growing, name, member));
        }
    }
}

fn meter(growing: &Growing, chain: &ChainName, member: &Member) -> Meter {
    let (chain, provider) = (chain.as_str(), member.name.as_str());
    let calls = |op: Op| {
        let outcome = |word| {
            let values = [chain, provider, op.as_str(), word];
            growing.counter(&registry::CALLS, &values)
        };
        let after = |word| {
            let values = [chain, provider, op.as_str(), word];
            growing.histogram(&registry::DURATION, &values)
        };
        CallMeter {
            answered: outcome("success"),
            failed: Class::ALL.map(|class| outcome(class.as_str())),
            answered_after: after("answered"),
            failed_after: after("failed"),
        }
    };
    let cells = |word| growing.counter(&registry::CELL_RESULTS, &[chain, provider, word]);
    let compared = |word| growing.counter(&registry::RECONCILED, &[chain, word]);
    Meter {
        requests: growing.counter(&registry::REQUESTS, &[chain, provider]),
        balances: calls(Op::Balances),
        identity: calls(Op::Identity),
        waits: growing.histogram(&registry::WAITS, &[chain, provider]),
        sizes: growing.histogram(&registry::CALL_SIZE, &[chain, provider]),
        cells: CellMeter {
            known: cells("known"),
            unknown: cells("unknown"),
            invalid: cells("invalid"),
        },
        compared: ComparedMeter {
            same: compared("same"),
            mismatch: compared("mismatch"),
            unsettled: compared("unsettled"),
        },
    }
}
