//! What a command is asked to read: chains, their assets, where addresses come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::CliError;
use super::context::{self, say};
use super::remarks::Remarks;
use crate::config::{AddressSet, Chain, Config};
use crate::ledger::Ledger;
use crate::model::Asset;
use crate::pool::Pool;
use crate::scan::list::{AddressList, ListError, Remark};
use crate::scan::source::{self, Source, SourceError};

/// One chain and what is read on it.
pub(super) struct Job<'c> {
    pub(super) chain: &'c Chain,
    pub(super) assets: Vec<Asset>,
    pub(super) source: Source,
}

/// What `--chain`, `--addresses` and `--asset` name; without them all that is configured.
pub(super) fn jobs<'c>(
    config: &'c Config,
    chains: &[String],
    addresses: &[String],
    symbols: &[String],
) -> Result<Vec<Job<'c>>, CliError> {
    let chains = context::chains(config, chains)?;
    let mut files = files_by_chain(config, &chains, addresses)?;
    let mut jobs = Vec::new();
    for chain in chains {
        let source = match files.remove(chain.name.as_str()) {
            Some(files) => Source::Files(files),
            None if addresses.is_empty() => Source::Sets,
            None => continue,
        };
        jobs.push(Job {
            chain,
            assets: assets(chain, symbols),
            source,
        });
    }
    for symbol in symbols {
        if jobs.iter().all(|job| job.chain.asset(symbol).is_none()) {
            let known = jobs.iter().flat_map(|job| &job.chain.assets);
            let known = known.map(|asset| asset.symbol.as_str());
            let unknown = crate::config::UnknownName::new("asset", symbol, known);
            return Err(CliError::Usage(unknown.to_string()));
        }
    }
    jobs.retain(|job| !job.assets.is_empty());
    Ok(jobs)
}

fn assets(chain: &Chain, symbols: &[String]) -> Vec<Asset> {
    if symbols.is_empty() {
        return chain.assets.clone();
    }
    let named = |asset: &&Asset| {
        symbols
            .iter()
            .any(|symbol| asset.symbol.as_str().eq_ignore_ascii_case(symbol))
    };
    chain.assets.iter().filter(named).cloned().collect()
}

/// `--addresses [CHAIN=]FILE`, by the chain's name.
fn files_by_chain(
    config: &Config,
    chains: &[&Chain],
    given: &[String],
) -> Result<BTreeMap<String, Vec<PathBuf>>, CliError> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for given in given {
        let (chain, file) = match given.split_once('=') {
            // A file's name may hold `=`; what stands before it is a chain if there is such a one.
            Some((name, file)) if !Path::new(given).exists() || config.chain(name).is_ok() => {
                let chain = config
                    .chain(name)
                    .map_err(|error| CliError::Usage(error.to_string()))?;
                if !chains.iter().any(|known| known.name == chain.name) {
                    let message = format!("`--addresses {given}`: add `--chain {}`", chain.name);
                    return Err(CliError::Usage(message));
                }
                (chain, file)
            }
            _ => match chains {
                [chain] => (*chain, given.as_str()),
                _ => {
                    return Err(CliError::Usage(format!(
                        "`--addresses {given}` does not say which chain it is for; write \
                         `--addresses CHAIN={given}`, or add `--chain CHAIN`"
                    )));
                }
            },
        };
        if file == "-"
            && files
                .values()
                .flatten()
                .any(|known| known == Path::new("-"))
        {
            return Err(CliError::Usage(
                "`--addresses -` stands twice; standard input can be read once".to_owned(),
            ));
        }
        files
            .entry(chain.name.to_string())
            .or_default()
            .push(PathBuf::from(file));
    }
    Ok(files)
}

/// Reads and judges a job's addresses; `ledger` has the imported sets, where there is a store.
pub(super) async fn read_list(
    job: &Job<'_>,
    pool: &Pool,
    ledger: Option<&Ledger>,
) -> Result<AddressList, CliError> {
    let mut remarks = Remarks::new(&job.chain.name);
    let mut remark = |remark: Remark| remarks.tell(&remark);
    let list = source::read(&job.source, job.chain, pool, ledger, &mut remark).await;
    let list = list.map_err(no_list)?;
    remarks.finish();
    if list.valid == 0 {
        say(&nothing_to_ask(job, list.invalid));
    }
    Ok(list)
}

/// A list that cannot be had: mostly the operator's to mend.
pub(super) fn no_list(error: SourceError) -> CliError {
    match error {
        SourceError::List(ListError::Read { .. })
        | SourceError::NoSet { .. }
        | SourceError::Key { .. } => CliError::Usage(error.to_string()),
        SourceError::List(ListError::Spool(_) | ListError::Plugin(_)) => {
            CliError::Broken(error.to_string())
        }
        SourceError::Ledger(error) => error.into(),
    }
}

/// That a job's lists have no address, where they are, and what to do.
fn nothing_to_ask(job: &Job<'_>, invalid: u64) -> String {
    let name = &job.chain.name;
    let lists: Vec<String> = match &job.source {
        Source::Files(files) => files.iter().map(|file| list_name(file)).collect(),
        Source::Sets => {
            let sets = job.chain.addresses.iter();
            let list = |set: &AddressSet| {
                let file = set.file.as_deref().map(list_name);
                file.unwrap_or_else(|| format!("set `{}`", set.name))
            };
            sets.map(list).collect()
        }
        Source::Addresses(_) | Source::Grown => Vec::new(),
    };
    if lists.is_empty() {
        return format!(
            "warning: {name}: there is no address list, so nothing is asked; add `--addresses \
             FILE`, or `[[chains.{name}.addresses]]` with `file = \"…\"` to the configuration"
        );
    }
    format!(
        "warning: {name}: no valid address in {} ({invalid} invalid lines), so nothing is asked; \
         write one address per line, or CSV with a column `address`",
        lists.join(", ")
    )
}

fn list_name(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        format!("`{}`", file.display())
    }
}
