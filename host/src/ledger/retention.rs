//! What leaves the store again, so that it does not grow for ever.
//!
//! Rows go in small transactions, so that a chunk never waits long for its turn. Events go from the
//! oldest on, without a gap: whoever replays either gets all that follows or is told that it is too
//! far back. Their ids are never given anew, since they come from a counter. SQLite puts new rows
//! where old ones were, so its file stays as large as it once had to be.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::Ledger;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{get, statement, texts};
use super::writer::{Txn, Write};
use crate::clock::rfc3339;

/// Rows that one transaction takes away.
const BATCH: u64 = 1_000;
/// Rows that are looked at together.
const LOOKED_AT: u64 = 5_000;
/// Passes that stay of each chain, however young the others are.
const PASSES_KEPT: u64 = 50_000;
/// How long the holes of cells that were asked for by request stay.
const SPOT_HOLES_MS: i64 = 24 * 60 * 60 * 1_000;

/// Up to when rows leave; times are milliseconds since 1970, and `None` is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Events before this.
    pub events: Option<i64>,
    /// Of those, events from this id on stay: somebody has not had them yet.
    pub events_from: Option<i64>,
    /// Earlier balances, ended passes and days of usage before this.
    pub history: Option<i64>,
}

/// What left, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Earlier balances.
    pub history: u64,
    /// Holes of passes that newer ones have replaced.
    pub holes: u64,
    /// Passes.
    pub passes: u64,
    /// Days of usage.
    pub usage: u64,
}

/// Which rows one transaction takes away.
#[derive(Clone, Debug)]
enum Batch {
    EventsBefore(i64),
    History(Vec<i64>),
    HolesOf(String),
    Passes(Vec<String>),
    UsageBefore(String),
}

// === impl Ledger ===

impl Ledger {
    /// Takes away events that are too old; how many.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: some of them may have left.
    pub async fn prune_events(&self, expiry: &Expiry) -> Result<u64, LedgerError> {
        let Some(before) = expiry.events else {
            return Ok(0);
        };
        let newest = *self.inner.newest_event.borrow();
        // The first that stays; all behind it stay too, even where the clock was set back.
        let first = sqlx::query("SELECT id FROM events WHERE at >= $1 ORDER BY id LIMIT 1")
            .bind(before)
            .first(self.readers(), "look for old events")
            .await?;
        let first: i64 = match &first {
            Some(row) => get(row, "events", "id")?,
            // What came while this was worked out stays.
            None => newest.saturating_add(1),
        };
        let edge = expiry.events_from.map_or(first, |from| first.min(from));
        self.take_away(Batch::EventsBefore(edge)).await
    }

    /// Takes away the holes of passes that are not of interest any more; how many.
    ///
    /// Those of running passes stay, of the two newest passes of each chain's set that ended, of
    /// the newest of them that went over the whole set, and of spot passes for a day.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: some of them may have left.
    pub async fn prune_holes(&self) -> Result<u64, LedgerError> {
        let rows = sqlx::query(
            "SELECT id FROM scan_state AS pass WHERE status <> 'running' \
             AND EXISTS (SELECT 1 FROM holes WHERE holes.pass_id = pass.id) \
             AND (kind = 'spot' AND ended_at < $1 OR kind = 'set' AND id NOT IN ( \
               SELECT id FROM scan_state AS newer WHERE newer.chain = pass.chain \
                 AND newer.kind = 'set' AND newer.status <> 'running' \
               ORDER BY started_at DESC, id DESC LIMIT 2) \
             AND id <> COALESCE((SELECT id FROM scan_state AS whole \
               WHERE whole.chain = pass.chain AND whole.kind = 'set' \
                 AND whole.status IN ('complete', 'gave_up') \
               ORDER BY started_at DESC, id DESC LIMIT 1), ''))",
        )
        .bind(self.now_ms().saturating_sub(SPOT_HOLES_MS))
        .all(self.readers(), "look for old holes")
        .await?;
        let mut gone = 0;
        for pass in ids(&rows, "scan_state")? {
            gone += self.take_away(Batch::HolesOf(pass)).await?;
        }
        Ok(gone)
    }

    /// Takes away earlier balances, ended passes and days of usage that are too old.
    ///
    /// The newest row of each cell's history stays, and of each chain's passes the newest, the
    /// newest complete one, and whatever still has holes.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: some of them may have left.
    pub async fn prune_history(&self, expiry: &Expiry) -> Result<Pruned, LedgerError> {
        let mut pruned = Pruned::default();
        if let Some(before) = expiry.history {
            pruned.history = self.prune_changes(before).await?;
            let day: String = rfc3339(before).chars().take(10).collect();
            pruned.usage = self.take_away(Batch::UsageBefore(day)).await?;
        }
        pruned.passes = self.prune_passes(expiry.history).await?;
        Ok(pruned)
    }

    async fn prune_changes(&self, before: i64) -> Result<u64, LedgerError> {
        let mut gone = 0;
        let mut after = 0_i64;
        loop {
            // A page of the ids that there are, and which of them are old and have a follower.
            let rows = statement(format!(
                "SELECT id, CASE WHEN observed_at < $2 AND EXISTS (SELECT 1 FROM history AS newer \
                   WHERE newer.chain = old.chain AND newer.address = old.address \
                   AND newer.asset = old.asset AND newer.id > old.id) THEN 1 ELSE 0 END AS leaves, \
                 observed_at FROM history AS old WHERE id > $1 ORDER BY id LIMIT {LOOKED_AT}"
            ))
            .bind(after)
            .bind(before)
            .all(self.readers(), "look for old changes")
            .await?;
            let mut leaving = Vec::new();
            let mut is_old = false;
            for row in &rows {
                after = get(row, "history", "id")?;
                is_old |= get::<i64>(row, "history", "observed_at")? < before;
                // PostgreSQL has these numbers in 32 bits.
                let leaves = get::<i64>(row, "history", "leaves")
                    .or_else(|_| get::<i32>(row, "history", "leaves").map(i64::from))?;
                if leaves == 1 {
                    leaving.push(after);
                }
            }
            for part in leaving.chunks(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
                gone += self.write(Batch::History(part.to_vec())).await?;
            }
            // Behind a page of young rows there are no old ones.
            if !is_old {
                return Ok(gone);
            }
        }
    }

    async fn prune_passes(&self, before: Option<i64>) -> Result<u64, LedgerError> {
        let rows = sqlx::query("SELECT DISTINCT chain AS id FROM scan_state")
            .all(self.readers(), "look for old passes")
            .await?;
        let mut gone = 0;
        for chain in ids(&rows, "scan_state")? {
            gone += self.prune_passes_of(&chain, before.unwrap_or(0)).await?;
        }
        Ok(gone)
    }

    async fn prune_passes_of(&self, chain: &str, before: i64) -> Result<u64, LedgerError> {
        let doing = "look for old passes";
        let kept = statement(format!(
            "SELECT started_at FROM scan_state WHERE chain = $1 \
             ORDER BY started_at DESC LIMIT 1 OFFSET {PASSES_KEPT}"
        ))
        .bind(chain)
        .first(self.readers(), doing)
        .await?;
        let begun_before: i64 = match &kept {
            Some(row) => get(row, "scan_state", "started_at")?,
            None => 0,
        };
        let newest = "SELECT id FROM scan_state WHERE chain = $1 AND kind = 'set'";
        let order = "ORDER BY started_at DESC, id DESC LIMIT 1";
        let mut gone = 0;
        loop {
            let rows = statement(format!(
                "SELECT id FROM scan_state AS pass WHERE chain = $1 AND status <> 'running' \
                 AND (updated_at < $2 OR started_at < $3) \
                 AND id NOT IN (SELECT id FROM ({newest} {order}) AS last UNION ALL \
                   SELECT id FROM ({newest} AND status = 'complete' {order}) AS whole) \
                 AND NOT EXISTS (SELECT 1 FROM holes WHERE holes.pass_id = pass.id) LIMIT {BATCH}"
            ))
            .bind(chain)
            .bind(before)
            .bind(begun_before)
            .all(self.readers(), doing)
            .await?;
            let passes = ids(&rows, "scan_state")?;
            if passes.is_empty() {
                return Ok(gone);
            }
            gone += self.write(Batch::Passes(passes)).await?;
        }
    }

    /// Repeats a batch until there is nothing left for it; each is a transaction of its own.
    async fn take_away(&self, batch: Batch) -> Result<u64, LedgerError> {
        let mut gone = 0;
        loop {
            let rows = self.write(batch.clone()).await?;
            gone += rows;
            if rows < BATCH {
                return Ok(gone);
            }
        }
    }
}

fn ids(rows: &[AnyRow], table: &'static str) -> Result<Vec<String>, LedgerError> {
    rows.iter().map(|row| get(row, table, "id")).collect()
}

// === impl Batch ===

#[async_trait]
impl Write for Batch {
    type Output = u64;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<u64, LedgerError> {
        let rows = txn.engine.rows_of(1);
        let done =
            match self {
                Self::EventsBefore(id) => {
                    statement(format!(
                        "DELETE FROM events WHERE id IN \
                     (SELECT id FROM events WHERE id < $1 ORDER BY id LIMIT {BATCH})"
                    ))
                    .bind(id)
                    .execute(&mut *txn.conn)
                    .await
                }
                Self::History(ids) => {
                    statement(format!(
                        "DELETE FROM history WHERE id IN \
                     (SELECT CAST(value ->> 0 AS BIGINT) FROM {rows})"
                    ))
                    .bind(wrapped(&ids))
                    .execute(&mut *txn.conn)
                    .await
                }
                Self::HolesOf(pass) => {
                    statement(format!(
                        "DELETE FROM holes WHERE pass_id = $1 AND (address, asset) IN \
                     (SELECT address, asset FROM holes WHERE pass_id = $1 \
                      ORDER BY address, asset LIMIT {BATCH})"
                    ))
                    .bind(pass)
                    .execute(&mut *txn.conn)
                    .await
                }
                Self::Passes(ids) => {
                    statement(format!(
                        "DELETE FROM scan_state WHERE id IN {}",
                        txn.engine.texts_of(1)
                    ))
                    .bind(texts(&ids))
                    .execute(&mut *txn.conn)
                    .await
                }
                Self::UsageBefore(day) => statement(format!(
                    "DELETE FROM usage_daily WHERE (day, chain, provider_name, provider_type) IN \
                     (SELECT day, chain, provider_name, provider_type FROM usage_daily \
                      WHERE day < $1 LIMIT {BATCH})"
                ))
                .bind(day)
                .execute(&mut *txn.conn)
                .await,
            };
        done.map(|done| done.rows_affected())
            .map_err(LedgerError::database("take old rows away"))
    }
}

/// Numbers as the JSON array of arrays that `rows_of` takes apart on both engines.
fn wrapped(ids: &[i64]) -> String {
    let rows: Vec<[i64; 1]> = ids.iter().map(|id| [*id]).collect();
    serde_json::to_string(&rows).expect("numbers are JSON")
}
