//! The set of a key's addresses: of each branch all up to the last used one, and a gap behind it.
//!
//! Used is what the store says of it: an address that a provider has called used, or that ever held
//! anything. An unknown is neither used nor unused; its index lies in the set, and is asked again with
//! every scan, so that a gap is never closed by what nobody answered.

use std::collections::HashSet;

use super::{NoAddresses, WatchKey, derive};
use crate::ledger::{AddressRow, Ledger, LedgerError, ListError};
use crate::model::ChainName;
use crate::plugin::derive::INDICES;
use crate::pool::Pool;

/// Rows of a stored set that are read at once.
const PAGE: u32 = 1_000;

/// A key of the configuration, and how far behind its last used address is looked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySet {
    /// The key.
    pub key: WatchKey,
    /// Unused addresses in a row after which no further one is looked for; at least 1.
    pub gap_limit: u32,
}

/// Why a key's set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GapError {
    /// The key has no addresses.
    #[error(transparent)]
    Key(#[from] NoAddresses),
    /// The store.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

// === impl KeySet ===

impl KeySet {
    /// Its addresses as far as `ledger` knows what is used; without one, the first gap alone. Labels
    /// are the keys' paths.
    ///
    /// # Errors
    ///
    /// [`GapError`].
    pub async fn rows(
        &self,
        chain: &ChainName,
        pool: &Pool,
        ledger: Option<&Ledger>,
    ) -> Result<Vec<AddressRow>, GapError> {
        let mut rows: Vec<AddressRow> = Vec::new();
        let (mut branch, mut branches) = (0, 1);
        while branch < branches {
            let mut end = self.gap_limit;
            let mut start = 0;
            while start < end {
                let derived = derive(pool, &self.key, branch, start..end).await?;
                branches = derived.branches;
                let window = rows.len();
                let addresses = derived.addresses.iter().map(|it| it.address.clone());
                let canonical = canonical(pool, addresses.collect()).await?;
                let derived = derived.addresses.into_iter().zip(canonical);
                rows.extend(
                    (window as u64..)
                        .zip(derived)
                        .map(|(index, (derived, canonical))| AddressRow {
                            index,
                            address: derived.address,
                            canonical,
                            label: Some(derived.path),
                        }),
                );
                let window = &rows[window..];
                let used = match ledger {
                    Some(ledger) => {
                        let asked = window.iter().map(|row| row.canonical.clone());
                        ledger.used_of(chain, asked.collect()).await?
                    }
                    None => HashSet::new(),
                };
                let is_used = |(_, row): &(u32, &AddressRow)| used.contains(&row.canonical);
                let last = (start..end).zip(window).rev().find(is_used);
                let behind =
                    last.map_or(end, |(last, _)| (last + 1).saturating_add(self.gap_limit));
                start = end;
                end = end.max(behind).min(INDICES);
            }
            branch += 1;
        }
        Ok(rows)
    }

    /// Puts its addresses, as far as `known` has them as used, into `ledger` as the set of that name, and
    /// tells those that are new there.
    ///
    /// # Errors
    ///
    /// [`GapError`]; the stored set is what it was.
    pub async fn keep(
        &self,
        set: &str,
        chain: &ChainName,
        pool: &Pool,
        known: &Ledger,
        ledger: &Ledger,
    ) -> Result<Vec<AddressRow>, GapError> {
        let rows = self.rows(chain, pool, Some(known)).await?;
        let mut stored: Vec<AddressRow> = Vec::new();
        let mut after = None;
        loop {
            let page = ledger.set_page(chain, set, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.index);
            stored.extend(page);
        }
        let there: HashSet<&str> = stored.iter().map(|row| &*row.canonical).collect();
        let mut new = rows.clone();
        new.retain(|row| !there.contains(&*row.canonical));
        if stored != rows {
            let list = List(rows.into_iter());
            ledger.import_set(chain, set, list).await?;
        }
        Ok(new)
    }
}

/// Rows that cannot break off. An adapter of the standard library is not general enough for a task.
struct List(std::vec::IntoIter<AddressRow>);

impl Iterator for List {
    type Item = Result<AddressRow, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

/// The canonical forms, as the first plugin that answers has them; they are what the store knows.
async fn canonical(pool: &Pool, addresses: Vec<String>) -> Result<Vec<String>, NoAddresses> {
    let mut why = "it is empty".to_owned();
    for member in &pool.members {
        match member.backend.validate_addresses(addresses.clone()).await {
            Ok(judged) if judged.len() == addresses.len() => {
                let both = judged.into_iter().zip(addresses);
                return Ok(both
                    .map(|(judged, address)| judged.unwrap_or(address))
                    .collect());
            }
            Ok(judged) => why = format!("{}: {} verdicts", member.name, judged.len()),
            Err(error) => why = format!("{}: {error}", member.name),
        }
    }
    Err(NoAddresses::Nobody(why))
}
