//! Cells that a pass does not know, with every provider's word.

use sqlx::any::AnyRow;

use super::balances::CellName;
use super::error::LedgerError;
use super::sql::{get, get_parsed};
use crate::model::{Class, Reason};

/// A cell that stayed unknown, on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Address and asset.
    pub cell: CellName,
    /// Why, with every provider that was tried.
    pub reason: Reason,
    /// Whether this pass asks no more.
    pub is_final: bool,
}

/// A hole as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoleRow {
    /// Address and asset.
    pub cell: CellName,
    /// Why, with every provider that was tried.
    pub reason: Reason,
    /// Whether the pass asks no more.
    pub is_final: bool,
    /// When it was committed, in milliseconds since 1970.
    pub at: i64,
}

// === impl HoleRow ===

impl HoleRow {
    pub(super) const COLUMNS: &str = "address, asset, class, message, providers, final, at";

    pub(super) fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let table = "holes";
        Ok(Self {
            cell: CellName::from_row(row, table)?,
            reason: Reason {
                class: get_parsed(row, table, "class", Class::parse)?,
                message: get(row, table, "message")?,
                providers: get_parsed(row, table, "providers", |text| {
                    serde_json::from_str(text).ok()
                })?,
            },
            is_final: get::<i64>(row, table, "final")? != 0,
            at: get(row, table, "at")?,
        })
    }
}
