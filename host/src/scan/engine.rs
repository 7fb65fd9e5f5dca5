//! One pass of a chain: every cell asked until it is known, refused by all, or patience ends.
//!
//! Work is pulled: a provider that has a free connection and an open gate takes the largest chunk
//! that it may, there is no barrier between chunks. Who takes what is in `dispatch` (and `trial`),
//! where a provider stands in `standing`, what was seen of all in `look`, what becomes of an answer
//! in `settle`, what comes from the list in `refill`; when cells are asked again, and when a pass gives up, in `rounds`. While every gate is shut there is no round: the engine sleeps until the
//! earliest opens.

mod dispatch;
mod look;
mod refill;
mod settle;
mod standing;
mod trial;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::dispatch::Done;
use self::look::Look;
use self::refill::{InList, KINDS};
use self::standing::Standings;
use super::ScanError;
use super::call::Question;
use super::commit::Sink;
use super::pin::{Heights, Pin};
use super::plan::Plan;
use super::queue::{Asked, Item, Queue};
pub use super::rounds::Patience;
use super::rounds::{RoundEnd, Rounds};
use super::sample::{self, Sampler};
use crate::clock::{SharedClock, rfc3339};
use crate::config::{OnMismatch, ScanAt, format_duration};
use crate::ledger::Pass;
use crate::model::{Asset, ChainName, Class, Commitment, Reason};
use crate::pool::{Member, Pool};

/// Cells that failed in this round and are kept in memory; further ones come back from the list.
///
/// Tests have room for a few only, so that what happens without room is nothing special there.
const ASIDE_MAX: usize = if cfg!(test) { 1_200 } else { 25_000 };

/// What a pass is counted by, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Cells that are settled, for better or worse.
    pub settled: AtomicU64,
    /// Of them, known.
    pub known: AtomicU64,
    /// Cells that were chosen to be read again by a second provider.
    pub samples: AtomicU64,
    /// Of them, those that it told as well.
    pub sampled: AtomicU64,
    /// Of them, those that it told otherwise.
    pub mismatches: AtomicU64,
    /// Every cell is settled, and what was chosen is still being compared.
    pub comparing: AtomicBool,
}

/// How a pass came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every cell has a reading or a final hole.
    Complete,
    /// Patience ran out.
    GaveUp {
        /// Why, for people.
        message: String,
    },
    /// Somebody stopped it.
    Cancelled,
}

/// What a pass leaves for its report.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Why cells that were never asked are unknown.
    pub rest: Reason,
}

/// Everything that one pass works with.
#[derive(Debug)]
pub struct Engine<'a> {
    /// The chain.
    pub chain: &'a ChainName,
    /// Its providers.
    pub pool: &'a Pool,
    /// Its assets, in the order of the plan.
    pub assets: Vec<Asset>,
    /// How settled amounts must be.
    pub commitment: Commitment,
    /// Whether all of them are read at one height.
    pub at: ScanAt,
    /// Which share of them is read again, in percent; `None` is none.
    pub sample: Option<f64>,
    /// What comes of two providers that insist on different amounts.
    pub on_mismatch: OnMismatch,
    /// Where everything goes.
    pub sink: Arc<dyn Sink>,
    /// When to give up.
    pub patience: Patience,
    /// Time.
    pub clock: SharedClock,
    /// The sign to stop.
    pub cancel: CancellationToken,
    /// For whoever watches.
    pub progress: Arc<Progress>,
}

/// The parts of a pass that change.
struct Run<'e, 'a> {
    engine: &'e Engine<'a>,
    pass: &'e Pass,
    question: Arc<Question>,
    pin: Pin,
    plan: Plan<'e>,
    queue: Queue,
    /// Cells that every provider failed on in this round.
    aside: Vec<Item>,
    /// Cells that failed in this round and for which there was no room there.
    dropped: Vec<Item>,
    /// What is to come from the list once more.
    in_list: InList,
    /// Cells that every provider refused for good; asking again would change nothing.
    refused: Vec<Item>,
    sampler: Option<Sampler>,
    tasks: JoinSet<Done>,
    members: Standings,
    rounds: Rounds,
    /// No work is handed out before this: the wait after a failed round.
    rest: Option<Instant>,
    /// What the last dispatch saw of each provider.
    look: Look,
    /// Told when a gate changes for a reason that is not a task of this pass.
    changes: Vec<watch::Receiver<u64>>,
    told_tokens: HashSet<(u16, Class)>,
    tokens_in_events: HashSet<u16>,
}

impl<'a> Engine<'a> {
    /// An instant from now on as milliseconds since 1970.
    fn wall(&self, at: Instant) -> i64 {
        let ahead = at.saturating_duration_since(self.clock.now()).as_millis();
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        self.clock.unix_ms().saturating_add(ahead)
    }

    /// Runs the pass to its end; what was learned is in the ledger then.
    ///
    /// # Errors
    ///
    /// The ledger could not be written or the list not be read; what was committed stays.
    pub async fn run(&self, pass: &Pass, plan: Plan<'_>) -> Result<Outcome, ScanError> {
        let members = &self.pool.members;
        let pin = Pin::new(self.at, self.pool, height_of(pass));
        let reads =
            |member: &Member, native| member.can_read(native) && pin.allows(member.caps(), native);
        let mixed = members
            .iter()
            .any(|member| reads(member, true) != reads(member, false));
        let cooldown = self.pool.cooldown_longest;
        let question = Arc::new(Question {
            assets: self.assets.as_slice().into(),
            commitment: self.commitment,
            heights: Heights::default(),
        });
        let mut run = Run {
            engine: self,
            pass,
            sampler: Sampler::new(sample::Settings {
                share_percent: self.sample.unwrap_or_default(),
                on_mismatch: self.on_mismatch,
                pool: self.pool,
                question: question.clone(),
                sink: &self.sink,
                clock: &self.clock,
                pass: &pass.id,
                progress: &self.progress,
            }),
            question,
            pin,
            plan,
            queue: Queue::new(&self.assets, mixed),
            aside: Vec::new(),
            dropped: Vec::new(),
            in_list: InList::default(),
            refused: Vec::new(),
            tasks: JoinSet::new(),
            members: Standings::new(members.len()),
            rounds: Rounds::new(self.patience, cooldown, self.clock.now()),
            rest: None,
            look: Look::new(members.len()),
            changes: members.iter().map(|it| it.gate.changed()).collect(),
            told_tokens: HashSet::new(),
            tokens_in_events: HashSet::new(),
        };
        let ending = run.drive().await?;
        let rest = self.reason_for_rest(&ending);
        run.close(&ending).await?;
        Ok(Outcome { ending, rest })
    }
}

impl Run<'_, '_> {
    async fn drive(&mut self) -> Result<Ending, ScanError> {
        let cancel = self.engine.cancel.clone();
        if self.engine.pool.members.is_empty() {
            return Ok(Ending::GaveUp {
                message: "no provider of the chain is usable".into(),
            });
        }
        loop {
            if cancel.is_cancelled() {
                return Ok(Ending::Cancelled);
            }
            self.refill().await?;
            // Seen before the gates are asked, so that no change in between is missed.
            for change in &mut self.changes {
                change.mark_unchanged();
            }
            self.rest = self.rest.filter(|until| *until > self.engine.clock.now());
            self.dispatch();
            let mut wake = self.rest.into_iter().chain(self.look.wake).min();
            if self.tasks.is_empty() {
                if self.queue.is_empty() && self.aside.is_empty() {
                    return self.finish_samples(&cancel).await;
                }
                if self.rest.is_none() {
                    match self.end_round() {
                        Err(ending) => return Ok(ending),
                        // A trial may be due before that.
                        Ok(until) => wake = wake.into_iter().chain([until]).min(),
                    }
                }
            }
            // A deadline that has passed is looked at again after the tasks had their turn.
            let now = self.engine.clock.now();
            let wake = wake.map(|until| until.max(now));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(Ending::Cancelled),
                Some(done) = self.tasks.join_next() => self.take_in(done).await?,
                () = any_change(&mut self.changes) => {}
                () = sleep_or_never(wake) => {}
            }
            if self.rounds.is_over(self.engine.clock.now()) {
                return Ok(self.gave_up());
            }
        }
    }

    /// Everything is settled; what is compared is waited for, unless somebody stops the pass.
    async fn finish_samples(&mut self, cancel: &CancellationToken) -> Result<Ending, ScanError> {
        let Some(sampler) = &mut self.sampler else {
            return Ok(Ending::Complete);
        };
        self.engine
            .progress
            .comparing
            .store(true, Ordering::Relaxed);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(Ending::Cancelled),
            done = sampler.finish() => {
                done?;
                Ok(Ending::Complete)
            }
        }
    }

    /// Ends a round: nothing is under way, and what waits cannot be taken. Tells when to look
    /// again, or that the pass gives up.
    fn end_round(&mut self) -> Result<Instant, Ending> {
        let now = self.engine.clock.now();
        let RoundEnd::Again(backoff) = self.rounds.end(now) else {
            return Err(self.gave_up());
        };
        self.tell_tokens();
        self.tell_nobody_could();
        // Everything may be asked of everyone again.
        let waiting = self.queue.drain();
        for item in waiting.into_iter().chain(std::mem::take(&mut self.aside)) {
            self.queue.push(item, Asked::default());
        }
        if let Some(opens) = self.opens_too_late() {
            return Err(self.gave_up_before(opens));
        }
        let members = self.engine.pool.members.iter();
        let opens = members.filter_map(|m| m.gate.earliest_opening()).min();
        if opens.is_some_and(|opens| opens <= now) {
            // Some gate is open: the backoff is what is waited for.
            self.rest = Some(now + backoff);
        }
        let shut = || opens.into_iter().chain(self.look.wake).min();
        let ends = self.rounds.ends();
        Ok(self.rest.or_else(shut).map_or(ends, |next| next.min(ends)))
    }

    /// When the first provider that reads what waits may be asked again, if that is certain and
    /// later than patience lasts: no answer can come before it ends.
    fn opens_too_late(&self) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        for (index, member) in self.engine.pool.members.iter().enumerate() {
            let mut lanes = self.queue.lanes();
            let waits = lanes.any(|lane| self.reads(index, lane.kind));
            let in_list = |native| self.in_list.holds(native) && self.can_read(index, native);
            if waits || KINDS.into_iter().any(in_list) {
                let opens = member.gate.shut_until()?;
                earliest = Some(earliest.map_or(opens, |earliest| earliest.min(opens)));
            }
        }
        earliest.filter(|opens| *opens > self.rounds.ends())
    }

    fn gave_up(&self) -> Ending {
        let quiet = self.rounds.quiet(self.engine.clock.now());
        Ending::GaveUp {
            message: format!("no provider answered for {} s", quiet.as_secs()),
        }
    }

    fn gave_up_before(&self, opens: Instant) -> Ending {
        let opens = rfc3339(self.engine.wall(opens));
        let budget = format_duration(self.rounds.budget());
        Ending::GaveUp {
            message: format!(
                "no provider can be asked before {opens}, and the scan waits {budget} for an answer"
            ),
        }
    }
}

/// The one height of what an interrupted pass has read.
fn height_of(pass: &Pass) -> Option<u64> {
    let counters = &pass.counters;
    let one = counters.height_min == counters.height_max;
    counters.height_min.filter(|_| pass.resumed && one)
}

/// Ends when any of the gates changed since it was looked at.
async fn any_change(changes: &mut [watch::Receiver<u64>]) {
    let changed = changes.iter_mut().map(|change| {
        Box::pin(async {
            // A gate outlives the pass that asks it.
            if change.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    select_all(changed).await;
}

pub(super) async fn sleep_or_never(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
