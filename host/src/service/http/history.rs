//! `balances/history`: every change of a balance.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::balances;
use super::extract::Params;
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::clock::rfc3339;
use crate::ledger::{BalanceFilter, HistoryRow, LedgerError};
use crate::service::app::App;

/// Rows of a CSV that are read at once.
const CHUNK: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Only this chain's.
    chain: Option<String>,
    /// Only of these addresses, with commas between them; with `chain` in any spelling.
    address: Option<String>,
    /// Only of the addresses of this set.
    set: Option<String>,
    /// Only of these assets, by symbol or contract, with commas between them.
    asset: Option<String>,
    /// `json`, the default, or `csv`, which has all rows at once.
    format: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One change of a balance.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeView {
    /// Grows with every change.
    id: i64,
    /// The chain.
    chain: String,
    /// The address in its canonical form.
    address: String,
    /// The asset's symbol.
    asset: String,
    /// Its contract; null for the native coin.
    contract: Option<String>,
    /// The amount before; null for the first value ever known.
    previous: Option<String>,
    /// The amount since, in the smallest unit.
    amount: String,
    /// Digits behind the point.
    decimals: u8,
    /// How settled the block was.
    commitment: String,
    /// Who answered.
    provider: String,
    /// Block height, on Solana the slot.
    height: Option<u64>,
    /// The block's hash, where the provider told it.
    block_hash: Option<String>,
    /// When it was read.
    observed_at: String,
    /// The scan that read it.
    scan: String,
}

/// Every change of a balance, oldest first, as far back as it is kept.
#[utoipa::path(get, path = "/balances/history", tag = "balances", params(HistoryQuery),
    responses(
        (status = 200, content(
            (Page<ChangeView> = "application/json"),
            (String = "text/csv; charset=utf-8"))),
        (status = "4XX", body = Problem)))]
async fn history(
    State(app): State<App>,
    headers: HeaderMap,
    Params(query): Params<HistoryQuery>,
) -> Result<Response, Problem> {
    let wanted = wanted::<i64>(query.limit, query.cursor.as_deref())?;
    let filter = balances::filter(
        &app,
        query.chain.as_deref(),
        query.address.as_deref(),
        query.set.as_deref(),
        query.asset.as_deref(),
    )
    .await?;
    let accepts = headers.get(header::ACCEPT);
    let accepts_csv = accepts.is_some_and(|accept| accept.as_bytes().starts_with(b"text/csv"));
    let after = wanted.after.unwrap_or(0);
    match query.format.as_deref() {
        Some("csv") => return Ok(csv(app, filter, after)),
        None if accepts_csv => return Ok(csv(app, filter, after)),
        None | Some("json") => {}
        Some(_) => {
            let detail = "`format` is one of json, csv";
            return Err(Problem::bad_request("invalid_query", detail));
        }
    }
    let rows = app
        .ledger()
        .history(&filter, after, wanted.limit + 1)
        .await?;
    let page = Page::of(rows, wanted.limit, |row| row.id, ChangeView::from);
    Ok(Json(page).into_response())
}

/// All rows as they are read; a store that breaks meanwhile cuts the answer, which is seen.
fn csv(app: App, filter: BalanceFilter, after: i64) -> Response {
    let rows = try_unfold(
        (app, filter, Some(after)),
        |(app, filter, after)| async move {
            let Some(after) = after else {
                return Ok::<_, LedgerError>(None);
            };
            let rows = app.ledger().history(&filter, after, CHUNK).await?;
            let next = rows.last().map(|row| row.id);
            let mut writer = csv::WriterBuilder::new()
                .has_headers(after == 0)
                .from_writer(Vec::new());
            for row in rows {
                // Writing into memory does not fail.
                let _ = writer.serialize(ChangeView::from(row));
            }
            let bytes = Bytes::from(writer.into_inner().unwrap_or_default());
            Ok(Some((bytes, (app, filter, next))))
        },
    );
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    (kind, Body::from_stream(rows)).into_response()
}

impl From<HistoryRow> for ChangeView {
    fn from(row: HistoryRow) -> Self {
        Self {
            id: row.id,
            chain: row.chain.to_string(),
            asset: row.symbol.to_string(),
            contract: views::contract(&row.cell.asset),
            address: row.cell.address,
            previous: row.previous.map(|amount| amount.to_string()),
            amount: row.amount.to_string(),
            decimals: row.decimals,
            commitment: row.commitment,
            provider: row.provider.to_string(),
            height: row.height,
            block_hash: row.block_hash,
            observed_at: rfc3339(row.observed_at),
            scan: row.pass.to_string(),
        }
    }
}
