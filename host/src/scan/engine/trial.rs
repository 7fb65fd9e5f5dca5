//! Trials: whether a provider whose circuit was open is back.

use std::sync::Arc;

use super::Run;
use super::dispatch::Stance;
use crate::gate::{Call, Why};
use crate::pool::Member;
use crate::pool::decision::{Purpose, Skip};
use crate::scan::queue::{Asked, Item, Lane};

/// Where a cell lies.
#[derive(Clone, Copy)]
enum Oldest {
    Waiting(Lane, bool),
    Aside(usize),
}

impl Run<'_, '_> {
    /// Finds out whether a provider whose circuit was open is back, whether or not its turn in the
    /// order has come, with the cell that waits longest.
    pub(super) fn put_on_trial(&mut self, index: usize, member: &Arc<Member>) {
        if self.members[index].questioned {
            return self.look.skip(index, Skip::Gate(Why::HalfOpenBusy), None);
        }
        if let Some((why, until)) = member.gate.refusal(Call::Identity) {
            return self.look.skip(index, Skip::Gate(why), until);
        }
        let Some(cell) = self.oldest_cell(index) else {
            return self.look.skip(index, self.nothing_for(index), None);
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
}
