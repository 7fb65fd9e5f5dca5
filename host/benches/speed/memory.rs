//! Peak memory of a whole scan, in a process of its own, for a short list and a long one. Every
//! tenth cell is refused.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use scanhost::clock::SharedClock;
use scanhost::ledger::{Ledger, PassEnd};
use scanhost::model::{Class, Reason};
use scanhost::scan::ScanError;
use scanhost::scan::report::{Report, Row};

use crate::Failure;
use crate::scan::{run as run_pass, url};
use crate::table::{Bound, Table};
use crate::world::{Script, World, write_list};

const SHORT: u64 = 10_000;
const LONG: u64 = 1_000_000;
const ARGUMENT: &str = "--memory-of";

/// A scan of that many addresses in this process.
#[derive(Debug)]
pub(crate) struct Child {
    folder: PathBuf,
}

pub(crate) fn run(table: &mut Table) -> Result<(), Failure> {
    let (short, long) = (peak_mib(SHORT)?, peak_mib(LONG)?);
    table.add(
        "memory: peak for 10,000 addresses",
        short,
        "MiB",
        Bound::None,
    );
    table.add(
        "memory: peak for 1,000,000 addresses",
        long,
        "MiB",
        Bound::AtMost(1.2 * short + 40.0),
    );
    Ok(())
}

fn peak_mib(addresses: u64) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    write_list(&folder.path().join("addresses.txt"), addresses)?;
    let child = Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .arg(folder.path())
        .output()?;
    std::io::stderr().write_all(&child.stderr)?;
    let said = String::from_utf8_lossy(&child.stdout);
    let kib: f64 = said
        .trim()
        .parse()
        .map_err(|_| format!("the scan of {addresses} addresses told no peak: `{said}`"))?;
    Ok(kib / 1024.0)
}

// === impl Child ===

impl Child {
    /// What the arguments of a process that [`peak_mib`] started ask for.
    pub(crate) fn of(arguments: &[String]) -> Option<Self> {
        match arguments {
            [argument, folder] if argument == ARGUMENT => Some(Self {
                folder: folder.into(),
            }),
            _ => None,
        }
    }

    /// Scans as `scanhost scan --format json --output FILE` does, and prints the peak in KiB.
    pub(crate) async fn run(&self, clock: &SharedClock) -> Result<(), Failure> {
        let script = Script {
            refused_every: 10,
            ..Script::default()
        };
        let mut world = World::new(script, clock);
        world.assets.truncate(1);
        let list = world.read(&self.folder.join("addresses.txt")).await?;
        let ledger = Ledger::open(&url(&self.folder, "store"), clock.clone()).await?;
        let pass = ledger.begin_pass(world.spec(&list)).await?;
        run_pass(
            &world,
            clock,
            Arc::new(ledger.clone()),
            &ledger,
            &list,
            &pass,
        )
        .await?;
        ledger
            .end_pass(&pass.id, PassEnd::Complete, Vec::new())
            .await?;

        let mut out = std::io::BufWriter::new(std::fs::File::create(self.folder.join("rows"))?);
        let mut rows = 0;
        let mut tell = |row: Row| -> Result<(), ScanError> {
            rows += 1;
            serde_json::to_writer(&mut out, &row).map_err(|error| ScanError::List(error.into()))?;
            out.write_all(b"\n").map_err(ScanError::List)
        };
        let report = Report {
            chain: &world.chain,
            pass: Some(pass.id),
            assets: &world.assets,
            rest: &Reason::host(Class::GaveUp, "not asked"),
            ledger: &ledger,
        };
        report.tell(&list, &mut tell).await?;
        if rows != world.cells(&list) {
            return Err(format!("{rows} rows for {} cells", world.cells(&list)).into());
        }
        out.flush()?;
        ledger.close().await;
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|it| it.trim().strip_suffix(" kB"));
        let kib = kib.ok_or("the system does not tell the peak of a process's memory")?;
        Ok(writeln!(std::io::stdout(), "{kib}")?)
    }
}
