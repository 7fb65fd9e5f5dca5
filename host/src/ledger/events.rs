//! The events that happened, in the order of their commits.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Ledger;
use super::bulk::{Column, Insert};
use super::engine::Engine;
use super::error::LedgerError;
use super::readers::Read;
use super::sql::{bigint, get, get_count, statement, texts};
use super::writer::{Txn, Write};
use crate::model::{ChainName, PassId};

/// An event to be stored with the data it tells of.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The event's name: `scan_started`, `provider_state`.
    pub kind: &'static str,
    /// The chain it belongs to, where it belongs to one.
    pub chain: Option<ChainName>,
    /// The pass it belongs to, where it belongs to one.
    pub scan: Option<PassId>,
    /// The payload.
    pub data: Value,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Grows with every commit; never used twice.
    pub id: i64,
    /// The event's name.
    pub kind: String,
    /// The chain it belongs to, where it belongs to one.
    pub chain: Option<ChainName>,
    /// The pass it belongs to, where it belongs to one.
    pub scan: Option<PassId>,
    /// The payload.
    pub data: Value,
    /// When it was committed, in milliseconds since 1970.
    pub at: i64,
}

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only these chains; empty means all.
    pub chains: Vec<ChainName>,
    /// Only these names; empty means all.
    pub kinds: Vec<String>,
}

struct AddEvents(Vec<NewEvent>);

const TABLE: &str = "events";

const INSERT: Insert = Insert {
    table: TABLE,
    columns: &[
        Column::Bigint("id"),
        Column::Text("type"),
        Column::Text("chain"),
        Column::Text("scan"),
        Column::Text("data"),
        Column::Bigint("at"),
    ],
    on_conflict: "",
};

// === impl Ledger ===

impl Ledger {
    /// Stores events that no other data travels with; their ids, in order.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when nothing was written.
    pub async fn add_events(&self, events: Vec<NewEvent>) -> Result<Vec<i64>, LedgerError> {
        self.write(AddEvents(events)).await
    }

    /// At most `limit` events after the id `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn events_after(
        &self,
        after: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, LedgerError> {
        self.events("id > $1", "id", after, filter, limit).await
    }

    /// At most `limit` events before the id `before`, newest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn events_before(
        &self,
        before: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, LedgerError> {
        self.events("id < $1", "id DESC", before, filter, limit)
            .await
    }

    /// Events on one side of the id `edge`.
    async fn events(
        &self,
        side: &str,
        order: &str,
        edge: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, LedgerError> {
        let wanted = filter.conditions(self.engine());
        let sql = format!(
            "SELECT id, type, chain, scan, data, at FROM events WHERE {side}{wanted} \
             ORDER BY {order} LIMIT $2"
        );
        statement(sql)
            .bind(edge)
            .bind(i64::from(limit))
            .bind(texts(filter.chains.iter().map(ChainName::as_str)))
            .bind(texts(&filter.kinds))
            .all(self.readers(), "read events")
            .await?
            .iter()
            .map(StoredEvent::from_row)
            .collect()
    }

    /// How many events with an id above `after` the filter lets through, counted up to `most`.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn count_events(
        &self,
        after: i64,
        filter: &EventFilter,
        most: u32,
    ) -> Result<u64, LedgerError> {
        let wanted = filter.conditions(self.engine());
        let sql = format!(
            "SELECT COUNT(*) AS events FROM \
             (SELECT id FROM events WHERE id > $1{wanted} LIMIT $2) AS found"
        );
        let row = statement(sql)
            .bind(after)
            .bind(i64::from(most))
            .bind(texts(filter.chains.iter().map(ChainName::as_str)))
            .bind(texts(&filter.kinds))
            .first(self.readers(), "count events")
            .await?;
        row.map_or(Ok(0), |row| get_count(&row, TABLE, "events"))
    }

    /// The oldest event that is still kept; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the store cannot be read.
    pub async fn oldest_event(&self) -> Result<Option<i64>, LedgerError> {
        let row = sqlx::query("SELECT MIN(id) AS id FROM events")
            .first(self.readers(), "read the oldest event")
            .await?;
        match row {
            Some(row) => get(&row, TABLE, "id"),
            None => Ok(None),
        }
    }
}

// === impl EventFilter ===

impl EventFilter {
    /// What must hold besides, over the parameters `$3` and `$4`.
    fn conditions(&self, engine: Engine) -> String {
        let mut conditions = String::new();
        if !self.chains.is_empty() {
            conditions.push_str(&format!(" AND chain IN {}", engine.texts_of(3)));
        }
        if !self.kinds.is_empty() {
            conditions.push_str(&format!(" AND type IN {}", engine.texts_of(4)));
        }
        conditions
    }
}

// === impl StoredEvent ===

impl StoredEvent {
    fn from_row(row: &AnyRow) -> Result<Self, LedgerError> {
        let data: String = get(row, TABLE, "data")?;
        Ok(Self {
            id: get(row, TABLE, "id")?,
            kind: get(row, TABLE, "type")?,
            chain: get::<Option<String>>(row, TABLE, "chain")?.map(ChainName::from),
            scan: get::<Option<String>>(row, TABLE, "scan")?.map(PassId::from),
            data: serde_json::from_str(&data).map_err(|error| LedgerError::Row {
                table: TABLE,
                reason: format!("`data`: {error}"),
            })?,
            at: get(row, TABLE, "at")?,
        })
    }
}

// === impl AddEvents ===

#[async_trait]
impl Write for AddEvents {
    type Output = Vec<i64>;

    async fn apply(self, txn: &mut Txn<'_>) -> Result<Vec<i64>, LedgerError> {
        txn.add_events(&self.0).await
    }
}

// === impl Txn ===

impl Txn<'_> {
    /// The first of `count` numbers that nobody else gets.
    pub(super) async fn take_ids(
        &mut self,
        counter: &'static str,
        count: usize,
    ) -> Result<i64, LedgerError> {
        let count = bigint(count as u64);
        let last: i64 =
            sqlx::query("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
                .bind(count)
                .bind(counter)
                .fetch_one(&mut *self.conn)
                .await
                .and_then(|row| row.try_get(0))
                .map_err(LedgerError::database("take ids"))?;
        Ok(last - count + 1)
    }

    /// Stores events in the given order; their ids.
    pub(super) async fn add_events(
        &mut self,
        events: &[NewEvent],
    ) -> Result<Vec<i64>, LedgerError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.take_ids("event", events.len()).await?;
        let ids: Vec<i64> = (first..).take(events.len()).collect();
        let rows = ids.iter().zip(events).map(|(id, event)| {
            json!([
                id,
                event.kind,
                event.chain,
                event.scan,
                event.data.to_string(),
                self.now_ms,
            ])
        });
        let rows = rows.collect();
        self.insert(&INSERT, rows)
            .await
            .map_err(LedgerError::database("write events"))?;
        self.last_event = ids.last().copied().or(self.last_event);
        Ok(ids)
    }
}
