//! Deterministic chaos: the real pool, gates, pacers, engine and ledger over scripted providers, on
//! virtual time.
//!
//! A [`Scenario`] tells what goes wrong and when; [`run`] makes its passes and a [`Report`] of what
//! held. Nothing else takes part: no network, no plugin, no configuration, and no time, since the
//! clock jumps to the next timer whenever nobody has anything to do. Hours of outage take
//! milliseconds.
//!
//! **Deterministic.** The same scenario and seed give the same report, byte for byte:
//! - there is one thread, and time stands still while the store works ([`Clock::hold`]);
//! - whatever is drawn (latencies, shares, jitter) is drawn from the seed and the number of the
//!   call, not from the order in which calls happen to be polled;
//! - an answer takes at least a millisecond, so that what the store acknowledges and what
//!   providers answer never compete for the same instant.
//!
//! `scripted` is the provider, `world` what the chain really says, `stage` puts the pool together,
//! `passes` runs it, `checks` judges.
//!
//! [`Clock::hold`]: crate::clock::Clock::hold

mod calls;
mod checks;
mod passes;
mod report;
mod scripted;
mod stage;
#[cfg(test)]
mod tests;
mod world;

use std::io;

pub use self::report::{Check, PassReport, ProviderReport, Report};
use crate::config::Scenario;
use crate::ledger::LedgerError;
use crate::scan::ScanError;
use crate::scan::list::ListError;

/// Why a simulation could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The runtime or the folder of the store could not be made.
    #[error("failed to prepare the simulation")]
    Prepare(#[source] io::Error),
    /// The store of the simulation failed.
    #[error("failed to use the simulation's store")]
    Ledger(#[from] LedgerError),
    /// A pass broke.
    #[error("failed to run a pass")]
    Scan(#[from] ScanError),
    /// The list of addresses could not be made.
    #[error("failed to make the list of addresses")]
    List(#[from] ListError),
}

/// Runs the scenario; not to be called within a runtime, since it has one of its own.
///
/// # Errors
///
/// The simulation itself broke; what does not hold is no error.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Report, SimulateError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(SimulateError::Prepare)?;
    runtime.block_on(passes::run(scenario, seed))
}
