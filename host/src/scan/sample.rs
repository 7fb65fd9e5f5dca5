//! Sampled reconciliation: a share of the cells is read again from a second provider.
//!
//! Two providers may differ because the balance changed between the two readings, or because one
//! of them stands behind. So a difference is asked about once more on both sides, and counts only
//! where each insists: the first told the same before and after the second, and the second told
//! the same twice. With a third provider the one that stands alone is the suspect.
//!
//! What was read at one height is read again at that height, and compared with nobody who cannot
//! read there: the amount may be another one by now.
//!
//! Second readings are never stored as balances. Whether a cell is read again depends on the pass
//! and the cell alone. What was not compared when a pass was interrupted or gave up, or for which
//! there was no room, is not compared later: its cells are known, and a pass that goes on does not
//! see them again. How many were chosen and how many compared is counted ([`Progress`]).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::{JoinError, JoinSet};

use self::compare::Shared;
use super::call::{Heights, Question};
use super::commit::Sink;
use super::engine::Progress;
use super::queue::Item;
use crate::clock::SharedClock;
use crate::config::OnMismatch;
use crate::ledger::LedgerError;
use crate::model::{Amount, PassId};

mod ask;
mod compare;

/// Readings that wait for a comparison; beyond this many a comparison is sent.
const BATCH: usize = 100;
/// Comparisons under way; further cells wait for them, the pass does not.
const UNDER_WAY_MAX: usize = 4;
/// Cells that wait; where others are read that much faster than compared, further ones are not.
const WAITING_MAX: usize = if cfg!(test) { 1_000 } else { 20_000 };

/// A reading that is to be compared.
#[derive(Clone, Debug)]
struct Sampled {
    address: Arc<str>,
    asset: u16,
    amount: Amount,
    /// Where it is to be read again.
    heights: Heights,
}

/// The comparisons of one pass.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Of all 64-bit hashes, those below are sampled.
    below: u64,
    shared: Arc<Shared>,
    /// By the provider that answered first.
    waiting: Vec<Vec<Sampled>>,
    under_way: JoinSet<Result<(), LedgerError>>,
}

/// What a sampler is made of.
pub(super) struct Settings<'a> {
    pub(super) share_percent: f64,
    pub(super) on_mismatch: OnMismatch,
    pub(super) pool: &'a crate::pool::Pool,
    pub(super) question: Arc<Question>,
    pub(super) sink: &'a Arc<dyn Sink>,
    pub(super) clock: &'a SharedClock,
    pub(super) pass: &'a PassId,
    pub(super) progress: &'a Arc<Progress>,
}

// === impl Sampler ===

impl Sampler {
    /// `None` where there is nothing to compare, or nobody to compare with.
    pub(super) fn new(settings: Settings<'_>) -> Option<Self> {
        let Settings { pool, .. } = settings;
        if settings.share_percent <= 0.0 || pool.members.len() < 2 {
            return None;
        }
        Some(Self {
            below: below(settings.share_percent),
            waiting: vec![Vec::new(); pool.members.len()],
            under_way: JoinSet::new(),
            shared: Arc::new(Shared {
                members: pool.members.clone(),
                expected: pool.identity.clone(),
                question: settings.question,
                sink: settings.sink.clone(),
                clock: settings.clock.clone(),
                chain: pool.chain.clone(),
                pass: settings.pass.clone(),
                on_mismatch: settings.on_mismatch,
                progress: settings.progress.clone(),
                decisions: pool.decisions.clone(),
            }),
        })
    }

    /// A cell was answered by `member`; it may be one that is compared, at `heights`.
    ///
    /// # Errors
    ///
    /// An earlier comparison could not be written.
    pub(super) fn see(
        &mut self,
        member: usize,
        item: &Item,
        amount: Amount,
        heights: Heights,
    ) -> Result<(), LedgerError> {
        let mut hash = DefaultHasher::new();
        let asset = &self.shared.question.assets[usize::from(item.asset)];
        (self.shared.pass.as_str(), &*item.address, asset.key()).hash(&mut hash);
        if hash.finish() > self.below {
            return Ok(());
        }
        let chosen = &self.shared.progress.samples;
        chosen.fetch_add(1, Ordering::Relaxed);
        if self.waiting.iter().map(Vec::len).sum::<usize>() < WAITING_MAX {
            self.waiting[member].push(Sampled {
                address: item.address.clone(),
                asset: item.asset,
                amount,
                heights,
            });
        }
        if self.waiting[member].len() < BATCH {
            return Ok(());
        }
        while let Some(done) = self.under_way.try_join_next() {
            finished(done)?;
        }
        if self.under_way.len() < UNDER_WAY_MAX {
            self.send(member);
        }
        Ok(())
    }

    /// Compares what is left and waits for every comparison.
    pub(super) async fn finish(&mut self) -> Result<(), LedgerError> {
        for member in 0..self.waiting.len() {
            while !self.waiting[member].is_empty() {
                self.send(member);
                if self.under_way.len() >= UNDER_WAY_MAX {
                    self.join_one().await?;
                }
            }
        }
        while !self.under_way.is_empty() {
            self.join_one().await?;
        }
        Ok(())
    }

    async fn join_one(&mut self) -> Result<(), LedgerError> {
        match self.under_way.join_next().await {
            Some(done) => finished(done),
            None => Ok(()),
        }
    }

    fn send(&mut self, first: usize) {
        let most = self.waiting[first].len().min(BATCH);
        let cells: Vec<Sampled> = self.waiting[first].drain(..most).collect();
        let shared = self.shared.clone();
        self.under_way
            .spawn(async move { shared.compare(first, cells).await });
    }
}

fn finished(done: Result<Result<(), LedgerError>, JoinError>) -> Result<(), LedgerError> {
    // A panic of ours must not pass for a comparison.
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The bound below which a share of all hashes lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is too large becomes the largest integer, which is the whole"
)]
fn below(share_percent: f64) -> u64 {
    (share_percent / 100.0 * 2_f64.powi(64)) as u64
}
