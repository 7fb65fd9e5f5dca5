//! How many cells a second the real engine takes through pool, gate and reconcile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use scanhost::clock::SharedClock;
use scanhost::config::{OnMismatch, ScanAt, Strategy};
use scanhost::ledger::{ChunkCommit, Ledger, LedgerError, Pass, PassEnd};
use scanhost::scan::commit::Sink;
use scanhost::scan::engine::{Ending, Engine, Progress};
use scanhost::scan::list::AddressList;
use scanhost::scan::plan::Plan;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bare::Bare;
use crate::table::{Bound, Table};
use crate::world::{Script, World, write_list};
use crate::{Failure, median};

const REPEATS: usize = 5;
const ADDRESSES: u64 = 250_000;
/// The store is measured with fewer: it writes several rows for each cell.
const STORED_ADDRESSES: u64 = 40_000;
const STORED_REPEATS: usize = 3;

/// Counts what it is given and keeps nothing.
#[derive(Debug, Default)]
pub(crate) struct Nowhere {
    known: AtomicU64,
}

#[async_trait]
impl Sink for Nowhere {
    async fn commit(&self, chunk: ChunkCommit) -> Result<(), LedgerError> {
        let known = chunk.readings.len() as u64;
        self.known.fetch_add(known, Ordering::Relaxed);
        Ok(())
    }
}

/// Everything but the store.
pub(crate) async fn without_store(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut world = World::new(Script::default(), clock);
    let list = list_of(folder.path(), &world, ADDRESSES).await?;
    let cells = world.cells(&list);
    // Only a continued pass would read it.
    let ledger = Ledger::open(&url(folder.path(), "idle"), clock.clone()).await?;
    for (what, strategy) in [
        ("engine: cells a second, failover", Strategy::Failover),
        ("engine: cells a second, spread", Strategy::Spread),
    ] {
        world.pool.strategy = strategy;
        let mut rates = Vec::new();
        for _ in 0..REPEATS {
            let sink = Arc::new(Nowhere::default());
            let pass = World::pass();
            let start = Instant::now();
            run(&world, clock, sink.clone(), &ledger, &list, &pass).await?;
            rates.push(per_second(cells, start));
            if sink.known.load(Ordering::Relaxed) != cells {
                return Err("the engine did not answer every cell once".into());
            }
        }
        table.add(what, median(rates), "cells/s", Bound::AtLeast(500_000.0));
    }
    ledger.close().await;
    Ok(())
}

/// The same with the store behind it, against a bare upsert of the rows that it wrote.
pub(crate) async fn with_store(table: &mut Table, clock: &SharedClock) -> Result<(), Failure> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STORED_REPEATS {
        let folder = tempfile::tempdir()?;
        let (ours_once, bare_once) = stored_once(folder.path(), clock).await?;
        ours.push(ours_once);
        bare.push(bare_once);
    }
    let (ours, bare) = (median(ours), median(bare));
    table.add(
        "store: cells of a bare bulk upsert",
        bare,
        "cells/s",
        Bound::None,
    );
    table.add(
        "store: cells through the engine into it",
        ours,
        "cells/s",
        Bound::AtLeast(bare / 2.0),
    );
    Ok(())
}

/// Two passes, the second of which finds a third of the amounts changed.
async fn stored_once(folder: &Path, clock: &SharedClock) -> Result<(f64, f64), Failure> {
    let script = Script {
        invalid_every: 20,
        ..Script::default()
    };
    let world = World::new(script, clock);
    let list = list_of(folder, &world, STORED_ADDRESSES).await?;
    let store = url(folder, "ours");
    let ledger = Ledger::open(&store, clock.clone()).await?;
    let mut bare = Bare::create(&url(folder, "bare"), clock).await?;
    let (mut ours_secs, mut bare_secs) = (0.0, 0.0);
    for age in 0..2 {
        world.script.age.store(age, Ordering::Relaxed);
        let pass = ledger.begin_pass(world.spec(&list)).await?;
        let start = Instant::now();
        let sink = Arc::new(ledger.clone());
        run(&world, clock, sink, &ledger, &list, &pass).await?;
        ours_secs += start.elapsed().as_secs_f64();

        let row = ledger.pass(&pass.id).await?.ok_or("the pass is gone")?;
        if row.counters.known + row.counters.invalid != world.cells(&list) {
            return Err("the store does not hold every cell".into());
        }
        let rows = bare.rows_of(&store, pass.id.as_str()).await?;
        let start = Instant::now();
        bare.write(&rows).await?;
        bare_secs += start.elapsed().as_secs_f64();
        ledger
            .end_pass(&pass.id, PassEnd::Complete, Vec::new())
            .await?;
    }
    ledger.close().await;
    bare.close().await?;
    let cells = 2 * world.cells(&list);
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let cells = cells as f64;
    Ok((cells / ours_secs, cells / bare_secs))
}

pub(crate) async fn list_of(
    folder: &Path,
    world: &World,
    addresses: u64,
) -> Result<AddressList, Failure> {
    let file = folder.join("addresses.txt");
    write_list(&file, addresses)?;
    world.read(&file).await
}

pub(crate) fn url(folder: &Path, name: &str) -> String {
    format!(
        "sqlite://{}",
        folder.join(name).with_extension("db").display()
    )
}

/// Runs one pass; every provider being there, it must come to its end.
pub(crate) async fn run(
    world: &World,
    clock: &SharedClock,
    sink: Arc<dyn Sink>,
    ledger: &Ledger,
    list: &AddressList,
    pass: &Pass,
) -> Result<(), Failure> {
    let engine = Engine {
        chain: &world.chain,
        pool: &world.pool,
        assets: world.assets.clone(),
        commitment: world.pool.commitment_default(),
        at: ScanAt::Newest,
        sample: None,
        on_mismatch: OnMismatch::Event,
        sink,
        patience: World::patience(),
        clock: clock.clone(),
        cancel: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
    };
    let plan = Plan::new(list, &world.assets, &world.chain, pass, ledger)?;
    match engine.run(pass, plan).await?.ending {
        Ending::Complete => Ok(()),
        ending => Err(format!("the pass ended early: {ending:?}").into()),
    }
}

fn per_second(cells: u64, start: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let cells = cells as f64;
    cells / start.elapsed().as_secs_f64()
}
