//! One pass of a chain: every cell asked until it is known, refused by all, or patience ends.
//!
//! Work is pulled: a provider that has a free connection and an open gate takes the largest chunk
//! that it may, there is no barrier between chunks. A *round* ends when nothing that waits can be
//! taken and nothing is under way. Cells that all providers failed on are asked again in the next
//! round; how rounds are spaced and when a pass ends early:
//!
//! - a round in which calls were sent and no cell was answered has failed; the waits after failed
//!   rounds are 1, 2, 4, 8, 16, 30 s, and any answer starts them over;
//! - while every gate is shut there is no round: the engine sleeps until the earliest opens;
//! - the pass gives up after `max_pool_failures` failed rounds in a row and twice the longest
//!   cooldown without an answer, or when `budget` passed without an answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ScanError;
use super::call::{self, Question};
use super::commit::Commit;
use super::identity::ask_identity;
use super::plan::Plan;
use super::queue::{Asked, ChunkLimits, Item, Lane, LaneKind, Queue};
use super::reconcile::{CellOutcome, Settled};
use crate::clock::SharedClock;
use crate::gate::{Answer, Call, CircuitState, Permit, Why};
use crate::ledger::{CellName, ChunkCommit, Hole, Ledger, LedgerError, NewEvent, Pass};
use crate::model::{Asset, ChainName, Class, Commitment, Reason};
use crate::pool::{Member, Pool};

/// Waits after failed rounds, in seconds; the last one repeats.
const BACKOFF_SECS: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// Holes written in one transaction when a pass ends.
const HOLES_PER_COMMIT: usize = 1_000;
/// Cells that failed in this round beyond which no new ones are planned.
const ASIDE_MAX: usize = 100_000;

/// When a pass gives up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest time without an answer.
    pub budget: Duration,
    /// Failed rounds in a row after which it may end before that.
    pub max_pool_failures: u32,
}

/// What a pass is counted by, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Cells that are settled, for better or worse.
    pub settled: AtomicU64,
    /// Of them, known.
    pub known: AtomicU64,
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
    /// Where everything goes.
    pub ledger: &'a Ledger,
    /// When to give up.
    pub patience: Patience,
    /// Time.
    pub clock: SharedClock,
    /// The sign to stop.
    pub cancel: CancellationToken,
    /// For whoever watches.
    pub progress: Arc<Progress>,
}

/// A task that ended.
enum Done {
    /// A chunk, and what was committed of it.
    Chunk {
        member: usize,
        settled: Result<Vec<Settled>, LedgerError>,
    },
    /// The identity question.
    Identity { member: usize, same: bool },
}

/// Where a provider stands for the next chunk.
enum Stance {
    /// It may take one now.
    Ready(Permit),
    /// What it would take waits for it.
    Holding(Option<Instant>),
    /// What it would take goes to the next one.
    Out(Option<Instant>),
}

/// The parts of a pass that change.
struct Run<'e, 'a> {
    engine: &'e Engine<'a>,
    pass: &'e Pass,
    question: Arc<Question>,
    plan: Plan<'e>,
    queue: Queue,
    /// Cells that every provider failed on in this round.
    aside: Vec<Item>,
    /// Cells that every provider refused for good; asking again would change nothing.
    refused: Vec<Item>,
    tasks: JoinSet<Done>,
    members: Vec<MemberState>,
    round: Round,
    last_answer: Instant,
    told_tokens: HashSet<(u16, Class)>,
    tokens_in_events: HashSet<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
struct MemberState {
    under_way: usize,
    identity_under_way: bool,
    identity_failures: usize,
    /// Not asked for its identity before this.
    identity_again: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    calls: u64,
    answered: u64,
    failed_in_row: u32,
}

impl<'a> Engine<'a> {
    /// Runs the pass to its end; what was learned is in the ledger then.
    ///
    /// # Errors
    ///
    /// The ledger could not be written or the list not be read; what was committed stays.
    pub async fn run(&self, pass: &Pass, plan: Plan<'_>) -> Result<Outcome, ScanError> {
        let members = &self.pool.members;
        let mixed = members
            .iter()
            .any(|member| member.can_read(true) != member.can_read(false));
        let mut run = Run {
            engine: self,
            pass,
            question: Arc::new(Question {
                assets: self.assets.clone(),
                commitment: self.commitment,
            }),
            plan,
            queue: Queue::new(&self.assets, mixed),
            aside: Vec::new(),
            refused: Vec::new(),
            tasks: JoinSet::new(),
            members: vec![MemberState::default(); members.len()],
            round: Round::default(),
            last_answer: self.clock.now(),
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
            let wake = self.dispatch();
            if self.tasks.is_empty() {
                if self.queue.is_empty() && self.aside.is_empty() {
                    return Ok(Ending::Complete);
                }
                match self.end_round(wake) {
                    RoundEnd::GiveUp => return Ok(self.gave_up()),
                    RoundEnd::Again(until) => self.sleep_until(until, &cancel).await,
                }
                continue;
            }
            let wake = wake.map(|until| until.max(self.engine.clock.now()));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(Ending::Cancelled),
                Some(done) = self.tasks.join_next() => self.take_in(done).await?,
                () = sleep_or_never(wake) => {}
            }
            if self.out_of_patience() {
                return Ok(self.gave_up());
            }
        }
    }

    /// Plans more cells while the queue has less than every provider could take.
    async fn refill(&mut self) -> Result<(), ScanError> {
        let members = &self.engine.pool.members;
        let wanted: usize = members
            .iter()
            .map(|m| m.cells_max().saturating_mul(m.connections))
            .max()
            .unwrap_or(1);
        while self.queue.len() < wanted && self.aside.len() < ASIDE_MAX {
            let Some(items) = self.plan.next().await? else {
                return Ok(());
            };
            for item in items {
                self.queue.push(item, Asked::default());
            }
        }
        Ok(())
    }

    /// Hands out what can be handed out; tells when a gate that is waited for may open.
    fn dispatch(&mut self) -> Option<Instant> {
        let mut wake: Option<Instant> = None;
        let mut note = |until: Option<Instant>| {
            wake = [wake, until].into_iter().flatten().min();
        };
        let engine = self.engine;
        let mut holding: Vec<usize> = Vec::new();
        for (index, member) in engine.pool.members.iter().enumerate() {
            loop {
                let lanes = self.lanes_for(index, member, &holding);
                if lanes.is_empty() {
                    break;
                }
                match self.stance(index, member) {
                    Stance::Ready(permit) => self.send(index, member, permit, &lanes),
                    Stance::Holding(until) => {
                        note(until);
                        holding.push(index);
                        break;
                    }
                    Stance::Out(until) => {
                        note(until);
                        break;
                    }
                }
            }
        }
        wake
    }

    /// The lanes that this provider may take from: it reads them, was not asked, and no provider
    /// before it is about to take them.
    fn lanes_for(&self, index: usize, member: &Member, holding: &[usize]) -> Vec<Lane> {
        let members = &self.engine.pool.members;
        let reads = |member: &Member, kind: LaneKind| match kind {
            LaneKind::Any | LaneKind::Native => member.can_read(true),
            LaneKind::Token => member.can_read(false),
        };
        let free = |lane: &Lane| {
            !lane.asked.contains(index)
                && reads(member, lane.kind)
                && !holding.iter().any(|holder| {
                    !lane.asked.contains(*holder) && reads(&members[*holder], lane.kind)
                })
        };
        self.queue.lanes().filter(free).collect()
    }

    fn stance(&mut self, index: usize, member: &Arc<Member>) -> Stance {
        let spill_after = self.engine.pool.spill_after;
        let now = self.engine.clock.now();
        let stance = |answer: Answer| match answer {
            Answer::Pass(permit) => Stance::Ready(permit),
            Answer::Wait { until, .. } if until <= now + spill_after => {
                Stance::Holding(Some(until))
            }
            Answer::Wait { until, .. } => Stance::Out(Some(until)),
            Answer::Shut { until, .. } => Stance::Out(until),
        };
        if self.members[index].under_way >= member.connections {
            return Stance::Holding(None);
        }
        let answer = member.gate.ask(Call::Work);
        if answer.why() != Some(Why::IdentityPending) {
            return stance(answer);
        }
        let state = &mut self.members[index];
        if state.identity_under_way {
            return Stance::Holding(None);
        }
        if let Some(again) = state.identity_again.filter(|again| *again > now) {
            return Stance::Out(Some(again));
        }
        match stance(member.gate.ask(Call::Identity)) {
            Stance::Ready(permit) => {
                state.identity_under_way = true;
                self.round.calls += 1;
                let expected = self.engine.pool.identity.clone();
                let member = member.clone();
                self.tasks.spawn(async move {
                    let same = ask_identity(&member, permit, expected.as_deref()).await;
                    Done::Identity {
                        member: index,
                        same,
                    }
                });
                Stance::Holding(None)
            }
            // It failed to say who it is: what it might take does not wait for its pauses.
            Stance::Holding(until) if state.identity_failures > 0 => Stance::Out(until),
            other => other,
        }
    }

    fn send(&mut self, index: usize, member: &Arc<Member>, permit: Permit, lanes: &[Lane]) {
        let caps = member.caps();
        // The call that finds out whether a provider is back is a small one.
        let probe = member.gate.snapshot().breaker == CircuitState::HalfOpen;
        let limits = ChunkLimits {
            cells: if probe { 1 } else { member.cells_max() },
            addresses: caps.addresses_max,
            assets: caps.assets_max,
        };
        let chunk = self.queue.pull(lanes, limits);
        self.members[index].under_way += 1;
        self.round.calls += 1;
        let (member, question) = (member.clone(), self.question.clone());
        let commit = Commit {
            ledger: self.engine.ledger.clone(),
            clock: self.engine.clock.clone(),
            chain: self.engine.chain.clone(),
            pass: self.pass.id.clone(),
        };
        self.tasks.spawn(async move {
            let settled = call::call(&member, permit, &question, chunk.items).await;
            let written = commit.chunk(&member, &question, &settled).await;
            Done::Chunk {
                member: index,
                settled: written.map(|()| settled),
            }
        });
    }

    async fn take_in(
        &mut self,
        done: Result<Done, tokio::task::JoinError>,
    ) -> Result<(), ScanError> {
        let done = match done {
            Ok(done) => done,
            // A panic of ours must not pass for an answer; it ends the pass loudly.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match done {
            Done::Identity { member, same } => {
                let state = &mut self.members[member];
                state.identity_under_way = false;
                if same {
                    state.identity_failures = 0;
                    state.identity_again = None;
                } else {
                    let wait = backoff(state.identity_failures);
                    state.identity_failures += 1;
                    state.identity_again = Some(self.engine.clock.now() + wait);
                }
            }
            Done::Chunk { member, settled } => {
                self.members[member].under_way -= 1;
                let name = self.engine.pool.members[member].name.clone();
                let mut missing = 0_usize;
                for (item, asked, outcome) in settled? {
                    missing += usize::from(matches!(
                        &outcome,
                        CellOutcome::Unknown(error) if error.class == Class::Missing
                    ));
                    self.settle(member, &name, item, asked, outcome);
                }
                if missing > 0 {
                    tracing::warn!(
                        chain = %self.engine.chain,
                        provider = %name,
                        missing,
                        "provider `{name}` left out {missing} cells; they are asked again"
                    );
                }
                if self.refused.len() >= HOLES_PER_COMMIT {
                    let refused = std::mem::take(&mut self.refused);
                    self.close_cells(&refused).await?;
                }
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        member: usize,
        name: &crate::model::ProviderName,
        mut item: Item,
        asked: Asked,
        outcome: CellOutcome,
    ) {
        let progress = &self.engine.progress;
        let error = match outcome {
            CellOutcome::Known(_) => {
                self.round.answered += 1;
                self.last_answer = self.engine.clock.now();
                progress.settled.fetch_add(1, Ordering::Relaxed);
                progress.known.fetch_add(1, Ordering::Relaxed);
                return;
            }
            CellOutcome::Invalid(_) => {
                self.round.answered += 1;
                progress.settled.fetch_add(1, Ordering::Relaxed);
                return;
            }
            CellOutcome::Unknown(error) => error,
        };
        item.errors.retain(|earlier| earlier.provider != *name);
        item.errors
            .push(self.engine.pool.members[member].note_failure(&error));
        let asked = asked.with(member);
        let native = self.engine.assets[usize::from(item.asset)].is_native();
        let members = self.engine.pool.members.iter().enumerate();
        let left = members.filter(|(index, m)| !asked.contains(*index) && m.can_read(native));
        if left.count() > 0 {
            self.queue.push(item, asked);
        } else if item.errors.iter().all(|error| is_for_good(error.class)) {
            progress.settled.fetch_add(1, Ordering::Relaxed);
            self.refused.push(item);
        } else {
            self.aside.push(item);
        }
    }

    /// Ends a round: nothing is under way, and what waits cannot be taken.
    fn end_round(&mut self, wake: Option<Instant>) -> RoundEnd {
        let now = self.engine.clock.now();
        let failed = self.round.calls > 0 && self.round.answered == 0;
        if self.round.answered > 0 {
            self.round.failed_in_row = 0;
        } else if failed {
            self.round.failed_in_row += 1;
        }
        let Round { failed_in_row, .. } = self.round;
        self.round = Round {
            failed_in_row,
            ..Round::default()
        };
        let quiet = now.saturating_duration_since(self.last_answer);
        let enough = failed_in_row >= self.engine.patience.max_pool_failures
            && quiet >= 2 * self.engine.pool.cooldown_longest;
        if (failed && enough) || self.out_of_patience() {
            return RoundEnd::GiveUp;
        }
        self.tell_tokens();
        // Everything may be asked of everyone again.
        let waiting = self.queue.drain();
        for item in waiting.into_iter().chain(std::mem::take(&mut self.aside)) {
            self.queue.push(item, Asked::default());
        }
        let opens = self
            .engine
            .pool
            .members
            .iter()
            .map(|m| m.gate.earliest_opening());
        let opens = opens.flatten().min();
        let next = match (opens, wake) {
            // Some gate is open: only the backoff is waited for.
            (Some(opens), _) if opens <= now => {
                now + backoff((failed_in_row as usize).saturating_sub(1))
            }
            (Some(opens), Some(wake)) => opens.min(wake),
            (Some(until), None) | (None, Some(until)) => until,
            (None, None) => self.patience_ends(),
        };
        RoundEnd::Again(next.min(self.patience_ends()))
    }

    /// One event and one line per token and class of failure: native scans go on meanwhile.
    fn tell_tokens(&mut self) {
        for item in &self.aside {
            let asset = &self.engine.assets[usize::from(item.asset)];
            let Some(error) = item.errors.first() else {
                continue;
            };
            if asset.is_native() || !self.told_tokens.insert((item.asset, error.class)) {
                continue;
            }
            let (chain, token) = (self.engine.chain, &asset.symbol);
            tracing::warn!(
                %chain, %token, class = %error.class,
                "{chain}: token {token} is not answered: {}: {}", error.provider, error.message
            );
        }
    }

    async fn sleep_until(&self, until: Instant, cancel: &CancellationToken) {
        let mut changes: Vec<_> = self
            .engine
            .pool
            .members
            .iter()
            .map(|member| member.gate.changed())
            .collect();
        let changed = changes.iter_mut().map(|change| Box::pin(change.changed()));
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep_until(until) => {}
            _ = select_all(changed) => {}
        }
    }

    fn patience_ends(&self) -> Instant {
        self.last_answer + self.engine.patience.budget
    }

    fn out_of_patience(&self) -> bool {
        self.engine.clock.now() >= self.patience_ends()
    }

    fn gave_up(&self) -> Ending {
        let quiet = self
            .engine
            .clock
            .now()
            .saturating_duration_since(self.last_answer);
        Ending::GaveUp {
            message: format!("no provider answered for {} s", quiet.as_secs()),
        }
    }

    /// Writes the final holes of what was asked for and stayed unknown.
    async fn close(&mut self, ending: &Ending) -> Result<(), ScanError> {
        self.tasks.shutdown().await;
        if *ending == Ending::Cancelled {
            // A cancelled pass goes on later; its cells are no holes.
            return Ok(());
        }
        self.tell_tokens();
        let left = self
            .queue
            .drain()
            .into_iter()
            .chain(std::mem::take(&mut self.aside));
        let asked = left.filter(|item| !item.errors.is_empty());
        let open: Vec<Item> = std::mem::take(&mut self.refused)
            .into_iter()
            .chain(asked)
            .collect();
        self.close_cells(&open).await
    }

    /// Writes final holes, and once per token that has one the event that says so.
    async fn close_cells(&mut self, items: &[Item]) -> Result<(), ScanError> {
        let mut events = self.token_events(items);
        for items in items.chunks(HOLES_PER_COMMIT) {
            let hole = |item: &Item| Hole {
                cell: CellName::new(&item.address, &self.engine.assets[usize::from(item.asset)]),
                reason: self.engine.reason_of(item),
                is_final: true,
            };
            let chunk = ChunkCommit {
                pass: self.pass.id.clone(),
                readings: Vec::new(),
                holes: items.iter().map(hole).collect(),
                events: std::mem::take(&mut events),
                asked: 0,
                invalid_lines: 0,
            };
            self.engine.ledger.commit(chunk).await?;
        }
        Ok(())
    }

    /// `scan_token_error`, once per token and pass.
    fn token_events(&mut self, left: &[Item]) -> Vec<NewEvent> {
        let engine = self.engine;
        let mut events = Vec::new();
        for item in left {
            let asset = &engine.assets[usize::from(item.asset)];
            if asset.is_native() || !self.tokens_in_events.insert(item.asset) {
                continue;
            }
            events.push(NewEvent {
                kind: "scan_token_error",
                chain: Some(engine.chain.clone()),
                scan: Some(self.pass.id.clone()),
                data: serde_json::json!({
                    "scan": self.pass.id, "chain": engine.chain, "token": asset.symbol,
                    "error": engine.reason_of(item),
                }),
            });
        }
        events
    }
}

/// Failures that no provider takes back by being asked again.
fn is_for_good(class: Class) -> bool {
    matches!(
        class,
        Class::Refused | Class::Unsupported | Class::DecimalsMismatch
    )
}

enum RoundEnd {
    GiveUp,
    Again(Instant),
}

fn backoff(step: usize) -> Duration {
    Duration::from_secs(BACKOFF_SECS[step.min(BACKOFF_SECS.len() - 1)])
}

async fn sleep_or_never(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
