//! Cells from the list into the queue: as many as the providers could take, and not more.
//!
//! Native coins and tokens do not wait for each other. What nobody in the pool reads is settled at
//! once. What waits for providers that are shut for longer takes no place from the rest: beyond
//! some room it is left in the list, and comes back when everything else has had its turn.

use super::{ASIDE_MAX, Run};
use crate::gate::{Call, Why};
use crate::pool::Member;
use crate::scan::ScanError;
use crate::scan::queue::{Asked, Item};

/// Native coins, and tokens; the order of every pair of them here.
pub(super) const KINDS: [bool; 2] = [true, false];

/// What is left in the list, native coins and tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InList {
    /// The list is to be streamed once more for them.
    again: [bool; 2],
    /// Of them, those that nobody was asked for.
    unasked: [u64; 2],
}

// === impl InList ===

impl InList {
    /// Such a cell is left there, after somebody was asked for it.
    pub(super) fn leave(&mut self, native: bool) {
        self.again[place(native)] = true;
    }

    /// Such a cell is left there for now.
    fn pass_over(&mut self, item: &Item, native: bool) {
        self.leave(native);
        self.unasked[place(native)] += u64::from(!item.counted);
    }

    /// Whether such cells are left there.
    pub(super) fn holds(&self, native: bool) -> bool {
        self.again[place(native)]
    }

    /// Begins with the list once more, if something is left there.
    fn restart(&mut self) -> bool {
        std::mem::take(&mut self.again) != [false; 2]
    }

    /// A cell came from the list: of those that come again, so many were never asked for, whichever
    /// they are.
    fn count(&mut self, item: &mut Item, native: bool) {
        let unasked = &mut self.unasked[place(native)];
        if item.counted && *unasked > 0 {
            *unasked -= 1;
            item.counted = false;
        }
    }
}

fn place(native: bool) -> usize {
    usize::from(!native)
}

// === impl Run ===

impl Run<'_, '_> {
    /// Plans more cells while the queue has less than every provider could take.
    pub(super) async fn refill(&mut self) -> Result<(), ScanError> {
        let wanted = self.could_take(|_| true);
        // Few passes have anything stuck, and none that has an empty queue.
        let is_full = self.queue.len() >= wanted && self.queue.is_by_kind();
        let stuck = KINDS.map(|native| is_full && self.is_stuck(native));
        while self.queue.len() < wanted || self.starves(stuck) {
            let Some(items) = self.plan.next().await? else {
                let has_work = !self.queue.is_empty() || !self.aside.is_empty();
                if has_work || !self.tasks.is_empty() || !self.in_list.restart() {
                    return Ok(());
                }
                // Whatever had room is settled: the rest has its turn.
                self.forget_dropped().await?;
                self.plan.restart()?;
                continue;
            };
            let mut unreadable = Vec::new();
            for mut item in items {
                let native = self.engine.assets[usize::from(item.asset)].is_native();
                self.in_list.count(&mut item, native);
                if !self.is_readable(native) {
                    unreadable.push(item);
                } else if stuck[place(native)] && self.queue.waiting(native) >= ASIDE_MAX {
                    self.in_list.pass_over(&item, native);
                } else {
                    self.queue.push(item, Asked::default());
                }
            }
            self.close_unreadable(&unreadable).await?;
        }
        Ok(())
    }

    /// Cells that these providers could take at once; at least 1.
    fn could_take(&self, counts: impl Fn(usize) -> bool) -> usize {
        let members = self.engine.pool.members.iter().enumerate();
        let members = members.filter(|(index, _)| counts(*index));
        let each = members.map(|(_, it)| it.cells_max().saturating_mul(it.connections));
        each.fold(1, usize::saturating_add)
    }

    fn is_readable(&self, native: bool) -> bool {
        let mut members = 0..self.engine.pool.members.len();
        members.any(|index| self.can_read(index, native))
    }

    /// Whether such cells wait and everyone who reads them is shut for longer.
    fn is_stuck(&self, native: bool) -> bool {
        let mut members = self.engine.pool.members.iter().enumerate();
        self.queue.waiting(native) > 0
            && members.all(|(index, it)| !self.can_read(index, native) || self.is_shut(it))
    }

    fn is_shut(&self, member: &Member) -> bool {
        match member.gate.refusal(Call::Work) {
            None | Some((Why::IdentityPending | Why::HalfOpenBusy, _)) => false,
            Some((_, None)) => true,
            Some((_, Some(until))) => {
                until > self.engine.clock.now() + self.engine.pool.spill_after
            }
        }
    }

    /// Whether those who read what is not stuck could take more of it than waits.
    fn starves(&self, stuck: [bool; 2]) -> bool {
        let has = |native| {
            let mut assets = self.engine.assets.iter();
            assets.any(|asset| asset.is_native() == native) && self.is_readable(native)
        };
        let mut flowing = KINDS.into_iter().filter(|native| !stuck[place(*native)]);
        stuck != [false; 2]
            && flowing.any(|native| {
                let could_take = self.could_take(|index| self.can_read(index, native));
                has(native) && self.queue.waiting(native) < could_take
            })
    }
}
