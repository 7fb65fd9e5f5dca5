//! How fast, and how small: everything that has a target, measured in one run.
//!
//! `make bench` runs it. Ratios are of things measured in the same run, so that they mean the same
//! on any machine. Seeds are fixed; what repeats tells its median. The exit code is 1 when a target
//! is missed. What needs a process of its own starts this file again.

mod bare;
mod gate;
mod isolation;
mod memory;
mod pace;
mod scan;
mod table;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use scanhost::clock::{SharedClock, SystemClock};
use scanhost::plugin::child;
use table::Table;

/// Whatever keeps a measurement from being made.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<ExitCode, Failure> {
    // A plugin's own process is this program too, as it is `scanhost`.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|it| it == child::ARGUMENT)
    {
        return Ok(child::serve());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let clock: SharedClock = Arc::new(SystemClock);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(child) = memory::Child::of(&arguments) {
        runtime.block_on(child.run(&clock))?;
        return Ok(ExitCode::SUCCESS);
    }
    // What cargo adds begins with a dash; the rest names parts.
    let names: Vec<&String> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let wanted = |part: &str| names.is_empty() || names.iter().any(|name| *name == part);

    let mut table = Table::default();
    if wanted("gate") {
        runtime.block_on(gate::run(&mut table, &clock))?;
    }
    if wanted("pace") {
        pace::run(&mut table)?;
    }
    if wanted("engine") {
        runtime.block_on(scan::without_store(&mut table, &clock))?;
    }
    if wanted("ledger") {
        runtime.block_on(scan::with_store(&mut table, &clock))?;
    }
    if wanted("isolation") {
        runtime.block_on(isolation::run(&mut table, &clock))?;
    }
    if wanted("memory") {
        memory::run(&mut table)?;
    }
    table.print()?;
    Ok(if table.is_short() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The middle one; NaN where there is none, which no target takes for good.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
