//! When the next pass of a chain's set is due.

use std::time::Duration;

/// The next start, in milliseconds since 1970: `every` after the last one, or now where that was
/// missed or there was none. Starts that were missed are not made up for.
///
/// A last start that lies ahead, because the machine's clock was set back, counts as now.
pub(super) fn due(every: Duration, last_start: Option<i64>, now: i64) -> Option<i64> {
    let Some(last_start) = last_start else {
        return Some(now);
    };
    let every_ms = i64::try_from(every.as_millis()).ok()?;
    Some(last_start.min(now).saturating_add(every_ms).max(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_begins_every_so_often_and_at_once_where_one_was_missed() {
        let check = |last, now, expected| {
            let every = Duration::from_millis(100);
            assert_eq!(due(every, last, now), Some(expected));
        };
        check(None, 1_000, 1_000);
        check(Some(1_000), 1_010, 1_100);
        check(Some(1_000), 1_100, 1_100);
        check(Some(1_000), 5_000, 5_000);
        // The clock was set back by an hour.
        check(Some(3_601_000), 1_000, 1_100);
    }
}
