//! What a breaker goes by.

use std::num::NonZeroU32;
use std::time::Duration;

/// When the circuit opens, and how it is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    /// Failures in a row that open the circuit. Default 3.
    pub failures: NonZeroU32,
    /// How long an open circuit stays open. Default 30 s.
    pub cooldown: Duration,
    /// Calls that pass a half-open circuit; it closes when all of them succeeded. Default 1.
    pub half_open: NonZeroU32,
    /// Ratios over a time that open the circuit as well. Default `None`: only failures in a row do.
    pub window: Option<WindowConfig>,
    /// An answered call that took longer is slow: a failure, unless the window has a `slow_ratio`,
    /// which then counts it. Default `None`: no call is slow.
    pub slow_call: Option<Duration>,
    /// Default `None`: every cooldown is `cooldown`. Otherwise each re-opening doubles it, up to
    /// this, and never below `cooldown`.
    pub cooldown_max: Option<Duration>,
    /// Share of a cooldown by which it is made longer at random, at most. Default 0.
    pub jitter: f64,
}

/// Ratios over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowConfig {
    /// How far back they look.
    pub length: Duration,
    /// Calls in the window below which they say nothing.
    pub min_calls: NonZeroU32,
    /// Share of failed calls that opens the circuit; `None`: none does.
    pub failure_ratio: Option<f64>,
    /// Share of slow calls that opens the circuit; `None`: a slow call is a failure instead.
    pub slow_ratio: Option<f64>,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: NonZeroU32::MIN.saturating_add(2),
            cooldown: Duration::from_secs(30),
            half_open: NonZeroU32::MIN,
            window: None,
            slow_call: None,
            cooldown_max: None,
            jitter: 0.0,
        }
    }
}

impl BreakerConfig {
    /// The longest that one cooldown can be.
    #[must_use]
    pub fn cooldown_longest(&self) -> Duration {
        let longest = self.cooldown_max.unwrap_or_default().max(self.cooldown);
        lengthened(longest, self.jitter)
    }

    /// Whether a call that took so long is slow.
    #[must_use]
    pub fn is_slow(&self, took: Duration) -> bool {
        self.slow_call.is_some_and(|slow_call| took > slow_call)
    }

    /// Whether an answer that took so long counts as a failure.
    #[must_use]
    pub fn is_too_slow(&self, took: Duration) -> bool {
        let is_counted = self
            .window
            .is_some_and(|window| window.slow_ratio.is_some());
        !is_counted && self.is_slow(took)
    }
}

/// `wait` and a share of it, however long an operator made the wait.
pub(super) fn lengthened(wait: Duration, share: f64) -> Duration {
    let longer = wait.as_secs_f64() * share;
    let longer = Duration::try_from_secs_f64(longer).unwrap_or(Duration::ZERO);
    wait.saturating_add(longer)
}
