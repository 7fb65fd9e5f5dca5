//! Time as a parameter: nothing in the host reads a clock directly.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
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

    /// Keeps virtual time from moving until the guard is dropped; real time goes on as ever.
    ///
    /// For whoever waits for another thread, as the ledger does for SQLite: paused time runs ahead
    /// to the next timer whenever the runtime has nothing to do, and it cannot see that thread.
    fn hold(&self) -> TimeHold {
        TimeHold(None)
    }
}

/// A clock that many parts share.
pub type SharedClock = Arc<dyn Clock>;

/// Virtual time stands still while this is kept.
#[derive(Debug)]
#[must_use = "dropping a hold ends it"]
pub struct TimeHold(
    #[expect(dead_code, reason = "dropping it is what ends the hold")] Option<mpsc::Sender<()>>,
);

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

    /// Paused time of a current-thread runtime does not move by itself while one of the runtime's
    /// blocking tasks is alive. This one lives as long as the guard and does nothing else.
    fn hold(&self) -> TimeHold {
        let Ok(runtime) = Handle::try_current() else {
            return TimeHold(None);
        };
        let (guard, dropped) = mpsc::channel();
        // Nobody sends: the wait ends, with an error, when the guard is gone.
        drop(runtime.spawn_blocking(move || dropped.recv()));
        TimeHold(Some(guard))
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    /// How far paused time goes, beside a timer of every millisecond, while another thread works;
    /// its work ends when `is_done` says so of the timer's count.
    async fn elapsed_over_work(is_done: fn(turn: u32, ticks: u32) -> bool) -> Duration {
        let ticks = Arc::new(AtomicU32::new(0));
        let counted = ticks.clone();
        let ticking = tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_millis(1));
            loop {
                interval.tick().await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let began = Instant::now();
        let (done, waiting) = oneshot::channel();
        std::thread::spawn(move || {
            let mut turn = 0;
            while !is_done(turn, ticks.load(Ordering::Relaxed)) {
                turn += 1;
                std::thread::yield_now();
            }
            done.send(())
        });
        waiting.await.unwrap();
        ticking.abort();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_stands_still_while_it_is_held() {
        let clock = VirtualClock::starting_at(0);
        let (one, _other) = (clock.hold(), clock.hold());
        drop(one);
        let elapsed = elapsed_over_work(|turn, _| turn == 200).await;
        assert_eq!(elapsed, Duration::ZERO, "one of two holds is still kept");
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_goes_on_after_a_hold() {
        let clock = VirtualClock::starting_at(0);
        drop(clock.hold());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(clock.unix_ms(), 3_600_000);
        // Without a hold it runs ahead of other threads.
        let elapsed = elapsed_over_work(|_, ticks| ticks > 3).await;
        assert!(elapsed >= Duration::from_millis(3), "{elapsed:?}");
    }

    #[test]
    fn times_print_with_milliseconds() {
        assert_eq!(rfc3339(1_795_219_200_000), "2026-11-21T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_219_200_007), "2026-11-21T00:00:00.007Z");
    }
}
