//! The gate as its callers see it, on a clock that only the tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::clock::Clock;
use crate::model::Class;

mod identity;
#[cfg(feature = "loom")]
mod model;
mod random;
mod restart;
mod scenarios;
mod table;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// 2026-11-21 22:00 UTC: two hours before midnight.
const START_MS: i64 = 1_795_298_400_000;

/// Both clocks, moved by hand.
#[derive(Debug)]
struct ManualClock {
    start: Instant,
    elapsed_ms: AtomicU64,
}

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            elapsed_ms: AtomicU64::new(0),
        })
    }

    fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap();
        self.elapsed_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed_ms.load(Ordering::SeqCst))
    }

    fn unix_ms(&self) -> i64 {
        START_MS + i64::try_from(self.elapsed_ms.load(Ordering::SeqCst)).unwrap()
    }
}

fn key() -> GateKey {
    GateKey {
        chain: "btc".into(),
        provider: "mempool".into(),
        kind: ProviderType::Scan,
    }
}

fn gate_with(config: GateConfig) -> (Gate, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Gate::new(key(), config, "f1", clock.clone(), 1), clock)
}

fn gate() -> (Gate, Arc<ManualClock>) {
    gate_with(GateConfig::default())
}

fn work(gate: &Gate) -> Permit {
    match gate.ask(Call::Work) {
        Answer::Pass(permit) => permit,
        refused => panic!("work did not pass: {refused:?}"),
    }
}

fn verdict(class: Class) -> Verdict {
    Verdict::of(class, "words", None, None)
}

fn fail(gate: &Gate) {
    work(gate).record(verdict(Class::Timeout));
}

fn open(gate: &Gate) {
    for _ in 0..3 {
        fail(gate);
    }
    assert_eq!(gate.snapshot().state, GateState::Open);
}
