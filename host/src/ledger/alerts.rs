//! How each alert stands; it changes together with the event that tells of it.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::Ledger;
use super::error::LedgerError;
use super::events::NewEvent;
use super::readers::Read;
use super::sql::{bigint, get, get_count, get_parsed, statement};
use super::writer::{Txn, Write};
use crate::model::ChainName;

const TABLE: &str = "alerts";
const COLUMNS: &str = "name, chain, fingerprint, state, decided, amount, cells, unknown, message, \
    met_since, fired_at, resolved_at, evaluated_at";

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// What is not known could decide it either way.
    Unknown,
    /// The sum is not on the side that is told of.
    Ok,
    /// It is there, but not for long enough.
    Pending,
    /// It is there, and was told.
    Firing,
}

/// An alert as stored; times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// Its name in the configuration.
    pub name: String,
    /// The chain.
    pub chain: ChainName,
    /// Of the configuration that it was evaluated with.
    pub fingerprint: String,
    /// How it stands.
    pub state: AlertState,
    /// Whether the last evaluation could tell; a firing alert goes on firing where it could not.
    pub decided: bool,
    /// The sum of the known amounts, in decimal digits; it may exceed an amount.
    pub amount: String,
    /// Cells that it is about.
    pub cells: u64,
    /// Of them, cells that are not known.
    pub unknown: u64,
    /// Why it could not be evaluated.
    pub message: Option<String>,
    /// Since when the sum is on the side that is told of, as far as is known.
    pub met_since: Option<i64>,
    /// When it last fired.
    pub fired_at: Option<i64>,
    /// When it was last resolved.
    pub resolved_at: Option<i64>,
    /// When it was last evaluated.
    pub evaluated_at: i64,
}

struct SaveAlert {
    row: AlertRow,
    event: Option<NewEvent>,
}

struct ForgetAlert {
    name: String,
    event: Option<NewEvent>,
}

// === impl AlertState ===

impl AlertState {
    /// The word used in store and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Unknown, Self::Ok, Self::Pending, Self::Firing]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

// === impl AlertRow ===

impl AlertRow {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        Ok(Self {
            name: get(row, TABLE, "name")?,
            chain: get::<String>(row, TABLE, "chain")?.into(),
            fingerprint: get(row, TABLE, "fingerprint")?,
            state: get_parsed(row, TABLE, "state", AlertState::parse)?,
            decided: get::<i64>(row, TABLE, "decided")? != 0,
            amount: get(row, TABLE, "amount")?,
            cells: get_count(row, TABLE, "cells")?,
            unknown: get_count(row, TABLE, "unknown")?,
            message: get(row, TABLE, "message")?,
            met_since: get(row, TABLE, "met_since")?,
            fired_at: get(row, TABLE, "fired_at")?,
            resolved_at: get(row, TABLE, "resolved_at")?,
            evaluated_at: get(row, TABLE, "evaluated_at")?,
        })
    }
}

// === impl Ledger ===

impl Ledger {
    /// Writes how an alert stands, with the event that tells of it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn save_alert(
        &self,
        row: AlertRow,
        event: Option<NewEvent>,
    ) -> Result<(), LedgerError> {
        self.write(SaveAlert { row, event }).await
    }

    /// Forgets an alert, with the event that tells of it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn forget_alert(
        &self,
        name: &str,
        event: Option<NewEvent>,
    ) -> Result<(), LedgerError> {
        let name = name.to_owned();
        self.write(ForgetAlert { name, event }).await
    }

    /// All alerts that were evaluated, by name.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn alerts(&self) -> Result<Vec<AlertRow>, LedgerError> {
        statement(format!("SELECT {COLUMNS} FROM alerts ORDER BY name"))
            .all(self.readers(), "read the alerts")
            .await?
            .iter()
            .map(AlertRow::from_row)
            .collect()
    }
}

// === impl SaveAlert ===

#[async_trait]
impl Write for SaveAlert {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let row = self.row;
        statement(format!(
            "INSERT INTO alerts ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (name) DO UPDATE SET chain = excluded.chain, \
             fingerprint = excluded.fingerprint, \
             state = excluded.state, decided = excluded.decided, amount = excluded.amount, \
             cells = excluded.cells, unknown = excluded.unknown, message = excluded.message, \
             met_since = excluded.met_since, fired_at = excluded.fired_at, \
             resolved_at = excluded.resolved_at, evaluated_at = excluded.evaluated_at"
        ))
        .bind(row.name)
        .bind(row.chain.as_str().to_owned())
        .bind(row.fingerprint)
        .bind(row.state.as_str())
        .bind(i64::from(row.decided))
        .bind(row.amount)
        .bind(bigint(row.cells))
        .bind(bigint(row.unknown))
        .bind(row.message)
        .bind(row.met_since)
        .bind(row.fired_at)
        .bind(row.resolved_at)
        .bind(row.evaluated_at)
        .execute(&mut *txn.conn)
        .await
        .map_err(LedgerError::database("write how an alert stands"))?;
        txn.add_events(self.event.as_slice()).await.map(drop)
    }
}

// === impl ForgetAlert ===

#[async_trait]
impl Write for ForgetAlert {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM alerts WHERE name = $1")
            .bind(self.name)
            .execute(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("forget an alert"))?;
        txn.add_events(self.event.as_slice()).await.map(drop)
    }
}
