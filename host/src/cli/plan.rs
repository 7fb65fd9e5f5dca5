//! `scanhost plan`: what a scan would send, before anything is sent.
//!
//! Lists are read and judged, plugins loaded and asked what they can do; no request is made and
//! nothing is written to the store, which need not exist.

mod known;
mod print;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tokio::runtime::Handle;

use super::context::Context;
use super::jobs::{self, Job};
use super::output;
use super::{CliError, Exit};
use crate::config::{Config, StoreUrl, Strategy};
use crate::ledger::{Ledger, LedgerError};
use crate::model::{ProviderError, ProviderName};
use crate::plugin::Catalog;
use crate::pool::assemble::Assembler;
use crate::scan::forecast::{self, Forecast, PoolForecast};
use known::KnownLimits;

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON object per chain and line.
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Chains to plan [default: all]
    #[arg(long = "chain", value_name = "C")]
    chains: Vec<String>,
    /// Address lists to plan instead of the configured sets; `-` is standard input
    #[arg(long, value_name = "[CHAIN=]FILE")]
    addresses: Vec<String>,
    /// Assets to read, by symbol [default: all of the chain]
    #[arg(long = "asset", value_name = "SYM")]
    assets: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: PlanFormat,
}

/// One chain's plan.
struct Planned<'c> {
    job: Job<'c>,
    /// The providers that can work, in the pool's order.
    providers: Vec<Provider>,
    /// Those that could not be loaded.
    unusable: Vec<ProviderError>,
    addresses: u64,
    invalid: u64,
    doubled: u64,
}

/// A provider that can work.
struct Provider {
    name: ProviderName,
    /// Where limits of its own come from: `configuration`, `plugin`, `none`.
    limits_from: &'static str,
    /// Index of its limits.
    limits: usize,
    /// Cells of a call, where fewer than its plugin allows were found to be taken.
    learned: Option<usize>,
}

/// Everything that was found.
struct Plan<'c> {
    chains: Vec<(Planned<'c>, PoolForecast)>,
    limits: Vec<forecast::Limits>,
    spent: Vec<forecast::Spent>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let config = &loaded.config;
    let catalog = context.catalog(config)?;
    let jobs = jobs::jobs(config, &args.chains, &args.addresses, &args.assets)?;
    let ledger = store(context, config).await?;
    let plan = make(context, config, &catalog, jobs, ledger.as_ref()).await?;
    if let Some(ledger) = ledger {
        ledger.close().await;
    }
    let mut out = output::stdout();
    match args.format {
        PlanFormat::Table => print::table(&plan, &mut out)?,
        PlanFormat::Json => print::json(&plan, &mut out)?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// The store, if there is one: imported sets, learned limits, what is used of quotas.
async fn store(context: &Context, config: &Config) -> Result<Option<Ledger>, CliError> {
    match context.open_read_only(config).await {
        Ok(ledger) => Ok(Some(ledger)),
        Err(LedgerError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn make<'c>(
    context: &Context,
    config: &Config,
    catalog: &Catalog,
    jobs: Vec<Job<'c>>,
    ledger: Option<&Ledger>,
) -> Result<Plan<'c>, CliError> {
    let now_unix_ms = context.clock.unix_ms();
    let folder = Copies::new(context, config, ledger)?;
    let mut assembler = Assembler::new(
        config,
        catalog,
        folder.path(),
        None,
        context.clock.clone(),
        Handle::current(),
    );
    let mut known = KnownLimits::new(config, catalog, ledger, now_unix_ms).await?;
    let (mut planned, mut pools) = (Vec::new(), Vec::new());
    for job in jobs {
        let pool = assembler.pool(job.chain, None).await?;
        let list = jobs::read_list(&job, &pool, ledger).await?;
        let (mut providers, mut members) = (Vec::new(), Vec::new());
        for member in &pool.members {
            let provider = known.provider(job.chain, &member.name).await?;
            let cells_max = provider.learned.unwrap_or(usize::MAX);
            members.push(forecast::Provider {
                caps: member.caps(),
                cells_max: member.cells_max().min(cells_max),
                connections: member.connections,
                limits: provider.limits,
            });
            providers.push(provider);
        }
        pools.push(forecast::Pool {
            providers: members,
            strategy: job.chain.strategy,
            spill_after: pool.spill_after,
            asks_identity: pool.identity.is_some(),
            assets: job.assets.clone(),
            addresses: list.valid,
        });
        planned.push(Planned {
            job,
            providers,
            unusable: pool.unusable,
            addresses: list.valid,
            invalid: list.invalid,
            doubled: list.doubled,
        });
    }
    let limits = known.limits;
    let Forecast { pools, spent } = forecast::forecast(&pools, &limits, now_unix_ms);
    Ok(Plan {
        chains: planned.into_iter().zip(pools).collect(),
        limits,
        spent,
    })
}

/// Where the private copies of plugins lie while a plan is made.
///
/// Without a store nothing is left behind: the folder is taken away with the plan.
enum Copies {
    OfStore(PathBuf),
    Own(tempfile::TempDir),
}

impl Copies {
    fn new(context: &Context, config: &Config, ledger: Option<&Ledger>) -> Result<Self, CliError> {
        let of_store = context.copies(config);
        let is_file = matches!(config.store.url, StoreUrl::Sqlite(_));
        if ledger.is_some() || !is_file || of_store.exists() {
            return Ok(Self::OfStore(of_store));
        }
        // Beside the store, where libraries may be loaded from; a temporary folder may forbid it.
        let beside = of_store.parent().filter(|it| it.is_dir());
        let beside = beside.unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new()
            .prefix(".scanhost-plan.")
            .tempdir_in(beside);
        let folder = folder.map_err(|error| {
            CliError::Broken(format!(
                "failed to make a folder for plugins in `{}`: {error}",
                beside.display()
            ))
        })?;
        Ok(Self::Own(folder))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::OfStore(folder) => folder.clone(),
            Self::Own(folder) => folder.path().to_owned(),
        }
    }
}

impl Planned<'_> {
    fn cells(&self) -> u64 {
        let assets = self.job.assets.len() as u64;
        self.addresses.saturating_mul(assets)
    }

    /// What the numbers take for granted.
    fn assumptions(&self, pool: &PoolForecast) -> Vec<String> {
        let mut told = vec![
            "every provider answers at once and without a fault: times are the least that the \
             limits allow"
                .to_owned(),
        ];
        let at_work = pool.shares.iter().filter(|share| share.calls > 0).count();
        if self.job.chain.strategy == Strategy::Spread && self.providers.len() > 1 {
            told.push("providers share by their limits, else every request takes as long".into());
        } else if at_work > 1 && self.job.chain.strategy == Strategy::Failover {
            let spill_after = crate::config::format_duration(self.job.chain.spill_after);
            told.push(format!(
                "work goes to the next provider where the first cannot read it or must wait \
                 longer than {spill_after}"
            ));
        }
        if let Some(percent) = self.job.chain.scan.sample {
            told.push(format!(
                "what reads {percent}% of the cells again comes on top"
            ));
        }
        for provider in &self.providers {
            if let Some(cells) = provider.learned {
                let name = &provider.name;
                told.push(format!(
                    "{name} takes {cells} cells in a call, as was learned"
                ));
            }
        }
        told
    }
}
