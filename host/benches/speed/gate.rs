//! What the gate costs a call.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scanhost::clock::SharedClock;
use scanhost::config::Window;
use scanhost::gate::breaker::{Breaker, Event, Reply};
use scanhost::gate::{
    BreakerConfig, Call, Gate, GateConfig, GateKey, Pacer, PacerConfig, ProviderType, RequestSlots,
    Verdict,
};
use tokio::time::Instant;

use crate::table::{Bound, Table};
use crate::{Failure, median};

/// Few enough that most repeats are not interrupted.
const CALLS: u32 = 1_000;
const REPEATS: usize = 501;

pub(crate) async fn run(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    breaker(table, clock)?;
    reservation(table, clock).await?;
    permit(table, clock)
}

/// Asked and told under a lock, each at its time.
fn breaker(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let breaker = Mutex::new(Breaker::new(BreakerConfig::default(), 7));
    let apply = |event| {
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.apply(event, clock.now()).reply
    };
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..CALLS {
            let Reply::Admitted { generation } = black_box(&apply)(Event::Acquire) else {
                return Err("the breaker of a provider without failures is open".into());
            };
            black_box(black_box(&apply)(Event::Succeed {
                generation,
                took: Duration::ZERO,
            }));
        }
        times.push(each(start));
    }
    table.add(
        "breaker: acquire and verdict, uncontended",
        median(times),
        "ns",
        Bound::AtMost(200.0),
    );
    Ok(())
}

/// A slot of two windows taken, sent and answered.
async fn reservation(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let windows = ["4000000000/s", "4000000000/m"].map(str::parse::<Window>);
    let config = PacerConfig {
        windows: windows.into_iter().collect::<Result<_, _>>()?,
        connections: NonZeroU32::new(8),
        ..PacerConfig::default()
    };
    let slots = RequestSlots::of(&Pacer::new(&config, clock.clone()));
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(&slots).take(1).await?.answered();
        }
        times.push(each(start));
    }
    table.add(
        "pacer: reservation in two windows, and its answer",
        median(times),
        "ns",
        Bound::AtMost(1_000.0),
    );
    Ok(())
}

/// A permit taken and its verdict recorded, by one caller: breaker, pacer, holds and health.
fn permit(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let key = GateKey {
        chain: "bench".into(),
        provider: "p".into(),
        kind: ProviderType::Scan,
    };
    let gate = Gate::new(key, GateConfig::default(), "", clock.clone(), 7);
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..CALLS {
            let permit = black_box(&gate).ask(Call::Work).pass();
            permit
                .ok_or("the gate of a provider without failures is shut")?
                .record(Verdict::Success);
        }
        times.push(each(start));
    }
    table.add(
        "gate: both of them, with holds and health",
        median(times),
        "ns",
        Bound::AtMost(1_200.0),
    );
    Ok(())
}

/// Nanoseconds of one call.
fn each(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() / f64::from(CALLS) * 1e9
}
