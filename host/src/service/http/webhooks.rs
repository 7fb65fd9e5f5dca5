//! `webhooks`: who is told of events, and how that goes.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Params;
use super::paging::{Page, PageQuery};
use super::problem::Problem;
use crate::clock::rfc3339;
use crate::config::Webhook;
use crate::ledger::WebhookRow;
use crate::service::app::App;
use crate::service::webhooks::filter_of;

/// Events that are counted; nobody waits for a count of millions.
const PENDING_MAX: u32 = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A receiver of events.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookView {
    /// As the operator named it.
    name: String,
    /// Scheme, host and port; the rest of the address may be secret.
    origin: String,
    /// The events it is told of; empty is all.
    events: Vec<&'static str>,
    /// The chains it is told of; empty is all.
    chains: Vec<String>,
    /// `ok`, `failing`, or `gone`: it answered 410, and is left alone until its configuration changes.
    status: &'static str,
    /// Events that wait for it, counted up to 10,000.
    pending: u64,
    /// Events that it took.
    delivered: u64,
    /// Events that were passed over, because it did not take them in time.
    skipped: u64,
    /// Failed attempts in a row.
    failures: u64,
    /// When it last took an event.
    last_success_at: Option<String>,
    /// When an attempt last failed.
    last_error_at: Option<String>,
    /// Why.
    last_error: Option<String>,
    /// When the next attempt will be made, while it fails.
    next_attempt_at: Option<String>,
}

/// All webhooks, and how far each is.
#[utoipa::path(get, path = "/webhooks", tag = "events", params(PageQuery),
    responses((status = 200, body = Page<WebhookView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let wanted = query.wanted()?;
    let setup = app.setup();
    let rows = app.ledger().webhooks().await?;
    let mut items = Vec::new();
    for webhook in &setup.loaded.config.webhooks {
        let row = rows.iter().find(|row| row.name == webhook.name);
        let pending = match row {
            Some(row) => {
                let filter = filter_of(webhook);
                let count = app.ledger().count_events(row.cursor, &filter, PENDING_MAX);
                count.await?
            }
            None => 0,
        };
        items.push(view(webhook, row, pending));
    }
    Ok(Json(Page::cut(items, &wanted)))
}

fn view(webhook: &Webhook, row: Option<&WebhookRow>, pending: u64) -> WebhookView {
    WebhookView {
        name: webhook.name.clone(),
        origin: webhook.url.origin(),
        events: webhook.events.clone(),
        chains: webhook.chains.iter().map(ToString::to_string).collect(),
        status: match row {
            Some(row) if row.gone => "gone",
            Some(row) if row.failures > 0 => "failing",
            _ => "ok",
        },
        pending,
        delivered: row.map_or(0, |row| row.delivered),
        skipped: row.map_or(0, |row| row.skipped),
        failures: row.map_or(0, |row| row.failures),
        last_success_at: row.and_then(|row| row.last_success).map(rfc3339),
        last_error_at: row.and_then(|row| row.last_error).map(rfc3339),
        last_error: row.and_then(|row| row.last_error_msg.clone()),
        next_attempt_at: row.and_then(|row| row.next_attempt).map(rfc3339),
    }
}
