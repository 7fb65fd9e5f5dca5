//! Who takes what: work in the operator's order, trials of providers that were shut, identities.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::config::Strategy;
use crate::gate::{Answer, Call, Permit, Verdict, Why};
use crate::ledger::LedgerError;
use crate::pool::Member;
use crate::pool::decision::{Decision, Purpose, Skip, Skipped};
use crate::scan::call::{self, Called, Heights, Question};
use crate::scan::commit::Commit;
use crate::scan::identity::ask_identity;
use crate::scan::queue::{Asked, ChunkLimits, Item, Items, Lane, LaneKind};
use crate::scan::rounds::backoff;

/// How long a provider that stands behind the chain is left alone.
const BEHIND_FOR: Duration = Duration::from_secs(5);
/// How long a provider that turned out not to offer a kind of asset is asked last for it.
const UNSUPPORTED_FOR: Duration = Duration::from_secs(600);

/// A task that ended.
pub(super) enum Done {
    /// A chunk, the heights that it was asked at, and whether it was committed.
    Chunk {
        member: usize,
        heights: Heights,
        called: Result<Called, LedgerError>,
    },
    /// A question that a provider must answer before it gets work.
    Question {
        member: usize,
        passed: bool,
        /// A cell that travelled in vain: nobody was asked for it.
        unasked: Option<(Item, Asked)>,
        called: Result<Called, LedgerError>,
    },
}

/// Where the providers of the pool stand in this pass.
pub(super) struct Standings(Vec<Standing>);

/// Where one provider stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Chunks on their way.
    pub(super) under_way: usize,
    /// Its identity or its trial is on its way.
    pub(super) questioned: bool,
    /// What its next trial is tried with.
    next_trial_native: bool,
    identity_failures: u32,
    /// Not asked for its identity before this.
    identity_again: Option<Instant>,
    /// It stands behind the chain until then.
    behind_until: Option<Instant>,
    /// It does not offer native coins, or tokens, as far as is known until then.
    unsupported_until: [Option<Instant>; 2],
}

/// What one dispatch saw of the providers.
#[derive(Debug)]
pub(super) struct Look {
    seen: Vec<Option<(Skip, Option<Instant>)>>,
    /// When a gate that is waited for may open.
    pub(super) wake: Option<Instant>,
}

/// Whether a provider takes the next chunk.
enum Stance {
    /// Now.
    Ready(Permit),
    /// What it would take waits for it.
    Holding(Skip, Option<Instant>),
    /// What it would take goes to the next one.
    Out(Skip, Option<Instant>),
}

/// Where a cell lies.
#[derive(Clone, Copy)]
enum Oldest {
    Waiting(Lane, bool),
    Aside(usize),
}

impl Run<'_, '_> {
    /// Hands out what can be handed out: in the operator's order, or where the work is spread a
    /// chunk to each in turn.
    pub(super) fn dispatch(&mut self) {
        let spread = self.engine.pool.strategy == Strategy::Spread;
        while self.hand_out(spread) && spread {}
    }

    /// Goes through the pool once; whether anything was handed out.
    fn hand_out(&mut self, one_each: bool) -> bool {
        let engine = self.engine;
        self.look.clear();
        let mut holding: Vec<usize> = Vec::new();
        let mut any = false;
        for (index, member) in engine.pool.members.iter().enumerate() {
            if member.gate.is_on_trial() {
                self.put_on_trial(index, member);
                continue;
            }
            if self.rest.is_some() {
                continue;
            }
            loop {
                if self.pin.is_undecided() && !self.tasks.is_empty() {
                    self.look.skip(index, Skip::HeightPending, None);
                    break;
                }
                let lanes = match self.lanes_for(index, &holding) {
                    Ok(lanes) => lanes,
                    Err(skip) => {
                        self.look.skip(index, skip, None);
                        break;
                    }
                };
                match self.stance(index, member) {
                    Stance::Ready(permit) => {
                        self.send(index, member, permit, &lanes);
                        any = true;
                        if one_each {
                            break;
                        }
                    }
                    Stance::Holding(skip, until) => {
                        self.look.skip(index, skip, until);
                        holding.push(index);
                        break;
                    }
                    Stance::Out(skip, until) => {
                        self.look.skip(index, skip, until);
                        break;
                    }
                }
            }
        }
        any
    }

    /// The lanes that this provider may take from: it reads them, was not asked, and no provider
    /// before it is about to take them.
    fn lanes_for(&self, index: usize, holding: &[usize]) -> Result<Vec<Lane>, Skip> {
        let now = self.engine.clock.now();
        let spread = self.engine.pool.strategy == Strategy::Spread;
        let (mut reads_some, mut unasked) = (self.queue.is_empty(), self.queue.is_empty());
        let free = |lane: &Lane| {
            let reads = self.reads(index, lane.kind);
            reads_some |= reads;
            let asked = lane.asked.contains(index);
            unasked |= reads && !asked;
            reads
                && !asked
                && (spread || !self.is_taken_before(lane, holding))
                && (self.offers(index, lane.kind, now) || !self.others_offer(index, lane, now))
        };
        let lanes: Vec<Lane> = self.queue.lanes().filter(free).collect();
        match lanes.is_empty() {
            false => Ok(lanes),
            true if !reads_some => Err(Skip::CannotRead),
            true if !unasked => Err(Skip::AskedAlready),
            true => Err(Skip::NotNeeded),
        }
    }

    /// Whether a provider earlier in the order is about to take from the lane.
    fn is_taken_before(&self, lane: &Lane, holding: &[usize]) -> bool {
        holding
            .iter()
            .any(|holder| !lane.asked.contains(*holder) && self.reads(*holder, lane.kind))
    }

    fn others_offer(&self, index: usize, lane: &Lane, now: Instant) -> bool {
        let mut others = (0..self.engine.pool.members.len()).filter(|other| *other != index);
        others.any(|other| {
            !lane.asked.contains(other)
                && self.reads(other, lane.kind)
                && self.offers(other, lane.kind, now)
        })
    }

    /// Whether it can read what lies in such a lane.
    fn reads(&self, index: usize, kind: LaneKind) -> bool {
        match kind {
            LaneKind::Any | LaneKind::Native => self.can_read(index, true),
            LaneKind::Token => self.can_read(index, false),
        }
    }

    /// Whether it reads such assets, at the height of the pass if that has one.
    pub(super) fn can_read(&self, index: usize, native: bool) -> bool {
        let member = &self.engine.pool.members[index];
        member.can_read(native) && self.pin.allows(member.caps(), native)
    }

    /// Whether, as far as is known, it does what it says it can.
    fn offers(&self, index: usize, kind: LaneKind, now: Instant) -> bool {
        let [native, tokens] = self.members[index].unsupported_until;
        let gone = |until: Option<Instant>| until.is_some_and(|until| until > now);
        match kind {
            LaneKind::Any => !(gone(native) && gone(tokens)),
            LaneKind::Native => !gone(native),
            LaneKind::Token => !gone(tokens),
        }
    }

    fn stance(&mut self, index: usize, member: &Arc<Member>) -> Stance {
        let now = self.engine.clock.now();
        let standing = &self.members[index];
        if let Some(until) = standing.behind_until.filter(|until| *until > now) {
            return Stance::Out(Skip::Behind, Some(until));
        }
        if standing.under_way >= member.connections {
            return Stance::Holding(Skip::ConnectionsBusy, None);
        }
        let answer = member.gate.ask(Call::Work);
        if answer.why() != Some(Why::IdentityPending) {
            return self.stance_of(answer, now);
        }
        let pending = Skip::Gate(Why::IdentityPending);
        if standing.questioned {
            return Stance::Holding(pending, None);
        }
        if let Some(again) = standing.identity_again.filter(|again| *again > now) {
            return Stance::Out(pending, Some(again));
        }
        let never_failed = standing.identity_failures == 0;
        match self.stance_of(member.gate.ask(Call::Identity), now) {
            Stance::Ready(permit) => {
                self.question(index, member, permit, Purpose::Identity, None);
                Stance::Holding(pending, None)
            }
            Stance::Holding(skip, until) if never_failed => Stance::Holding(skip, until),
            // It failed to say who it is: what it might take does not wait for its pauses.
            Stance::Holding(skip, until) | Stance::Out(skip, until) => Stance::Out(skip, until),
        }
    }

    fn stance_of(&self, answer: Answer, now: Instant) -> Stance {
        let spill_after = self.engine.pool.spill_after;
        match answer {
            Answer::Pass(permit) => Stance::Ready(permit),
            Answer::Wait { until, why } if until <= now + spill_after => {
                Stance::Holding(Skip::Gate(why), Some(until))
            }
            Answer::Wait { until, why } => Stance::Out(Skip::Gate(why), Some(until)),
            Answer::Shut { until, why } => Stance::Out(Skip::Gate(why), until),
        }
    }

    /// Finds out whether a provider whose circuit was open is back, whether or not its turn in the
    /// order has come, with the cell that waits longest.
    fn put_on_trial(&mut self, index: usize, member: &Arc<Member>) {
        if self.members[index].questioned {
            return self.look.skip(index, Skip::Gate(Why::HalfOpenBusy), None);
        }
        if let Some((why, until)) = member.gate.refusal(Call::Identity) {
            return self.look.skip(index, Skip::Gate(why), until);
        }
        let Some(cell) = self.oldest_cell(index) else {
            return self.look.skip(index, Skip::NotNeeded, None);
        };
        let mut answer = member.gate.ask(Call::Work);
        if answer.why() == Some(Why::IdentityPending) {
            answer = member.gate.ask(Call::Identity);
        }
        match self.stance_of(answer, self.engine.clock.now()) {
            Stance::Ready(permit) => {
                let cell = self.take(cell);
                self.question(index, member, permit, Purpose::Trial, cell);
                self.look.skip(index, Skip::Gate(Why::HalfOpenBusy), None);
            }
            Stance::Holding(skip, until) | Stance::Out(skip, until) => {
                self.look.skip(index, skip, until);
            }
        }
    }

    /// Where the cell lies that waits longest for this provider; of those that all failed on, any.
    ///
    /// After a trial that failed with a native coin a token is tried, and the reverse: the one must
    /// not keep the other out.
    fn oldest_cell(&self, index: usize) -> Option<Oldest> {
        let first = self.members[index].next_trial_native;
        let kinds = [first, !first].into_iter();
        let mut readable = kinds.filter(|native| self.can_read(index, *native));
        readable.find_map(|native| self.oldest_of(index, native))
    }

    fn oldest_of(&self, index: usize, native: bool) -> Option<Oldest> {
        let waiting = |lane: &Lane| !lane.asked.contains(index) && self.queue.holds(*lane, native);
        if let Some(lane) = self.queue.lanes().find(waiting) {
            return Some(Oldest::Waiting(lane, native));
        }
        let is_such =
            |item: &Item| self.engine.assets[usize::from(item.asset)].is_native() == native;
        self.aside.iter().position(is_such).map(Oldest::Aside)
    }

    fn take(&mut self, oldest: Oldest) -> Option<(Item, Asked)> {
        match oldest {
            Oldest::Waiting(lane, native) => self.queue.pop(lane, native),
            Oldest::Aside(place) => {
                let members = self.engine.pool.members.len();
                let everyone = (0..members).fold(Asked::default(), Asked::with);
                Some((self.aside.swap_remove(place), everyone))
            }
        }
    }

    /// Asks a provider what it must answer before it gets work: who it is where that is not known,
    /// and on trial one cell, as one call with one verdict.
    fn question(
        &mut self,
        index: usize,
        member: &Arc<Member>,
        permit: Permit,
        purpose: Purpose,
        cell: Option<(Item, Asked)>,
    ) {
        self.members[index].questioned = true;
        self.rounds.sent();
        self.tell(Some(index), purpose, usize::from(cell.is_some()));
        let who = permit.asks_identity();
        let expected = self.engine.pool.identity.clone();
        let question = self.question_for(member);
        let (member, commit) = (member.clone(), self.commit());
        self.tasks.spawn(async move {
            if who {
                let verdict = ask_identity(&member, &permit, expected.as_deref()).await;
                let passed = verdict == Verdict::Success;
                if !passed || cell.is_none() {
                    permit.record(verdict);
                    return Done::Question {
                        member: index,
                        passed,
                        unasked: cell,
                        called: Ok(Called::default()),
                    };
                }
                permit.identified();
            }
            let items = cell.into_iter().collect();
            let called = call::call(&member, permit, &question, items).await;
            let written = commit.chunk(&member, &question, &called.settled).await;
            Done::Question {
                member: index,
                passed: true,
                unasked: None,
                called: written.map(|()| called),
            }
        });
    }

    fn send(&mut self, index: usize, member: &Arc<Member>, permit: Permit, lanes: &[Lane]) {
        let caps = member.caps();
        let limits = ChunkLimits {
            cells: member.cells_max(),
            addresses: caps.addresses_max,
            assets: caps.assets_max,
        };
        let items: Items = self.queue.pull(lanes, limits).items;
        self.members[index].under_way += 1;
        self.rounds.sent();
        self.tell(Some(index), Purpose::Work, items.len());
        let question = self.question_for(member);
        let (member, commit) = (member.clone(), self.commit());
        self.tasks.spawn(async move {
            let called = call::call(&member, permit, &question, items).await;
            let written = commit.chunk(&member, &question, &called.settled).await;
            Done::Chunk {
                member: index,
                heights: question.heights,
                called: written.map(|()| called),
            }
        });
    }

    fn question_for(&self, member: &Member) -> Arc<Question> {
        let heights = self.pin.heights(member.caps());
        if heights == self.question.heights {
            return self.question.clone();
        }
        Arc::new(Question {
            heights,
            ..Question::clone(&self.question)
        })
    }

    fn commit(&self) -> Commit {
        Commit {
            sink: self.engine.sink.clone(),
            clock: self.engine.clock.clone(),
            chain: self.engine.chain.clone(),
            pass: self.pass.id.clone(),
        }
    }

    /// Records that nobody could take what waits.
    pub(super) fn tell_nobody_could(&self) {
        self.tell(None, Purpose::Work, self.queue.len() + self.aside.len());
    }

    fn tell(&self, used: Option<usize>, purpose: Purpose, cells: usize) {
        let (now, unix_ms) = (self.engine.clock.now(), self.engine.clock.unix_ms());
        let wall = |until: Instant| {
            let ahead = until.saturating_duration_since(now).as_millis();
            unix_ms.saturating_add(i64::try_from(ahead).unwrap_or(i64::MAX))
        };
        let members = self.engine.pool.members.iter().enumerate();
        let others = members.filter(|(index, _)| Some(*index) != used);
        let skipped = others.map(|(index, member)| {
            let (why, until) = self.look.seen[index].unwrap_or((Skip::NotNeeded, None));
            Skipped {
                provider: member.name.clone(),
                why,
                until: until.map(wall),
            }
        });
        let provider = used.map(|index| self.engine.pool.members[index].name.clone());
        let decision = Decision {
            id: 0,
            at: unix_ms,
            chain: self.engine.chain.clone(),
            scan: self.pass.id.clone(),
            purpose,
            provider: provider.clone(),
            cells: cells as u64,
            skipped: skipped.collect(),
        };
        let id = self.engine.pool.decisions.record(decision);
        if let Some(provider) = provider {
            tracing::debug!(decision = id, chain = %self.engine.chain, %provider, cells, "a call is sent");
        }
    }
}

// === impl Standings ===

impl Standings {
    pub(super) fn new(members: usize) -> Self {
        Self(vec![Standing::NEW; members])
    }
}

impl std::ops::Index<usize> for Standings {
    type Output = Standing;

    fn index(&self, member: usize) -> &Standing {
        &self.0[member]
    }
}

impl std::ops::IndexMut<usize> for Standings {
    fn index_mut(&mut self, member: usize) -> &mut Standing {
        &mut self.0[member]
    }
}

impl Standing {
    const NEW: Self = Self {
        under_way: 0,
        questioned: false,
        next_trial_native: true,
        identity_failures: 0,
        identity_again: None,
        behind_until: None,
        unsupported_until: [None; 2],
    };

    /// A trial with such a cell was not answered.
    pub(super) fn failed_trial(&mut self, native: bool) {
        self.next_trial_native = !native;
    }

    /// It was asked who it is.
    pub(super) fn said_who(&mut self, passed: bool, now: Instant) {
        self.questioned = false;
        if passed {
            self.identity_failures = 0;
            self.identity_again = None;
        } else {
            self.identity_failures = self.identity_failures.saturating_add(1);
            self.identity_again = Some(now + backoff(self.identity_failures));
        }
    }

    /// A whole chunk was answered by "I am behind".
    pub(super) fn is_behind(&mut self, now: Instant) {
        self.behind_until = Some(now + BEHIND_FOR);
    }

    /// A whole chunk was answered by "I do not offer this".
    pub(super) fn does_not_offer(&mut self, native: bool, now: Instant) {
        self.unsupported_until[usize::from(!native)] = Some(now + UNSUPPORTED_FOR);
    }
}

// === impl Look ===

impl Look {
    pub(super) fn new(members: usize) -> Self {
        Self {
            seen: vec![None; members],
            wake: None,
        }
    }

    fn clear(&mut self) {
        self.seen.fill(None);
        self.wake = None;
    }

    fn skip(&mut self, member: usize, why: Skip, until: Option<Instant>) {
        self.seen[member] = Some((why, until));
        self.wake = self.wake.into_iter().chain(until).min();
    }
}
