//! The newest decisions of the pools, for `scanhost explain`.

use async_trait::async_trait;
use serde_json::json;
use sqlx::any::AnyRow;

use super::Ledger;
use super::bulk::{Column, Insert};
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{bigint, get, statement};
use super::writer::{Txn, Write};
use crate::model::ChainName;
use crate::pool::decision::Decision;

/// Decisions that the store keeps; older ones make room.
pub const KEPT: u64 = 10_000;

const TABLE: &str = "decisions";

const INSERT: Insert = Insert {
    table: TABLE,
    columns: &[
        Column::Bigint("id"),
        Column::Bigint("at"),
        Column::Text("chain"),
        Column::Text("scan"),
        Column::Text("provider"),
        Column::Text("data"),
    ],
    on_conflict: "ON CONFLICT (id) DO NOTHING",
};

struct SaveDecisions(Vec<Decision>);

// === impl Ledger ===

impl Ledger {
    /// Stores decisions; of all that are stored the newest [`KEPT`] stay.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn save_decisions(&self, decisions: Vec<Decision>) -> Result<(), LedgerError> {
        self.write(SaveDecisions(decisions)).await
    }

    /// At most `limit` decisions older than the id `before`, newest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn decisions(
        &self,
        chain: Option<&ChainName>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Decision>, LedgerError> {
        let of_chain = if chain.is_some() {
            "AND chain = $3"
        } else {
            ""
        };
        let sql = format!(
            "SELECT data FROM decisions WHERE id < $2 {of_chain} ORDER BY id DESC LIMIT $1"
        );
        let rows = statement(sql)
            .bind(i64::from(limit))
            .bind(before.unwrap_or(i64::MAX))
            .bind(chain.map_or("", ChainName::as_str))
            .all(self.readers(), "read decisions")
            .await?;
        rows.iter().map(decision_of).collect()
    }

    /// One decision, if the store still has it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn decision(&self, id: i64) -> Result<Option<Decision>, LedgerError> {
        let row = sqlx::query("SELECT data FROM decisions WHERE id = $1")
            .bind(id)
            .first(self.readers(), "read a decision")
            .await?;
        row.as_ref().map(decision_of).transpose()
    }
}

fn decision_of(row: &AnyRow) -> Result<Decision, LedgerError> {
    let data: String = get(row, TABLE, "data")?;
    serde_json::from_str(&data).map_err(|error| LedgerError::Row {
        table: TABLE,
        reason: format!("`data`: {error}"),
    })
}

#[async_trait]
impl Write for SaveDecisions {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let row = |decision: &Decision| {
            let data = serde_json::to_string(decision).map_err(|error| LedgerError::Row {
                table: TABLE,
                reason: error.to_string(),
            })?;
            Ok(json!([
                decision.id,
                decision.at,
                decision.chain,
                decision.scan,
                decision.provider,
                data,
            ]))
        };
        let rows = self.0.iter().map(row).collect::<Result<_, LedgerError>>()?;
        txn.insert(&INSERT, rows)
            .await
            .map_err(LedgerError::database("write decisions"))?;
        sqlx::query(
            "DELETE FROM decisions WHERE id <= \
             (SELECT id FROM decisions ORDER BY id DESC LIMIT 1 OFFSET $1)",
        )
        .bind(bigint(KEPT))
        .execute(&mut *txn.conn)
        .await
        .map_err(LedgerError::database("prune decisions"))?;
        Ok(())
    }
}
