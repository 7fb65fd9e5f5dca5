//! How far each webhook is in the events, and how it fares.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::Ledger;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{bigint, get, get_count, statement, texts};
use super::writer::{Txn, Write};

const TABLE: &str = "webhooks";
const COLUMNS: &str = "name, fingerprint, cursor_id, delivered, skipped, failures, last_success, \
    last_error, last_error_msg, next_attempt, gone";

/// A webhook as stored; times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its name in the configuration.
    pub name: String,
    /// Of the configuration that it was last run with.
    pub fingerprint: String,
    /// Everything up to this event was delivered, passed over, or not asked for.
    pub cursor: i64,
    /// Events delivered.
    pub delivered: u64,
    /// Events that were passed over: too old, or too large.
    pub skipped: u64,
    /// Failed attempts in a row.
    pub failures: u64,
    /// When an event was last delivered.
    pub last_success: Option<i64>,
    /// When an attempt last failed.
    pub last_error: Option<i64>,
    /// Why; in words for people.
    pub last_error_msg: Option<String>,
    /// Not before this is the next attempt.
    pub next_attempt: Option<i64>,
    /// The receiver wants nothing any more.
    pub gone: bool,
}

/// Takes up a webhook, or makes one that begins with the next event.
struct BeginWebhook {
    name: String,
    fingerprint: String,
    at_once: bool,
}

struct SaveWebhook(WebhookRow);

struct KeepWebhooks(Vec<String>);

// === impl Ledger ===

impl Ledger {
    /// Takes a webhook up where it was; a new one begins with the next event.
    ///
    /// A changed configuration ends what kept it from trying, as `at_once` does.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn begin_webhook(
        &self,
        name: &str,
        fingerprint: String,
        at_once: bool,
    ) -> Result<WebhookRow, LedgerError> {
        let name = name.to_owned();
        self.write(BeginWebhook {
            name,
            fingerprint,
            at_once,
        })
        .await
    }

    /// Writes down how far a webhook is; one that was forgotten stays so.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn save_webhook(&self, row: WebhookRow) -> Result<(), LedgerError> {
        self.write(SaveWebhook(row)).await
    }

    /// Forgets every webhook but these.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn keep_webhooks(&self, names: Vec<String>) -> Result<(), LedgerError> {
        self.write(KeepWebhooks(names)).await
    }

    /// All webhooks that were begun, by name.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRow>, LedgerError> {
        statement(format!("SELECT {COLUMNS} FROM webhooks ORDER BY name"))
            .all(self.readers(), "read the webhooks")
            .await?
            .iter()
            .map(WebhookRow::from_row)
            .collect()
    }

    /// The first event behind `cursor` that was committed at `since` or later.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn first_event_since(
        &self,
        cursor: i64,
        since: i64,
    ) -> Result<Option<i64>, LedgerError> {
        sqlx::query("SELECT id FROM events WHERE id > $1 AND at >= $2 ORDER BY id LIMIT 1")
            .bind(cursor)
            .bind(since)
            .first(self.readers(), "look for events to be delivered")
            .await?
            .map(|row| get(&row, "events", "id"))
            .transpose()
    }
}

// === impl WebhookRow ===

impl WebhookRow {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        Ok(Self {
            name: get(row, TABLE, "name")?,
            fingerprint: get(row, TABLE, "fingerprint")?,
            cursor: get(row, TABLE, "cursor_id")?,
            delivered: get_count(row, TABLE, "delivered")?,
            skipped: get_count(row, TABLE, "skipped")?,
            failures: get_count(row, TABLE, "failures")?,
            last_success: get(row, TABLE, "last_success")?,
            last_error: get(row, TABLE, "last_error")?,
            last_error_msg: get(row, TABLE, "last_error_msg")?,
            next_attempt: get(row, TABLE, "next_attempt")?,
            gone: get::<i64>(row, TABLE, "gone")? != 0,
        })
    }
}

// === impl BeginWebhook ===

#[async_trait]
impl Write for BeginWebhook {
    type Output = WebhookRow;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<WebhookRow, LedgerError> {
        let doing = LedgerError::database("begin a webhook");
        let found = statement(format!("SELECT {COLUMNS} FROM webhooks WHERE name = $1"))
            .bind(self.name.as_str())
            .fetch_optional(&mut *txn.conn)
            .await
            .map_err(doing)?;
        let Some(found) = found else {
            return txn.insert_webhook(self.name, self.fingerprint).await;
        };
        let mut row = WebhookRow::from_row(&found)?;
        if self.at_once || row.fingerprint != self.fingerprint {
            row.fingerprint = self.fingerprint;
            row.gone = false;
            row.failures = 0;
            row.next_attempt = None;
            SaveWebhook(row.clone()).apply(txn).await?;
        }
        Ok(row)
    }
}

// === impl SaveWebhook ===

#[async_trait]
impl Write for SaveWebhook {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let row = self.0;
        sqlx::query(
            "UPDATE webhooks SET fingerprint = $2, cursor_id = $3, delivered = $4, skipped = $5, \
             failures = $6, last_success = $7, last_error = $8, last_error_msg = $9, \
             next_attempt = $10, gone = $11, updated_at = $12 WHERE name = $1",
        )
        .bind(row.name)
        .bind(row.fingerprint)
        .bind(row.cursor)
        .bind(bigint(row.delivered))
        .bind(bigint(row.skipped))
        .bind(bigint(row.failures))
        .bind(row.last_success)
        .bind(row.last_error)
        .bind(row.last_error_msg)
        .bind(row.next_attempt)
        .bind(i64::from(row.gone))
        .bind(txn.now_ms)
        .execute(&mut *txn.conn)
        .await
        .map(drop)
        .map_err(LedgerError::database("write how far a webhook is"))
    }
}

// === impl KeepWebhooks ===

#[async_trait]
impl Write for KeepWebhooks {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let kept = txn.engine.texts_of(1);
        statement(format!("DELETE FROM webhooks WHERE name NOT IN {kept}"))
            .bind(texts(&self.0))
            .execute(&mut *txn.conn)
            .await
            .map(drop)
            .map_err(LedgerError::database("forget a webhook"))
    }
}

// === impl Txn ===

impl Txn<'_> {
    async fn insert_webhook(
        &mut self,
        name: String,
        fingerprint: String,
    ) -> Result<WebhookRow, LedgerError> {
        let doing = "begin a webhook";
        sqlx::query(
            "INSERT INTO webhooks (name, fingerprint, cursor_id, delivered, skipped, failures, \
             gone, updated_at) \
             SELECT $1, $2, value, 0, 0, 0, 0, $3 FROM counters WHERE name = 'event'",
        )
        .bind(name.as_str())
        .bind(fingerprint)
        .bind(self.now_ms)
        .execute(&mut *self.conn)
        .await
        .map_err(LedgerError::database(doing))?;
        let row = statement(format!("SELECT {COLUMNS} FROM webhooks WHERE name = $1"))
            .bind(name.as_str())
            .fetch_one(&mut *self.conn)
            .await
            .map_err(LedgerError::database(doing))?;
        WebhookRow::from_row(&row)
    }
}
