//! What the API tells of the things that several of its parts show.

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::clock::rfc3339;
use crate::config::Chain;
use crate::ledger::PassRow;
use crate::model::Asset;
use crate::service::app::App;

/// A pass over a chain's cells.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Scan {
    /// 32 hex digits.
    pub(super) id: String,
    /// The chain.
    pub(super) chain: String,
    /// `set`: the chain's set; `spot`: some addresses, asked for by request.
    pub(super) kind: &'static str,
    /// `running`, `complete`, `cancelled`, `gave_up` or `broken`.
    pub(super) status: &'static str,
    /// Why it ended, where there is more to say than the status.
    pub(super) message: Option<String>,
    /// Cells to be known.
    pub(super) cells: u64,
    /// Cells put to a provider at least once.
    pub(super) asked: u64,
    /// Cells with a reading of this scan.
    pub(super) known: u64,
    /// Cells with a hole.
    pub(super) unknown: u64,
    /// What cannot be asked for.
    pub(super) invalid: u64,
    /// Known and above zero.
    pub(super) funded: u64,
    /// Lowest height that a reading came from.
    pub(super) height_min: Option<u64>,
    /// Highest height that a reading came from.
    pub(super) height_max: Option<u64>,
    /// RFC 3339, UTC.
    pub(super) started_at: String,
    /// When something was written for it last.
    pub(super) updated_at: String,
    /// When it ended.
    pub(super) ended_at: Option<String>,
    /// From its start to its end, or to now.
    pub(super) elapsed_ms: u64,
    /// How long the rest will take at the pace so far; null when nobody can say.
    pub(super) eta_ms: Option<u64>,
}

/// An asset of a chain.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssetView {
    /// `BNB`, `USDT`.
    pub(super) symbol: String,
    /// The token's contract, on Solana its mint; null for the native coin.
    pub(super) contract: Option<String>,
    /// Digits behind the point.
    pub(super) decimals: u8,
}

/// One provider's word.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderErrorView {
    /// Which.
    pub(super) provider: String,
    /// `timeout`, `server_error`, …
    pub(super) class: &'static str,
    /// One line.
    pub(super) message: String,
    /// The status of its answer, where there was one.
    pub(super) http_status: Option<u16>,
}

// === impl Scan ===

impl Scan {
    pub(super) fn of(app: &App, row: PassRow) -> Self {
        let now_ms = app.clock().unix_ms();
        let running = app.shared().running(&row.id);
        let elapsed = row
            .ended_at
            .unwrap_or(now_ms)
            .saturating_sub(row.started_at);
        let counters = row.counters;
        Self {
            id: row.id.to_string(),
            chain: row.chain.to_string(),
            kind: row.kind.as_str(),
            status: row.status.as_str(),
            message: row.message,
            cells: row.cells,
            asked: counters.asked,
            known: counters.known,
            unknown: counters.unknown,
            invalid: counters.invalid,
            funded: counters.funded,
            height_min: counters.height_min,
            height_max: counters.height_max,
            started_at: rfc3339(row.started_at),
            updated_at: rfc3339(row.updated_at),
            ended_at: row.ended_at.map(rfc3339),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(0),
            eta_ms: running.and_then(|it| it.eta_ms(app.clock().now())),
        }
    }
}

impl From<&Asset> for AssetView {
    fn from(asset: &Asset) -> Self {
        Self {
            symbol: asset.symbol.to_string(),
            contract: (!asset.is_native()).then(|| asset.key().to_owned()),
            decimals: asset.decimals,
        }
    }
}

impl From<crate::model::ProviderError> for ProviderErrorView {
    fn from(error: crate::model::ProviderError) -> Self {
        Self {
            provider: error.provider.to_string(),
            class: error.class.as_str(),
            message: error.message,
            http_status: error.http_status,
        }
    }
}

/// The contract of an asset's key; null for the native coin.
pub(super) fn contract(key: &str) -> Option<String> {
    (!key.is_empty()).then(|| key.to_owned())
}

/// The chain of that name.
pub(super) fn chain<'s>(
    setup: &'s crate::service::setup::Setup,
    name: &str,
) -> Result<&'s std::sync::Arc<crate::service::setup::ChainSetup>, Problem> {
    let unknown =
        |error: &dyn std::fmt::Display| Problem::not_found("unknown_chain", error.to_string());
    match setup.loaded.config.chain(name) {
        Ok(chain) => {
            let found = setup.chains.get(&chain.name);
            found.ok_or_else(|| unknown(&format!("chain `{name}` is not served")))
        }
        Err(error) => Err(unknown(&error)),
    }
}

/// The asset of that symbol or contract.
pub(super) fn asset<'c>(chain: &'c Chain, word: &str) -> Result<&'c Asset, Problem> {
    let mut assets = chain.assets.iter();
    let by_contract = |asset: &&Asset| !asset.is_native() && asset.key().eq_ignore_ascii_case(word);
    let found = chain.asset(word).or_else(|| assets.find(by_contract));
    found.ok_or_else(|| {
        let known = chain.assets.iter().map(|asset| asset.symbol.as_str());
        let unknown = crate::config::UnknownName::new("asset", word, known);
        Problem::not_found("unknown_asset", unknown.to_string())
    })
}
