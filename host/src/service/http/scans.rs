//! `scans`: begin, look, cancel.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Params, Segments};
use super::paging::{Page, PageQuery, Wanted as WantedPage, wanted};
use super::problem::{Mistake, Problem};
use super::views::{self, ProviderErrorView, Scan};
use crate::clock::rfc3339;
use crate::ledger::{
    BalanceFilter, CellName, HoleRow, PassCursor, PassFilter, PassKind, PassRow, PassStatus,
};
use crate::model::{Asset, PassId};
use crate::scan::list::ListError;
use crate::scan::source::SourceError;
use crate::service::app::App;
use crate::service::chain::{StartError, Wanted};

/// Most addresses of one request.
const ADDRESSES_MAX: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, begin))
        .routes(routes!(show, cancel))
        .routes(routes!(holes))
}

/// Which scans.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only this chain's.
    chain: Option<String>,
    /// Only those: `running`, `complete`, `cancelled`, `gave_up`, `broken`.
    status: Option<String>,
    /// Only those: `set`, `spot`.
    kind: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What to scan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewScan {
    /// The chain.
    chain: String,
    /// These addresses, up to 10,000, instead of the chain's set.
    #[schema(max_items = 10_000)]
    addresses: Option<Vec<String>>,
    /// These assets, by symbol or contract, instead of all; only with `addresses`.
    assets: Option<Vec<String>>,
}

/// A scan that began.
#[derive(Debug, Serialize, ToSchema)]
struct BegunScan {
    /// 32 hex digits.
    id: String,
    /// Cells to be known.
    cells: u64,
    /// Addresses that were left out, and why; at most 100.
    invalid: Vec<String>,
}

/// A scan, and who told its amounts.
#[derive(Debug, Serialize, ToSchema)]
struct ScanDetails {
    #[serde(flatten)]
    scan: Scan,
    /// How many of the balances that it read came from which provider; those that a later scan read
    /// anew count there.
    providers: Vec<ProviderCells>,
}

/// What a provider told.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderCells {
    /// Which.
    provider: String,
    /// Cells.
    cells: u64,
}

/// A cell that a scan does not know.
#[derive(Debug, Serialize, ToSchema)]
struct HoleView {
    /// The chain.
    chain: String,
    /// The address in its canonical form.
    address: String,
    /// The asset's symbol.
    asset: Option<String>,
    /// Its contract; null for the native coin.
    contract: Option<String>,
    /// `timeout`, `refused`, …
    class: &'static str,
    /// One line.
    message: String,
    /// Each provider's own word.
    providers: Vec<ProviderErrorView>,
    /// Whether the scan asks no more.
    r#final: bool,
    /// When it was told.
    at: String,
    /// The last good value.
    last: Option<LastView>,
}

/// A value that an earlier scan read.
#[derive(Debug, Serialize, ToSchema)]
struct LastView {
    /// In the smallest unit.
    amount: String,
    /// When it was read.
    observed_at: String,
}

/// Scans, newest first.
#[utoipa::path(get, path = "/scans", tag = "scans", params(ListQuery),
    responses((status = 200, body = Page<Scan>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Scan>>, Problem> {
    let WantedPage { limit, after } = wanted::<PassCursor>(query.limit, query.cursor.as_deref())?;
    let setup = app.setup();
    let chain = match &query.chain {
        Some(name) => Some(views::chain(&setup, name)?.chain.name.clone()),
        None => None,
    };
    let no_word = |key: &str, words: &str| {
        Problem::bad_request("invalid_query", format!("`{key}` is one of {words}"))
    };
    let status = query.status.as_deref().map(|word| {
        PassStatus::parse(word).ok_or_else(|| {
            let words = PassStatus::ALL.map(PassStatus::as_str).join(", ");
            no_word("status", &words)
        })
    });
    let kind = query.kind.as_deref().map(|word| {
        let kinds = [PassKind::Set, PassKind::Spot];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| no_word("kind", "set, spot"))
    });
    let filter = PassFilter {
        chain,
        kind: kind.transpose()?,
        status: status.transpose()?,
    };
    let rows = app
        .ledger()
        .pass_page(&filter, after.as_ref(), limit + 1)
        .await?;
    let key = |row: &PassRow| PassCursor {
        started_at: row.started_at,
        id: row.id.clone(),
    };
    Ok(Json(Page::of(rows, limit, key, |row| Scan::of(&app, row))))
}

/// Begins a scan of a chain's set, or of the given addresses; it is told by events and by its id.
#[utoipa::path(post, path = "/scans", tag = "scans", request_body = NewScan,
    responses(
        (status = 202, description = "it has begun", body = BegunScan),
        (status = 409, description = "the chain's set is being scanned", body = Problem),
        (status = "4XX", body = Problem)))]
async fn begin(State(app): State<App>, Body(new): Body<NewScan>) -> Result<Response, Problem> {
    let setup = app.setup();
    let found = views::chain(&setup, &new.chain)?;
    let name = found.chain.name.clone();
    let wanted = match new.addresses {
        Some(addresses) => {
            if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
                let detail = format!(
                    "`addresses` has {}; write 1 to {ADDRESSES_MAX}",
                    addresses.len()
                );
                return Err(Problem::unprocessable("invalid_addresses", detail));
            }
            let assets = match &new.assets {
                Some(words) => assets_of(&found.chain, words)?,
                None => found.chain.assets.clone(),
            };
            Wanted::Spot(addresses, assets)
        }
        None if new.assets.is_some() => {
            return Err(Problem::unprocessable(
                "assets_without_addresses",
                "`assets` goes with `addresses`; the chain's set is scanned as it is configured",
            ));
        }
        None if found.chain.addresses.is_empty() => {
            return Err(Problem::unprocessable(
                "no_addresses",
                format!(
                    "chain `{name}` has no address set; send `addresses`, or add \
                     [[chains.{name}.addresses]] to the configuration"
                ),
            ));
        }
        None => Wanted::Set,
    };
    let Some(chain) = app.chain(&name) else {
        return Err(stopping());
    };
    let begun = chain
        .start(wanted)
        .await
        .map_err(|error| refused(&name, error))?;
    let id = begun.scan.to_string();
    let location = format!("scans/{id}");
    let body = BegunScan {
        id,
        cells: begun.cells,
        invalid: begun.invalid,
    };
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(body),
    )
        .into_response())
}

fn assets_of(chain: &crate::config::Chain, words: &[String]) -> Result<Vec<Asset>, Problem> {
    let mut assets: Vec<Asset> = Vec::new();
    for word in words {
        let asset = views::asset(chain, word)?;
        if !assets.iter().any(|known| known.key() == asset.key()) {
            assets.push(asset.clone());
        }
    }
    if assets.is_empty() {
        let detail = "`assets` is empty; leave it out for all of the chain";
        return Err(Problem::unprocessable("invalid_assets", detail));
    }
    Ok(assets)
}

fn stopping() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "the service is being shut down",
    )
}

fn refused(chain: &crate::model::ChainName, error: StartError) -> Problem {
    match error {
        StartError::Busy(Some(scan)) => Problem::conflict(
            "scan_running",
            format!("scan `{scan}` of chain `{chain}` is running; wait for it, or cancel it"),
        ),
        StartError::Busy(None) => Problem::conflict(
            "scan_running",
            format!("a scan of chain `{chain}` is about to begin"),
        ),
        StartError::Full => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_scans",
            format!("chain `{chain}`: {error}; wait for one to end"),
        )
        .retry_after(1),
        StartError::NoAddress(invalid) => {
            let mistakes = invalid.into_iter().map(|detail| Mistake {
                pointer: "/addresses".to_owned(),
                detail,
            });
            Problem::unprocessable(
                "invalid_addresses",
                format!("none of the addresses is valid on chain `{chain}`"),
            )
            .with_errors(mistakes.collect())
        }
        StartError::Source(SourceError::List(error @ ListError::Spool(_))) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_temporary_space",
            error.to_string(),
        ),
        StartError::Source(error) => {
            Problem::unprocessable("addresses_unreadable", error.to_string())
        }
        StartError::Ledger(error) => error.into(),
        StartError::Stopping => stopping(),
    }
}

/// One scan.
#[utoipa::path(get, path = "/scans/{id}", tag = "scans", params(("id" = String, Path,)),
    responses((status = 200, body = ScanDetails), (status = "4XX", body = Problem)))]
async fn show(
    State(app): State<App>,
    Segments(id): Segments<String>,
) -> Result<Json<ScanDetails>, Problem> {
    let row = row_of(&app, &id).await?;
    let providers = app.ledger().providers_of_pass(&row.id, &row.chain).await?;
    let providers = providers
        .into_iter()
        .map(|(provider, cells)| ProviderCells {
            provider: provider.to_string(),
            cells,
        });
    Ok(Json(ScanDetails {
        providers: providers.collect(),
        scan: Scan::of(&app, row),
    }))
}

/// Cancels a scan; what it has read stays.
#[utoipa::path(delete, path = "/scans/{id}", tag = "scans", params(("id" = String, Path,)),
    responses(
        (status = 202, description = "it ends", body = Scan),
        (status = 409, description = "it has ended already", body = Problem),
        (status = "4XX", body = Problem)))]
async fn cancel(
    State(app): State<App>,
    Segments(id): Segments<String>,
) -> Result<(StatusCode, Json<Scan>), Problem> {
    let row = row_of(&app, &id).await?;
    if row.status != PassStatus::Running {
        return Err(crate::ledger::LedgerError::PassEnded {
            pass: row.id,
            status: row.status.as_str().to_owned(),
        }
        .into());
    }
    let is_at_work = match app.chain(&row.chain) {
        Some(chain) => chain.cancel(row.id.clone()).await,
        None => false,
    };
    if !is_at_work {
        let detail = format!("scan `{id}` is not at work in this service");
        return Err(Problem::conflict("scan_ended", detail));
    }
    Ok((StatusCode::ACCEPTED, Json(Scan::of(&app, row))))
}

/// The cells that a scan does not know, with every provider's word.
#[utoipa::path(get, path = "/scans/{id}/holes", tag = "scans",
    params(("id" = String, Path,), PageQuery),
    responses((status = 200, body = Page<HoleView>), (status = "4XX", body = Problem)))]
async fn holes(
    State(app): State<App>,
    Segments(id): Segments<String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<HoleView>>, Problem> {
    let WantedPage { limit, after } = query.wanted::<(String, String)>()?;
    let after = after.map(|(address, asset)| CellName { address, asset });
    let scan = row_of(&app, &id).await?;
    let rows = app
        .ledger()
        .hole_page(&scan.id, after.as_ref(), limit + 1)
        .await?;
    let filter = BalanceFilter {
        chains: vec![scan.chain.clone()],
        addresses: rows.iter().map(|row| row.cell.address.clone()).collect(),
        ..BalanceFilter::default()
    };
    let mut last = std::collections::HashMap::new();
    if !rows.is_empty() {
        // Of each address all assets: a chain has a handful.
        for balance in app.ledger().balances(&filter, None, u32::MAX).await? {
            last.insert(balance.cell.clone(), balance);
        }
    }
    let setup = app.setup();
    let assets = setup.chains.get(&scan.chain);
    let symbol = |key: &str| {
        let mut assets = assets.iter().flat_map(|chain| &chain.chain.assets);
        assets
            .find(|asset| asset.key() == key)
            .map(|asset| asset.symbol.to_string())
    };
    let view = |row: HoleRow| HoleView {
        chain: scan.chain.to_string(),
        asset: symbol(&row.cell.asset),
        contract: views::contract(&row.cell.asset),
        class: row.reason.class.as_str(),
        message: row.reason.message,
        providers: row.reason.providers.into_iter().map(Into::into).collect(),
        r#final: row.is_final,
        at: rfc3339(row.at),
        last: last.get(&row.cell).map(|balance| LastView {
            amount: balance.amount.to_string(),
            observed_at: rfc3339(balance.observed_at),
        }),
        address: row.cell.address,
    };
    let key = |row: &HoleRow| (row.cell.address.clone(), row.cell.asset.clone());
    Ok(Json(Page::of(rows, limit, key, view)))
}

async fn row_of(app: &App, id: &str) -> Result<PassRow, Problem> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unknown = || Problem::not_found("unknown_scan", "there is no scan with this id");
    if !is_id {
        return Err(unknown());
    }
    let id = PassId::from(id.to_ascii_lowercase());
    app.ledger().pass(&id).await?.ok_or_else(unknown)
}
