//! `scanhost scan`: read balances now and print them.

mod drill;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use self::drill::Drill;
use super::context::{self, Context, say};
use super::jobs::{self, Job};
use super::output::{self, Format, Out};
use super::progress::{progress_bar, watch};
use super::rows::RowPrinter;
use super::{CliError, Exit};
use crate::config::{Chain, Config, StoreUrl, lock, parse_duration};
use crate::ledger::{Ledger, PassKind};
use crate::model::{Asset, Class, PassId, ProviderName, Reason};
use crate::pool::Pool;
use crate::pool::assemble::Assembler;
use crate::pool::record::Recorder;
use crate::scan::engine::{Ending, Patience, Progress};
use crate::scan::list::{AddressList, Remark};
use crate::scan::pass::{PassRun, RESUME_WITHIN, Stopped};
use crate::scan::report::{Report, Row};
use crate::scan::source::{self, Source};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Chains to scan [default: all]
    #[arg(long = "chain", value_name = "C")]
    chains: Vec<String>,
    /// Address lists to scan instead of the configured sets; `-` is standard input
    #[arg(long, value_name = "[CHAIN=]FILE")]
    addresses: Vec<String>,
    /// Assets to read, by symbol [default: all of the chain]
    #[arg(long = "asset", value_name = "SYM")]
    assets: Vec<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the result to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Start over instead of continuing an unfinished scan
    #[arg(long)]
    fresh: bool,
    /// How long to go on without an answer: 90s, 10m
    #[arg(long, value_name = "D", value_parser = duration)]
    budget: Option<Duration>,
    /// Ask this provider only
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Print every cell in the table, also zero balances
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    drill: drill::DrillArgs,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let cancel = cancel_on_signal()?;
    let mut loaded = context.load()?;
    // Imported sets are in the configured store, whatever store the run writes to.
    let kept = loaded.config.clone();
    let drill = Drill::new(&args.drill, &mut loaded.config)?;
    let config = &loaded.config;
    let catalog = context.catalog(config)?;
    let mut jobs = jobs::jobs(config, &args.chains, &args.addresses, &args.assets)?;
    let only = match args.provider.as_deref() {
        Some(name) => Some(only_provider(config, name, &mut jobs)?),
        None => None,
    };
    let target = output::Target::new(
        args.output.as_deref(),
        &[
            files_in_use(&loaded.file, &kept.store.url, &jobs),
            drill.files(),
        ]
        .concat(),
    )?;
    let ledger = context.ledger(config).await?;
    let sets = match drill.forgets() {
        true => context.open_read_only(&kept).await.ok(),
        false => None,
    };
    let mut assembler = Assembler::new(
        config,
        &catalog,
        context.copies(config),
        Some(&ledger),
        context.clock.clone(),
        tokio::runtime::Handle::current(),
    );
    if let Some(rig) = drill.rig() {
        assembler = assembler.rigged(rig);
    }
    let mut scans = Vec::new();
    for job in jobs {
        let pool = assembler.pool(job.chain, only.as_ref()).await?;
        let grows = matches!(job.source, Source::Sets);
        if grows {
            // What is new from here on was found by this run.
            let known = sets.as_ref().unwrap_or(&ledger);
            let kept = source::keep(job.chain, &pool, known, &ledger).await;
            kept.map_err(jobs::no_list)?;
        }
        let list = jobs::read_list(&job, &pool, sets.as_ref().or(Some(&ledger))).await?;
        scans.push(Scan {
            chain: job.chain,
            assets: job.assets,
            list,
            kind: PassKind::Set,
            grows,
            pool: Arc::new(pool),
            patience: patience(job.chain, args.budget),
            // A recording has all that is asked, whatever an interrupted scan has read.
            fresh: args.fresh || drill.records(),
            ledger: &ledger,
            context,
            cancel: cancel.clone(),
            progress: Arc::new(Progress::default()),
        });
    }
    let bar = progress_bar(scans.iter().map(Scan::cells).sum());
    let found = futures_util::future::join_all(scans.into_iter().map(|scan| scan.run_out(&bar)));
    let found = found.await;
    bar.finish_and_clear();
    drill.finish()?;
    let mut out = target.open()?;
    let mut exit = Exit::Done;
    let mut broken = None;
    let mut printer = RowPrinter::new(args.format, args.all);
    for (scan, finished) in found.into_iter().flatten() {
        if print(&scan, &finished, &mut printer, &mut out).await? == Exit::Unknown {
            exit = Exit::Unknown;
        }
        broken = broken.or(finished.broken);
    }
    printer.finish(&mut out)?;
    out.flush()?;
    drop(out);
    target.keep()?;
    ledger.close().await;
    if let Some(error) = broken {
        return Err(error);
    }
    if cancel.is_cancelled() {
        return Err(CliError::Broken(
            "interrupted; the same command within an hour goes on where this one stopped".into(),
        ));
    }
    Ok(exit)
}

struct Scan<'a> {
    chain: &'a Chain,
    assets: Vec<Asset>,
    list: AddressList,
    kind: PassKind,
    /// Whether it goes on with what its keys' sets have more afterwards.
    grows: bool,
    pool: Arc<Pool>,
    patience: Patience,
    fresh: bool,
    ledger: &'a Ledger,
    context: &'a Context,
    cancel: CancellationToken,
    progress: Arc<Progress>,
}

struct Finished {
    /// `None` where none could begin.
    pass: Option<PassId>,
    rest: Reason,
    /// What broke the pass; what it read before is told all the same.
    broken: Option<CliError>,
}

impl Scan<'_> {
    fn cells(&self) -> u64 {
        self.list.valid.saturating_mul(self.assets.len() as u64)
    }

    /// Runs a pass, and another one of what was found behind used addresses, until nothing is.
    async fn run_out(self, bar: &ProgressBar) -> Vec<(Self, Finished)> {
        let mut found = Vec::new();
        let mut next = Some(self);
        while let Some(scan) = next {
            let mut finished = scan.run(bar).await;
            let goes_on = scan.grows && finished.broken.is_none() && !scan.cancel.is_cancelled();
            next = match goes_on {
                true => scan.grown(bar).await.unwrap_or_else(|error| {
                    finished.broken = Some(error);
                    None
                }),
                false => None,
            };
            found.push((scan, finished));
        }
        found
    }

    /// What the sets of keys have more than before this scan.
    async fn grown(&self, bar: &ProgressBar) -> Result<Option<Self>, CliError> {
        if self.chain.addresses.iter().all(|set| set.key.is_none()) {
            return Ok(None);
        }
        let (ledger, mut remark) = (Some(self.ledger), |_: Remark| {});
        let list = source::read(&Source::Grown, self.chain, &self.pool, ledger, &mut remark).await;
        let list = list.map_err(jobs::no_list)?;
        if list.valid == 0 {
            return Ok(None);
        }
        let (name, more) = (&self.chain.name, list.valid);
        bar.suspend(|| say(&format!("{name}: {more} more addresses, behind used ones")));
        let scan = Self {
            assets: self.assets.clone(),
            list,
            kind: PassKind::Spot,
            pool: self.pool.clone(),
            cancel: self.cancel.clone(),
            progress: Arc::default(),
            ..*self
        };
        bar.inc_length(scan.cells());
        Ok(Some(scan))
    }

    /// Runs a pass. One that breaks has its rows all the same: what the store still tells.
    async fn run(&self, bar: &ProgressBar) -> Finished {
        let mut pass = None;
        self.run_pass(bar, &mut pass).await.unwrap_or_else(|error| {
            let rest = Reason::host(Class::GaveUp, error.to_string());
            Finished {
                pass,
                rest,
                broken: Some(error),
            }
        })
    }

    async fn run_pass(
        &self,
        bar: &ProgressBar,
        id: &mut Option<PassId>,
    ) -> Result<Finished, CliError> {
        let run = PassRun {
            chain: self.chain,
            assets: &self.assets,
            list: &self.list,
            pool: &self.pool,
            kind: self.kind,
            patience: self.patience,
            ledger: self.ledger,
            clock: &self.context.clock,
            settled: (self.kind == PassKind::Spot).then(Arc::default),
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
        };
        let name = &self.chain.name;
        let resume_within = (!self.fresh).then_some(RESUME_WITHIN);
        let pass = run.begin(resume_within).await?;
        *id = Some(pass.id.clone());
        if pass.resumed {
            say(&format!("{name}: continuing the scan that was interrupted"));
        }
        let recorder = Recorder::new(&self.pool, self.ledger, &self.context.clock);
        let watch = watch(name.as_str(), &self.pool, &self.progress, bar);
        let outcome = tokio::select! {
            outcome = run.run(&pass) => outcome,
            () = recorder.run() => unreachable!("it records until it is dropped"),
            () = watch => unreachable!("it watches until it is dropped"),
        };
        let saved = recorder.save().await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                run.end_broken(&pass.id, &error).await;
                return Err(error.into());
            }
        };
        saved?;
        if let Ending::GaveUp { message } = &outcome.ending {
            bar.suspend(|| say(&format!("{name}: gave up: {message}")));
        }
        run.end(&pass.id, &outcome, Stopped::INTERRUPTED).await?;
        Ok(Finished {
            pass: Some(pass.id),
            rest: outcome.rest,
            broken: None,
        })
    }
}

async fn print(
    scan: &Scan<'_>,
    finished: &Finished,
    printer: &mut RowPrinter,
    out: &mut Out,
) -> Result<Exit, CliError> {
    let mut report = Report {
        chain: &scan.chain.name,
        pass: finished.pass.clone(),
        assets: &scan.assets,
        rest: &finished.rest,
        ledger: scan.ledger,
    };
    let (mut rows, mut unknown) = (0_u64, 0_u64);
    let mut tell = |row: Row| -> Result<(), CliError> {
        rows += 1;
        unknown += u64::from(matches!(row, Row::Unknown { .. }));
        printer.row(out, &row)
    };
    let told = report.tell(&scan.list, &mut tell).await;
    match told {
        // The store that broke the pass cannot be read either: every cell is unknown.
        Err(error) if rows == 0 && finished.broken.is_some() => {
            tracing::warn!("the store cannot be read: {error}");
            report.pass = None;
            let mut tell = |row: Row| -> Result<(), CliError> {
                unknown += u64::from(matches!(row, Row::Unknown { .. }));
                printer.row(out, &row)
            };
            report.tell(&scan.list, &mut tell).await?;
        }
        told => told?,
    }
    let name = &scan.chain.name;
    let AddressList {
        valid,
        invalid,
        doubled,
        ..
    } = &scan.list;
    let cells = scan.cells();
    let left_out = match (invalid, doubled) {
        (0, 0) => String::new(),
        (invalid, doubled) => format!("; {invalid} invalid lines, {doubled} doubled addresses"),
    };
    let worth = match &finished.pass {
        Some(pass) => worth(scan, pass).await.unwrap_or_else(|error| {
            tracing::warn!("the store cannot be read: {error}");
            String::new()
        }),
        None => String::new(),
    };
    say(&format!(
        "{name}: {valid} addresses, {cells} cells: {} known, {unknown} unknown{left_out}{worth}",
        cells - unknown
    ));
    Ok(if unknown > 0 {
        Exit::Unknown
    } else {
        Exit::Done
    })
}

/// What the pass's amounts are worth: their heights, who told them, what a second reading said.
async fn worth(scan: &Scan<'_>, pass: &PassId) -> Result<String, CliError> {
    let mut told = String::new();
    let counters = scan.ledger.pass(pass).await?.map(|row| row.counters);
    let heights = counters.and_then(|it| it.height_min.zip(it.height_max));
    match heights {
        Some((min, max)) if min == max => told.push_str(&format!("; height {min}")),
        Some((min, max)) => told.push_str(&format!("; heights {min} to {max}")),
        None => {}
    }
    let chain = &scan.chain.name;
    let providers = scan.ledger.providers_of_pass(pass, chain).await?;
    let providers = providers
        .iter()
        .map(|(name, cells)| format!("{name} {cells}"));
    let providers: Vec<String> = providers.collect();
    if !providers.is_empty() {
        told.push_str(&format!("; {}", providers.join(", ")));
    }
    let samples = scan.progress.samples.load(Ordering::Relaxed);
    if samples > 0 {
        let compared = scan.progress.sampled.load(Ordering::Relaxed);
        let differ = scan.progress.mismatches.load(Ordering::Relaxed);
        told.push_str(&format!(
            "; {compared} of {samples} samples compared, {differ} differ"
        ));
    }
    Ok(told)
}

/// Leaves the chains in whose pool the provider is.
fn only_provider(
    config: &Config,
    name: &str,
    jobs: &mut Vec<Job<'_>>,
) -> Result<ProviderName, CliError> {
    let provider = context::provider(config, name)?;
    let chains: Vec<&str> = jobs.iter().map(|job| job.chain.name.as_str()).collect();
    let chains = chains.join("`, `");
    jobs.retain(|job| job.chain.pool.contains(&provider));
    if jobs.is_empty() {
        return Err(CliError::Usage(format!(
            "provider `{provider}` is not in the pool of `{chains}`; add it there, or name one that is"
        )));
    }
    Ok(provider)
}

fn patience(chain: &Chain, budget: Option<Duration>) -> Patience {
    Patience {
        budget: budget.unwrap_or(chain.scan.budget),
        max_pool_failures: chain.scan.max_pool_failures,
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(str::to_owned)
}

/// The first signal asks to stop, the second one stops.
fn cancel_on_signal() -> Result<CancellationToken, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| CliError::Broken(format!("failed to listen for signals: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let cancel = CancellationToken::new();
    let asked = cancel.clone();
    tokio::spawn(async move {
        for stop_now in [false, true] {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop_now {
                std::process::exit(1);
            }
            say("stopping; what is known stays, once more to stop at once");
            asked.cancel();
        }
    });
    Ok(cancel)
}

/// Files that the result must not be written over.
fn files_in_use(config: &Path, store: &StoreUrl, jobs: &[Job<'_>]) -> Vec<PathBuf> {
    let mut files = vec![config.to_owned(), lock::path_of(config)];
    if let StoreUrl::Sqlite(store) = store {
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mut file = store.clone().into_os_string();
            file.push(suffix);
            files.push(file.into());
        }
    }
    for job in jobs {
        match &job.source {
            Source::Addresses(_) | Source::Grown => {}
            Source::Files(lists) => files.extend(lists.iter().cloned()),
            Source::Sets => {
                files.extend(
                    job.chain
                        .addresses
                        .iter()
                        .filter_map(|set| set.file.clone()),
                );
            }
        }
    }
    files
}
