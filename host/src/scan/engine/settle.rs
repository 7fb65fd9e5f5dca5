//! What becomes of answers: cells that are known, asked again, or holes for good.

use std::sync::atomic::Ordering;

use super::dispatch::Done;
use super::{ASIDE_MAX, Ending, Run};
use crate::ledger::{CellName, ChunkCommit, Hole, NewEvent};
use crate::model::{Class, ProviderName};
use crate::scan::ScanError;
use crate::scan::call::{Called, Heights};
use crate::scan::queue::{Asked, Item};
use crate::scan::reconcile::{CellOutcome, Settled};

/// Holes written in one transaction when a pass ends.
const HOLES_PER_COMMIT: usize = 1_000;

impl Run<'_, '_> {
    pub(super) async fn take_in(
        &mut self,
        done: Result<Done, tokio::task::JoinError>,
    ) -> Result<(), ScanError> {
        let done = match done {
            Ok(done) => done,
            // A panic of ours must not pass for an answer; it ends the pass loudly.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let (member, called) = match done {
            Done::Chunk {
                member,
                heights,
                called,
            } => {
                self.members[member].under_way -= 1;
                let mut called = called?;
                self.look_at_heights(member, heights, &mut called);
                (member, called)
            }
            Done::Question {
                member,
                passed,
                unasked,
                called,
            } => {
                let now = self.engine.clock.now();
                self.members[member].said_who(passed, now);
                if let Some((item, asked)) = unasked {
                    self.put_back(item, asked);
                }
                let called = called?;
                for (item, _, outcome) in &called.settled {
                    if matches!(outcome, CellOutcome::Unknown(_)) {
                        let native = self.engine.assets[usize::from(item.asset)].is_native();
                        self.members[member].failed_trial(native);
                    }
                }
                (member, called)
            }
        };
        self.settle_all(member, called)?;
        if self.refused.len() >= HOLES_PER_COMMIT {
            let refused = std::mem::take(&mut self.refused);
            self.close_cells(&refused).await?;
        }
        if self.dropped.len() >= HOLES_PER_COMMIT {
            self.forget_dropped().await?;
        }
        Ok(())
    }

    fn settle_all(&mut self, member: usize, called: Called) -> Result<(), ScanError> {
        let Called { settled, again } = called;
        self.learn_of(member, &settled);
        let name = self.engine.pool.members[member].name.clone();
        let mut missing = 0_usize;
        for (item, asked, outcome) in settled {
            missing += usize::from(matches!(
                &outcome,
                CellOutcome::Unknown(error) if error.class == Class::Missing
            ));
            self.settle(member, &name, item, asked, outcome)?;
        }
        for (item, asked) in again {
            self.put_back(item, asked);
        }
        if missing > 0 {
            tracing::warn!(
                chain = %self.engine.chain,
                provider = %name,
                missing,
                "provider `{name}` left out {missing} cells; they are asked again"
            );
        }
        Ok(())
    }

    /// Where the pass is pinned: the first answer decides its height, and cells that are not there
    /// any more at that height are asked again at another one.
    fn look_at_heights(&mut self, member: usize, heights: Heights, called: &mut Called) {
        let known = called
            .settled
            .iter()
            .find_map(|(_, _, outcome)| match outcome {
                CellOutcome::Known(known) => Some(known.height),
                CellOutcome::Unknown(_) | CellOutcome::Invalid(_) => None,
            });
        // What was asked at a height decides none: it may be the one that was just given up.
        if let Some(height) = known.filter(|_| heights == Heights::default()) {
            self.pin
                .decide(height, &self.engine.pool.members[member].name);
        }
        let gone = |(_, _, outcome): &Settled| matches!(outcome, CellOutcome::Unknown(error) if error.class == Class::Unsupported);
        let Some(at) = heights.at.filter(|_| called.settled.iter().any(gone)) else {
            return;
        };
        if self.pin.is_gone(at) {
            let (chain, name) = (self.engine.chain, &self.engine.pool.members[member].name);
            tracing::warn!(
                %chain, provider = %name, height = at,
                "{chain}: `{name}` has no state of height {at} any more; the pass goes on at a newer one"
            );
        }
        let again = called.settled.extract_if(.., |settled| gone(settled));
        called
            .again
            .extend(again.map(|(item, asked, _)| (item, asked)));
    }

    /// What a chunk that was answered by one word alone says of the provider.
    fn learn_of(&mut self, member: usize, settled: &[Settled]) {
        let all = |class: Class| {
            let said = |(_, _, outcome): &Settled| matches!(outcome, CellOutcome::Unknown(error) if error.class == class);
            !settled.is_empty() && settled.iter().all(said)
        };
        let now = self.engine.clock.now();
        if all(Class::Lagging) {
            self.members[member].is_behind(now);
        } else if all(Class::Unsupported) {
            for (item, _, _) in settled {
                let native = self.engine.assets[usize::from(item.asset)].is_native();
                self.members[member].does_not_offer(native, now);
            }
        }
    }

    fn settle(
        &mut self,
        member: usize,
        name: &ProviderName,
        mut item: Item,
        asked: Asked,
        outcome: CellOutcome,
    ) -> Result<(), ScanError> {
        let progress = &self.engine.progress;
        let error = match outcome {
            CellOutcome::Known(known) => {
                if let Some(sampler) = &mut self.sampler {
                    let caps = self.engine.pool.members[member].caps();
                    let heights = self.pin.again(caps, known.height);
                    sampler.see(member, &item, known.amount, heights)?;
                }
                self.rounds.answered(self.engine.clock.now());
                progress.settled.fetch_add(1, Ordering::Relaxed);
                progress.known.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            CellOutcome::Invalid(_) => {
                self.rounds.answered(self.engine.clock.now());
                progress.settled.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            CellOutcome::Unknown(error) => error,
        };
        let said = self.engine.pool.members[member].note_failure(&error);
        // In the order in which they were asked first, whoever is asked again.
        match item.errors.iter_mut().find(|it| it.provider == *name) {
            Some(earlier) => *earlier = said,
            None => item.errors.push(said),
        }
        self.put_back(item, asked.with(member));
        Ok(())
    }

    /// Where a cell goes that is not known: to the next provider, aside until the next round, or
    /// out where no answer would change.
    fn put_back(&mut self, item: Item, asked: Asked) {
        let native = self.engine.assets[usize::from(item.asset)].is_native();
        let mut members = 0..self.engine.pool.members.len();
        if members.any(|index| !asked.contains(index) && self.can_read(index, native)) {
            self.queue.push(item, asked);
        } else if !item.errors.is_empty() && item.errors.iter().all(|it| is_for_good(it.class)) {
            self.engine.progress.settled.fetch_add(1, Ordering::Relaxed);
            self.refused.push(item);
        } else if self.aside.len() < ASIDE_MAX {
            self.aside.push(item);
        } else {
            self.in_list.leave(native);
            self.dropped.push(item);
        }
    }

    /// Writes why cells are unknown that are not kept in memory until the list brings them back.
    pub(super) async fn forget_dropped(&mut self) -> Result<(), ScanError> {
        let dropped = std::mem::take(&mut self.dropped);
        self.write_holes(&dropped, false, Vec::new()).await
    }

    /// One event and one line per token and class of failure: native scans go on meanwhile.
    pub(super) fn tell_tokens(&mut self) {
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

    /// Writes the final holes of what was asked for and stayed unknown.
    pub(super) async fn close(&mut self, ending: &Ending) -> Result<(), ScanError> {
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
            .chain(std::mem::take(&mut self.dropped))
            .chain(asked)
            .collect();
        self.close_cells(&open).await
    }

    /// Settles cells that no provider of the pool reads: no answer will come.
    pub(super) async fn close_unreadable(&mut self, items: &[Item]) -> Result<(), ScanError> {
        let settled = &self.engine.progress.settled;
        settled.fetch_add(items.len() as u64, Ordering::Relaxed);
        self.close_cells(items).await
    }

    /// Writes final holes, and once per token that has one the event that says so.
    async fn close_cells(&mut self, items: &[Item]) -> Result<(), ScanError> {
        let events = self.token_events(items);
        self.write_holes(items, true, events).await
    }

    async fn write_holes(
        &self,
        items: &[Item],
        is_final: bool,
        mut events: Vec<NewEvent>,
    ) -> Result<(), ScanError> {
        for items in items.chunks(HOLES_PER_COMMIT) {
            let hole = |item: &Item| Hole {
                cell: CellName::new(&item.address, &self.engine.assets[usize::from(item.asset)]),
                reason: self.engine.reason_of(item),
                is_final,
            };
            let chunk = ChunkCommit {
                holes: items.iter().map(hole).collect(),
                events: std::mem::take(&mut events),
                ..ChunkCommit::of(self.pass.id.clone())
            };
            self.engine.sink.commit(chunk).await?;
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
        Class::Refused | Class::Unsupported | Class::DecimalsMismatch | Class::TooLarge
    )
}
