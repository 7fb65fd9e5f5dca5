//! The one place where answers meet questions: every asked cell is answered exactly once.
//!
//! A cell without an answer, or with two, becomes unknown here and nowhere else. Whoever breaks
//! the agreement about indices is not believed at all.

use super::queue::{Asked, Item, Items};
use crate::model::{Amount, Class};
use crate::plugin::{Answer, CallError, Outcome};

/// A balance with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// In the smallest unit.
    pub amount: Amount,
    /// Signed change not yet confirmed.
    pub pending: Option<i128>,
    /// Height or slot.
    pub height: Option<u64>,
    /// Lower-case hex.
    pub block_hash: Option<String>,
    /// Whether there was ever a transaction with the address, where the provider tells it.
    pub used: Option<bool>,
}

/// What came of a cell in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellOutcome {
    /// Answered.
    Known(Known),
    /// Not answered by this provider.
    Unknown(CallError),
    /// Not answerable by anyone.
    Invalid(CallError),
}

/// A cell with what came of it.
pub type Settled = (Item, Asked, CellOutcome);

/// Matches answers to the cells that were asked, in the order of the cells.
///
/// # Errors
///
/// An answer to a cell that was not asked: the plugin's fault, and no answer of the call counts.
pub fn reconcile(items: Items, answers: Vec<Answer>) -> Result<Vec<Settled>, (Items, CallError)> {
    let mut slots: Vec<Slot> = items.iter().map(|_| Slot::Empty).collect();
    for answer in answers {
        let asked = slots.len();
        let Some(slot) = slots.get_mut(answer.cell as usize) else {
            let message = format!("an answer for cell {} of {asked}", answer.cell);
            return Err((items, CallError::new(Class::PluginFault, message)));
        };
        *slot = match slot {
            Slot::Empty => Slot::Answered(answer.outcome),
            Slot::Answered(_) | Slot::Doubled => Slot::Doubled,
        };
    }
    let settle = |((item, asked), slot): ((Item, Asked), Slot)| (item, asked, slot.into_outcome());
    Ok(items.into_iter().zip(slots).map(settle).collect())
}

enum Slot {
    Empty,
    Answered(Outcome),
    Doubled,
}

impl Slot {
    fn into_outcome(self) -> CellOutcome {
        let missing = |why| CellOutcome::Unknown(CallError::new(Class::Missing, why));
        match self {
            Self::Empty => missing("the provider left this cell out"),
            Self::Doubled => missing("the provider answered this cell twice"),
            Self::Answered(Outcome::Known {
                amount,
                pending,
                height,
                block_hash,
                used,
            }) => CellOutcome::Known(Known {
                amount,
                pending,
                height,
                block_hash,
                used,
            }),
            Self::Answered(Outcome::Unknown(error)) => CellOutcome::Unknown(error),
            Self::Answered(Outcome::Invalid(error)) => CellOutcome::Invalid(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(count: usize) -> Items {
        (0..count)
            .map(|index| {
                let address = format!("a{index}").into();
                (
                    Item {
                        address,
                        asset: 0,
                        suspect: 0,
                        counted: false,
                        errors: Vec::new(),
                    },
                    Asked::default(),
                )
            })
            .collect()
    }

    fn answer(cell: u32) -> Answer {
        let amount = u64::from(cell + 1).to_string().parse().unwrap();
        let outcome = Outcome::Known {
            amount,
            pending: None,
            height: None,
            block_hash: None,
            used: None,
        };
        Answer { cell, outcome }
    }

    /// Words for the outcomes: `k` known, `m` missing.
    fn check(cells: usize, answers: &[u32], expected: &str) {
        let answers = answers.iter().copied().map(answer).collect();
        let settled = reconcile(items(cells), answers).unwrap();
        let word = |(_, _, outcome): &Settled| match outcome {
            CellOutcome::Known(_) => 'k',
            CellOutcome::Unknown(error) if error.class == Class::Missing => 'm',
            _ => '?',
        };
        assert_eq!(settled.iter().map(word).collect::<String>(), expected);
    }

    #[test]
    fn order_means_nothing() {
        check(3, &[2, 0, 1], "kkk");
    }

    #[test]
    fn absent_and_doubled_answers_are_missing() {
        check(3, &[], "mmm");
        check(3, &[1], "mkm");
        check(3, &[0, 1, 1, 2], "kmk");
        check(3, &[1, 1, 1], "mmm");
    }

    #[test]
    fn an_index_out_of_range_voids_the_call() {
        let (items, error) = reconcile(items(3), vec![answer(0), answer(3)]).unwrap_err();
        assert_eq!((items.len(), error.class), (3, Class::PluginFault));
    }

    proptest! {
        #[test]
        fn every_cell_is_settled_once_and_amounts_stay_with_their_cell(
            cells in 1_usize..50,
            answers in proptest::collection::vec(0_u32..50, 0..100),
        ) {
            let in_range: Vec<_> = answers.into_iter().filter(|c| (*c as usize) < cells).collect();
            let given = in_range.iter().copied().map(answer).collect();
            let settled = reconcile(items(cells), given).unwrap();
            prop_assert_eq!(settled.len(), cells);
            for (index, (item, _, outcome)) in settled.iter().enumerate() {
                prop_assert_eq!(&*item.address, format!("a{index}"));
                let times = in_range.iter().filter(|cell| **cell as usize == index).count();
                match outcome {
                    CellOutcome::Known(known) => {
                        prop_assert_eq!(times, 1);
                        prop_assert_eq!(known.amount.to_string(), (index + 1).to_string());
                    }
                    _ => prop_assert_ne!(times, 1),
                }
            }
        }
    }
}
