//! Counting of real HTTP attempts, redirect hops included, and of those still open.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::request::Method;
use crate::clock::SharedClock;
use crate::model::Class;

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// An answer with this status was read to its end, or as far as it is needed.
    Status(u16),
    /// No usable answer came.
    Failed(Class),
    /// Whoever waited went away: a cancelled call, a deadline above this client, a shutdown.
    Dropped,
}

/// What is known of an attempt when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The method.
    pub method: Method,
    /// Where it went, for people: without any key.
    pub url: &'a str,
    /// How it ended.
    pub end: AttemptEnd,
    /// From the first byte that could have been sent to the end.
    pub elapsed: Duration,
    /// Bytes of the body that arrived.
    pub bytes: u64,
}

/// Is told of every attempt of one request; each `started` is followed by exactly one `finished`.
///
/// Called on the I/O runtime, so it must neither block nor panic.
pub trait HttpObserver: Send + Sync {
    /// A request is about to go out.
    fn started(&self);

    /// It is over, also when it was cancelled.
    fn finished(&self, attempt: &Attempt<'_>);
}

/// An observer that counts.
#[derive(Debug, Default)]
pub struct AttemptCounter {
    started: AtomicU64,
    in_flight: AtomicU32,
}

impl AttemptCounter {
    /// Attempts so far, those in flight included.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Attempts that are open right now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }
}

impl HttpObserver for AttemptCounter {
    fn started(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    fn finished(&self, _attempt: &Attempt<'_>) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl HttpObserver for () {
    fn started(&self) {}

    fn finished(&self, _attempt: &Attempt<'_>) {}
}

/// One open attempt; tells its observers on drop, whatever ended it.
pub(super) struct OpenAttempt<'a> {
    observers: [&'a dyn HttpObserver; 2],
    clock: &'a SharedClock,
    method: Method,
    url: &'a str,
    started: Instant,
    end: AttemptEnd,
    pub(super) bytes: u64,
}

// === impl OpenAttempt ===

impl<'a> OpenAttempt<'a> {
    pub(super) fn start(
        observers: [&'a dyn HttpObserver; 2],
        clock: &'a SharedClock,
        method: Method,
        url: &'a str,
    ) -> Self {
        for observer in observers {
            observer.started();
        }
        Self {
            observers,
            clock,
            method,
            url,
            started: clock.now(),
            end: AttemptEnd::Dropped,
            bytes: 0,
        }
    }

    pub(super) fn ended(&mut self, end: AttemptEnd) {
        self.end = end;
    }
}

impl Drop for OpenAttempt<'_> {
    fn drop(&mut self) {
        let attempt = Attempt {
            method: self.method,
            url: self.url,
            end: self.end,
            elapsed: self.clock.now().saturating_duration_since(self.started),
            bytes: self.bytes,
        };
        for observer in self.observers {
            observer.finished(&attempt);
        }
    }
}
