//! `chains`: what is configured, how fresh it is, what runs.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Params, Segments};
use super::paging::{Page, PageQuery};
use super::problem::Problem;
use super::views::{self, AssetView, ProviderErrorView, Scan};
use crate::clock::rfc3339;
use crate::ledger::{PassFilter, PassKind, PassStatus};
use crate::service::app::App;
use crate::service::setup::ChainSetup;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// A chain and how it stands.
#[derive(Debug, Serialize, ToSchema)]
struct ChainView {
    /// As the operator named it.
    name: String,
    /// `mainnet`, `testnet`, …
    network: &'static str,
    /// What the chain says of itself; null is not checked.
    identity: Option<String>,
    /// `failover` or `spread`.
    strategy: &'static str,
    /// How settled amounts must be.
    commitment: &'static str,
    /// What is read of each address.
    assets: Vec<AssetView>,
    /// Providers in their order.
    pool: Vec<String>,
    /// Providers that could not be loaded, and why.
    unusable: Vec<ProviderErrorView>,
    /// Time from the start of one scan to the next; null: only when asked.
    every_ms: Option<u64>,
    /// When the next scan begins by itself.
    next_scan_at: Option<String>,
    /// Why the last scan could not begin.
    trouble: Option<String>,
    /// The scan of the chain's set that is running.
    scan: Option<Scan>,
    /// The last one that has ended.
    last_scan: Option<Scan>,
    /// When a scan was last complete.
    last_complete_at: Option<String>,
    /// What the store holds.
    balances: BalancesOf,
    /// Cells that the newest scan of the set does not know; null where there was none.
    holes: Option<u64>,
}

/// The balances of a chain, together.
#[derive(Debug, Serialize, ToSchema)]
struct BalancesOf {
    /// Cells that are known.
    count: u64,
    /// The oldest of them.
    oldest_observed_at: Option<String>,
    /// The newest of them.
    newest_observed_at: Option<String>,
}

/// All chains.
#[utoipa::path(get, path = "/chains", tag = "chains", params(PageQuery),
    responses((status = 200, body = Page<ChainView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<ChainView>>, Problem> {
    let wanted = query.wanted()?;
    let setup = app.setup();
    let mut items = Vec::new();
    for chain in setup.chains.values() {
        items.push(view(&app, chain).await?);
    }
    Ok(Json(Page::cut(items, &wanted)))
}

/// One chain.
#[utoipa::path(get, path = "/chains/{chain}", tag = "chains", params(("chain" = String, Path,)),
    responses((status = 200, body = ChainView), (status = "4XX", body = Problem)))]
async fn show(
    State(app): State<App>,
    Segments(name): Segments<String>,
) -> Result<Json<ChainView>, Problem> {
    let setup = app.setup();
    let chain = views::chain(&setup, &name)?;
    Ok(Json(view(&app, chain).await?))
}

async fn view(app: &App, setup: &ChainSetup) -> Result<ChainView, Problem> {
    let ChainSetup { chain, pool } = setup;
    let ledger = app.ledger();
    let filter = |status| PassFilter {
        chain: Some(chain.name.clone()),
        kind: Some(PassKind::Set),
        status,
    };
    let newest = ledger.pass_page(&filter(None), None, 2).await?;
    let complete = filter(Some(PassStatus::Complete));
    let complete = ledger.pass_page(&complete, None, 1).await?;
    let holes = match newest.first() {
        Some(pass) => Some(ledger.hole_count(&pass.id).await?),
        None => None,
    };
    let extent = ledger.balance_extent(&chain.name).await?;
    let (running, ended): (Vec<_>, Vec<_>) = newest
        .into_iter()
        .partition(|pass| pass.status == PassStatus::Running);
    let first = |passes: Vec<_>| passes.into_iter().next().map(|row| Scan::of(app, row));
    let status = app.chain(&chain.name).map(|handle| handle.status());
    let status = status.unwrap_or_default();
    let commitment = chain.commitment;
    let commitment = commitment.unwrap_or_else(|| pool.commitment_default());
    Ok(ChainView {
        name: chain.name.to_string(),
        network: chain.network.as_str(),
        identity: chain.identity.clone(),
        strategy: chain.strategy.as_str(),
        commitment: commitment.as_str(),
        assets: chain.assets.iter().map(Into::into).collect(),
        pool: chain.pool.iter().map(ToString::to_string).collect(),
        unusable: pool.unusable.iter().cloned().map(Into::into).collect(),
        every_ms: chain
            .scan
            .every
            .map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX)),
        next_scan_at: status.next_at.map(rfc3339),
        trouble: status.trouble,
        scan: first(running),
        last_scan: first(ended),
        last_complete_at: complete.first().and_then(|row| row.ended_at).map(rfc3339),
        balances: BalancesOf {
            count: extent.count,
            oldest_observed_at: extent.oldest.map(rfc3339),
            newest_observed_at: extent.newest.map(rfc3339),
        },
        holes,
    })
}
