//! One pass of a chain, from its first event to its last.
//!
//! The ledger makes the pass or goes on with an unfinished one, the engine runs it, the ledger ends
//! it. Whoever runs a pass keeps a [`Recorder`](crate::pool::record::Recorder) of its pool at work
//! meanwhile: limits of an hour and longer are spent only then.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ScanError;
use super::commit::Sink;
use super::engine::{Ending, Engine, Outcome, Patience, Progress};
use super::list::AddressList;
use super::order::Order;
use super::plan::Plan;
use crate::clock::SharedClock;
use crate::config::{Chain, ScanOrder};
use crate::ledger::{
    CellName, ChunkCommit, Ledger, LedgerError, Pass, PassEnd, PassFilter, PassKind, PassRow,
    PassSpec,
};
use crate::model::{Asset, PassId};
use crate::pool::Pool;

/// An unfinished pass younger than this is continued.
pub const RESUME_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Everything that one pass is made of.
#[derive(Debug)]
pub struct PassRun<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// What is read of each address.
    pub assets: &'a [Asset],
    /// The addresses.
    pub list: &'a AddressList,
    /// Who is asked.
    pub pool: &'a Pool,
    /// Whether it is the chain's set, or some cells asked for now.
    pub kind: PassKind,
    /// When to give up.
    pub patience: Patience,
    /// Where everything goes.
    pub ledger: &'a Ledger,
    /// Time.
    pub clock: &'a SharedClock,
    /// What this process has settled, for a pass of some cells that may be interrupted: the ledger
    /// cannot tell which of its cells another pass has read since. `None`: the ledger tells.
    pub settled: Option<Arc<SettledCells>>,
    /// The sign to stop.
    pub cancel: CancellationToken,
    /// For whoever watches.
    pub progress: Arc<Progress>,
}

impl PassRun<'_> {
    /// Cells to be known.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.list.valid.saturating_mul(self.assets.len() as u64)
    }

    /// Begins a pass, or goes on with an unfinished one of the same cells and the same meaning that
    /// was at work within `resume_within`.
    ///
    /// # Errors
    ///
    /// The ledger could not be written; nothing began.
    pub async fn begin(&self, resume_within: Option<Duration>) -> Result<Pass, LedgerError> {
        let pass = self
            .ledger
            .begin_pass(PassSpec {
                chain: self.chain.name.clone(),
                kind: self.kind,
                fingerprint: self.fingerprint(),
                cells: self.cells(),
                resume_within,
            })
            .await?;
        let settled = pass.counters.known;
        self.progress.settled.store(settled, Ordering::Relaxed);
        Ok(pass)
    }

    /// Goes on with a pass that this process has begun and interrupted, for other providers.
    ///
    /// # Errors
    ///
    /// The ledger could not be read, or has no such pass.
    pub async fn go_on(&self, id: &PassId) -> Result<Pass, LedgerError> {
        if let Some(settled) = &self.settled {
            settled.commits_ended().await;
        }
        let Some(row) = self.ledger.pass(id).await? else {
            return Err(LedgerError::NoPass { pass: id.clone() });
        };
        let settled = row.counters.known;
        self.progress.settled.store(settled, Ordering::Relaxed);
        Ok(Pass {
            id: row.id,
            resumed: true,
            started_at: row.started_at,
            counters: row.counters,
        })
    }

    /// Asks for every cell until it is known, refused by all, or patience ends.
    ///
    /// The pass has not had its last event then: see [`PassRun::end`].
    ///
    /// # Errors
    ///
    /// The ledger could not be written or the list not be read; what was committed stays.
    pub async fn run(&self, pass: &Pass) -> Result<Outcome, ScanError> {
        let commitment = self.chain.commitment;
        let ledger = self.ledger.clone();
        let sink: Arc<dyn Sink> = match &self.settled {
            None => Arc::new(ledger),
            Some(settled) => Arc::new(Remembering {
                ledger,
                settled: settled.clone(),
            }),
        };
        let engine = Engine {
            chain: &self.chain.name,
            pool: self.pool,
            assets: self.assets.to_vec(),
            commitment: commitment.unwrap_or_else(|| self.pool.commitment_default()),
            at: self.chain.scan.at,
            sample: self.chain.scan.sample,
            on_mismatch: self.chain.scan.on_mismatch,
            sink,
            patience: self.patience,
            clock: self.clock.clone(),
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
        };
        let name = &self.chain.name;
        let plan = Plan::new(self.list, self.assets, name, pass, self.ledger)?;
        let plan = plan
            .without(self.settled.as_deref())
            .ordered(self.order(pass).await?);
        engine.run(pass, plan).await
    }

    async fn order(&self, pass: &Pass) -> Result<Order, LedgerError> {
        let order = self.chain.scan.order;
        if order == ScanOrder::List || self.kind == PassKind::Spot {
            return Ok(Order::default());
        }
        let filter = PassFilter {
            chain: Some(self.chain.name.clone()),
            kind: Some(PassKind::Set),
            status: None,
        };
        let newest = self.ledger.pass_page(&filter, None, 2).await?;
        let before = newest.into_iter().find(|row| row.id != pass.id);
        Ok(Order::new(order, before.map(|row| row.started_at)))
    }

    /// Gives the pass its one last event, as its outcome was. `stopped` is what a cancelled one is
    /// told by, and whether a later one may go on there.
    ///
    /// # Errors
    ///
    /// The ledger could not be written.
    pub async fn end(
        &self,
        pass: &PassId,
        outcome: &Outcome,
        stopped: Stopped,
    ) -> Result<PassRow, LedgerError> {
        let end = match &outcome.ending {
            Ending::Complete => PassEnd::Complete,
            Ending::GaveUp { message } => PassEnd::GaveUp {
                message: message.clone(),
            },
            Ending::Cancelled => stopped.into(),
        };
        self.ledger.end_pass(pass, end, Vec::new()).await
    }

    /// Ends the pass as broken; what cannot be written any more is told by the error itself.
    pub async fn end_broken(&self, pass: &PassId, error: &ScanError) {
        let end = PassEnd::Broken {
            message: error.to_string(),
        };
        if let Err(second) = self.ledger.end_pass(pass, end, Vec::new()).await {
            tracing::debug!(%second, "the broken pass could not be ended");
        }
    }

    /// Passes with the same fingerprint ask for the same cells and mean the same by the answers.
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let parts = [self.chain.fingerprint(), self.list.digest.clone()];
        let assets = self.assets.iter().map(|asset| asset.key().to_owned());
        for part in parts.into_iter().chain(assets) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}

/// The cells that a pass has settled in this process.
#[derive(Debug, Default)]
pub struct SettledCells {
    cells: Mutex<HashSet<CellName>>,
    /// Commits on their way, which a pass that is interrupted does not wait for.
    commits: TaskTracker,
}

impl SettledCells {
    /// Adds them to a set.
    pub(super) fn add_to(&self, done: &mut HashSet<CellName>) {
        done.extend(self.cells().iter().cloned());
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, HashSet<CellName>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every chunk that was handed over is on disk and noted here.
    async fn commits_ended(&self) {
        self.commits.close();
        self.commits.wait().await;
        self.commits.reopen();
    }
}

/// The ledger, and a note of what it took.
#[derive(Debug)]
struct Remembering {
    ledger: Ledger,
    settled: Arc<SettledCells>,
}

#[async_trait]
impl Sink for Remembering {
    async fn commit(&self, chunk: ChunkCommit) -> Result<(), LedgerError> {
        let (ledger, settled) = (self.ledger.clone(), self.settled.clone());
        let cells: Vec<CellName> = chunk.settled().cloned().collect();
        // By itself, so that nothing is written and not noted when the pass is interrupted.
        let commit = self.settled.commits.spawn(async move {
            ledger.commit(chunk).await?;
            settled.cells().extend(cells);
            Ok(())
        });
        commit.await.unwrap_or(Err(LedgerError::Closed))
    }
}

/// Who stopped a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// For people; `scan_error` carries it.
    pub message: &'static str,
    /// Whether a later pass may go on where this one stopped.
    pub resumable: bool,
}

impl Stopped {
    /// A signal: the same command goes on.
    pub const INTERRUPTED: Self = Self {
        message: "interrupted",
        resumable: true,
    };

    /// The service was shut down, and does not come back to it.
    pub const SHUT_DOWN: Self = Self {
        message: "the service was shut down",
        resumable: false,
    };

    /// Another configuration asks for other cells, or means something else by them.
    pub const RECONFIGURED: Self = Self {
        message: "the configuration of the chain was changed",
        resumable: false,
    };

    /// Somebody does not want it any more.
    pub const CANCELLED: Self = Self {
        message: "cancelled by request",
        resumable: false,
    };
}

impl From<Stopped> for PassEnd {
    fn from(stopped: Stopped) -> Self {
        Self::Cancelled {
            message: stopped.message.to_owned(),
            resumable: stopped.resumable,
        }
    }
}
