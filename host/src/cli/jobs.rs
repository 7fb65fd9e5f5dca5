//! What a command is asked to read: chains, their assets, where addresses come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::CliError;
use super::context;
use super::remarks::Remarks;
use crate::config::{Chain, Config};
use crate::ledger::Ledger;
use crate::model::Asset;
use crate::pool::Pool;
use crate::scan::list::{AddressList, ListError, ListReader, Remark};

/// One chain and what is read on it.
pub(super) struct Job<'c> {
    pub(super) chain: &'c Chain,
    pub(super) assets: Vec<Asset>,
    pub(super) source: Source,
}

/// Where addresses come from.
pub(super) enum Source {
    Files(Vec<PathBuf>),
    /// The configured sets.
    Sets,
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
    let judges = pool.members.iter().map(|member| &*member.backend).collect();
    let mut reader = ListReader::new(judges).map_err(list_error)?;
    let mut remarks = Remarks::new(&job.chain.name);
    let mut remark = |remark: Remark| remarks.tell(&remark);
    match &job.source {
        Source::Files(files) => {
            for file in files {
                reader.read(file, &mut remark).await.map_err(list_error)?;
            }
        }
        Source::Sets => {
            for set in &job.chain.addresses {
                match &set.file {
                    Some(file) => reader.read(file, &mut remark).await.map_err(list_error)?,
                    None => {
                        read_set(ledger, job.chain, &set.name, &mut reader, &mut remark).await?
                    }
                }
            }
        }
    }
    let list = reader.finish(&mut remark).map_err(list_error)?;
    remarks.finish();
    Ok(list)
}

/// A set that was imported into the store.
async fn read_set(
    ledger: Option<&Ledger>,
    chain: &Chain,
    set: &str,
    reader: &mut ListReader<'_>,
    remark: &mut (dyn FnMut(Remark) + Send),
) -> Result<(), CliError> {
    const PAGE: u32 = 1_000;
    let mut after = None;
    while let Some(ledger) = ledger {
        let page = ledger.set_page(&chain.name, set, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.index);
        let rows = page
            .into_iter()
            .map(|row| (row.index, row.address, row.label))
            .collect();
        reader
            .take_rows(set, rows, remark)
            .await
            .map_err(list_error)?;
    }
    if after.is_none() {
        let name = &chain.name;
        return Err(CliError::Usage(format!(
            "chain `{name}`: the store has no address set `{set}`; import it with `scanhost \
             addresses import --chain {name} --set {set} FILE`"
        )));
    }
    Ok(())
}

fn list_error(error: ListError) -> CliError {
    match error {
        ListError::Read { .. } => CliError::Usage(error.to_string()),
        ListError::Spool(_) | ListError::Plugin(_) => CliError::Broken(error.to_string()),
    }
}
