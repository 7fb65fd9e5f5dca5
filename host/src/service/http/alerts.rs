//! `alerts`: what the operator wants to be told of, and how it stands.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Params;
use super::paging::{Page, PageQuery};
use super::problem::Problem;
use super::views::AssetView;
use crate::clock::rfc3339;
use crate::config::{Alert, AlertWhose};
use crate::ledger::AlertRow;
use crate::service::alerts::set_of;
use crate::service::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
struct AlertView {
    /// As the operator named it.
    name: String,
    /// The chain.
    chain: String,
    /// The list that is summed; null: the addresses, or all lists of the chain.
    set: Option<String>,
    /// The addresses that are summed, where the alert names them.
    addresses: Vec<String>,
    /// Which amounts.
    asset: AssetView,
    /// `below` or `above`.
    side: &'static str,
    /// In the smallest unit.
    threshold: String,
    /// How long the sum must be there.
    for_ms: u64,
    /// `ok`, `pending`, `firing`, or `unknown`: what is not known could decide it.
    state: &'static str,
    /// Whether the last evaluation could tell; a firing alert goes on firing where it could not.
    decided: bool,
    /// The sum of the known amounts; null before the first evaluation.
    amount: Option<String>,
    /// Addresses that it is about.
    cells: u64,
    /// Of them, those whose amount is not known.
    unknown: u64,
    /// Why it could not be evaluated.
    trouble: Option<String>,
    /// Since when the sum is on that side, as far as is known.
    since: Option<String>,
    /// When it last fired.
    fired_at: Option<String>,
    /// When it was last resolved.
    resolved_at: Option<String>,
    /// When it was last evaluated.
    evaluated_at: Option<String>,
}

/// All alerts.
#[utoipa::path(get, path = "/alerts", tag = "events", params(PageQuery),
    responses((status = 200, body = Page<AlertView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<AlertView>>, Problem> {
    let wanted = query.wanted()?;
    let setup = app.setup();
    let rows = app.ledger().alerts().await?;
    let alerts = setup.loaded.config.alerts.iter();
    let items = alerts.map(|alert| {
        let row = rows.iter().find(|row| row.name == alert.name);
        view(alert, row)
    });
    Ok(Json(Page::cut(items.collect(), &wanted)))
}

fn view(alert: &Alert, row: Option<&AlertRow>) -> AlertView {
    AlertView {
        name: alert.name.clone(),
        chain: alert.chain.to_string(),
        set: set_of(alert).map(str::to_owned),
        addresses: match &alert.whose {
            AlertWhose::Addresses(addresses) => addresses.clone(),
            AlertWhose::Chain | AlertWhose::Set(_) => Vec::new(),
        },
        asset: (&alert.asset).into(),
        side: alert.side.as_str(),
        threshold: alert.threshold.to_string(),
        for_ms: u64::try_from(alert.hold.as_millis()).unwrap_or(u64::MAX),
        state: row.map_or("unknown", |row| row.state.as_str()),
        decided: row.is_some_and(|row| row.decided),
        // Of cells that are all unknown there is no sum, not even a zero.
        amount: row
            .filter(|row| row.cells > row.unknown)
            .map(|row| row.amount.clone()),
        cells: row.map_or(0, |row| row.cells),
        unknown: row.map_or(0, |row| row.unknown),
        trouble: row.and_then(|row| row.message.clone()),
        since: row.and_then(|row| row.met_since).map(rfc3339),
        fired_at: row.and_then(|row| row.fired_at).map(rfc3339),
        resolved_at: row.and_then(|row| row.resolved_at).map(rfc3339),
        evaluated_at: row.map(|row| rfc3339(row.evaluated_at)),
    }
}
