//! Small helpers for statements whose length depends on the data.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::Hash;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, ColumnIndex, Decode, Row, Type};

use super::error::LedgerError;

/// `$FIRST, …` for `count` parameters.
pub(super) fn list(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 7);
    for parameter in first..first + count {
        if parameter > first {
            text.push_str(", ");
        }
        // Infallible: a String takes everything.
        let _ = write!(text, "${parameter}");
    }
    text
}

/// `($1, $2), ($3, $4)` for `rows` rows of `columns` parameters.
pub(super) fn rows(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 8);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        text.push_str(&list(row * columns + 1, columns));
        text.push(')');
    }
    text
}

/// A statement put together from constants and parameter lists, never from data.
pub(super) fn statement<'q>(sql: String) -> Query<'q, Any, AnyArguments> {
    // Their lengths vary: keeping each one prepared would only fill the cache.
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through_all_rows() {
        assert_eq!(rows(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(list(4, 2), "$4, $5");
    }
}
