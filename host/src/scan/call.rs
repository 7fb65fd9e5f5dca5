//! One chunk through one provider: called, split where its content is refused, judged once.

use std::sync::Arc;
use std::time::Duration;

pub use super::pin::Heights;
use super::queue::{Items, request_for};
use super::reconcile::{CellOutcome, Settled, reconcile};
use crate::gate::{Permit, Verdict};
use crate::model::{Asset, Class, Commitment};
use crate::plugin::CallError;
use crate::plugin::backend::{BalancesRequest, Cost};
use crate::pool::Member;
use crate::pool::meter::{Ended, Op};

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
/// smaller chunks. What makes a call slow is the longest of its parts.
///
/// # Cancel safety
///
/// Dropping the future drops the call and gives the permit back without a verdict.
pub async fn call(member: &Member, permit: Permit, question: &Question, items: Items) -> Called {
    let mut asking = Asking {
        member,
        permit: &permit,
        question,
        called: Called {
            settled: Vec::with_capacity(items.len()),
            again: Vec::new(),
        },
        slowest: Duration::ZERO,
    };
    let verdict = asking.whole(items).await;
    let Asking {
        called, slowest, ..
    } = asking;
    // Answered for the most part, and too fast for the rest: the pause is not lost.
    if verdict == Verdict::Success
        && let Some(retry_after) = rate_answer(&called.settled)
    {
        permit.rate_limited(retry_after);
    }
    permit.record_after(verdict, slowest);
    note_cells(member, &called.settled);
    called
}

fn note_cells(member: &Member, settled: &[Settled]) {
    let (mut known, mut unknown, mut invalid) = (0, 0, 0);
    for (_, _, outcome) in settled {
        match outcome {
            CellOutcome::Known(_) => known += 1,
            CellOutcome::Unknown(_) => unknown += 1,
            CellOutcome::Invalid(_) => invalid += 1,
        }
    }
    member.note_cells(known, unknown, invalid);
}

/// A part of a call that failed as a whole.
type Failed = (Items, CallError);

/// A call on its way.
struct Asking<'a> {
    member: &'a Member,
    permit: &'a Permit,
    question: &'a Question,
    called: Called,
    slowest: Duration,
}

impl Asking<'_> {
    async fn whole(&mut self, items: Items) -> Verdict {
        match self.ask(items).await {
            Ok(answers) => {
                self.called.settled = answers;
                verdict_of(&self.called.settled)
            }
            Err((items, error)) if items.len() > 1 && may_be_the_content(error.class) => {
                self.split((items, error)).await
            }
            Err(failed) => self.give_up(failed),
        }
    }

    /// Splits a failed chunk until its bad cells stand alone, or until both halves fail.
    ///
    /// What the gate would not let through any more, since calls beside this one opened the
    /// circuit, is not sent: it waits for another provider, as if this one had not been asked.
    async fn split(&mut self, (mut failing, mut error): Failed) -> Verdict {
        for level in 1.. {
            if self.member.gate.is_shut() {
                self.called.again.extend(failing);
                return self.verdict_after(&error);
            }
            let (left, right) = halves(failing);
            let left = self.ask(left).await;
            if self.member.gate.is_shut() {
                self.called.again.extend(right);
                match left {
                    Ok(good) => self.called.settled.extend(good),
                    Err(bad) => {
                        error = bad.1.clone();
                        self.give_up(bad);
                    }
                }
                return self.verdict_after(&error);
            }
            let right = self.ask(right).await;
            let (bad, other) = match (left, right) {
                (Ok(left), Ok(right)) => {
                    let settled = &mut self.called.settled;
                    settled.extend(left.into_iter().chain(right));
                    break;
                }
                (Ok(good), Err(bad)) | (Err(bad), Ok(good)) => {
                    self.called.settled.extend(good);
                    bad
                }
                (Err(left), Err(right)) => return self.both_failed(left, right, level),
            };
            error = other;
            let is_content = weight(error.class) > 0 && self.has_answers();
            if !is_content {
                return self.give_up((bad, error));
            }
            if bad.len() == 1 {
                self.called.settled.extend(all_unknown(bad, refused(error)));
                break;
            }
            if error.class == Class::TooLarge {
                self.give_up((bad, error));
                break;
            }
            failing = bad;
        }
        verdict_of(&self.called.settled)
    }

    /// What a splitting that stopped half-way says: what was answered, else the failure.
    fn verdict_after(&self, error: &CallError) -> Verdict {
        if self.has_answers() {
            verdict_of(&self.called.settled)
        } else {
            verdict_for(error)
        }
    }

    /// Ends the splitting. What is the provider's own word (a pause, a refused key, no answer in
    /// time) is the verdict; else two bad cells in a call that is answered otherwise are content.
    fn both_failed(&mut self, mut left: Failed, mut right: Failed, level: u8) -> Verdict {
        for (item, _) in left.0.iter_mut().chain(&mut right.0) {
            // The next chunk with it is no larger than its half was.
            item.suspect = item.suspect.saturating_add(level);
        }
        let [(_, error), (_, other)] = [&left, &right];
        let gravest = match weight(error.class) <= weight(other.class) {
            true => error,
            false => other,
        };
        let is_content = weight(gravest.class) > 0;
        let verdict = verdict_for(gravest);
        self.give_up(left);
        self.give_up(right);
        match is_content && self.has_answers() {
            true => verdict_of(&self.called.settled),
            false => verdict,
        }
    }

    /// Settles the cells of a part that is not split on; what it alone says about the provider.
    fn give_up(&mut self, (items, error): Failed) -> Verdict {
        let verdict = verdict_for(&error);
        let error = match error.class {
            Class::TooLarge if items.len() > 1 => {
                self.member.learn_too_large(items.len());
                self.called.again.extend(items);
                return verdict;
            }
            // Who is refused in company may be answered alone, and is asked again.
            Class::Refused if items.len() > 1 => CallError {
                class: Class::Missing,
                message: format!("refused together with other cells: {}", error.message),
                ..error
            },
            _ => error,
        };
        self.called.settled.extend(all_unknown(items, error));
        verdict
    }

    fn has_answers(&self) -> bool {
        self.called.settled.iter().any(is_answered)
    }

    async fn ask(&mut self, items: Items) -> Result<Vec<Settled>, Failed> {
        let member = self.member;
        let mut request = request_for(&items, &self.question.assets, self.question.commitment);
        self.question.heights.put_into(&mut request);
        let budget = member.budget(requests_of(&member.caps().cost, &request), self.permit);
        let slots = self.permit.slots();
        let (sent, waited) = (self.permit.age(), slots.waited());
        let report = member.backend.balances(request, budget).await;
        let took = self.permit.age().saturating_sub(sent);
        let waited = slots.waited().saturating_sub(waited);
        let took = took.saturating_sub(waited);
        self.slowest = self.slowest.max(took);
        for _ in 0..report.http_attempts {
            member.gate.count_http_attempt();
        }
        member.note_size(items.len());
        let answered = match report.result {
            Ok(answers) => reconcile(items, answers),
            Err(error) => Err((items, error)),
        };
        let ended = Ended {
            failure: answered.as_ref().err().map(|(_, error)| error.class),
            took,
            waited,
            requests: report.http_attempts,
        };
        member.note_call(Op::Balances, &ended);
        let mut settled = answered?;
        self.question.heights.hold_against(&mut settled);
        Ok(settled)
    }
}

fn requests_of(cost: &Cost, request: &BalancesRequest) -> u32 {
    let native = |cell: &&(u32, u16)| request.assets[usize::from(cell.1)].is_native();
    let natives = u32::try_from(request.cells.iter().filter(native).count()).unwrap_or(u32::MAX);
    let cells = u32::try_from(request.cells.len()).unwrap_or(u32::MAX);
    cost.requests(natives, cells - natives)
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
fn refused(error: CallError) -> CallError {
    CallError {
        class: Class::Refused,
        ..error
    }
}

fn all_unknown(items: Items, error: CallError) -> impl Iterator<Item = Settled> {
    items
        .into_iter()
        .map(move |(item, asked)| (item, asked, CellOutcome::Unknown(error.clone())))
}

/// How little a failure says about the provider; 0 is its own word, and never about the content.
fn weight(class: Class) -> u8 {
    match class {
        Class::ServerError | Class::Transport => 1,
        Class::Refused | Class::TooLarge => 2,
        _ => 0,
    }
}

fn is_answered((_, _, outcome): &Settled) -> bool {
    match outcome {
        CellOutcome::Known(_) | CellOutcome::Invalid(_) => true,
        CellOutcome::Unknown(_) => false,
    }
}

/// The longest pause that the answers to single cells ask for, if any does.
fn rate_answer(settled: &[Settled]) -> Option<Option<Duration>> {
    let asked = settled.iter().filter_map(|(_, _, outcome)| match outcome {
        CellOutcome::Unknown(error) if error.class == Class::RateLimited => Some(error.retry_after),
        _ => None,
    });
    asked.max()
}

/// A call that answered something is a success; one that answered nothing asks for a pause if a
/// cell does, and is else what its first cell says. Leaving everything out is no answer at all.
fn verdict_of(settled: &[Settled]) -> Verdict {
    if settled.iter().any(is_answered) {
        return Verdict::Success;
    }
    if let Some(retry_after) = rate_answer(settled) {
        return Verdict::RateLimited { retry_after };
    }
    let first = settled.iter().find_map(|(_, _, outcome)| match outcome {
        CellOutcome::Unknown(error) => Some(error),
        CellOutcome::Known(_) | CellOutcome::Invalid(_) => None,
    });
    match first {
        Some(error) if error.class == Class::Missing => verdict_for(&CallError {
            class: Class::Malformed,
            ..error.clone()
        }),
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
