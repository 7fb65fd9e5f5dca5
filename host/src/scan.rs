//! A scan: address list in, every cell settled, report out.
//!
//! In the order of the data: [`list`] reads and judges addresses, [`plan`] makes cells of them,
//! [`queue`] cuts chunks, [`call`] takes a chunk through a provider, [`reconcile`] matches answers
//! to cells, [`commit`] writes them, [`engine`] drives it all, [`report`] tells the result from the
//! ledger. [`pass`] is the whole of it, from first to last event; [`source`] tells where lists come
//! from; [`identity`] asks which chain a provider serves.

pub mod call;
pub mod commit;
pub mod engine;
pub mod forecast;
pub mod identity;
pub mod idle;
pub mod list;
pub mod order;
pub mod pass;
mod pin;
pub mod plan;
pub mod queue;
mod reasons;
pub mod reconcile;
pub mod report;
mod rounds;
mod sample;
pub mod source;
#[cfg(test)]
mod tests;

use crate::ledger::LedgerError;

/// A scan that could not go on; what was committed stays.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The store.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The list, or its copy.
    #[error("failed to read the address list")]
    List(#[source] std::io::Error),
}
