//! `decisions`: who got which call, and why others did not.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Params;
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::clock::rfc3339;
use crate::pool::decision::{Decision, Skip};
use crate::service::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only this chain's.
    chain: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One dispatch: who was considered, who got the call.
#[derive(Debug, Serialize, ToSchema)]
struct DecisionView {
    /// Grows with every dispatch.
    id: i64,
    /// When.
    at: String,
    /// The chain.
    chain: String,
    /// The scan.
    scan: String,
    /// `work`, `identity`, `trial` or `sample`.
    purpose: String,
    /// Who got the call; null: nobody could, and the scan waits.
    provider: Option<String>,
    /// Cells that travelled, or that wait.
    cells: u64,
    /// The other providers, in the pool's order.
    skipped: Vec<SkippedView>,
}

/// A provider that did not get the call.
#[derive(Debug, Serialize, ToSchema)]
struct SkippedView {
    /// Which.
    provider: String,
    /// A word for programs.
    why: String,
    /// When that ends by itself, where it is known.
    until: Option<String>,
}

/// The newest decisions, newest first; a few thousand are kept.
#[utoipa::path(get, path = "/decisions", tag = "providers", params(ListQuery),
    responses((status = 200, body = Page<DecisionView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<DecisionView>>, Problem> {
    let page = wanted::<i64>(query.limit, query.cursor.as_deref())?;
    let setup = app.setup();
    let chain = match &query.chain {
        Some(name) => Some(views::chain(&setup, name)?.chain.name.clone()),
        None => None,
    };
    app.store_decisions().await?;
    let rows = app
        .ledger()
        .decisions(chain.as_ref(), page.after, page.limit + 1)
        .await?;
    let key = |decision: &Decision| decision.id;
    Ok(Json(Page::of(rows, page.limit, key, DecisionView::from)))
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        let word = |value: serde_json::Result<serde_json::Value>| match value {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(),
        };
        let skipped = decision.skipped.into_iter().map(|skipped| SkippedView {
            provider: skipped.provider.to_string(),
            why: word(serde_json::to_value::<Skip>(skipped.why)),
            until: skipped.until.map(rfc3339),
        });
        Self {
            id: decision.id,
            at: rfc3339(decision.at),
            chain: decision.chain.to_string(),
            scan: decision.scan.to_string(),
            purpose: word(serde_json::to_value(decision.purpose)),
            provider: decision.provider.map(|name| name.to_string()),
            cells: decision.cells,
            skipped: skipped.collect(),
        }
    }
}
