//! What a scripted provider saw: every call that reached it, counted by the provider itself.

use std::time::Duration;

use crate::config::Window;
use crate::gate::Verdict;
use crate::model::Class;
use crate::plugin::CallError;

/// The longest pause that a provider can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// One call that reached a provider; times are virtual, from the start.
#[derive(Clone, Debug)]
pub(super) struct CallRecord {
    /// When it came in.
    pub(super) began: Duration,
    /// When it was answered; `None` for one whose caller went away.
    pub(super) ended: Option<Duration>,
    /// Cells that were answered with an amount.
    pub(super) answered: u32,
    /// What went wrong with the call as a whole.
    pub(super) failed: Option<Class>,
    /// How long the answer asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// The calls of one provider, in the order they came in.
#[derive(Clone, Debug, Default)]
pub(super) struct CallLog {
    pub(super) calls: Vec<CallRecord>,
}

impl CallLog {
    /// Notes a call that came in; its number.
    pub(super) fn begin(&mut self, now: Duration) -> usize {
        self.calls.push(CallRecord {
            began: now,
            ended: None,
            answered: 0,
            failed: None,
            retry_after: None,
        });
        self.calls.len() - 1
    }

    /// Notes how it was answered.
    pub(super) fn end(&mut self, number: usize, now: Duration, result: Result<u32, &CallError>) {
        let call = &mut self.calls[number];
        call.ended = Some(now);
        match result {
            Ok(answered) => call.answered = answered,
            Err(error) => {
                call.failed = Some(error.class);
                call.retry_after = error.retry_after;
            }
        }
    }

    pub(super) fn failed(&self) -> usize {
        self.calls.iter().filter(|it| it.failed.is_some()).count()
    }

    pub(super) fn answered(&self) -> u64 {
        self.calls.iter().map(|call| u64::from(call.answered)).sum()
    }

    /// How long after the call `number` the window has room for one like it; `None` if it had.
    pub(super) fn over(&self, number: usize, window: Window) -> Option<Duration> {
        let now = self.calls[number].began;
        let before = number.checked_sub(window.count as usize)?;
        let frees = self.calls[before].began + window.per;
        (frees > now).then(|| frees - now)
    }

    /// Requests that failed within the stretch and were sent for it.
    ///
    /// A call that was under way when the stretch began belongs to the time before, and so do the
    /// two halves that it is split into, one after the other.
    pub(super) fn failed_within(&self, from: Duration, until: Duration) -> Vec<&CallRecord> {
        let was_under_way =
            |call: &&CallRecord| call.began <= from && call.ended.is_some_and(|it| it >= from);
        let under_way = self.calls.iter().filter(was_under_way);
        let mut ends: Vec<_> = under_way.filter_map(|call| call.ended).collect();
        let mut halves = 2 * ends.len();
        let mut failed = Vec::new();
        let inside = |call: &&CallRecord| call.began > from && call.began < until;
        for call in self.calls.iter().filter(inside) {
            if halves > 0 && ends.contains(&call.began) {
                halves -= 1;
                ends.extend(call.ended);
            } else if call.is_fault() {
                failed.push(call);
            }
        }
        failed
    }

    /// A call that came in during a pause that was asked for: when, and how long that lasted.
    pub(super) fn call_in_pause(&self) -> Option<(Duration, Duration)> {
        let pause = |call: &CallRecord| {
            let told = call.retry_after?.min(PAUSE_MAX);
            Some((call.ended?, call.ended? + told))
        };
        self.calls
            .iter()
            .filter_map(pause)
            .find_map(|(from, until)| {
                let inside = |call: &&CallRecord| call.began > from && call.began < until;
                let call = self.calls.iter().find(inside)?;
                Some((call.began, until))
            })
    }
}

impl CallRecord {
    /// Whether the provider was at fault, as the breaker counts it.
    pub(super) fn is_fault(&self) -> bool {
        self.failed.is_some_and(|class| {
            matches!(Verdict::of(class, "", None, None), Verdict::Failure { .. })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Calls that failed: begin and end of each.
    fn failed(calls: &[(u64, u64)]) -> CallLog {
        let mut log = CallLog::default();
        for (began, ended) in calls {
            let number = log.begin(ms(*began));
            let error = CallError::new(Class::Transport, "down");
            log.end(number, ms(*ended), Err(&error));
        }
        log
    }

    #[test]
    fn a_window_has_room_again_when_its_oldest_call_is_gone() {
        let window: Window = "2/s".parse().unwrap();
        let mut log = CallLog::default();
        let mut check = |at_ms: u64, over_ms: Option<u64>| {
            let number = log.begin(Duration::from_millis(at_ms));
            assert_eq!(log.over(number, window), over_ms.map(Duration::from_millis));
        };
        check(0, None);
        check(600, None);
        check(900, Some(100));
        check(1_600, None);
        check(1_700, Some(200));
    }

    #[test]
    fn what_was_under_way_and_its_halves_belong_to_the_time_before() {
        let check = |calls: &[(u64, u64)], expected: &[u64]| {
            let log = failed(calls);
            let found = log.failed_within(ms(1_000), ms(9_000));
            let found: Vec<_> = found.iter().map(|call| call.began).collect();
            let expected: Vec<_> = expected.iter().map(|at| ms(*at)).collect();
            assert_eq!(found, expected, "{calls:?}");
        };
        check(&[(0, 500), (500, 1_000)], &[]);
        check(&[(0, 1_200), (1_200, 1_300), (1_300, 1_400)], &[]);
        check(
            &[(0, 1_200), (1_200, 1_300), (1_300, 1_400), (1_400, 1_500)],
            &[1_400],
        );
        check(&[(0, 500), (1_200, 1_300)], &[1_200]);
        check(&[(0, 500), (9_000, 9_100)], &[]);
    }

    #[test]
    fn a_call_in_a_pause_is_found() {
        let check = |calls: &[(u64, u64)], told_secs: u64, expected: Option<(u64, u64)>| {
            let mut log = failed(calls);
            log.calls[0].retry_after = Some(Duration::from_secs(told_secs));
            let expected = expected.map(|(at, until)| (ms(at), ms(until)));
            assert_eq!(log.call_in_pause(), expected, "{calls:?}");
        };
        check(&[(0, 100), (50, 200), (100, 200), (7_100, 7_200)], 7, None);
        check(&[(0, 100), (7_099, 7_200)], 7, Some((7_099, 7_100)));
        // Nobody may ask for more than an hour.
        check(&[(0, 100), (3_600_100, 3_600_200)], 7_200, None);
    }
}
