//! The health of providers, their usage, and the limits they taught.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::Ledger;
use super::error::LedgerError;
use super::events::NewEvent;
use super::readers::Read;
use super::sql::{bigint, get, get_count, get_parsed, statement};
use super::writer::{Txn, Write};
use crate::gate::{CircuitState, HealthStatus, ProviderType};
use crate::model::{ChainName, ProviderName};

const TABLE: &str = "provider_record";

const COLUMNS: &str = "chain, provider_name, provider_type, status, consecutive_fails, \
    last_success, last_error, last_error_msg, circuit_state, updated_at, persisted";

/// Which provider of which chain, in which use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderKey {
    /// The chain.
    pub chain: ChainName,
    /// The provider.
    pub provider: ProviderName,
    /// The use.
    pub kind: ProviderType,
}

/// A row of `provider_health`, with times in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRecord {
    /// Whose row this is.
    pub key: ProviderKey,
    /// How it is.
    pub status: HealthStatus,
    /// Failures since the last success.
    pub consecutive_fails: u32,
    /// When it answered last.
    pub last_success: Option<i64>,
    /// When it failed last.
    pub last_error: Option<i64>,
    /// What the last failure said.
    pub last_error_msg: Option<String>,
    /// Its breaker.
    pub circuit_state: CircuitState,
    /// When this row was written.
    pub updated_at: i64,
    /// What the gate keeps over a restart, in JSON; the ledger does not look inside.
    pub persisted: Option<String>,
}

/// Real HTTP attempts, to be added to a day or read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Attempts.
    pub requests: u64,
    /// Attempts that were answered well.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Attempts that met a rate limit.
    pub rate_limited: u64,
}

/// The usage of one provider on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The day in UTC: `2026-11-21`.
    pub day: String,
    /// Whose usage.
    pub key: ProviderKey,
    /// How much.
    pub usage: Usage,
}

/// A limit that a provider taught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// What is limited: `cells_per_call`.
    pub key: String,
    /// The limit, in the words of whoever learned it.
    pub value: String,
    /// When it is forgotten, in milliseconds since 1970.
    pub expires_at: i64,
}

struct SaveProvider {
    record: ProviderRecord,
    events: Vec<NewEvent>,
}

struct RecordSuccess {
    key: ProviderKey,
    at: i64,
}

struct RecordFailure {
    key: ProviderKey,
    at: i64,
    message: String,
}

struct AddUsage(Vec<UsageRow>);

struct Learn {
    chain: ChainName,
    provider: ProviderName,
    learned: Learned,
}

struct Forget {
    chain: ChainName,
    provider: ProviderName,
    key: String,
}

// === impl Ledger ===

impl Ledger {
    /// Writes a provider's row, new or not, with the events that tell how it came to be so.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn save_provider(
        &self,
        record: ProviderRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), LedgerError> {
        self.write(SaveProvider { record, events }).await
    }

    /// Notes a success: no failures in a row, healthy, last success now.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn record_success(&self, key: ProviderKey, at: i64) -> Result<(), LedgerError> {
        self.write(RecordSuccess { key, at }).await
    }

    /// Notes a failure: one more in a row, last error now; a healthy provider becomes degraded.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn record_failure(
        &self,
        key: ProviderKey,
        at: i64,
        message: impl Into<String>,
    ) -> Result<(), LedgerError> {
        let message = message.into();
        self.write(RecordFailure { key, at, message }).await
    }

    /// The row of one provider.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn provider(&self, key: &ProviderKey) -> Result<Option<ProviderRecord>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM provider_record \
             WHERE chain = $1 AND provider_name = $2 AND provider_type = $3"
        );
        statement(sql)
            .bind(key.chain.as_str())
            .bind(key.provider.as_str())
            .bind(key.kind.as_str())
            .first(self.readers(), "read a provider's health")
            .await?
            .as_ref()
            .map(ProviderRecord::from_row)
            .transpose()
    }

    /// The rows of a chain's providers, by name and type.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn providers_of(
        &self,
        chain: &ChainName,
    ) -> Result<Vec<ProviderRecord>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM provider_record WHERE chain = $1 \
             ORDER BY provider_name, provider_type"
        );
        statement(sql)
            .bind(chain.as_str())
            .all(self.readers(), "read the providers' health")
            .await?
            .iter()
            .map(ProviderRecord::from_row)
            .collect()
    }

    /// All rows, by chain, name and type.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn all_providers(&self) -> Result<Vec<ProviderRecord>, LedgerError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM provider_record ORDER BY chain, provider_name, provider_type"
        );
        statement(sql)
            .all(self.readers(), "read the providers' health")
            .await?
            .iter()
            .map(ProviderRecord::from_row)
            .collect()
    }

    /// Adds attempts to their days, all in one transaction.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was added.
    pub async fn add_usage(&self, rows: Vec<UsageRow>) -> Result<(), LedgerError> {
        self.write(AddUsage(rows)).await
    }

    /// The days from `since` (`2026-11-01`) on, oldest first; of one chain or of all.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn usage(
        &self,
        chain: Option<&ChainName>,
        since: &str,
    ) -> Result<Vec<UsageRow>, LedgerError> {
        let condition = if chain.is_some() {
            " AND chain = $2"
        } else {
            ""
        };
        let sql = format!(
            "SELECT day, chain, provider_name, provider_type, requests, successes, failures, \
             rate_limited FROM usage_daily WHERE day >= $1{condition} \
             ORDER BY day, chain, provider_name, provider_type"
        );
        let mut query = statement(sql).bind(since);
        if let Some(chain) = chain {
            query = query.bind(chain.as_str());
        }
        query
            .all(self.readers(), "read the usage")
            .await?
            .iter()
            .map(UsageRow::from_row)
            .collect()
    }

    /// Remembers a limit that a provider taught; a later one for the same key replaces it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn learn(
        &self,
        chain: &ChainName,
        provider: &ProviderName,
        learned: Learned,
    ) -> Result<(), LedgerError> {
        self.write(Learn {
            chain: chain.clone(),
            provider: provider.clone(),
            learned,
        })
        .await
    }

    /// Forgets a limit before its time.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn forget(
        &self,
        chain: &ChainName,
        provider: &ProviderName,
        key: &str,
    ) -> Result<(), LedgerError> {
        self.write(Forget {
            chain: chain.clone(),
            provider: provider.clone(),
            key: key.to_owned(),
        })
        .await
    }

    /// What a provider taught and what is not expired now.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn learned(
        &self,
        chain: &ChainName,
        provider: &ProviderName,
    ) -> Result<Vec<Learned>, LedgerError> {
        let rows = sqlx::query(
            "SELECT key, value, expires_at FROM learned \
             WHERE chain = $1 AND provider = $2 AND expires_at > $3 ORDER BY key",
        )
        .bind(chain.as_str())
        .bind(provider.as_str())
        .bind(self.now_ms())
        .all(self.readers(), "read learned limits")
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Learned {
                    key: get(row, "learned", "key")?,
                    value: get(row, "learned", "value")?,
                    expires_at: get(row, "learned", "expires_at")?,
                })
            })
            .collect()
    }
}

// === impl ProviderKey ===

impl ProviderKey {
    fn from_row(row: &AnyRow, table: &'static str) -> Result<Self, LedgerError> {
        Ok(Self {
            chain: get::<String>(row, table, "chain")?.into(),
            provider: get::<String>(row, table, "provider_name")?.into(),
            kind: get_parsed(row, table, "provider_type", ProviderType::parse)?,
        })
    }
}

// === impl ProviderRecord ===

impl ProviderRecord {
    /// The row of a provider that nothing is known of yet.
    #[must_use]
    pub fn new(key: ProviderKey, now_ms: i64) -> Self {
        Self {
            key,
            status: HealthStatus::Healthy,
            consecutive_fails: 0,
            last_success: None,
            last_error: None,
            last_error_msg: None,
            circuit_state: CircuitState::Closed,
            updated_at: now_ms,
            persisted: None,
        }
    }

    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let fails = get_count(row, TABLE, "consecutive_fails")?;
        Ok(Self {
            key: ProviderKey::from_row(row, TABLE)?,
            status: get_parsed(row, TABLE, "status", HealthStatus::parse)?,
            consecutive_fails: u32::try_from(fails).unwrap_or(u32::MAX),
            last_success: get(row, TABLE, "last_success")?,
            last_error: get(row, TABLE, "last_error")?,
            last_error_msg: get(row, TABLE, "last_error_msg")?,
            circuit_state: get_parsed(row, TABLE, "circuit_state", CircuitState::parse)?,
            updated_at: get(row, TABLE, "updated_at")?,
            persisted: get(row, TABLE, "persisted")?,
        })
    }
}

// === impl UsageRow ===

impl UsageRow {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let table = "usage_daily";
        Ok(Self {
            day: get(row, table, "day")?,
            key: ProviderKey::from_row(row, table)?,
            usage: Usage {
                requests: get_count(row, table, "requests")?,
                successes: get_count(row, table, "successes")?,
                failures: get_count(row, table, "failures")?,
                rate_limited: get_count(row, table, "rate_limited")?,
            },
        })
    }
}

// === impl SaveProvider ===

#[async_trait]
impl Write for SaveProvider {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        let record = self.record;
        let sql = format!(
            "INSERT INTO provider_record ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (chain, provider_name, provider_type) DO UPDATE SET \
             status = excluded.status, consecutive_fails = excluded.consecutive_fails, \
             last_success = excluded.last_success, last_error = excluded.last_error, \
             last_error_msg = excluded.last_error_msg, circuit_state = excluded.circuit_state, \
             updated_at = excluded.updated_at, persisted = excluded.persisted"
        );
        statement(sql)
            .bind(record.key.chain.as_str())
            .bind(record.key.provider.as_str())
            .bind(record.key.kind.as_str())
            .bind(record.status.as_str())
            .bind(i64::from(record.consecutive_fails))
            .bind(record.last_success)
            .bind(record.last_error)
            .bind(record.last_error_msg)
            .bind(record.circuit_state.as_str())
            .bind(record.updated_at)
            .bind(record.persisted)
            .execute(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("write a provider's health"))?;
        txn.add_events(&self.events).await?;
        Ok(())
    }
}

// === impl RecordSuccess ===

#[async_trait]
impl Write for RecordSuccess {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO provider_record (chain, provider_name, provider_type, last_success, \
             updated_at) VALUES ($1, $2, $3, $4, $4) \
             ON CONFLICT (chain, provider_name, provider_type) DO UPDATE SET \
             status = 'healthy', consecutive_fails = 0, last_success = excluded.last_success, \
             updated_at = excluded.updated_at",
        )
        .bind(self.key.chain.as_str())
        .bind(self.key.provider.as_str())
        .bind(self.key.kind.as_str())
        .bind(self.at)
        .execute(&mut *txn.conn)
        .await
        .map_err(LedgerError::database("write a provider's success"))?;
        Ok(())
    }
}

// === impl RecordFailure ===

#[async_trait]
impl Write for RecordFailure {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO provider_record (chain, provider_name, provider_type, status, \
             consecutive_fails, last_error, last_error_msg, updated_at) \
             VALUES ($1, $2, $3, 'degraded', 1, $4, $5, $4) \
             ON CONFLICT (chain, provider_name, provider_type) DO UPDATE SET \
             status = CASE WHEN provider_record.status = 'healthy' THEN 'degraded' \
             ELSE provider_record.status END, \
             consecutive_fails = provider_record.consecutive_fails + 1, \
             last_error = excluded.last_error, last_error_msg = excluded.last_error_msg, \
             updated_at = excluded.updated_at",
        )
        .bind(self.key.chain.as_str())
        .bind(self.key.provider.as_str())
        .bind(self.key.kind.as_str())
        .bind(self.at)
        .bind(self.message)
        .execute(&mut *txn.conn)
        .await
        .map_err(LedgerError::database("write a provider's failure"))?;
        Ok(())
    }
}

// === impl AddUsage ===

#[async_trait]
impl Write for AddUsage {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        for row in self.0 {
            sqlx::query(
                "INSERT INTO usage_daily (day, chain, provider_name, provider_type, requests, \
                 successes, failures, rate_limited) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (day, chain, provider_name, provider_type) DO UPDATE SET \
                 requests = usage_daily.requests + excluded.requests, \
                 successes = usage_daily.successes + excluded.successes, \
                 failures = usage_daily.failures + excluded.failures, \
                 rate_limited = usage_daily.rate_limited + excluded.rate_limited",
            )
            .bind(row.day)
            .bind(row.key.chain.as_str())
            .bind(row.key.provider.as_str())
            .bind(row.key.kind.as_str())
            .bind(bigint(row.usage.requests))
            .bind(bigint(row.usage.successes))
            .bind(bigint(row.usage.failures))
            .bind(bigint(row.usage.rate_limited))
            .execute(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("write the usage"))?;
        }
        Ok(())
    }
}

// === impl Learn ===

#[async_trait]
impl Write for Learn {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO learned (chain, provider, key, value, expires_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (chain, provider, key) DO UPDATE SET \
             value = excluded.value, expires_at = excluded.expires_at",
        )
        .bind(self.chain.as_str())
        .bind(self.provider.as_str())
        .bind(self.learned.key)
        .bind(self.learned.value)
        .bind(self.learned.expires_at)
        .execute(&mut *txn.conn)
        .await
        .map_err(LedgerError::database("write a learned limit"))?;
        Ok(())
    }
}

// === impl Forget ===

#[async_trait]
impl Write for Forget {
    type Output = ();

    async fn apply(self, txn: &mut Txn<'_>) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM learned WHERE chain = $1 AND provider = $2 AND key = $3")
            .bind(self.chain.as_str())
            .bind(self.provider.as_str())
            .bind(self.key)
            .execute(&mut *txn.conn)
            .await
            .map_err(LedgerError::database("forget a learned limit"))?;
        Ok(())
    }
}
