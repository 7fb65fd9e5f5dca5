//! Lists in pages: `limit`, and a cursor that says behind which row to go on.
//!
//! A cursor is the key of the last row, so a list that grows while it is read is neither doubled
//! nor cut. What is in it is nobody's business but ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// Rows of a page where nobody says.
const LIMIT_DEFAULT: u32 = 100;
/// Most rows of a page.
const LIMIT_MAX: u32 = 1_000;

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The rows.
    pub(super) items: Vec<T>,
    /// Where to go on; null on the last page.
    pub(super) next_cursor: Option<String>,
}

// === impl PageQuery ===

/// Rows wanted, and behind which key.
#[derive(Clone, Debug)]
pub(super) struct Wanted<K> {
    pub(super) limit: u32,
    pub(super) after: Option<K>,
}

/// Reads `limit` and `cursor`.
pub(super) fn wanted<K: DeserializeOwned>(
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Wanted<K>, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("`limit` is {limit}; write 1 to {LIMIT_MAX}");
        return Err(Problem::bad_request("invalid_limit", detail));
    }
    let after = cursor
        .map(|cursor| {
            let json = URL_SAFE_NO_PAD.decode(cursor).ok();
            json.and_then(|json| serde_json::from_slice(&json).ok())
                .ok_or_else(|| {
                    Problem::bad_request(
                        "invalid_cursor",
                        "`cursor` is none of this list's; take `next_cursor` of the page before",
                    )
                })
        })
        .transpose()?;
    Ok(Wanted { limit, after })
}

impl PageQuery {
    pub(super) fn wanted<K: DeserializeOwned>(&self) -> Result<Wanted<K>, Problem> {
        wanted(self.limit, self.cursor.as_deref())
    }
}

// === impl Page ===

impl<T> Page<T> {
    /// A page of a list that is in memory; what is counted are its rows.
    pub(super) fn cut(items: Vec<T>, wanted: &Wanted<usize>) -> Self {
        let rows = items.into_iter().enumerate();
        let rows = rows.skip(wanted.after.map_or(0, |after| after.saturating_add(1)));
        let rows = rows.take(wanted.limit as usize + 1).collect();
        Self::of(rows, wanted.limit, |(at, _)| *at, |(_, item)| item)
    }

    /// A page of rows that were read with one more than `limit`, to see whether more follow.
    pub(super) fn of<R, K: Serialize>(
        mut rows: Vec<R>,
        limit: u32,
        key: impl FnOnce(&R) -> K,
        item: impl FnMut(R) -> T,
    ) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(key);
        let next_cursor = last.map(|key| {
            let json = serde_json::to_vec(&key).expect("a key is numbers and texts");
            URL_SAFE_NO_PAD.encode(json)
        });
        Self {
            items: rows.into_iter().map(item).collect(),
            next_cursor,
        }
    }
}
