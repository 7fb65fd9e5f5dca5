//! What pacers keep over a restart.

use async_trait::async_trait;

use super::Ledger;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::get;
use super::writer::{Txn, Write};

struct SavePacer {
    key: String,
    state: String,
}

impl Ledger {
    /// Writes what a pacer keeps, in JSON; the ledger does not look inside.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn save_pacer(&self, key: &str, state: String) -> Result<(), LedgerError> {
        let key = key.to_owned();
        self.write(SavePacer { key, state }).await
    }

    /// What a pacer keeps, if it was ever written.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn pacer(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let row = sqlx::query("SELECT state FROM pacer WHERE pacer_key = $1")
            .bind(key)
            .first(self.readers(), "read what a pacer keeps")
            .await?;
        row.as_ref()
            .map(|row| get(row, "pacer", "state"))
            .transpose()
    }
}

#[async_trait]
impl Write for SavePacer {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO pacer (pacer_key, state, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (pacer_key) DO UPDATE SET \
             state = excluded.state, updated_at = excluded.updated_at",
        )
        .bind(self.key)
        .bind(self.state)
        .bind(txn.now_ms)
        .execute(&mut *txn.conn)
        .await
        .map(drop)
        .map_err(LedgerError::database("write what a pacer keeps"))
    }
}
