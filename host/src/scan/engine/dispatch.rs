//! Who takes what: work in the operator's order, trials of providers that were shut, identities.

use std::sync::Arc;

use tokio::time::Instant;

use super::Run;
use crate::config::Strategy;
use crate::gate::{Answer, Call, Permit, Verdict, Why};
use crate::ledger::LedgerError;
use crate::pool::Member;
use crate::pool::decision::{Purpose, Skip};
use crate::scan::call::{self, Called, Heights, Question};
use crate::scan::commit::Commit;
use crate::scan::identity::ask_identity;
use crate::scan::queue::{Asked, ChunkLimits, Item, Items, Lane, LaneKind};

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

/// Whether a provider takes the next chunk.
pub(super) enum Stance {
    /// Now.
    Ready(Permit),
    /// What it would take waits for it.
    Holding(Skip, Option<Instant>),
    /// What it would take goes to the next one.
    Out(Skip, Option<Instant>),
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
    pub(super) fn lanes_for(&self, index: usize, holding: &[usize]) -> Result<Vec<Lane>, Skip> {
        let now = self.engine.clock.now();
        let spread = self.engine.pool.strategy == Strategy::Spread;
        let (mut unasked, mut offered) = (false, false);
        let free = |lane: &Lane| {
            if !self.reads(index, lane.kind) || lane.asked.contains(index) {
                return false;
            }
            unasked = true;
            if !self.offers(index, lane.kind, now) && self.others_offer(index, lane, now) {
                return false;
            }
            offered = true;
            spread || !self.is_taken_before(lane, holding)
        };
        let lanes: Vec<Lane> = self.queue.lanes().filter(free).collect();
        if !lanes.is_empty() {
            Ok(lanes)
        } else if offered {
            Err(Skip::NotNeeded)
        } else if unasked {
            Err(Skip::NotOffered)
        } else {
            Err(self.nothing_for(index))
        }
    }

    /// Why there is no cell that this provider could be asked for.
    pub(super) fn nothing_for(&self, index: usize) -> Skip {
        let native = |item: &Item| self.engine.assets[usize::from(item.asset)].is_native();
        let mut lanes = self.queue.lanes();
        let mut aside = self.aside.iter();
        if self.queue.is_empty() && self.aside.is_empty() {
            Skip::NotNeeded
        } else if lanes.any(|lane| self.reads(index, lane.kind))
            || aside.any(|item| self.can_read(index, native(item)))
        {
            Skip::AskedAlready
        } else {
            Skip::CannotRead
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
    pub(super) fn reads(&self, index: usize, kind: LaneKind) -> bool {
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
        let offers = |native| self.members[index].offers(native, now);
        match kind {
            LaneKind::Any => offers(true) || offers(false),
            LaneKind::Native => offers(true),
            LaneKind::Token => offers(false),
        }
    }

    fn stance(&mut self, index: usize, member: &Arc<Member>) -> Stance {
        let now = self.engine.clock.now();
        let standing = &self.members[index];
        if let Some(until) = standing.behind(now) {
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
        if let Some(again) = standing.asked_who_again(now) {
            return Stance::Out(pending, Some(again));
        }
        let never_failed = standing.never_failed_to_say_who();
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

    pub(super) fn stance_of(&self, answer: Answer, now: Instant) -> Stance {
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

    /// Asks a provider what it must answer before it gets work: who it is where that is not known,
    /// and on trial one cell, as one call with one verdict.
    pub(super) fn question(
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
}
