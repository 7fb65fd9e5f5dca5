//! What is written of a chunk: readings, holes and counts, in one transaction of the ledger.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::call::Question;
use super::queue::Asked;
use super::reconcile::{CellOutcome, Known, Settled};
use crate::clock::SharedClock;
use crate::ledger::{
    CellName, ChunkCommit, Hole, KnownReading, Ledger, LedgerError, ReadingSource,
};
use crate::model::{ChainName, Checkpoint, Commitment, PassId, ProviderError, Reading, Reason};
use crate::plugin::CallError;
use crate::pool::Member;

/// Where the chunks of a pass go.
///
/// The ledger is the one that keeps them; another one is how the way up to it is measured.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug {
    /// Takes a chunk as a whole, and returns when it is safe.
    ///
    /// # Errors
    ///
    /// Nothing of the chunk was taken.
    async fn commit(&self, chunk: ChunkCommit) -> Result<(), LedgerError>;
}

/// Writes a chunk the moment it is settled.
pub(super) struct Commit {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: SharedClock,
    pub(super) chain: ChainName,
    pub(super) pass: PassId,
}

#[async_trait]
impl Sink for Ledger {
    async fn commit(&self, chunk: ChunkCommit) -> Result<(), LedgerError> {
        Self::commit(self, chunk).await.map(drop)
    }
}

impl Commit {
    pub(super) async fn chunk(
        &self,
        member: &Member,
        question: &Question,
        settled: &[Settled],
    ) -> Result<(), LedgerError> {
        let observed_at = self.clock.unix_ms();
        let mut chunk = ChunkCommit::of(self.pass.clone());
        chunk.readings.reserve(settled.len());
        for (item, asked, outcome) in settled {
            chunk.asked +=
                u64::from(*asked == Asked::default() && item.errors.is_empty() && !item.counted);
            let asset = &question.assets[usize::from(item.asset)];
            let hole = |error: &CallError, is_final| Hole {
                cell: CellName::new(&item.address, asset),
                reason: Reason {
                    class: error.class,
                    message: format!("{}: {}", member.name, error.message),
                    providers: vec![ProviderError {
                        provider: member.name.clone(),
                        class: error.class,
                        message: error.message.clone(),
                        http_status: error.http_status,
                    }],
                },
                is_final,
            };
            match outcome {
                CellOutcome::Known(known) => {
                    let scope = if asset.is_native() {
                        "wallet"
                    } else {
                        member.caps().token_scope
                    };
                    let source = ReadingSource {
                        provider: member.name.clone(),
                        scope: scope.to_owned(),
                        observed_at,
                    };
                    let reading = reading_of(known, question.commitment);
                    chunk.readings.extend(KnownReading::new(
                        &item.address,
                        asset,
                        &reading,
                        source,
                    ));
                }
                CellOutcome::Unknown(error) => chunk.holes.push(hole(error, false)),
                CellOutcome::Invalid(error) => chunk.holes.push(hole(error, true)),
            }
        }
        tracing::debug!(
            chain = %self.chain,
            provider = %member.name,
            readings = chunk.readings.len(),
            holes = chunk.holes.len(),
            "a chunk is settled"
        );
        self.sink.commit(chunk).await
    }
}

fn reading_of(known: &Known, commitment: Commitment) -> Reading {
    Reading::Known {
        amount: known.amount,
        pending: known.pending,
        used: known.used,
        at: Checkpoint {
            height: known.height,
            block_hash: known.block_hash.clone(),
            commitment,
        },
    }
}
