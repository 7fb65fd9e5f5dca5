//! Lists of passes and holes, page by page, for whoever shows them.

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::balances::CellName;
use super::error::LedgerError;
use super::holes::HoleRow;
use super::passes::{COLUMNS, PassKind, PassRow, PassStatus};
use super::readers::Read;
use super::sql::{get, get_count, statement};
use crate::model::{ChainName, PassId};

/// Which passes to read; `None` means all.
#[derive(Clone, Debug, Default)]
pub struct PassFilter {
    /// Only this chain's.
    pub chain: Option<ChainName>,
    /// Only these.
    pub kind: Option<PassKind>,
    /// Only those that are so far.
    pub status: Option<PassStatus>,
}

/// A place in the order of passes, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassCursor {
    /// When the pass began, in milliseconds since 1970.
    pub started_at: i64,
    /// The pass.
    pub id: PassId,
}

/// How many balances there are, and when they were read, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceExtent {
    /// Cells that are known.
    pub count: u64,
    /// When the oldest of them was read.
    pub oldest: Option<i64>,
    /// When the newest of them was read.
    pub newest: Option<i64>,
}

// === impl Ledger ===

impl Ledger {
    /// At most `limit` passes behind `after`, newest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn pass_page(
        &self,
        filter: &PassFilter,
        after: Option<&PassCursor>,
        limit: u32,
    ) -> Result<Vec<PassRow>, LedgerError> {
        let mut parts = Vec::new();
        if filter.chain.is_some() {
            parts.push("chain = $2");
        }
        if filter.kind.is_some() {
            parts.push("kind = $3");
        }
        if filter.status.is_some() {
            parts.push("status = $4");
        }
        if after.is_some() {
            parts.push("(started_at, id) < ($5, $6)");
        }
        let wanted = match parts.as_slice() {
            [] => String::new(),
            parts => format!("WHERE {}", parts.join(" AND ")),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM scan_state {wanted} ORDER BY started_at DESC, id DESC LIMIT $1"
        );
        statement(sql)
            .bind(i64::from(limit))
            .bind(filter.chain.as_ref().map_or("", ChainName::as_str))
            .bind(filter.kind.map_or("", PassKind::as_str))
            .bind(filter.status.map_or("", PassStatus::as_str))
            .bind(after.map_or(0, |after| after.started_at))
            .bind(after.map_or("", |after| after.id.as_str()))
            .all(self.readers(), "read passes")
            .await?
            .iter()
            .map(PassRow::from_row)
            .collect()
    }

    /// The newest pass of a chain's set.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn last_set_pass(&self, chain: &ChainName) -> Result<Option<PassRow>, LedgerError> {
        let filter = PassFilter {
            chain: Some(chain.clone()),
            kind: Some(PassKind::Set),
            status: None,
        };
        let page = self.pass_page(&filter, None, 1).await?;
        Ok(page.into_iter().next())
    }

    /// At most `limit` holes of a pass behind `after`, ordered by address and asset.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn hole_page(
        &self,
        pass: &PassId,
        after: Option<&CellName>,
        limit: u32,
    ) -> Result<Vec<HoleRow>, LedgerError> {
        let behind = match after {
            Some(_) => "AND (address, asset) > ($3, $4)",
            None => "",
        };
        let sql = format!(
            "SELECT {} FROM holes WHERE pass_id = $1 {behind} ORDER BY address, asset LIMIT $2",
            HoleRow::COLUMNS,
        );
        statement(sql)
            .bind(pass.as_str())
            .bind(i64::from(limit))
            .bind(after.map_or("", |after| after.address.as_str()))
            .bind(after.map_or("", |after| after.asset.as_str()))
            .all(self.readers(), "read holes")
            .await?
            .iter()
            .map(HoleRow::from_row)
            .collect()
    }

    /// What the balances of a chain span.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn balance_extent(&self, chain: &ChainName) -> Result<BalanceExtent, LedgerError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS cells, MIN(observed_at) AS oldest, MAX(observed_at) AS newest \
             FROM balances WHERE chain = $1",
        )
        .bind(chain.as_str())
        .first(self.readers(), "count balances")
        .await?;
        let Some(row) = row else {
            return Ok(BalanceExtent::default());
        };
        Ok(BalanceExtent {
            count: get_count(&row, "balances", "cells")?,
            oldest: get(&row, "balances", "oldest")?,
            newest: get(&row, "balances", "newest")?,
        })
    }

    /// How many cells a pass does not know.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn hole_count(&self, pass: &PassId) -> Result<u64, LedgerError> {
        let row = sqlx::query("SELECT COUNT(*) AS holes FROM holes WHERE pass_id = $1")
            .bind(pass.as_str())
            .first(self.readers(), "count holes")
            .await?;
        row.map_or(Ok(0), |row| get_count(&row, "holes", "holes"))
    }
}
