//! Small helpers for statements and rows.

use std::collections::HashSet;
use std::hash::Hash;

use serde_json::Value;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, ColumnIndex, Decode, Row, Type};

use super::error::LedgerError;

/// Texts as the JSON array that [`Engine::texts_of`](super::engine::Engine::texts_of) takes apart.
pub(super) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts = texts.into_iter().map(|text| Value::from(text.as_ref()));
    Value::Array(texts.collect()).to_string()
}

/// A statement put together from constants, never from data.
pub(super) fn statement<'q>(sql: String) -> Query<'q, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(sql))
}

/// The items without repeats, in the order of their first appearance.
pub(super) fn distinct<T: Copy + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items
        .into_iter()
        .filter(|item| seen.insert(*item))
        .collect()
}

/// A column of a row of `table`.
pub(super) fn get<'r, T>(
    row: &'r AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<T, LedgerError>
where
    T: Decode<'r, Any> + Type<Any>,
    &'static str: ColumnIndex<AnyRow>,
{
    row.try_get(column).map_err(|error| LedgerError::Row {
        table,
        reason: format!("`{column}`: {error}"),
    })
}

/// A column that holds a number that is never negative.
pub(super) fn get_count(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<u64, LedgerError> {
    let value: i64 = get(row, table, column)?;
    u64::try_from(value).map_err(|_| LedgerError::Row {
        table,
        reason: format!("`{column}` is {value}"),
    })
}

/// A column that holds text in a form of its own.
pub(super) fn get_parsed<T>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, LedgerError> {
    let text: String = get(row, table, column)?;
    parse(&text).ok_or_else(|| LedgerError::Row {
        table,
        reason: format!("`{column}` is `{text}`"),
    })
}

/// A count as the store's BIGINT.
pub(super) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
