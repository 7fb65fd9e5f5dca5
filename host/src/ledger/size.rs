//! How large the store is.

use super::Ledger;
use super::engine::Engine;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::get_count;

impl Ledger {
    /// Bytes of the store: of SQLite's file without its log, of a database with everything in it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn size_bytes(&self) -> Result<u64, LedgerError> {
        let sql = match self.engine() {
            Engine::Sqlite => {
                "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
            }
            Engine::Postgres => "SELECT pg_database_size(current_database()) AS bytes",
        };
        let row = sqlx::query(sql)
            .first(self.readers(), "read the size of the store")
            .await?;
        row.map_or(Ok(0), |row| get_count(&row, "store", "bytes"))
    }
}
