//! One chunk through one provider: called, split where its content is refused, judged once.

use std::sync::Arc;

pub use super::pin::Heights;
use super::queue::{Items, request_for};
use super::reconcile::{CellOutcome, Settled, reconcile};
use crate::gate::{Permit, Verdict};
use crate::model::{Asset, Class, Commitment};
use crate::plugin::CallError;
use crate::plugin::backend::{BalancesRequest, Cost};
use crate::pool::Member;

/// What the calls of one pass share.
#[derive(Clone, Debug)]
pub struct Question {
    /// The assets that items name by index.
    pub assets: Arc<[Asset]>,
    /// How settled.
    pub commitment: Commitment,
    /// At which height.
    pub heights: Heights,
}

/// What became of the cells of one chunk; every one is in one of the two.
#[derive(Debug, Default)]
pub struct Called {
    /// Answered, or not answered by this provider.
    pub settled: Vec<Settled>,
    /// Refused because there were too many of them: to be asked again in smaller chunks.
    pub again: Items,
}

/// Calls the provider for `items` and tells the gate what it was worth.
///
/// A call of many cells that fails in a way that its content may have caused is split in two, and
/// its verdict waits ("split before judging"): one half answered, the failing half is
/// split on, until the cell that fails alone is `refused`; both halves failed, the failure counts.
/// At most two calls per level, so 2·⌈log2 n⌉ more requests for one poisoned cell.
///
/// A call of too many cells is no failure: the provider's limit is learned and the cells wait for
/// smaller chunks.
///
/// # Cancel safety
///
/// Dropping the future drops the call and gives the permit back without a verdict.
pub async fn call(member: &Member, permit: Permit, question: &Question, items: Items) -> Called {
    let mut called = Called {
        settled: Vec::with_capacity(items.len()),
        again: Vec::new(),
    };
    let verdict = match ask(member, question, items).await {
        Ok(answered) => {
            called.settled = answered;
            verdict_of(&called.settled)
        }
        Err((items, error)) if items.len() > 1 && error.class == Class::TooLarge => {
            called.too_large(member, items);
            verdict_for(&error)
        }
        Err((items, error)) if items.len() > 1 && may_be_the_content(error.class) => {
            split(member, question, items, &mut called).await
        }
        Err((items, error)) => {
            let verdict = verdict_for(&error);
            called.settled.extend(all_unknown(items, &error));
            verdict
        }
    };
    permit.record(verdict);
    called
}

impl Called {
    fn too_large(&mut self, member: &Member, items: Items) {
        member.learn_too_large(items.len());
        self.again.extend(items);
    }

    /// Cells of a half that failed while the other one was answered.
    fn failed_half(&mut self, member: &Member, items: Items, error: &CallError) {
        if error.class == Class::TooLarge && items.len() > 1 {
            self.too_large(member, items);
        } else {
            self.settled.extend(all_unknown(items, error));
        }
    }

    /// Cells of a half whose other half failed as well.
    fn both_failed(&mut self, member: &Member, mut items: Items, error: &CallError) {
        for (item, _) in &mut items {
            item.suspect = item.suspect.saturating_add(1);
        }
        self.failed_half(member, items, error);
    }
}

/// Splits a failed chunk until its bad cells stand alone, or until both halves fail.
async fn split(member: &Member, question: &Question, items: Items, called: &mut Called) -> Verdict {
    let mut failing = items;
    let mut answered = false;
    loop {
        let (left, right) = halves(failing);
        let left = ask(member, question, left).await;
        let right = ask(member, question, right).await;
        match (left, right) {
            (Ok(left), Ok(right)) => {
                called.settled.extend(left.into_iter().chain(right));
                return Verdict::Success;
            }
            (Ok(good), Err((bad, error))) | (Err((bad, error)), Ok(good)) => {
                called.settled.extend(good);
                answered = true;
                if bad.len() == 1 && may_be_the_content(error.class) {
                    called.settled.extend(all_unknown(bad, &refused(&error)));
                    return Verdict::Success;
                }
                if bad.len() == 1 || !may_be_the_content(error.class) {
                    called.failed_half(member, bad, &error);
                    return verdict_for(&error);
                }
                failing = bad;
            }
            (Err((left, error)), Err((right, other))) => {
                called.both_failed(member, left, &error);
                called.both_failed(member, right, &other);
                // Two bad cells in a chunk that is answered otherwise are still content.
                return if answered {
                    Verdict::Success
                } else {
                    verdict_for(&error)
                };
            }
        }
    }
}

async fn ask(
    member: &Member,
    question: &Question,
    items: Items,
) -> Result<Vec<Settled>, (Items, CallError)> {
    let mut request = request_for(&items, &question.assets, question.commitment);
    question.heights.put_into(&mut request);
    let budget = member.budget(requests_of(&member.caps().cost, &request));
    let report = member.backend.balances(request, budget).await;
    for _ in 0..report.http_attempts {
        member.gate.count_http_attempt();
    }
    match report.result {
        Ok(answers) => reconcile(items, answers),
        Err(error) => Err((items, error)),
    }
}

fn requests_of(cost: &Cost, request: &BalancesRequest) -> u32 {
    let native = |cell: &&(u32, u16)| request.assets[usize::from(cell.1)].is_native();
    let natives = u32::try_from(request.cells.iter().filter(native).count()).unwrap_or(u32::MAX);
    let cells = u32::try_from(request.cells.len()).unwrap_or(u32::MAX);
    let batch = if natives > 0 { cost.native_batch } else { 0 };
    cost.call
        .saturating_add(batch)
        .saturating_add(cost.native_cell.saturating_mul(natives))
        .saturating_add(cost.token_cell.saturating_mul(cells - natives))
}

/// Failures that one bad cell may have caused.
fn may_be_the_content(class: Class) -> bool {
    matches!(
        class,
        Class::Refused | Class::ServerError | Class::Transport
    )
}

fn halves(mut items: Items) -> (Items, Items) {
    let right = items.split_off(items.len() / 2);
    (items, right)
}

/// A cell that failed alone while its siblings were answered was refused, whatever the words.
fn refused(error: &CallError) -> CallError {
    CallError {
        class: Class::Refused,
        ..error.clone()
    }
}

fn all_unknown(items: Items, error: &CallError) -> impl Iterator<Item = Settled> {
    let error = Arc::new(error.clone());
    items
        .into_iter()
        .map(move |(item, asked)| (item, asked, CellOutcome::Unknown(CallError::clone(&error))))
}

/// A call that answered something is a success; one that answered nothing is what its first cell
/// says, and leaving everything out is no answer at all.
fn verdict_of(settled: &[Settled]) -> Verdict {
    let mut first = None;
    for (_, _, outcome) in settled {
        match outcome {
            CellOutcome::Known(_) | CellOutcome::Invalid(_) => return Verdict::Success,
            CellOutcome::Unknown(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) if error.class == Class::Missing => {
            let error = CallError {
                class: Class::Malformed,
                ..error.clone()
            };
            verdict_for(&error)
        }
        Some(error) => verdict_for(error),
        None => Verdict::Success,
    }
}

pub(super) fn verdict_for(error: &CallError) -> Verdict {
    Verdict::of(
        error.class,
        error.message.as_str(),
        error.http_status,
        error.retry_after,
    )
}
