//! When to kill: anywhere between the start and the last byte of the result.

use std::time::Duration;

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// So long after the start: configuration, plugins, store, list.
    Start(Duration),
    /// After so many requests, and then so much later: a chunk is under way.
    Request { count: u64, then: Duration },
    /// At the n-th growth of the store's log: a transaction is being written.
    Commit(u64),
    /// So long after the last cell was asked for: the last commits, the last event, the report.
    End(Duration),
}

impl Moment {
    /// An endless row of moments of all kinds; a run sends its first request after `startup`.
    pub(super) fn row(seed: u64, startup: Duration) -> impl Iterator<Item = Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..).map(move |turn| {
            let mut within = |longest: Duration| longest.mul_f64(random.f64());
            let short = Duration::from_millis(20);
            match turn % 5 {
                0 => Self::Start(within(startup)),
                1 | 3 => {
                    let then = within(short);
                    let count = random.u64(1..=40);
                    Self::Request { count, then }
                }
                2 => Self::Commit(random.u64(1..=30)),
                _ => Self::End(within(2 * short)),
            }
        })
    }
}
