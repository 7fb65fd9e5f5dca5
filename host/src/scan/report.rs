//! The result of a pass, told from the ledger in the order of the list.
//!
//! Every asked cell has its row, also after a pass that ended early: what the pass did not read is
//! `unknown` with its reason, and with the last good value that the ledger has.

use std::collections::HashMap;

use super::ScanError;
use super::list::{AddressList, Entries, Entry};
use crate::clock::rfc3339;
use crate::ledger::{BalanceRow, CellName, CellRow, Ledger};
use crate::model::{Amount, Asset, ChainName, Class, PassId, ProviderError, Reason};
use serde::Serialize;

/// Entries told at once.
const REPORT_CHUNK: usize = 500;

/// One row of the result; serializes to the line of `--format json`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the fields are the documented output")]
pub enum Row {
    /// Answered in this pass.
    Known {
        #[serde(flatten)]
        cell: RowCell,
        #[serde(serialize_with = "as_text")]
        amount: Amount,
        #[serde(serialize_with = "as_optional_text")]
        pending: Option<i128>,
        decimals: u8,
        commitment: String,
        scope: String,
        provider: String,
        height: Option<u64>,
        block_hash: Option<String>,
        observed_at: String,
    },
    /// Not answered.
    Unknown {
        #[serde(flatten)]
        cell: RowCell,
        error: Reason,
        last: Option<LastGood>,
    },
    /// Not an address.
    Invalid {
        #[serde(flatten)]
        cell: RowCell,
        line: u64,
        error: InvalidReason,
    },
}

/// Which cell a row is about.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the documented output")]
pub struct RowCell {
    pub chain: ChainName,
    pub address: String,
    pub index: Option<u64>,
    pub label: Option<String>,
    pub asset: Option<String>,
    /// `known`, `unknown` or `invalid`.
    pub status: &'static str,
}

/// A value that an earlier pass read.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the documented output")]
pub struct LastGood {
    #[serde(serialize_with = "as_text")]
    pub amount: Amount,
    pub observed_at: String,
}

/// Why a line is no address.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the documented output")]
pub struct InvalidReason {
    pub class: Class,
    pub message: String,
}

/// The rows of a pass.
#[derive(Debug)]
pub struct Report<'a> {
    /// The chain.
    pub chain: &'a ChainName,
    /// The pass; `None` where none could begin, and every cell is told with `rest`.
    pub pass: Option<PassId>,
    /// The assets of each address, in their order.
    pub assets: &'a [Asset],
    /// Why a cell that nobody was asked for is unknown.
    pub rest: &'a Reason,
    /// Where everything is.
    pub ledger: &'a Ledger,
}

impl Report<'_> {
    /// Hands every row to `tell`, in the order of the list.
    ///
    /// # Errors
    ///
    /// The list or the ledger cannot be read, or `tell` fails.
    pub async fn tell<E: From<ScanError>>(
        &self,
        list: &AddressList,
        tell: &mut (dyn FnMut(Row) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        let mut entries: Entries = list.entries().map_err(ScanError::List)?;
        loop {
            let chunk = entries.next_chunk(REPORT_CHUNK).map_err(ScanError::List)?;
            if chunk.is_empty() {
                return Ok(());
            }
            let known = self.rows_of(&chunk).await?;
            for entry in &chunk {
                self.tell_entry(entry, &known, tell)?;
            }
        }
    }

    async fn rows_of(&self, chunk: &[Entry]) -> Result<HashMap<CellName, CellRow>, ScanError> {
        let addresses: Vec<&str> = chunk
            .iter()
            .filter_map(|entry| entry.canonical.as_deref())
            .collect();
        let Some(pass) = &self.pass else {
            return Ok(HashMap::new());
        };
        let rows = self.ledger.rows_for(pass, &addresses).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.cell.clone(), row))
            .collect())
    }

    fn tell_entry<E>(
        &self,
        entry: &Entry,
        known: &HashMap<CellName, CellRow>,
        tell: &mut (dyn FnMut(Row) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        let cell = |asset: Option<String>, status| RowCell {
            chain: self.chain.clone(),
            address: entry.address.clone(),
            index: entry.index,
            label: entry.label.clone(),
            asset,
            status,
        };
        let Some(canonical) = &entry.canonical else {
            let message = entry.error.clone().unwrap_or_default();
            let error = InvalidReason {
                class: Class::InvalidAddress,
                message,
            };
            return tell(Row::Invalid {
                cell: cell(None, "invalid"),
                line: entry.line,
                error,
            });
        };
        for asset in self.assets {
            let cell = cell(Some(asset.symbol.to_string()), "unknown");
            let row = known.get(&CellName::new(canonical, asset));
            tell(self.row(cell, row))?;
        }
        Ok(())
    }

    fn row(&self, mut cell: RowCell, row: Option<&CellRow>) -> Row {
        let balance = row.and_then(|row| row.balance.as_ref());
        if let (Some(balance), Some(true)) = (balance, row.map(|row| row.known_in_pass)) {
            cell.status = "known";
            return known(cell, balance);
        }
        let hole = row.and_then(|row| row.hole.as_ref());
        let error = match hole {
            Some(hole) if hole.is_final => hole.reason.clone(),
            // Asked, but given up before it was settled: both the way it ended and what was said.
            Some(hole) => self.joined(&hole.reason.providers),
            None => self.rest.clone(),
        };
        let last = balance.map(|balance| LastGood {
            amount: balance.amount,
            observed_at: rfc3339(balance.observed_at),
        });
        Row::Unknown { cell, error, last }
    }

    fn joined(&self, said: &[ProviderError]) -> Reason {
        let mut reason = self.rest.clone();
        for error in said {
            match reason
                .providers
                .iter_mut()
                .find(|told| told.provider == error.provider)
            {
                Some(told) => *told = error.clone(),
                None => reason.providers.push(error.clone()),
            }
        }
        reason
    }
}

fn known(cell: RowCell, balance: &BalanceRow) -> Row {
    Row::Known {
        cell,
        amount: balance.amount,
        pending: balance.pending,
        decimals: balance.decimals,
        commitment: balance.commitment.clone(),
        scope: balance.scope.clone(),
        provider: balance.provider.to_string(),
        height: balance.height,
        block_hash: balance.block_hash.clone(),
        observed_at: rfc3339(balance.observed_at),
    }
}

fn as_text<S: serde::Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

#[expect(clippy::ref_option, reason = "serde asks for a reference")]
fn as_optional_text<S: serde::Serializer>(
    pending: &Option<i128>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match pending {
        Some(pending) => serializer.collect_str(pending),
        None => serializer.serialize_none(),
    }
}
