//! What a sum makes of an alert: a function of the state before and the sum now.

use super::sum::{Sum, Total};
use crate::config::{Alert, AlertSide};
use crate::ledger::{AlertRow, AlertState};

/// Something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Fired,
    Resolved,
}

/// Whether the sum is on the side that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    NotMet,
    /// What is unknown could decide it either way.
    Undecided,
}

/// Amounts are never negative, so that what is unknown can only add to what is known.
fn verdict(alert: &Alert, sum: &Sum) -> Verdict {
    let threshold = Total::from(alert.threshold.0);
    // Of no cells at all nothing can be said.
    let all_known = sum.unknown == 0 && sum.cells > 0 && sum.message.is_none();
    match alert.side {
        AlertSide::Above if sum.known > threshold => Verdict::Met,
        AlertSide::Below if sum.known >= threshold => Verdict::NotMet,
        AlertSide::Above if all_known => Verdict::NotMet,
        AlertSide::Below if all_known => Verdict::Met,
        AlertSide::Above | AlertSide::Below => Verdict::Undecided,
    }
}

/// The alert after an evaluation at `now_ms`, and what there is to tell.
pub(super) fn step(
    alert: &Alert,
    before: Option<&AlertRow>,
    sum: &Sum,
    now_ms: i64,
) -> (AlertRow, Option<Change>) {
    let verdict = verdict(alert, sum);
    let was_firing = before.is_some_and(|row| row.state == AlertState::Firing);
    let met_before = before.and_then(|row| row.met_since);
    let met_since = match verdict {
        Verdict::Met => Some(met_before.map_or(now_ms, |since| since.min(now_ms))),
        Verdict::NotMet => None,
        // It may have held all the time.
        Verdict::Undecided => met_before,
    };
    let hold_ms = i64::try_from(alert.hold.as_millis()).unwrap_or(i64::MAX);
    let held = met_since.is_some_and(|since| now_ms.saturating_sub(since) >= hold_ms);
    let (state, change) = match (verdict, was_firing) {
        (Verdict::Met | Verdict::Undecided, true) => (AlertState::Firing, None),
        (Verdict::NotMet, true) => (AlertState::Ok, Some(Change::Resolved)),
        (Verdict::Met, false) if held => (AlertState::Firing, Some(Change::Fired)),
        (Verdict::Met, false) => (AlertState::Pending, None),
        (Verdict::NotMet, false) => (AlertState::Ok, None),
        (Verdict::Undecided, false) => (AlertState::Unknown, None),
    };
    let at = |wanted: Change, earlier: Option<i64>| match change {
        Some(change) if change == wanted => Some(now_ms),
        _ => earlier,
    };
    let row = AlertRow {
        name: alert.name.clone(),
        chain: alert.chain.clone(),
        fingerprint: alert.fingerprint(),
        state,
        decided: verdict != Verdict::Undecided,
        amount: sum.known.to_string(),
        cells: sum.cells,
        unknown: sum.unknown,
        message: sum.message.clone(),
        met_since,
        fired_at: at(Change::Fired, before.and_then(|row| row.fired_at)),
        resolved_at: at(Change::Resolved, before.and_then(|row| row.resolved_at)),
        evaluated_at: now_ms,
    };
    (row, change)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::AlertWhose;
    use crate::model::Asset;

    fn alert(side: AlertSide, hold_s: u64) -> Alert {
        Alert {
            name: "it".to_owned(),
            chain: "bsc".into(),
            whose: AlertWhose::Chain,
            asset: Asset {
                symbol: "BNB".into(),
                contract: None,
                decimals: 18,
            },
            side,
            threshold: "100".parse().unwrap(),
            hold: Duration::from_secs(hold_s),
        }
    }

    fn sum(known: u64, unknown: u64) -> Sum {
        Sum {
            known: Total::from(known),
            cells: 10,
            unknown,
            message: None,
        }
    }

    /// Evaluates at each second with a known sum and unknown cells; `F` fired, `R` resolved, else
    /// the state's first letter.
    #[track_caller]
    fn check(alert: &Alert, sums: &[(u64, u64)], expected: &str) {
        let mut row: Option<AlertRow> = None;
        let mut told = String::new();
        for ((known, unknown), second) in sums.iter().zip(0..) {
            let sum = sum(*known, *unknown);
            let (next, change) = step(alert, row.as_ref(), &sum, second * 1_000);
            told.push(match (change, next.state) {
                (Some(Change::Fired), AlertState::Firing) => 'F',
                (Some(Change::Resolved), AlertState::Ok) => 'R',
                (None, state) => state.as_str().chars().next().unwrap(),
                (Some(_), _) => '?',
            });
            row = Some(next);
        }
        assert_eq!(told, expected, "{sums:?}");
    }

    #[test]
    fn each_crossing_is_told_once_in_both_directions() {
        let above = alert(AlertSide::Above, 0);
        check(
            &above,
            &[(99, 0), (101, 0), (102, 0), (100, 0), (99, 0), (101, 0)],
            "oFfRoF",
        );
        let below = alert(AlertSide::Below, 0);
        check(
            &below,
            &[(101, 0), (99, 0), (98, 0), (100, 0), (101, 0), (0, 0)],
            "oFfRoF",
        );
    }

    #[test]
    fn what_is_unknown_is_no_zero() {
        let below = alert(AlertSide::Below, 0);
        // Nothing is known, little is known, enough is known.
        check(&below, &[(0, 10), (99, 1), (100, 1), (99, 0)], "uuoF");
        // An outage does not end what fires; only a known sum does.
        check(&below, &[(0, 0), (0, 10), (99, 1), (100, 9)], "FffR");
        let above = alert(AlertSide::Above, 0);
        check(&above, &[(0, 10), (100, 1), (101, 9)], "uuF");
        check(&above, &[(101, 0), (0, 10), (100, 1), (100, 0)], "FffR");
    }

    #[test]
    fn an_alert_fires_when_it_has_held_for_its_time() {
        let below = alert(AlertSide::Below, 3);
        check(&below, &[(1, 0), (1, 0), (1, 0), (1, 0), (1, 0)], "pppFf");
        check(
            &below,
            &[(1, 0), (1, 0), (100, 0), (1, 0), (1, 0), (1, 0), (1, 0)],
            "ppopppF",
        );
        // It may have held while it was unknown, but fires only when that is known.
        check(&below, &[(1, 0), (1, 1), (1, 1), (1, 1), (1, 0)], "puuuF");
    }

    #[test]
    fn of_no_cells_nothing_can_be_said() {
        let below = alert(AlertSide::Below, 0);
        let none = Sum {
            cells: 0,
            ..sum(0, 0)
        };
        assert_eq!(step(&below, None, &none, 0).0.state, AlertState::Unknown);
        let broken = Sum::unknown("the list cannot be read".to_owned());
        let (row, change) = step(&below, None, &broken, 0);
        assert_eq!((row.state, change), (AlertState::Unknown, None));
    }
}
