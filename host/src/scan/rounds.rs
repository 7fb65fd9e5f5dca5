//! When cells are asked again, and when a pass gives up: no clock, no lock, no I/O.
//!
//! A *round* ends when nothing that waits can be taken and nothing is under way. A round in which
//! calls were sent and no cell was answered has failed. Any answer starts everything over.

use std::time::Duration;

use tokio::time::Instant;

/// Waits after failed rounds, in seconds; the last one repeats.
const BACKOFF_SECS: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// When a pass gives up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest time without an answer; less than twice the longest cooldown counts as that.
    pub budget: Duration,
    /// Failed rounds in a row after which it may end before that.
    pub max_pool_failures: u32,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// The next one begins after this wait, where a gate is open; else when one opens.
    Again(Duration),
    /// Patience ran out.
    GiveUp,
}

/// The rounds of one pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    budget: Duration,
    max_pool_failures: u32,
    /// No round counts as hopeless before this went by without an answer.
    quiet_min: Duration,
    calls: u64,
    answered: u64,
    failed_in_row: u32,
    last_answer: Instant,
}

impl Rounds {
    pub(super) fn new(patience: Patience, cooldown_longest: Duration, now: Instant) -> Self {
        let quiet_min = cooldown_longest.saturating_mul(2);
        Self {
            budget: patience.budget.max(quiet_min),
            max_pool_failures: patience.max_pool_failures,
            quiet_min,
            calls: 0,
            answered: 0,
            failed_in_row: 0,
            last_answer: now,
        }
    }

    pub(super) fn sent(&mut self) {
        self.calls += 1;
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.answered += 1;
        self.last_answer = now;
    }

    pub(super) fn end(&mut self, now: Instant) -> RoundEnd {
        let failed = self.calls > 0 && self.answered == 0;
        if self.answered > 0 {
            self.failed_in_row = 0;
        } else if failed {
            self.failed_in_row = self.failed_in_row.saturating_add(1);
        }
        (self.calls, self.answered) = (0, 0);
        let hopeless =
            self.failed_in_row >= self.max_pool_failures && self.quiet(now) >= self.quiet_min;
        if (failed && hopeless) || self.is_over(now) {
            return RoundEnd::GiveUp;
        }
        RoundEnd::Again(backoff(self.failed_in_row))
    }

    /// Since when nothing was answered.
    pub(super) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_answer)
    }

    /// How long a pass goes on without an answer.
    pub(super) fn budget(&self) -> Duration {
        self.budget
    }

    /// When the budget is used up, if nothing is answered before.
    pub(super) fn ends(&self) -> Instant {
        crate::gate::later(self.last_answer, self.budget)
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.ends()
    }
}

/// The wait after that many failures in a row; none and one wait alike.
pub(super) fn backoff(failures: u32) -> Duration {
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(BACKOFF_SECS[step.min(BACKOFF_SECS.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    /// `x` is a failed round, `.` one with an answer, `_` one without a call; after each the
    /// backoff is waited for. What follows the last is `expected`.
    #[track_caller]
    fn check(rounds: &str, expected: RoundEnd) {
        let mut now = Instant::now();
        let patience = Patience {
            budget: Duration::from_secs(600),
            max_pool_failures: 5,
        };
        let mut state = Rounds::new(patience, COOLDOWN, now);
        let mut last = RoundEnd::Again(Duration::ZERO);
        for round in rounds.chars() {
            if round != '_' {
                state.sent();
            }
            if round == '.' {
                state.answered(now);
            }
            last = state.end(now);
            if let RoundEnd::Again(wait) = last {
                now += wait;
            }
        }
        assert_eq!(last, expected, "{rounds}");
    }

    fn again(secs: u64) -> RoundEnd {
        RoundEnd::Again(Duration::from_secs(secs))
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        for (rounds, secs) in [("x", 1), ("xx", 2), ("xxx", 4), ("xxxx", 8), ("xxxxx", 16)] {
            check(rounds, again(secs));
        }
        check("xxxxxx", again(30));
    }

    #[test]
    fn an_answer_starts_the_waits_over() {
        check("xxxx.x", again(1));
        check("xxxxxxx.xxxxx", again(16));
    }

    #[test]
    fn five_failures_are_not_enough_before_twice_the_cooldown() {
        // 1 + 2 + 4 + 8 + 16 = 31 s, then 61 s.
        check("xxxxx", again(16));
        check("xxxxxx", again(30));
        check("xxxxxxx", RoundEnd::GiveUp);
    }

    #[test]
    fn a_round_without_a_call_has_not_failed() {
        check("xx__________", again(2));
        check("_", again(1));
    }

    #[test]
    fn a_budget_below_twice_the_cooldown_is_raised_to_it() {
        let now = Instant::now();
        let patience = Patience {
            budget: Duration::from_secs(1),
            max_pool_failures: 1,
        };
        let state = Rounds::new(patience, COOLDOWN, now);
        assert_eq!(state.ends(), now + 2 * COOLDOWN);
        assert!(!state.is_over(now + 2 * COOLDOWN - Duration::from_millis(1)));
        assert!(state.is_over(now + 2 * COOLDOWN));
    }
}
