//! What the gate costs a call.

use std::hint::black_box;

use scanhost::clock::SharedClock;
use scanhost::gate::{Call, Gate, GateConfig, GateKey, ProviderType, Verdict};
use tokio::time::Instant;

use crate::table::{Bound, Table};
use crate::{Failure, median};

/// Few enough that most repeats are not interrupted.
const CALLS: u32 = 1_000;
const REPEATS: usize = 501;

/// A permit taken and its verdict recorded, by one caller.
pub(crate) fn run(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
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
        times.push(start.elapsed().as_secs_f64() / f64::from(CALLS) * 1e9);
    }
    table.add(
        "gate: acquire and verdict, uncontended",
        median(times),
        "ns",
        Bound::AtMost(200.0),
    );
    Ok(())
}
