//! `balances`: the last good value of each cell.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::addresses::{bring_in, bring_in_all};
use super::extract::Params;
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::clock::rfc3339;
use crate::ledger::{BalanceCursor, BalanceFilter, BalanceRow, CellName};
use crate::model::ChainName;
use crate::service::app::App;
use crate::service::setup::ChainSetup;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which balances.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only this chain's.
    chain: Option<String>,
    /// Only of these addresses, with commas between them; with `chain` in any spelling.
    address: Option<String>,
    /// Only of the addresses of this set.
    set: Option<String>,
    /// Only of these assets, by symbol or contract, with commas between them.
    asset: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The last good value of a cell.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceView {
    /// The chain.
    chain: String,
    /// The address in its canonical form.
    address: String,
    /// The asset's symbol.
    asset: String,
    /// Its contract; null for the native coin.
    contract: Option<String>,
    /// In the smallest unit, decimal digits.
    amount: String,
    /// Signed change that was not confirmed yet.
    pending: Option<String>,
    /// Digits behind the point.
    decimals: u8,
    /// How settled the block was.
    commitment: String,
    /// What the amount covers: `wallet`, `associated`.
    scope: String,
    /// Who answered.
    provider: String,
    /// Block height, on Solana the slot.
    height: Option<u64>,
    /// The block's hash, where the provider told it.
    block_hash: Option<String>,
    /// When it was read.
    observed_at: String,
    /// How long ago that is.
    age_ms: u64,
    /// The scan that read it.
    scan: String,
}

/// What the store holds; a cell that was never known has no row here (see the holes of a scan).
#[utoipa::path(get, path = "/balances", tag = "balances", params(ListQuery),
    responses((status = 200, body = Page<BalanceView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<BalanceView>>, Problem> {
    let page = wanted::<(ChainName, String, String)>(query.limit, query.cursor.as_deref())?;
    let after = page.after.map(|(chain, address, asset)| BalanceCursor {
        chain,
        cell: CellName { address, asset },
    });
    let filter = filter(
        &app,
        query.chain.as_deref(),
        query.address.as_deref(),
        query.set.as_deref(),
        query.asset.as_deref(),
    )
    .await?;
    let rows = app
        .ledger()
        .balances(&filter, after.as_ref(), page.limit + 1)
        .await?;
    let key = |row: &BalanceRow| {
        let CellName { address, asset } = row.cell.clone();
        (row.chain.clone(), address, asset)
    };
    let now_ms = app.clock().unix_ms();
    Ok(Json(Page::of(rows, page.limit, key, |row| {
        view(row, now_ms)
    })))
}

fn view(row: BalanceRow, now_ms: i64) -> BalanceView {
    let age = now_ms.saturating_sub(row.observed_at);
    BalanceView {
        chain: row.chain.to_string(),
        asset: row.symbol.to_string(),
        contract: views::contract(&row.cell.asset),
        address: row.cell.address,
        amount: row.amount.to_string(),
        pending: row.pending.map(|pending| pending.to_string()),
        decimals: row.decimals,
        commitment: row.commitment,
        scope: row.scope,
        provider: row.provider.to_string(),
        height: row.height,
        block_hash: row.block_hash,
        observed_at: rfc3339(row.observed_at),
        age_ms: u64::try_from(age).unwrap_or(0),
        scan: row.pass.to_string(),
    }
}

/// Which cells a query is about; what it names and nobody knows is told.
pub(super) async fn filter(
    app: &App,
    chain: Option<&str>,
    addresses: Option<&str>,
    set: Option<&str>,
    assets: Option<&str>,
) -> Result<BalanceFilter, Problem> {
    let setup = app.setup();
    let mut filter = BalanceFilter::default();
    let chains = match chain {
        Some(name) => {
            let chain = views::chain(&setup, name)?;
            filter.chains.push(chain.chain.name.clone());
            vec![chain]
        }
        None => setup.chains.values().collect(),
    };
    if let Some(set) = set {
        match chains.as_slice() {
            [chain] => bring_in(app, chain, set).await?,
            chains => bring_in_all(app, chains, Some(set)).await?,
        }
        filter.set = Some(set.to_owned());
    }
    for address in addresses.iter().flat_map(|list| words(list)) {
        let spelled = match chains.as_slice() {
            [chain] => canonical(chain, address).await,
            _ => None,
        };
        filter
            .addresses
            .push(spelled.unwrap_or_else(|| address.to_owned()));
    }
    for word in assets.iter().flat_map(|list| words(list)) {
        let found = chains.iter().filter_map(|chain| {
            let asset = views::asset(&chain.chain, word).ok()?;
            Some((chain.chain.name.clone(), asset.key().to_owned()))
        });
        let before = filter.assets_of.len();
        filter.assets_of.extend(found);
        if filter.assets_of.len() == before {
            return Err(Problem::not_found(
                "unknown_asset",
                "no chain that is asked for has such an asset; `/api/v1/chains` lists them",
            ));
        }
    }
    let named_nothing = (addresses.is_some() && filter.addresses.is_empty())
        || (assets.is_some() && filter.assets_of.is_empty());
    if named_nothing {
        let detail = "`address` and `asset` name at least one, or are left out";
        return Err(Problem::bad_request("invalid_query", detail));
    }
    Ok(filter)
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// The address as the plugin writes it, if it is one.
async fn canonical(chain: &ChainSetup, address: &str) -> Option<String> {
    let member = chain.pool.members.first()?;
    let judged = member.backend.validate_addresses(vec![address.to_owned()]);
    judged.await.ok()?.into_iter().next()?.ok()
}
