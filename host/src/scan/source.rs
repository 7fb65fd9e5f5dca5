//! Where the addresses of a pass come from: files, the chain's configured sets, or a request.

use std::path::PathBuf;

use super::list::{AddressList, ListError, ListReader, Remark};
use crate::config::Chain;
use crate::ledger::{AddressRow, Ledger, LedgerError};
use crate::model::ChainName;
use crate::pool::Pool;
use crate::watch::{GapError, NoAddresses};

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// These files; `-` is standard input.
    Files(Vec<PathBuf>),
    /// The configured sets.
    Sets,
    /// What the sets of keys have more than before: behind an address that was found to be used.
    Grown,
    /// These addresses, in this order.
    Addresses(Vec<String>),
}

/// Addresses that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A list cannot be read or judged.
    #[error(transparent)]
    List(#[from] ListError),
    /// A configured set is neither a file nor in the store.
    #[error(
        "chain `{chain}`: the store has no address set `{set}`; import it with `scanhost addresses \
         import --chain {chain} --set {set} FILE`"
    )]
    NoSet {
        /// The chain.
        chain: ChainName,
        /// The set.
        set: String,
    },
    /// A key has no addresses.
    #[error("chain `{chain}`: set `{set}`: {cause}")]
    Key {
        /// The chain.
        chain: ChainName,
        /// The set.
        set: String,
        /// Why.
        cause: NoAddresses,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads and judges the addresses of a chain; `ledger` has the imported sets, where there is a
/// store. `remark` hears of each line that is left out.
///
/// # Errors
///
/// [`SourceError`]: nothing was kept.
pub async fn read(
    source: &Source,
    chain: &Chain,
    pool: &Pool,
    ledger: Option<&Ledger>,
    remark: &mut (dyn FnMut(Remark) + Send),
) -> Result<AddressList, SourceError> {
    let judges = pool.members.iter().map(|member| &*member.backend).collect();
    let mut reader = ListReader::new(judges)?;
    match source {
        Source::Files(files) => {
            for file in files {
                reader.read(file, remark).await?;
            }
        }
        Source::Sets => {
            for set in &chain.addresses {
                match (&set.file, &set.key) {
                    (Some(file), _) => reader.read(file, remark).await?,
                    (None, Some(key)) => {
                        let rows = key.rows(&chain.name, pool, ledger).await;
                        let rows = rows.map_err(|error| no_key(chain, &set.name, error))?;
                        take(&mut reader, &set.name, rows, remark).await?;
                    }
                    (None, None) => read_set(ledger, chain, &set.name, &mut reader, remark).await?,
                }
            }
        }
        Source::Grown => {
            if let Some(ledger) = ledger {
                let rows = keep(chain, pool, ledger, ledger).await?;
                take(&mut reader, "keys", rows, remark).await?;
            }
        }
        Source::Addresses(addresses) => {
            let rows = (0..).zip(addresses);
            let rows = rows.map(|(index, address)| (index, address.clone(), None));
            reader.take_rows("request", rows.collect(), remark).await?;
        }
    }
    Ok(reader.finish(remark)?)
}

/// Brings the sets of keys in `ledger` up to what `known` has as used, which is another store in a drill
/// alone, and tells the addresses that
/// are new in them.
///
/// # Errors
///
/// [`SourceError`] of the first set that cannot be had.
pub async fn keep(
    chain: &Chain,
    pool: &Pool,
    known: &Ledger,
    ledger: &Ledger,
) -> Result<Vec<AddressRow>, SourceError> {
    let mut new = Vec::new();
    for set in &chain.addresses {
        if let Some(key) = &set.key {
            let rows = key.keep(&set.name, &chain.name, pool, known, ledger).await;
            new.extend(rows.map_err(|error| no_key(chain, &set.name, error))?);
        }
    }
    Ok(new)
}

/// Rows of a set, in their order.
async fn take(
    reader: &mut ListReader<'_>,
    set: &str,
    rows: Vec<AddressRow>,
    remark: &mut (dyn FnMut(Remark) + Send),
) -> Result<(), ListError> {
    let rows = rows.into_iter();
    let rows = rows.map(|row| (row.index, row.address, row.label));
    reader.take_rows(set, rows.collect(), remark).await
}

fn no_key(chain: &Chain, set: &str, error: GapError) -> SourceError {
    match error {
        GapError::Key(cause) => SourceError::Key {
            chain: chain.name.clone(),
            set: set.to_owned(),
            cause,
        },
        GapError::Ledger(error) => error.into(),
    }
}

/// A set that was imported into the store.
async fn read_set(
    ledger: Option<&Ledger>,
    chain: &Chain,
    set: &str,
    reader: &mut ListReader<'_>,
    remark: &mut (dyn FnMut(Remark) + Send),
) -> Result<(), SourceError> {
    const PAGE: u32 = 1_000;
    let mut after = None;
    while let Some(ledger) = ledger {
        let page = ledger.set_page(&chain.name, set, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.index);
        take(reader, set, page, remark).await?;
    }
    if after.is_none() {
        return Err(SourceError::NoSet {
            chain: chain.name.clone(),
            set: set.to_owned(),
        });
    }
    Ok(())
}
