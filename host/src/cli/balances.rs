//! `scanhost balances`: what the store holds, without asking anyone.

mod print;
mod select;

use std::io::Write;

use super::context::{self, Context, say};
use super::output::{self, Format, Out};
use super::{CliError, Exit};
use crate::ledger::{BalanceFilter, Ledger};
use print::{BalanceLine, HistoryLine, Printer, Totals};

/// Rows that are in memory at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Chains to look at [default: all]
    #[arg(long = "chain", value_name = "C")]
    chains: Vec<String>,
    /// Only this address, in any of its spellings
    #[arg(long = "address", value_name = "A")]
    addresses: Vec<String>,
    /// Only this asset, by symbol
    #[arg(long = "asset", value_name = "SYM")]
    assets: Vec<String>,
    /// Every change instead of the last value
    #[arg(long)]
    history: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let config = &loaded.config;
    let chains = context::chains(config, &args.chains)?;
    let assets = select::assets(&chains, &args.assets)?;
    let ledger = context.ledger_read_only(config).await?;
    let filters = if args.addresses.is_empty() && args.assets.is_empty() {
        let mut filter = BalanceFilter::default();
        // Nobody named: all, also what is stored of chains that are configured no more.
        if !args.chains.is_empty() {
            filter.chains = chains.iter().map(|chain| chain.name.clone()).collect();
        }
        vec![filter]
    } else {
        select::filters(context, config, assets, &args.addresses).await?
    };
    let mut out = output::stdout();
    let now = context.clock.unix_ms();
    let rows = if args.history {
        history(&ledger, &filters, args.format, now, &mut out).await?
    } else {
        balances(&ledger, &filters, args.format, now, &mut out).await?
    };
    out.flush()?;
    ledger.close().await;
    if rows == 0 {
        say("the store holds nothing that was asked for; `scanhost scan` reads balances");
    }
    Ok(Exit::Done)
}

async fn balances(
    ledger: &Ledger,
    filters: &[BalanceFilter],
    format: Format,
    now: i64,
    out: &mut Out,
) -> Result<u64, CliError> {
    let mut printer = Printer::<BalanceLine>::new(format, now);
    let mut totals = Totals::default();
    for filter in filters {
        let mut after = None;
        loop {
            let page = ledger.balances(filter, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            totals.add(&page);
            let lines: Vec<_> = page.into_iter().map(BalanceLine::from).collect();
            printer.page(out, &lines)?;
        }
    }
    let rows = printer.finish(out)?;
    if format == Format::Table && rows > 0 {
        totals.print(out)?;
    }
    Ok(rows)
}

async fn history(
    ledger: &Ledger,
    filters: &[BalanceFilter],
    format: Format,
    now: i64,
    out: &mut Out,
) -> Result<u64, CliError> {
    let mut printer = Printer::<HistoryLine>::new(format, now);
    for filter in filters {
        let mut after = 0;
        loop {
            let page = ledger.history(filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            let lines: Vec<_> = page.into_iter().map(HistoryLine::from).collect();
            printer.page(out, &lines)?;
        }
    }
    printer.finish(out)
}
