//! Sampled reconciliation: a share of the cells is read again from a second provider.
//!
//! Two providers may differ because the balance changed between the two readings, or because one
//! of them stands behind. So a difference is asked about once more on both sides, and counts only
//! where each insists: the first told the same before and after the second, and the second told
//! the same twice. With a third provider the one that stands alone is the suspect.
//!
//! Second readings are never stored as balances. Whether a cell is read again depends on the pass
//! and the cell alone. What was not compared when a pass was interrupted is not compared later: its
//! cells are known, and the pass that goes on does not see them again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::call::{self, Question};
use super::commit::Sink;
use super::engine::Progress;
use super::identity::ask_identity;
use super::queue::{Asked, Item, Items};
use super::reconcile::CellOutcome;
use crate::clock::SharedClock;
use crate::config::OnMismatch;
use crate::gate::{Answer, Call, HoldReason, Permit, Verdict, Why};
use crate::ledger::{ChunkCommit, LedgerError, NewEvent};
use crate::model::{Amount, Asset, ChainName, PassId};
use crate::pool::Member;
use crate::pool::decision::{Decision, Decisions, Purpose};

/// Readings that wait for a comparison; beyond this many a comparison is sent.
const BATCH: usize = 100;
/// Comparisons under way; further cells wait for them, the pass does not.
const UNDER_WAY_MAX: usize = 4;
/// How long a second reading may wait for a provider's gate.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reading that is to be compared.
#[derive(Clone, Debug)]
struct Sampled {
    address: Arc<str>,
    asset: u16,
    amount: Amount,
}

/// What all comparisons of a pass share.
#[derive(Debug)]
struct Shared {
    members: Vec<Arc<Member>>,
    expected: Option<String>,
    question: Arc<Question>,
    sink: Arc<dyn Sink>,
    clock: SharedClock,
    chain: ChainName,
    pass: PassId,
    on_mismatch: OnMismatch,
    progress: Arc<Progress>,
    decisions: Arc<Decisions>,
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

    /// A cell was answered by `member`; it may be one that is compared.
    ///
    /// # Errors
    ///
    /// An earlier comparison could not be written.
    pub(super) fn see(
        &mut self,
        member: usize,
        item: &Item,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        let mut hash = DefaultHasher::new();
        let asset = &self.shared.question.assets[usize::from(item.asset)];
        (self.shared.pass.as_str(), &*item.address, asset.key()).hash(&mut hash);
        if hash.finish() > self.below {
            return Ok(());
        }
        self.waiting[member].push(Sampled {
            address: item.address.clone(),
            asset: item.asset,
            amount,
        });
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

impl Shared {
    async fn compare(&self, first: usize, cells: Vec<Sampled>) -> Result<(), LedgerError> {
        for native in [true, false] {
            let of_kind = |cell: &&Sampled| self.asset(cell).is_native() == native;
            let cells: Vec<Sampled> = cells.iter().filter(of_kind).cloned().collect();
            let others = self.others(first, native);
            if let (Some((second, arbiters)), false) = (others.split_first(), cells.is_empty()) {
                self.compare_with(first, *second, arbiters, cells).await?;
            }
        }
        Ok(())
    }

    /// The other providers that read such assets, in the pool's order from `first` on.
    fn others(&self, first: usize, native: bool) -> Vec<usize> {
        let members = self.members.len();
        let after = (1..members).map(|step| (first + step) % members);
        after
            .filter(|index| self.members[*index].can_read(native))
            .collect()
    }

    async fn compare_with(
        &self,
        first: usize,
        second: usize,
        arbiters: &[usize],
        cells: Vec<Sampled>,
    ) -> Result<(), LedgerError> {
        let told = self.read(second, &cells).await;
        let compared = told.iter().flatten().count() as u64;
        self.progress.sampled.fetch_add(compared, Ordering::Relaxed);
        let differ = |(cell, told): (Sampled, Option<Amount>)| {
            let told = told.filter(|told| *told != cell.amount)?;
            Some((cell, told))
        };
        let suspicious: Vec<_> = cells.into_iter().zip(told).filter_map(differ).collect();
        if suspicious.is_empty() {
            return Ok(());
        }
        let (cells, told): (Vec<Sampled>, Vec<Amount>) = suspicious.into_iter().unzip();
        let again_first = self.read(first, &cells).await;
        let again_second = self.read(second, &cells).await;
        let mut insist = Vec::new();
        for (((cell, told), one), two) in cells
            .into_iter()
            .zip(told)
            .zip(again_first)
            .zip(again_second)
        {
            if one == Some(cell.amount) && two == Some(told) {
                insist.push((cell, told));
            }
        }
        if insist.is_empty() {
            return Ok(());
        }
        let mismatches = insist.len() as u64;
        self.progress
            .mismatches
            .fetch_add(mismatches, Ordering::Relaxed);
        let (cells, told): (Vec<Sampled>, Vec<Amount>) = insist.into_iter().unzip();
        let votes = match arbiters.first() {
            Some(arbiter) => self.read(*arbiter, &cells).await,
            None => vec![None; cells.len()],
        };
        let mut events = Vec::new();
        for ((cell, told), vote) in cells.iter().zip(told).zip(votes) {
            let suspect = match vote {
                Some(vote) if vote == cell.amount => Some(second),
                Some(vote) if vote == told => Some(first),
                _ => None,
            };
            events.push(self.event(first, second, cell, told, suspect));
            if let Some(suspect) = suspect {
                self.hold(suspect, cell);
            }
        }
        self.tell(events).await
    }

    /// One reading of each cell by a provider; `None` where it has no answer.
    async fn read(&self, member: usize, cells: &[Sampled]) -> Vec<Option<Amount>> {
        let member = &self.members[member];
        let mut told = vec![None; cells.len()];
        let caps = member.caps();
        let size = member.cells_max().min(caps.addresses_max).min(BATCH);
        for (start, chunk) in (0..).step_by(size).zip(cells.chunks(size)) {
            let Some(permit) = self.admitted(member).await else {
                return told;
            };
            self.record(member, chunk.len());
            // The order of the items is the way back to the cells.
            let items: Items = chunk.iter().map(Sampled::item).collect();
            let called = call::call(member, permit, &self.question, items).await;
            for (item, _, outcome) in called.settled {
                let place = chunk.iter().position(|cell| cell.is(&item));
                if let (Some(place), CellOutcome::Known(known)) = (place, outcome) {
                    told[start + place] = Some(known.amount);
                }
            }
        }
        told
    }

    /// A permit, after the identity where that is not known; `None` where the provider is shut.
    async fn admitted(&self, member: &Member) -> Option<Permit> {
        let until = self.clock.now() + PATIENCE;
        while self.clock.now() < until {
            let mut changed = member.gate.changed();
            let wait = match member.gate.ask(Call::Work) {
                Answer::Pass(permit) => return Some(permit),
                Answer::Wait { until, .. } => Some(until),
                Answer::Shut {
                    why: Why::IdentityPending,
                    ..
                } => match member.gate.ask(Call::Identity) {
                    Answer::Pass(permit) => {
                        let expected = self.expected.as_deref();
                        let verdict = ask_identity(member, &permit, expected).await;
                        let same = verdict == Verdict::Success;
                        permit.record(verdict);
                        if !same {
                            return None;
                        }
                        continue;
                    }
                    Answer::Wait { until, .. } => Some(until),
                    Answer::Shut { .. } => None,
                },
                Answer::Shut { .. } => return None,
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(wait.unwrap_or(until).min(until)) => {}
            }
        }
        None
    }

    fn record(&self, member: &Member, cells: usize) {
        self.decisions.record(Decision {
            id: 0,
            at: self.clock.unix_ms(),
            chain: self.chain.clone(),
            scan: self.pass.clone(),
            purpose: Purpose::Sample,
            provider: Some(member.name.clone()),
            cells: cells as u64,
            skipped: Vec::new(),
        });
    }

    fn asset(&self, cell: &Sampled) -> &Asset {
        &self.question.assets[usize::from(cell.asset)]
    }

    fn event(
        &self,
        first: usize,
        second: usize,
        cell: &Sampled,
        told: Amount,
        suspect: Option<usize>,
    ) -> NewEvent {
        let name = |member: usize| &self.members[member].name;
        let asset = self.asset(cell);
        tracing::warn!(
            chain = %self.chain,
            asset = %asset.symbol,
            "{}: `{}` and `{}` insist on different amounts of {}",
            self.chain, name(first), name(second), asset.symbol
        );
        NewEvent {
            kind: "reconcile_mismatch",
            chain: Some(self.chain.clone()),
            scan: Some(self.pass.clone()),
            data: serde_json::json!({
                "scan": self.pass, "chain": self.chain,
                "address": &*cell.address, "asset": asset.symbol,
                "provider": name(first), "amount": cell.amount.to_string(),
                "other": name(second), "other_amount": told.to_string(),
                "suspect": suspect.map(name),
            }),
        }
    }

    fn hold(&self, suspect: usize, cell: &Sampled) {
        if self.on_mismatch == OnMismatch::Hold {
            let asset = &self.asset(cell).symbol;
            let message = format!("two other providers tell another amount of {asset}");
            let member = &self.members[suspect];
            member.gate.hold(HoldReason::Mismatch, None, message);
        }
    }

    async fn tell(&self, events: Vec<NewEvent>) -> Result<(), LedgerError> {
        let chunk = ChunkCommit {
            events,
            ..ChunkCommit::of(self.pass.clone())
        };
        self.sink.commit(chunk).await
    }
}

impl Sampled {
    fn item(&self) -> (Item, Asked) {
        let item = Item {
            address: self.address.clone(),
            asset: self.asset,
            suspect: 0,
            counted: false,
            errors: Vec::new(),
        };
        (item, Asked::default())
    }

    fn is(&self, item: &Item) -> bool {
        self.asset == item.asset && *self.address == *item.address
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
