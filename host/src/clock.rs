//! Time as a parameter: nothing in the host reads a clock directly.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the host takes the time from.
///
/// The monotonic side is tokio's clock, which tests pause; the wall side is for what people and
/// the store see.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Monotonic time, for deadlines and states.
    fn now(&self) -> Instant;

    /// Wall time in milliseconds since 1970, for rows and output.
    fn unix_ms(&self) -> i64;
}

/// A clock that many parts share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn unix_ms(&self) -> i64 {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A wall clock that moves with tokio's, so that paused time moves both.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    start: Instant,
    start_unix_ms: i64,
}

impl VirtualClock {
    /// A clock that shows `start_unix_ms` now.
    #[must_use]
    pub fn starting_at(start_unix_ms: i64) -> Self {
        Self {
            start: Instant::now(),
            start_unix_ms,
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.start_unix_ms.saturating_add(elapsed)
    }
}

/// `unix_ms` as RFC 3339 in UTC with milliseconds: `2026-11-21T00:00:00.000Z`.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_else(|_| unix_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_with_milliseconds() {
        assert_eq!(rfc3339(1_795_219_200_000), "2026-11-21T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_219_200_007), "2026-11-21T00:00:00.007Z");
    }
}
