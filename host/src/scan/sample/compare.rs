//! One comparison: second readings, the first ones once more, and who is believed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Sampled;
use crate::clock::SharedClock;
use crate::config::OnMismatch;
use crate::gate::HoldReason;
use crate::ledger::{ChunkCommit, LedgerError, NewEvent};
use crate::model::{Amount, Asset, ChainName, PassId};
use crate::pool::Member;
use crate::pool::decision::Decisions;
use crate::scan::call::{Heights, Question};
use crate::scan::commit::Sink;
use crate::scan::engine::Progress;

/// What all comparisons of a pass share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) expected: Option<String>,
    pub(super) question: Arc<Question>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: SharedClock,
    pub(super) chain: ChainName,
    pub(super) pass: PassId,
    pub(super) on_mismatch: OnMismatch,
    pub(super) progress: Arc<Progress>,
    pub(super) decisions: Arc<Decisions>,
}

/// Cells of one kind that are read again at the same heights.
struct Batch {
    /// Who told them first.
    first: usize,
    question: Arc<Question>,
    cells: Vec<Sampled>,
}

/// A cell of which two providers tell different amounts.
struct Differing {
    cell: Sampled,
    other: Amount,
}

// === impl Shared ===

impl Shared {
    pub(super) async fn compare(
        &self,
        first: usize,
        cells: Vec<Sampled>,
    ) -> Result<(), LedgerError> {
        // What is read at one height is not asked for together with what is read at another.
        let mut batches: BTreeMap<(bool, Option<u64>), Vec<Sampled>> = BTreeMap::new();
        for cell in cells {
            let kind = self.asset(&cell).is_native();
            let batch = batches.entry((kind, cell.heights.at)).or_default();
            batch.push(cell);
        }
        for ((native, at), cells) in batches {
            let lowest = cells.iter().map(|cell| cell.heights.min).max();
            let heights = Heights {
                at,
                min: lowest.unwrap_or_default(),
            };
            let question = Arc::new(Question {
                heights,
                ..Question::clone(&self.question)
            });
            let batch = Batch {
                first,
                question,
                cells,
            };
            let others = self.others(first, native, heights);
            if let Some((second, arbiters)) = others.split_first() {
                self.compare_with(*second, arbiters.first().copied(), batch)
                    .await?;
            }
        }
        Ok(())
    }

    /// The other providers that tell what compares, in the pool's order from `first` on.
    fn others(&self, first: usize, native: bool, heights: Heights) -> Vec<usize> {
        let members = self.members.len();
        let after = (1..members).map(|step| (first + step) % members);
        let tells = |index: &usize| {
            let member = &self.members[*index];
            member.can_read(native) && heights.again_by(member.caps()).is_some()
        };
        after.filter(tells).collect()
    }

    async fn compare_with(
        &self,
        second: usize,
        arbiter: Option<usize>,
        batch: Batch,
    ) -> Result<(), LedgerError> {
        let Batch {
            first,
            question,
            cells,
        } = batch;
        let differing = self.differing(second, &question, cells).await;
        let differ = differing.len() as u64;
        let insisted = self.insisted(first, second, &question, differing).await;
        let mismatch = insisted.len() as u64;
        let unsettled = differ.saturating_sub(mismatch);
        self.members[second].note_compared(0, mismatch, unsettled);
        if insisted.is_empty() {
            return Ok(());
        }
        let mismatches = &self.progress.mismatches;
        mismatches.fetch_add(insisted.len() as u64, Ordering::Relaxed);
        let votes = match arbiter {
            Some(arbiter) => self.read_again(arbiter, &question, &insisted).await,
            None => vec![None; insisted.len()],
        };
        let mut events = Vec::new();
        for (Differing { cell, other }, vote) in insisted.iter().zip(votes) {
            let suspect = match vote {
                Some(vote) if vote == cell.amount => Some(second),
                Some(vote) if vote == *other => Some(first),
                _ => None,
            };
            events.push(self.event(first, second, cell, *other, suspect));
            if let Some(suspect) = suspect {
                self.hold(suspect, cell);
            }
        }
        self.tell(events).await
    }

    /// The cells of which the second provider tells something else.
    async fn differing(
        &self,
        second: usize,
        question: &Question,
        cells: Vec<Sampled>,
    ) -> Vec<Differing> {
        let told = self.read(second, question, &cells).await;
        let compared = told.iter().flatten().count() as u64;
        self.progress.sampled.fetch_add(compared, Ordering::Relaxed);
        let cells = cells.into_iter().zip(told);
        let differing = cells.filter_map(|(cell, told)| {
            let other = told.filter(|told| *told != cell.amount)?;
            Some(Differing { cell, other })
        });
        let differing: Vec<Differing> = differing.collect();
        let same = compared.saturating_sub(differing.len() as u64);
        self.members[second].note_compared(same, 0, 0);
        differing
    }

    /// Of cells that two providers differ about, those about which each says the same once more.
    async fn insisted(
        &self,
        first: usize,
        second: usize,
        question: &Question,
        differing: Vec<Differing>,
    ) -> Vec<Differing> {
        let ones = self.read_again(first, question, &differing).await;
        let twos = self.read_again(second, question, &differing).await;
        let told = differing.into_iter().zip(ones.into_iter().zip(twos));
        let insisted = told.filter(|(differing, (one, two))| {
            *one == Some(differing.cell.amount) && *two == Some(differing.other)
        });
        insisted.map(|(differing, _)| differing).collect()
    }

    async fn read_again(
        &self,
        member: usize,
        question: &Question,
        differing: &[Differing],
    ) -> Vec<Option<Amount>> {
        let cells: Vec<Sampled> = differing.iter().map(|it| it.cell.clone()).collect();
        self.read(member, question, &cells).await
    }

    pub(super) fn asset(&self, cell: &Sampled) -> &Asset {
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
