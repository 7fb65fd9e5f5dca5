//! Many rows in one statement.
//!
//! PostgreSQL takes them as one JSON array of arrays: the statement stays the same however many
//! there are. SQLite, in the same process, is faster with a value list and parameters without
//! numbers, which it need not look up; statements of 1, 2, 4 … rows serve every number of rows, so
//! that few of them are kept prepared.

use serde_json::Value;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Error};

use super::engine::Engine;
use super::sql::statement;
use super::writer::Txn;

/// The most rows of a value list. SQLite allows 32,766 parameters.
const ROWS_MAX: usize = 256;

/// A statement that writes many rows at once.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) table: &'static str,
    /// In the order of a row's values.
    pub(super) columns: &'static [Column],
    /// What happens to rows that are there already; may be empty.
    pub(super) on_conflict: &'static str,
}

/// A column of an [`Insert`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Text(&'static str),
    Bigint(&'static str),
}

// === impl Txn ===

impl Txn<'_> {
    /// Writes rows, each an array of its columns' values; how many were written.
    pub(super) async fn insert(&mut self, insert: &Insert, rows: Vec<Value>) -> sqlx::Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        match self.engine {
            Engine::Sqlite => self.insert_values(insert, rows).await,
            Engine::Postgres => self.insert_json(insert, rows).await,
        }
    }

    async fn insert_values(&mut self, insert: &Insert, rows: Vec<Value>) -> sqlx::Result<u64> {
        let mut written = 0;
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let count = ROWS_MAX.min(1 << rows.len().ilog2());
            let mut query = statement(insert.values(count));
            for row in rows.by_ref().take(count) {
                query = insert.bind(query, row)?;
            }
            written += query.execute(&mut *self.conn).await?.rows_affected();
        }
        Ok(written)
    }

    async fn insert_json(&mut self, insert: &Insert, rows: Vec<Value>) -> sqlx::Result<u64> {
        let done = statement(insert.json(&self.engine.rows_of(1)))
            .bind(Value::Array(rows).to_string())
            .execute(&mut *self.conn)
            .await?;
        Ok(done.rows_affected())
    }
}

// === impl Insert ===

impl Insert {
    /// Takes `rows` rows as parameters.
    fn values(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        format!(
            "INSERT INTO {} ({}) VALUES {} {}",
            self.table,
            self.names(),
            vec![row; rows].join(","),
            self.on_conflict,
        )
    }

    /// Takes its rows from `rows`, a table of JSON arrays in the column `value`.
    fn json(&self, rows: &str) -> String {
        let columns = self.columns.iter().enumerate();
        let values: Vec<_> = columns
            .map(|(place, column)| match column {
                Column::Text(_) => format!("value ->> {place}"),
                Column::Bigint(_) => format!("CAST(value ->> {place} AS BIGINT)"),
            })
            .collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {rows} {}",
            self.table,
            self.names(),
            values.join(", "),
            self.on_conflict,
        )
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name()).collect();
        names.join(", ")
    }

    fn bind<'q>(
        &self,
        mut query: Query<'q, Any, AnyArguments>,
        row: Value,
    ) -> sqlx::Result<Query<'q, Any, AnyArguments>> {
        let Value::Array(values) = row else {
            return Err(self.misfit("a row is no array"));
        };
        if values.len() != self.columns.len() {
            return Err(self.misfit("a row has another number of values than there are columns"));
        }
        for (column, value) in self.columns.iter().zip(values) {
            query = match (column, value) {
                (Column::Text(_), Value::Null) => query.bind(None::<String>),
                (Column::Text(_), Value::String(text)) => query.bind(text),
                (Column::Bigint(_), Value::Null) => query.bind(None::<i64>),
                (Column::Bigint(_), Value::Number(number)) if number.is_i64() => {
                    query.bind(number.as_i64())
                }
                (column, value) => {
                    return Err(self.misfit(&format!("`{}` cannot be {value}", column.name())));
                }
            };
        }
        Ok(query)
    }

    fn misfit(&self, why: &str) -> Error {
        Error::Encode(format!("a row for `{}`: {why}", self.table).into())
    }
}

// === impl Column ===

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Bigint(name) => name,
        }
    }
}
