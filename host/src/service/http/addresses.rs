//! `addresses`: the sets of the chains.

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
use crate::ledger::AddressRow;
use crate::model::ChainName;
use crate::service::app::App;
use crate::service::sets::SetError;
use crate::service::setup::ChainSetup;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which addresses.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only this chain's.
    chain: Option<String>,
    /// Only this set's.
    set: Option<String>,
    /// Rows of the page, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// An address of a set.
#[derive(Debug, Serialize, ToSchema)]
struct AddressView {
    /// The chain.
    chain: String,
    /// The set: its `set`, else its file's name without the ending.
    set: String,
    /// Its place in the list, from 0.
    index: u64,
    /// As the list has it.
    address: String,
    /// As balances and events have it.
    canonical: String,
    /// The list's own word for it.
    label: Option<String>,
}

/// The addresses of the sets: by chain, by set, in the order of the list.
#[utoipa::path(get, path = "/addresses", tag = "balances", params(ListQuery),
    responses((status = 200, body = Page<AddressView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<AddressView>>, Problem> {
    let page = wanted::<(ChainName, String, u64)>(query.limit, query.cursor.as_deref())?;
    let setup = app.setup();
    let chain = match &query.chain {
        Some(name) => Some(views::chain(&setup, name)?),
        None => None,
    };
    match (&query.set, chain) {
        (Some(set), Some(chain)) => bring_in(&app, chain, set).await?,
        (set, chain) => {
            let chains: Vec<_> = match chain {
                Some(chain) => vec![chain],
                None => setup.chains.values().collect(),
            };
            bring_in_all(&app, &chains, set.as_deref()).await?;
        }
    }
    let chain = chain.map(|chain| &chain.chain.name);
    let set = query.set.as_deref();
    let rows = app
        .ledger()
        .address_page(chain, set, page.after.as_ref(), page.limit + 1)
        .await?;
    let key = |(chain, set, row): &(ChainName, String, AddressRow)| {
        (chain.clone(), set.clone(), row.index)
    };
    let view = |(chain, set, row): (ChainName, String, AddressRow)| AddressView {
        chain: chain.to_string(),
        set,
        index: row.index,
        address: row.address,
        canonical: row.canonical,
        label: row.label,
    };
    Ok(Json(Page::of(rows, page.limit, key, view)))
}

/// Makes sure that the store has a set as it is now.
pub(super) async fn bring_in(app: &App, chain: &ChainSetup, set: &str) -> Result<(), Problem> {
    let brought = app.sets().bring_in(app.ledger(), chain, set).await;
    brought.map_err(|error| match error {
        SetError::Unknown { .. } => {
            let known = chain.chain.addresses.iter().map(|set| set.name.as_str());
            let unknown = crate::config::UnknownName::new("address set", set, known);
            Problem::not_found("unknown_set", unknown.to_string())
        }
        SetError::List(error) => Problem::unprocessable("addresses_unreadable", error.to_string()),
        SetError::Ledger(error @ crate::ledger::LedgerError::Import { .. }) => {
            let causes = crate::causes::with_causes(&error);
            Problem::unprocessable("addresses_unreadable", causes)
        }
        SetError::Ledger(error) => error.into(),
    })
}

/// The sets that the chains have configured; one of them must have the named one.
pub(super) async fn bring_in_all(
    app: &App,
    chains: &[&std::sync::Arc<ChainSetup>],
    set: Option<&str>,
) -> Result<(), Problem> {
    let mut found = set.is_none();
    for chain in chains {
        for configured in &chain.chain.addresses {
            if set.is_none_or(|set| set == configured.name) {
                found = true;
                let brought = bring_in(app, chain, &configured.name).await;
                if set.is_some() {
                    brought?;
                } else if brought.is_err() {
                    // One list that cannot be read does not hide the others; the store has it as it
                    // was, and whoever names it hears why.
                    let (chain, set) = (&chain.chain.name, &configured.name);
                    tracing::warn!("the address set `{set}` of chain `{chain}` cannot be read");
                }
            }
        }
    }
    if let Some(set) = set.filter(|_| !found) {
        let stored = app.ledger().list_sets().await?;
        if !stored.iter().any(|it| it.name == set) {
            let known = stored.iter().map(|set| set.name.as_str());
            let unknown = crate::config::UnknownName::new("address set", set, known);
            return Err(Problem::not_found("unknown_set", unknown.to_string()));
        }
    }
    Ok(())
}
