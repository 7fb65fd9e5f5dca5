//! `scanhost explain`: why a provider was used, and why others were not.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use super::context::{self, Context, say};
use super::output::{self, Table, json_line};
use super::{CliError, Exit};
use crate::clock::rfc3339;
use crate::pool::decision::{Decision, Purpose, Skip};

/// How decisions are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExplainFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One decision in full; without it the newest ones are listed
    #[arg(allow_negative_numbers = true, value_parser = id)]
    id: Option<i64>,
    /// Decisions of this chain only
    #[arg(long, value_name = "C", conflicts_with = "id")]
    chain: Option<String>,
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "id")]
    #[arg(allow_negative_numbers = true, value_parser = limit)]
    limit: u32,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: ExplainFormat,
}

fn id(text: &str) -> Result<i64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| "an ID is a number of the list that `scanhost explain` prints".to_owned())
}

fn limit(text: &str) -> Result<u32, String> {
    let number = text.parse();
    number.map_err(|_| format!("a whole number from 0 to {} belongs here", u32::MAX))
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let named: Vec<String> = args.chain.iter().cloned().collect();
    let chain = match context::chains(&loaded.config, &named)?.as_slice() {
        [chain] if args.chain.is_some() => Some(chain.name.clone()),
        _ => None,
    };
    let ledger = context.ledger_read_only(&loaded.config).await?;
    let decisions = match args.id {
        Some(id) => match ledger.decision(id).await? {
            Some(decision) => vec![decision],
            None => {
                let message = format!(
                    "there is no decision {id}; the newest {} are kept, `scanhost explain` lists them",
                    crate::ledger::DECISIONS_KEPT
                );
                return Err(CliError::Usage(message));
            }
        },
        None => ledger.decisions(chain.as_ref(), None, args.limit).await?,
    };
    ledger.close().await;
    if decisions.is_empty() {
        say("no call was decided on yet; run `scanhost scan`");
    }
    let mut out = output::stdout();
    match (args.format, args.id) {
        (ExplainFormat::Json, _) => {
            for decision in &decisions {
                json_line(&mut out, &Line::of(decision))?;
            }
        }
        (ExplainFormat::Table, None) => list(&decisions, &mut out)?,
        (ExplainFormat::Table, Some(_)) => {
            for decision in &decisions {
                tell(decision, &mut out)?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A decision for programs: times as text, every skip with its sentence.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: String,
    at: String,
    chain: &'a str,
    scan: &'a str,
    purpose: Purpose,
    provider: Option<&'a str>,
    cells: u64,
    skipped: Vec<LineSkip<'a>>,
}

#[derive(Debug, Serialize)]
struct LineSkip<'a> {
    provider: &'a str,
    why: &'static str,
    message: String,
    until: Option<String>,
}

impl<'a> Line<'a> {
    fn of(decision: &'a Decision) -> Self {
        let skip = |skip: &'a crate::pool::decision::Skipped| LineSkip {
            provider: skip.provider.as_str(),
            why: skip.why.as_str(),
            message: skip.why.to_string(),
            until: skip.until.map(rfc3339),
        };
        Self {
            id: decision.id.to_string(),
            at: rfc3339(decision.at),
            chain: decision.chain.as_str(),
            scan: decision.scan.as_str(),
            purpose: decision.purpose,
            provider: decision.provider.as_ref().map(|name| name.as_str()),
            cells: decision.cells,
            skipped: decision.skipped.iter().map(skip).collect(),
        }
    }
}

fn list(decisions: &[Decision], out: &mut output::Out) -> Result<(), CliError> {
    let mut table = Table::new(&[
        "ID",
        "TIME",
        "CHAIN",
        "PROVIDER",
        "FOR",
        ">CELLS",
        "PASSED OVER",
    ]);
    for decision in decisions {
        // Who merely was not needed, or has a turn of its own, says nothing about anyone.
        let skipped = decision.skipped.iter();
        let skipped =
            skipped.filter(|skip| !matches!(skip.why, Skip::NotNeeded | Skip::TakingTurns));
        let skipped: Vec<String> = skipped
            .map(|skip| format!("{}: {}", skip.provider, skip.why.as_str()))
            .collect();
        table.row(vec![
            decision.id.to_string(),
            rfc3339(decision.at),
            decision.chain.to_string(),
            provider(decision).to_owned(),
            purpose(decision.purpose).to_owned(),
            decision.cells.to_string(),
            skipped.join(", "),
        ]);
    }
    if !table.is_empty() {
        table.print(out)?;
    }
    Ok(())
}

fn tell(decision: &Decision, out: &mut output::Out) -> Result<(), CliError> {
    let (at, chain, cells) = (rfc3339(decision.at), &decision.chain, decision.cells);
    let what = match (&decision.provider, decision.purpose) {
        (None, _) => format!("{cells} cells waited: nobody could take them"),
        (Some(provider), Purpose::Identity) => {
            format!("provider `{provider}` was asked which network it serves")
        }
        (Some(provider), Purpose::Trial) => {
            format!("provider `{provider}` was tried with {cells} cell to see whether it is back")
        }
        (Some(provider), Purpose::Work) => format!("provider `{provider}` got {cells} cells"),
        (Some(provider), Purpose::Sample) => {
            format!("provider `{provider}` was asked for {cells} cells once more, to compare")
        }
    };
    writeln!(out, "{at} {chain}: {what}")?;
    for skip in &decision.skipped {
        let until = skip.until.map(rfc3339);
        let until = until.map_or_else(String::new, |until| format!(", until {until}"));
        writeln!(out, "  `{}`: {}{until}", skip.provider, skip.why)?;
    }
    writeln!(out, "  scan {}", decision.scan)?;
    Ok(())
}

fn provider(decision: &Decision) -> &str {
    match &decision.provider {
        Some(provider) => provider.as_str(),
        None => "nobody",
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Work => "work",
        Purpose::Identity => "identity",
        Purpose::Trial => "trial",
        Purpose::Sample => "sample",
    }
}
