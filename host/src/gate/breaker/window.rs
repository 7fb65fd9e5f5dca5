//! How calls ended of late, in slices of time, so that memory does not grow with their number.

use std::time::Duration;

use tokio::time::Instant;

use super::config::WindowConfig;
use crate::gate::words::Cause;

/// A window forgets a tenth of its length at once.
const SLICES: usize = 10;

/// The calls of the last `length`, the newest slice still filling: between nine and ten tenths.
#[derive(Clone, Debug)]
pub(super) struct Window {
    config: WindowConfig,
    /// How long a slice is: never nothing.
    slice: Duration,
    slices: [Counts; SLICES],
    /// The slice that is filling.
    newest: usize,
    /// When it began; `None` before the first call.
    began: Option<Instant>,
    /// Invariant: the sum of `slices`.
    sum: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    calls: u32,
    failures: u32,
    slow: u32,
}

/// How one call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

// === impl Window ===

impl Window {
    pub(super) fn new(config: WindowConfig) -> Self {
        Self {
            config,
            slice: slice_length(config.length),
            slices: [Counts::default(); SLICES],
            newest: 0,
            began: None,
            sum: Counts::default(),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.config);
    }

    /// Counts a call that ended at `now`; the ratio that is reached by it, if one is.
    ///
    /// Only a failure reaches the one and a slow call the other: no good answer opens a circuit.
    pub(super) fn count(&mut self, call: Call, now: Instant) -> Option<Cause> {
        self.forget(now);
        self.slices[self.newest].add(call);
        self.sum.add(call);
        self.reached(call)
    }

    /// Drops the slices that are older than the window at `now`.
    fn forget(&mut self, now: Instant) {
        let Some(began) = self.began else {
            self.began = Some(now);
            return;
        };
        let age = now.saturating_duration_since(began);
        if age < self.slice {
            return;
        }
        let passed = age.as_nanos() / self.slice.as_nanos();
        // More than all of them is all of them.
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed as usize >= SLICES {
            self.clear();
            self.began = Some(now);
            return;
        }
        for _ in 0..passed {
            self.newest = (self.newest + 1) % SLICES;
            let oldest = std::mem::take(&mut self.slices[self.newest]);
            self.sum.subtract(oldest);
        }
        self.began = Some(began + self.slice * passed);
    }

    fn reached(&self, call: Call) -> Option<Cause> {
        if self.sum.calls < self.config.min_calls.get() {
            return None;
        }
        // A quotient is rounded once, so that 7 of 100 calls are the 0.07 that somebody wrote.
        let share = |part: u32| f64::from(part) / f64::from(self.sum.calls);
        let reached = |limit: Option<f64>, part| limit.is_some_and(|limit| share(part) >= limit);
        if call.failed && reached(self.config.failure_ratio, self.sum.failures) {
            Some(Cause::FailureRatio)
        } else if call.slow && reached(self.config.slow_ratio, self.sum.slow) {
            Some(Cause::SlowRatio)
        } else {
            None
        }
    }
}

/// A tenth of the window, never nothing.
fn slice_length(length: Duration) -> Duration {
    const TENTHS: u32 = 10;
    (length / TENTHS).max(Duration::from_nanos(1))
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, call: Call) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(call.failed));
        self.slow = self.slow.saturating_add(u32::from(call.slow));
    }

    fn subtract(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failures = self.failures.saturating_sub(other.failures);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A window of ten seconds: `.` success, `x` failure, `s` slow, `X` slow failure, `_` one
    /// second. Tells which ratio is reached with which event.
    #[track_caller]
    fn check(
        min_calls: u32,
        failures: Option<f64>,
        slow: Option<f64>,
        events: &str,
        expected: Option<(usize, Cause)>,
    ) {
        let mut window = Window::new(WindowConfig {
            length: 10 * SECOND,
            min_calls: NonZeroU32::new(min_calls).unwrap(),
            failure_ratio: failures,
            slow_ratio: slow,
        });
        let mut now = Instant::now();
        let mut reached = None;
        for (index, event) in events.chars().enumerate() {
            if event == '_' {
                now += SECOND;
                continue;
            }
            let call = Call {
                failed: "xX".contains(event),
                slow: "sX".contains(event),
            };
            if let Some(cause) = window.count(call, now) {
                reached = Some((index, cause));
                break;
            }
            let mut sum = Counts::default();
            for slice in window.slices {
                sum.calls += slice.calls;
                sum.failures += slice.failures;
                sum.slow += slice.slow;
            }
            assert_eq!(window.sum, sum);
        }
        assert_eq!(reached, expected, "{events}");
    }

    #[test]
    fn ratios_say_nothing_below_the_least_number_of_calls() {
        let half = Some(0.5);
        check(4, half, None, "xxx", None);
        check(4, half, None, "xxxx", Some((3, Cause::FailureRatio)));
        // A success may make enough of them, but the next failure opens.
        check(4, half, None, "xx......", None);
        check(4, half, None, "xx..x", Some((4, Cause::FailureRatio)));
        check(4, half, None, "x...x..x.x", None);
        check(4, half, None, "x...xxx", Some((5, Cause::FailureRatio)));
    }

    #[test]
    fn a_ratio_is_reached_and_not_passed() {
        let events = ".".repeat(93) + &"x".repeat(7);
        let reached = Some((99, Cause::FailureRatio));
        check(100, Some(0.07), None, &events, reached);
        check(100, Some(0.070_000_1), None, &events, None);
        check(3, Some(1.0), None, "xx.xxxxxx", None);
        check(3, Some(1.0), None, "xxx", Some((2, Cause::FailureRatio)));
    }

    #[test]
    fn slow_calls_have_a_ratio_of_their_own() {
        let (half, all) = (Some(0.5), Some(1.0));
        check(2, half, all, "s.s.s.s", None);
        check(2, None, half, "s.", None);
        check(2, None, half, ".s", Some((1, Cause::SlowRatio)));
        check(2, None, half, "..Xx", None);
        check(2, None, half, "..XX", Some((3, Cause::SlowRatio)));
        check(2, half, half, "XX", Some((1, Cause::FailureRatio)));
        // Off is off, however slow.
        check(1, half, None, "ssss", None);
        check(1, None, all, "xxxx", None);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let half = Some(0.5);
        check(4, half, None, "xx__________xx", None);
        check(
            4,
            half,
            None,
            "xx_________xx",
            Some((12, Cause::FailureRatio)),
        );
        check(4, half, None, "xx____________________xx", None);
        // Slice by slice, not all at once.
        let reached = Some((14, Cause::FailureRatio));
        check(4, half, None, "x_x_x________.x", reached);
        check(4, half, None, "x_x_x_________.x", None);
        let long_ago = format!("xxx{}xxx", "_".repeat(10_000));
        check(4, half, None, &long_ago, None);
    }

    #[test]
    fn a_window_of_no_length_forgets_at_once() {
        let mut window = Window::new(WindowConfig {
            length: Duration::ZERO,
            min_calls: NonZeroU32::new(2).unwrap(),
            failure_ratio: Some(0.5),
            slow_ratio: None,
        });
        let call = Call {
            failed: true,
            slow: false,
        };
        let start = Instant::now();
        for second in 0..5 {
            assert_eq!(window.count(call, start + second * SECOND), None);
        }
    }
}
