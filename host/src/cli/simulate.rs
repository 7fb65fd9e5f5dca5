//! `scanhost simulate`: the real pool under scripted faults, on virtual time.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::output::{self, Out, Table, json_line};
use super::{CliError, Exit};
use crate::config::load_scenario;
use crate::simulate::{self, Report};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 everything that must hold held; 1 the run itself broke; 2 wrong usage or scenario; \
3 something did not hold.")]
pub(super) struct Args {
    /// The scenario, see config/examples/simulate
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What latencies, shares and jitter are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(allow_negative_numbers = true, value_parser = seed)]
    seed: u64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Tables for people
    #[default]
    Table,
    /// One JSON object, with every event
    Json,
}

fn seed(text: &str) -> Result<u64, String> {
    let number = text.parse();
    number.map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// Runs on a runtime of its own: its time is not ours.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let scenario =
        load_scenario(&args.file).map_err(|errors| CliError::Usage(errors.to_string()))?;
    let report = simulate::run(&scenario, args.seed)
        .map_err(|error| CliError::Broken(crate::causes::with_causes(&error)))?;
    let mut out = output::stdout();
    match args.format {
        Format::Table => print(&args.file, &report, &mut out)?,
        Format::Json => json_line(&mut out, &report)?,
    }
    out.flush()?;
    Ok(if report.held() {
        Exit::Done
    } else {
        Exit::Unknown
    })
}

fn print(file: &Path, report: &Report, out: &mut Out) -> Result<(), CliError> {
    let mut passes = Table::new(&["PASS", "ENDING", ">TOOK", ">CELLS", ">KNOWN", ">UNKNOWN"]);
    for pass in &report.passes {
        passes.row(vec![
            pass.number.to_string(),
            pass.ending.clone(),
            seconds(pass.took_ms),
            pass.cells.to_string(),
            pass.known.to_string(),
            pass.unknown.to_string(),
        ]);
    }
    let mut providers = Table::new(&[
        "PROVIDER",
        ">CALLS",
        ">FAILED",
        ">ANSWERED",
        ">OPEN",
        ">LONGEST WAIT",
        "STATE",
    ]);
    for provider in &report.providers {
        providers.row(vec![
            provider.provider.clone(),
            provider.calls.to_string(),
            provider.failed.to_string(),
            provider.answered.to_string(),
            seconds(provider.open_ms),
            seconds(provider.longest_wait_ms),
            provider.state.clone(),
        ]);
    }
    let mut checks = Table::new(&["", "EXPECTED", "SEEN"]);
    for check in &report.checks {
        let verdict = if check.held { "held" } else { "broken" };
        checks.row(vec![
            verdict.to_owned(),
            check.expected.clone(),
            check.seen.clone(),
        ]);
    }
    for table in [passes, providers, checks] {
        table.print(out)?;
        writeln!(out)?;
    }
    let held = report.checks.iter().filter(|check| check.held).count();
    let (file, seed, all) = (file.display(), report.seed, report.checks.len());
    let took = seconds(report.took_ms);
    writeln!(
        out,
        "{file}, seed {seed}: {held} of {all} held, {took} of virtual time"
    )?;
    Ok(())
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}s", ms / 1_000, ms % 1_000)
}
