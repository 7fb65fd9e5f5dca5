//! Imported address sets.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use sqlx::any::AnyRow;

use super::Ledger;
use super::bulk::{Column, Insert};
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{bigint, get, get_count, statement};
use super::writer::{Txn, Write};
use crate::model::ChainName;

const TABLE: &str = "addresses";

/// Rows in one statement; a list of a million lines is never held as a whole.
const PART: usize = 500;

/// An address of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRow {
    /// Its place in the list, from 0; unique within the set.
    pub index: u64,
    /// As the list has it.
    pub address: String,
    /// As the plugin writes it; two spellings of one address meet here.
    pub canonical: String,
    /// The list's own word for it.
    pub label: Option<String>,
}

/// A set, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// The chain.
    pub chain: ChainName,
    /// The set.
    pub name: String,
    /// Addresses in it.
    pub addresses: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Addresses that are in the set now.
    pub addresses: u64,
    /// Lines left out because their address was there already.
    pub doubled: u64,
}

/// Why a list broke off while it was read.
pub type ListError = Box<dyn Error + Send + Sync>;

struct ImportSet<I> {
    target: Target,
    list: I,
}

/// The set that an import fills.
struct Target {
    chain: ChainName,
    set: String,
}

// === impl Ledger ===

impl Ledger {
    /// Replaces a set by what `list` gives, in one transaction; the first of doubled addresses stays.
    ///
    /// The list is read while it is written, so it need not fit into memory.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Import`] when the list broke off or gave one index twice; the stored set is
    /// unchanged then.
    pub async fn import_set<I>(
        &self,
        chain: &ChainName,
        set: &str,
        list: I,
    ) -> Result<Imported, LedgerError>
    where
        I: Iterator<Item = Result<AddressRow, ListError>> + Send + 'static,
    {
        let target = Target {
            chain: chain.clone(),
            set: set.to_owned(),
        };
        self.write(ImportSet { target, list }).await
    }

    /// All sets, by chain and name.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn list_sets(&self) -> Result<Vec<AddressSet>, LedgerError> {
        let rows = sqlx::query(
            "SELECT chain, set_name, COUNT(*) AS count FROM addresses \
             GROUP BY chain, set_name ORDER BY chain, set_name",
        )
        .all(self.readers(), "read the address sets")
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AddressSet {
                    chain: get::<String>(row, TABLE, "chain")?.into(),
                    name: get(row, TABLE, "set_name")?,
                    addresses: get_count(row, TABLE, "count")?,
                })
            })
            .collect()
    }

    /// At most `limit` addresses of a set behind the index `after`, in the order of the list.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn set_page(
        &self,
        chain: &ChainName,
        set: &str,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AddressRow>, LedgerError> {
        sqlx::query(
            "SELECT idx, address, canonical, label FROM addresses \
             WHERE chain = $1 AND set_name = $2 AND idx > $3 ORDER BY idx LIMIT $4",
        )
        .bind(chain.as_str())
        .bind(set)
        .bind(after.map_or(-1, bigint))
        .bind(i64::from(limit))
        .all(self.readers(), "read an address set")
        .await?
        .iter()
        .map(AddressRow::from_row)
        .collect()
    }

    /// How many addresses a set has.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn set_size(&self, chain: &ChainName, set: &str) -> Result<u64, LedgerError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS count FROM addresses WHERE chain = $1 AND set_name = $2",
        )
        .bind(chain.as_str())
        .bind(set)
        .first(self.readers(), "read an address set")
        .await?;
        row.map_or(Ok(0), |row| get_count(&row, TABLE, "count"))
    }

    /// At most `limit` addresses of all sets, or of those that `chain` and `set` name, behind
    /// `after`: by chain, set, and the order of the list.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn address_page(
        &self,
        chain: Option<&ChainName>,
        set: Option<&str>,
        after: Option<&(ChainName, String, u64)>,
        limit: u32,
    ) -> Result<Vec<(ChainName, String, AddressRow)>, LedgerError> {
        let mut parts = Vec::new();
        if chain.is_some() {
            parts.push("chain = $2");
        }
        if set.is_some() {
            parts.push("set_name = $3");
        }
        if after.is_some() {
            parts.push("(chain, set_name, idx) > ($4, $5, $6)");
        }
        let wanted = match parts.as_slice() {
            [] => String::new(),
            parts => format!("WHERE {}", parts.join(" AND ")),
        };
        let sql = format!(
            "SELECT chain, set_name, idx, address, canonical, label FROM addresses {wanted} \
             ORDER BY chain, set_name, idx LIMIT $1"
        );
        let rows = statement(sql)
            .bind(i64::from(limit))
            .bind(chain.map_or("", ChainName::as_str))
            .bind(set.unwrap_or_default())
            .bind(after.map_or("", |(chain, ..)| chain.as_str()))
            .bind(after.map_or("", |(_, set, _)| set.as_str()))
            .bind(after.map_or(-1, |(.., index)| bigint(*index)))
            .all(self.readers(), "read address sets")
            .await?;
        rows.iter()
            .map(|row| {
                let chain = get::<String>(row, TABLE, "chain")?.into();
                Ok((
                    chain,
                    get(row, TABLE, "set_name")?,
                    AddressRow::from_row(row)?,
                ))
            })
            .collect()
    }
}

// === impl AddressRow ===

impl AddressRow {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        Ok(Self {
            index: get_count(row, TABLE, "idx")?,
            address: get(row, TABLE, "address")?,
            canonical: get(row, TABLE, "canonical")?,
            label: get(row, TABLE, "label")?,
        })
    }
}

// === impl ImportSet ===

#[async_trait]
impl<I> Write for ImportSet<I>
where
    I: Iterator<Item = Result<AddressRow, ListError>> + Send + 'static,
{
    type Output = Imported;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<Imported, LedgerError> {
        let Self { target, mut list } = self;
        sqlx::query("DELETE FROM addresses WHERE chain = $1 AND set_name = $2")
            .bind(target.chain.as_str())
            .bind(target.set.as_str())
            .execute(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("replace an address set"))?;
        let mut imported = Imported {
            addresses: 0,
            doubled: 0,
        };
        loop {
            let part: Vec<AddressRow> = list
                .by_ref()
                .take(PART)
                .collect::<Result<_, _>>()
                .map_err(|error| target.refused(Arc::from(error)))?;
            if part.is_empty() {
                return Ok(imported);
            }
            let written = target
                .write_part(&part, txn)
                .await
                .map_err(|error| target.refused(Arc::new(error)))?;
            imported.addresses += written;
            imported.doubled += (part.len() as u64).saturating_sub(written);
        }
    }
}

// === impl Target ===

impl Target {
    fn refused(&self, source: Arc<dyn Error + Send + Sync>) -> LedgerError {
        LedgerError::Import {
            chain: self.chain.clone(),
            set: self.set.clone(),
            source,
        }
    }

    /// How many of `part` were new.
    async fn write_part(&self, part: &[AddressRow], txn: &mut Txn<'_>) -> sqlx::Result<u64> {
        const INSERT: Insert = Insert {
            table: TABLE,
            columns: &[
                Column::Text("chain"),
                Column::Text("set_name"),
                Column::Bigint("idx"),
                Column::Text("address"),
                Column::Text("canonical"),
                Column::Text("label"),
            ],
            on_conflict: "ON CONFLICT (chain, set_name, canonical) DO NOTHING",
        };
        let rows = part.iter().map(|row| {
            json!([
                self.chain,
                self.set,
                bigint(row.index),
                row.address,
                row.canonical,
                row.label,
            ])
        });
        txn.insert(&INSERT, rows.collect()).await
    }
}
