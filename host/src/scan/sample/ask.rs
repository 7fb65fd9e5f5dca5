//! A second reading: a permit, one call, the amounts in the order of the cells.

use std::time::Duration;

use super::compare::Shared;
use super::{BATCH, Sampled};
use crate::gate::{Answer, Call, Permit, Verdict, Why};
use crate::model::Amount;
use crate::pool::Member;
use crate::pool::decision::{Decision, Purpose};
use crate::scan::call::{self, Question};
use crate::scan::identity::ask_identity;
use crate::scan::queue::{Asked, Item, Items};
use crate::scan::reconcile::CellOutcome;

/// How long a second reading may wait for a provider's gate.
const PATIENCE: Duration = Duration::from_secs(60);

impl Shared {
    /// One reading of each cell by a provider; `None` where it has no answer.
    pub(super) async fn read(
        &self,
        member: usize,
        question: &Question,
        cells: &[Sampled],
    ) -> Vec<Option<Amount>> {
        let member = &self.members[member];
        let mut told = vec![None; cells.len()];
        let caps = member.caps();
        let Some(heights) = question.heights.again_by(caps) else {
            return told;
        };
        let question = Question {
            heights,
            ..question.clone()
        };
        let size = member.cells_max().min(caps.addresses_max).min(BATCH);
        for (start, chunk) in (0..).step_by(size).zip(cells.chunks(size)) {
            let Some(permit) = self.admitted(member).await else {
                return told;
            };
            self.record(member, chunk.len());
            // The order of the items is the way back to the cells.
            let items: Items = chunk.iter().map(Sampled::item).collect();
            let called = call::call(member, permit, &question, items).await;
            for (item, _, outcome) in called.settled {
                let place = chunk.iter().position(|cell| cell.is(&item));
                if let (Some(place), CellOutcome::Known(known)) = (place, outcome) {
                    told[start + place] = Some(known.amount);
                }
            }
        }
        told
    }

    /// A permit, after the identity where that is not known; `None` where the provider is shut.
    async fn admitted(&self, member: &Member) -> Option<Permit> {
        let until = self.clock.now() + PATIENCE;
        while self.clock.now() < until {
            let mut changed = member.gate.changed();
            let wait = match member.gate.ask(Call::Work) {
                Answer::Pass(permit) => return Some(permit),
                Answer::Wait { until, .. } => Some(until),
                Answer::Shut {
                    why: Why::IdentityPending,
                    ..
                } => match member.gate.ask(Call::Identity) {
                    Answer::Pass(permit) => {
                        let expected = self.expected.as_deref();
                        let verdict = ask_identity(member, &permit, expected).await;
                        let same = verdict == Verdict::Success;
                        permit.record(verdict);
                        if !same {
                            return None;
                        }
                        continue;
                    }
                    Answer::Wait { until, .. } => Some(until),
                    Answer::Shut { .. } => None,
                },
                Answer::Shut { .. } => return None,
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(wait.unwrap_or(until).min(until)) => {}
            }
        }
        None
    }

    fn record(&self, member: &Member, cells: usize) {
        self.decisions.record(Decision {
            id: 0,
            at: self.clock.unix_ms(),
            chain: self.chain.clone(),
            scan: self.pass.clone(),
            purpose: Purpose::Sample,
            provider: Some(member.name.clone()),
            cells: cells as u64,
            skipped: Vec::new(),
        });
    }
}

impl Sampled {
    fn item(&self) -> (Item, Asked) {
        let item = Item {
            address: self.address.clone(),
            asset: self.asset,
            suspect: 0,
            counted: false,
            errors: Vec::new(),
        };
        (item, Asked::default())
    }

    fn is(&self, item: &Item) -> bool {
        self.asset == item.asset && *self.address == *item.address
    }
}
