//! `scanhost doctor`: does each provider answer, for the right chain, with this key?
//!
//! Each provider is asked for its identity and for one balance, through a gate without a past:
//! what an earlier scan thought of it does not matter here, and nothing is stored.

mod check;
mod sample;

use std::io::Write;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::context::{self, Context};
use super::output::{self, Table};
use super::{CliError, Exit};
use crate::config::{Chain, Config};
use crate::model::ProviderName;
use crate::plugin::Catalog;
use crate::pool::assemble::Assembler;
use check::{Check, Finding};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Chains to check [default: all]
    #[arg(long = "chain", value_name = "C")]
    chains: Vec<String>,
    /// Check this provider only
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let config = &loaded.config;
    let chains = context::chains(config, &args.chains)?;
    let only = args
        .provider
        .as_deref()
        .map(|name| context::provider(config, name))
        .transpose()?;
    let serves = |chain: &&Chain| only.as_ref().is_none_or(|name| chain.pool.contains(name));
    let chains: Vec<&Chain> = chains.into_iter().filter(serves).collect();
    if chains.is_empty() {
        return Err(CliError::Usage(match only {
            Some(name) => format!(
                "provider `{name}` is in the pool of no chain that was asked for; add it to a \
                 `pool`, or name its chain"
            ),
            None => "there is no chain to check; write [chains.NAME] with pool and assets".into(),
        }));
    }
    let catalog = context.catalog(config)?;
    let findings = examine(context, config, &catalog, &chains, only.as_ref()).await?;
    let failed = findings.iter().any(|finding| finding.failed);
    let mut out = output::stdout();
    table(&findings).print(&mut out)?;
    out.flush()?;
    Ok(if failed { Exit::Unknown } else { Exit::Done })
}

async fn examine(
    context: &Context,
    config: &Config,
    catalog: &Catalog,
    chains: &[&Chain],
    only: Option<&ProviderName>,
) -> Result<Vec<Finding>, CliError> {
    let mut assembler = Assembler::new(
        config,
        catalog,
        context.copies(config),
        None,
        context.clock.clone(),
        Handle::current(),
    );
    let mut pools = Vec::new();
    for chain in chains {
        let pool = assembler.pool(chain, only).await?;
        let mut address = None;
        for member in &pool.members {
            if address.is_none() {
                address = sample::address(chain, &*member.backend).await;
            }
        }
        pools.push((*chain, pool, address));
    }
    let mut findings: Vec<Finding> = Vec::new();
    let checks = pools.iter().flat_map(|(chain, pool, address)| {
        pool.members.iter().map(move |member| Check {
            chain,
            provider: config.providers.get(&member.name),
            member,
            commitment: chain
                .commitment
                .unwrap_or_else(|| pool.commitment_default()),
            address: address.as_deref(),
            clock: &context.clock,
        })
    });
    let answered = join_all(checks.map(Check::run)).await;
    let mut answered = answered.into_iter().peekable();
    for (chain, pool, _) in &pools {
        let start = findings.len();
        let left_out = pool.unusable.iter();
        findings.extend(left_out.map(|error| Finding::left_out(chain, error)));
        while let Some(finding) = answered.next_if(|it| it.chain == chain.name) {
            findings.push(finding);
        }
        let of_chain = &mut findings[start..];
        let order = |finding: &Finding| {
            let at = chain.pool.iter().position(|name| *name == finding.provider);
            at.unwrap_or(usize::MAX)
        };
        of_chain.sort_by_key(order);
        let highest = of_chain.iter().filter_map(|it| it.height).max();
        for finding in of_chain {
            finding.highest = highest;
        }
    }
    Ok(findings)
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&[
        "CHAIN", "PROVIDER", "PLUGIN", "IDENTITY", ">HEIGHT", ">LAG", "BALANCE", "KEY", ">TIME",
        "RESULT",
    ]);
    for finding in findings {
        table.row(finding.cells());
    }
    table
}
