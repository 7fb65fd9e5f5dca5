//! Real time: what a poll takes and how long a process lives is not virtual.
#![expect(
    clippy::disallowed_types,
    reason = "there is no tokio here, whose clock could be paused"
)]

use std::time::{Duration, Instant};

/// Tells how long something has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
