//! What one dispatch saw of the providers, for its record and for when to look again.

use tokio::time::Instant;

use super::Run;
use crate::config::Strategy;
use crate::gate::Call;
use crate::pool::Member;
use crate::pool::decision::{Decision, Purpose, Skip, Skipped};

/// What one dispatch saw of the providers.
#[derive(Debug)]
pub(super) struct Look {
    seen: Vec<Option<(Skip, Option<Instant>)>>,
    /// When a gate that is waited for may open.
    pub(super) wake: Option<Instant>,
}

// === impl Look ===

impl Look {
    pub(super) fn new(members: usize) -> Self {
        Self {
            seen: vec![None; members],
            wake: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.seen.fill(None);
        self.wake = None;
    }

    pub(super) fn skip(&mut self, member: usize, why: Skip, until: Option<Instant>) {
        self.seen[member] = Some((why, until));
        self.wake = self.wake.into_iter().chain(until).min();
    }
}

// === impl Run ===

impl Run<'_, '_> {
    /// Records that nobody could take what waits.
    pub(super) fn tell_nobody_could(&self) {
        self.tell(None, Purpose::Work, self.queue.len() + self.aside.len());
    }

    /// Why a provider has no part in a dispatch that did not come as far as to it.
    fn not_looked_at(&self, index: usize, member: &Member) -> (Skip, Option<Instant>) {
        let standing = &self.members[index];
        let behind = standing.behind(self.engine.clock.now());
        if let Some((why, until)) = member.gate.refusal(Call::Work) {
            (Skip::Gate(why), until)
        } else if self.rest.is_some() {
            (Skip::Resting, self.rest)
        } else if behind.is_some() {
            (Skip::Behind, behind)
        } else if standing.under_way >= member.connections {
            (Skip::ConnectionsBusy, None)
        } else if let Err(skip) = self.lanes_for(index, &[]) {
            (skip, None)
        } else if self.engine.pool.strategy == Strategy::Spread {
            (Skip::TakingTurns, None)
        } else {
            (Skip::NotNeeded, None)
        }
    }

    pub(super) fn tell(&self, used: Option<usize>, purpose: Purpose, cells: usize) {
        let members = self.engine.pool.members.iter().enumerate();
        let others = members.filter(|(index, _)| Some(*index) != used);
        let skipped = others.map(|(index, member)| {
            let seen = self.look.seen[index];
            let (why, until) = seen.unwrap_or_else(|| self.not_looked_at(index, member));
            Skipped {
                provider: member.name.clone(),
                why,
                until: until.map(|until| self.engine.wall(until)),
            }
        });
        let provider = used.map(|index| self.engine.pool.members[index].name.clone());
        let decision = Decision {
            id: 0,
            at: self.engine.clock.unix_ms(),
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
