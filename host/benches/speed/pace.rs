//! How much of what limits allow is used while work remains, and that no more is.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use scanhost::clock::{SharedClock, SystemClock, VirtualClock};
use scanhost::config::{Strategy, Window};
use scanhost::ledger::Ledger;
use tokio::time::Instant;

use crate::Failure;
use crate::scan::{Nowhere, list_of, run as run_pass, url};
use crate::table::{Bound, Table};
use crate::world::{Script, World};

/// One for each provider; the rates add up.
const PER_SECOND: [u32; 2] = [50, 20];
const SECOND: Duration = Duration::from_secs(1);
/// Cells of a pass are twice as many.
const VIRTUAL_ADDRESSES: u64 = 10_000;
const WALL_ADDRESSES: u64 = 250;

pub(crate) fn run(table: &mut Table) -> Result<(), Failure> {
    let paused = runtime(true)?;
    let virtually = paused.block_on(async {
        let clock: SharedClock = Arc::new(VirtualClock::starting_at(0));
        used(&clock, VIRTUAL_ADDRESSES).await
    })?;
    table.add(
        "pacer: of the allowed rate, spread, virtual time",
        virtually,
        "%",
        Bound::AtLeast(97.0),
    );
    let clock: SharedClock = Arc::new(SystemClock);
    let really = runtime(false)?.block_on(used(&clock, WALL_ADDRESSES))?;
    table.add(
        "pacer: of the allowed rate, spread, wall clock",
        really,
        "%",
        Bound::AtLeast(90.0),
    );
    Ok(())
}

fn runtime(paused: bool) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().start_paused(paused).build()?)
}

/// Percent of the sum of all limits, after their first second.
async fn used(clock: &SharedClock, addresses: u64) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let limits = PER_SECOND.map(|count| Window { count, per: SECOND });
    let mut world = World::with_limits(Script::default(), clock, &limits);
    world.pool.strategy = Strategy::Spread;
    let list = list_of(folder.path(), &world, addresses).await?;
    let ledger = Ledger::open(&url(folder.path(), "idle"), clock.clone()).await?;
    let began = Instant::now();
    let sink = Arc::new(Nowhere::default());
    run_pass(&world, clock, sink, &ledger, &list, &World::pass()).await?;
    let mut after_first = 0_u32;
    let mut ended = began;
    for (asked, limit) in world.asked.iter().zip(&limits) {
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        for (first, next) in asked.iter().zip(asked.iter().skip(limit.count as usize)) {
            if *next - *first < limit.per {
                return Err(format!("more than {limit} was sent").into());
            }
        }
        let later = asked.iter().filter(|at| **at > began + SECOND).count();
        after_first += u32::try_from(later)?;
        ended = ended.max(asked.last().copied().unwrap_or(began));
    }
    ledger.close().await;
    let allowed =
        f64::from(PER_SECOND.iter().sum::<u32>()) * (ended - began - SECOND).as_secs_f64();
    Ok(f64::from(after_first) / allowed * 100.0)
}
