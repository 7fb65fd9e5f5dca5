//! `balances/totals`: exact sums, and how many cells they do not cover.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::addresses::bring_in;
use super::extract::Params;
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::ledger::{AssetTotal, BalanceFilter};
use crate::service::app::App;
use crate::service::setup::ChainSetup;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(totals))
}

/// Which sums.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TotalsQuery {
    /// Only this chain's sets.
    chain: Option<String>,
    /// Only this set.
    set: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The sum of an asset over a set.
#[derive(Debug, Serialize, ToSchema)]
struct TotalView {
    /// The chain.
    chain: String,
    /// The set.
    set: String,
    /// The asset's symbol.
    asset: String,
    /// Its contract; null for the native coin.
    contract: Option<String>,
    /// Digits behind the point.
    decimals: u8,
    /// The sum of what is known, in the smallest unit; null where nothing is known.
    amount: Option<String>,
    /// Addresses of the set; null where its list could never be read.
    addresses: Option<u64>,
    /// Of their cells, those that are known.
    known: u64,
    /// Those that were never known, and are not in the sum; null with `addresses`.
    unknown: Option<u64>,
    /// Known and above zero.
    funded: u64,
    /// The list cannot be read now: all this is of the set as it was read last.
    is_stale: bool,
}

/// The exact sum of each asset over each configured set.
#[utoipa::path(get, path = "/balances/totals", tag = "balances", params(TotalsQuery),
    responses((status = 200, body = Page<TotalView>), (status = "4XX", body = Problem)))]
async fn totals(
    State(app): State<App>,
    Params(query): Params<TotalsQuery>,
) -> Result<Json<Page<TotalView>>, Problem> {
    let wanted = wanted::<usize>(query.limit, query.cursor.as_deref())?;
    let setup = app.setup();
    let chains = match &query.chain {
        Some(name) => vec![views::chain(&setup, name)?],
        None => setup.chains.values().collect(),
    };
    let mut items = Vec::new();
    for chain in &chains {
        let sets = chain.chain.addresses.iter().map(|set| set.name.as_str());
        let named = |set: &&str| query.set.as_deref().is_none_or(|named| named == *set);
        let mut sets: Vec<&str> = sets.filter(named).collect();
        if let (true, Some(set), [_]) = (sets.is_empty(), query.set.as_deref(), chains.as_slice()) {
            // Imported, and not scanned by default.
            sets.push(set);
        }
        for set in sets {
            let is_named = query.set.is_some() && query.chain.is_some();
            of_set(&app, chain, set, is_named, &mut items).await?;
        }
    }
    if items.is_empty()
        && let Some(set) = &query.set
    {
        let detail = format!("no chain has an address set `{set}`");
        return Err(Problem::not_found("unknown_set", detail));
    }
    Ok(Json(Page::cut(items, &wanted)))
}

async fn of_set(
    app: &App,
    setup: &ChainSetup,
    set: &str,
    is_named: bool,
    items: &mut Vec<TotalView>,
) -> Result<(), Problem> {
    let brought = bring_in(app, setup, set).await;
    let is_stale = brought.is_err();
    if is_named {
        brought?;
    }
    let chain = &setup.chain;
    let addresses = app.ledger().set_size(&chain.name, set).await?;
    // A list that was never read is not an empty one.
    let addresses = (!is_stale || addresses > 0).then_some(addresses);
    let filter = BalanceFilter {
        chains: vec![chain.name.clone()],
        set: Some(set.to_owned()),
        ..BalanceFilter::default()
    };
    let totals = app.ledger().totals(&filter).await?.into_iter();
    let totals: HashMap<String, AssetTotal> =
        totals.map(|total| (total.asset.clone(), total)).collect();
    for asset in &chain.assets {
        let total = totals.get(asset.key());
        let known = total.map_or(0, |total| total.cells);
        items.push(TotalView {
            chain: chain.name.to_string(),
            set: set.to_owned(),
            asset: asset.symbol.to_string(),
            contract: views::contract(asset.key()),
            decimals: asset.decimals,
            amount: total.map(|total| total.sum.clone()),
            addresses,
            known,
            unknown: addresses.map(|addresses| addresses.saturating_sub(known)),
            funded: total.map_or(0, |total| total.funded),
            is_stale,
        });
    }
    Ok(())
}
