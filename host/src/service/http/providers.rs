//! `providers`: health, gate, pacer, usage; and what an operator may do to a gate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Params, Segments};
use super::paging::{Page, wanted};
use super::problem::Problem;
use super::views;
use crate::clock::rfc3339;
use crate::config::parse_duration;
use crate::gate::ForcedState;
use crate::ledger::{ProviderKey, UsageRow};
use crate::model::{ProviderName, is_unprintable};
use crate::pool::Member;
use crate::pool::assemble::provider_key;
use crate::service::app::App;
use crate::service::setup::{ChainSetup, Setup};

/// Days of usage that are shown.
const USAGE_DAYS: i64 = 30;
/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 200;
/// The longest that a state may be forced for by a duration; longer is until a release.
const FOR_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(force, release))
}

/// Which providers.
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

/// Which of a provider's gates.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct GateQuery {
    /// `scan`, the default.
    r#type: Option<String>,
}

/// What an operator says about a gate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Force {
    /// `open`: no call passes. `closed`: the circuit closes now and failures do not open it.
    /// `disabled`: the breaker is neither asked nor told.
    #[schema(pattern = "^(open|closed|disabled)$")]
    state: String,
    /// Why, for those who see it later; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// For how long, `10m`; until a release where it is absent.
    r#for: Option<String>,
}

/// A provider of a chain.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderView {
    /// The chain.
    chain: String,
    /// As the operator named it.
    provider: String,
    /// What it is used for: `scan` or `broadcast`.
    r#type: &'static str,
    /// Its plugin.
    plugin: String,
    /// The version of the plugin that runs, which is not what lies in the folder before a reload; null
    /// where it could not be loaded.
    plugin_version: Option<String>,
    /// The hash of the file that it was loaded from: `sha256:` and 64 hex digits.
    plugin_sha256: Option<String>,
    /// Scheme, host and port of its endpoint.
    endpoint: String,
    /// `healthy`, `degraded` or `down`.
    status: &'static str,
    /// The strongest of what acts on its gate: `closed`, `open`, `half_open`, `held`,
    /// `forced_open`, `forced_closed`, `disabled`, `quarantined`; null where it could not be loaded.
    state: Option<&'static str>,
    /// Why work does not pass, as a word; null if it does.
    why: Option<&'static str>,
    /// The same as a sentence.
    reason: Option<String>,
    /// When that ends by itself, where it is known.
    until: Option<String>,
    /// The breaker.
    breaker: Option<BreakerView>,
    /// Failures since the last success.
    consecutive_fails: u32,
    /// When it last answered.
    last_success: Option<String>,
    /// When it last failed.
    last_error: Option<String>,
    /// What it said then.
    last_error_msg: Option<String>,
    /// What keeps it out, if a hold does.
    hold: Option<HoldView>,
    /// What an operator said.
    forced: Option<HoldView>,
    /// Calls under way.
    in_flight: u32,
    /// Calls since the service loaded it, by how they ended.
    #[schema(value_type = Object)]
    totals: Value,
    /// What is spent of its limits.
    #[schema(value_type = Object)]
    pacer: Value,
    /// Calls at once.
    connections: u64,
    /// Most cells of its next call.
    cells_max: u64,
    /// Real HTTP attempts by day, newest first.
    usage: Vec<UsageView>,
}

/// A breaker.
#[derive(Debug, Serialize, ToSchema)]
struct BreakerView {
    /// `closed`, `open` or `half_open`, whatever is forced.
    state: &'static str,
    /// Grows with every opening and closing.
    generation: u64,
}

/// What acts on a gate besides its breaker.
#[derive(Debug, Serialize, ToSchema)]
struct HoldView {
    /// A forced state, or the reason of a hold.
    state: &'static str,
    /// For people.
    reason: String,
    /// When it ends; null: with a release.
    until: Option<String>,
}

/// Use of a provider on one day.
#[derive(Debug, Serialize, ToSchema)]
struct UsageView {
    /// `2026-11-21`, UTC.
    day: String,
    /// HTTP requests that were sent.
    requests: u64,
    /// Calls that were answered.
    successes: u64,
    /// Calls that failed.
    failures: u64,
    /// Calls that met a rate limit.
    rate_limited: u64,
}

/// All providers, by chain and in the order of its pool.
#[utoipa::path(get, path = "/providers", tag = "providers", params(ListQuery),
    responses((status = 200, body = Page<ProviderView>), (status = "4XX", body = Problem)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<ProviderView>>, Problem> {
    let wanted = wanted(query.limit, query.cursor.as_deref())?;
    let setup = app.setup();
    let only = match &query.chain {
        Some(name) => Some(views::chain(&setup, name)?.chain.name.clone()),
        None => None,
    };
    let chains = setup.chains.values();
    let chains = chains.filter(|chain| only.as_ref().is_none_or(|only| *only == chain.chain.name));
    let usage = usage_of(&app).await?;
    let mut items = Vec::new();
    for chain in chains {
        for name in &chain.chain.pool {
            let member = chain.pool.members.iter().find(|it| it.name == *name);
            items.push(match member {
                Some(member) => loaded(&setup, chain, member, &usage),
                None => not_loaded(&setup, chain, name),
            });
        }
    }
    Ok(Json(Page::cut(items, &wanted)))
}

/// Forces a state of a provider's breaker; it survives a restart.
#[utoipa::path(post, path = "/chains/{chain}/providers/{name}/breaker", tag = "providers",
    params(("chain" = String, Path,), ("name" = String, Path,), GateQuery), request_body = Force,
    responses((status = 200, body = ProviderView), (status = "4XX", body = Problem)))]
async fn force(
    State(app): State<App>,
    Segments((chain, name)): Segments<(String, String)>,
    Params(query): Params<GateQuery>,
    Body(force): Body<Force>,
) -> Result<Json<ProviderView>, Problem> {
    let states = [
        ForcedState::Open,
        ForcedState::Closed,
        ForcedState::Disabled,
    ];
    let state = states
        .into_iter()
        .find(|state| state.as_str() == force.state);
    let state = state.ok_or_else(|| {
        Problem::unprocessable("invalid_state", "`state` is one of open, closed, disabled")
    })?;
    let reason = force.reason.trim();
    if reason.is_empty()
        || reason.chars().count() > REASON_MAX
        || reason.chars().any(is_unprintable)
    {
        return Err(Problem::unprocessable(
            "invalid_reason",
            format!("`reason` is one line of 1 to {REASON_MAX} characters"),
        ));
    }
    let lasts = match force.r#for.as_deref().map(parse_duration) {
        None => None,
        Some(Ok(lasts)) if !lasts.is_zero() && lasts <= FOR_MAX => Some(lasts),
        Some(_) => {
            return Err(Problem::unprocessable(
                "invalid_duration",
                "`for` is a time with its unit, up to a year: \"10m\", \"2h\"; leave it out for \
                 until a release",
            ));
        }
    };
    let reason = reason.to_owned();
    change(&app, (&chain, &name), &query, move |member| {
        member.gate.force(state, reason, lasts);
    })
    .await
}

/// Ends a forced state, a hold and a quarantine of a provider. An open circuit stays open.
#[utoipa::path(delete, path = "/chains/{chain}/providers/{name}/breaker", tag = "providers",
    params(("chain" = String, Path,), ("name" = String, Path,), GateQuery),
    responses((status = 200, body = ProviderView), (status = "4XX", body = Problem)))]
async fn release(
    State(app): State<App>,
    Segments((chain, name)): Segments<(String, String)>,
    Params(query): Params<GateQuery>,
) -> Result<Json<ProviderView>, Problem> {
    change(&app, (&chain, &name), &query, |member| {
        member.gate.release();
    })
    .await
}

async fn change(
    app: &App,
    (chain, name): (&str, &str),
    query: &GateQuery,
    change: impl FnOnce(&Member),
) -> Result<Json<ProviderView>, Problem> {
    match query.r#type.as_deref() {
        None | Some("scan") => {}
        Some("broadcast") => {
            return Err(Problem::not_found(
                "unknown_gate",
                "no provider broadcasts transactions in this version",
            ));
        }
        Some(_) => {
            let detail = "`type` is one of scan, broadcast";
            return Err(Problem::bad_request("invalid_query", detail));
        }
    }
    let setup = app.setup();
    let found = views::chain(&setup, chain)?;
    let provider = setup.loaded.config.provider(name);
    let provider =
        provider.map_err(|error| Problem::not_found("unknown_provider", error.to_string()))?;
    let name = &provider.name;
    let chain = &found.chain.name;
    let mut members = found.pool.members.iter();
    let Some(member) = members.find(|member| member.name == *name) else {
        let (code, detail) = if found.chain.pool.contains(name) {
            (
                "provider_unusable",
                format!("provider `{name}` could not be loaded"),
            )
        } else {
            (
                "unknown_provider",
                format!("provider `{name}` is not in the pool of `{chain}`"),
            )
        };
        return Err(Problem::not_found(code, detail));
    };
    let member = app.change_gate(chain, member, change).await?;
    let setup = app.setup();
    let found = views::chain(&setup, chain.as_str())?;
    let usage = usage_of(app).await?;
    Ok(Json(loaded(&setup, found, &member, &usage)))
}

type UsageOf = HashMap<ProviderKey, Vec<UsageView>>;

async fn usage_of(app: &App) -> Result<UsageOf, Problem> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let since = rfc3339(app.clock().unix_ms() - USAGE_DAYS * DAY_MS);
    let rows = app.ledger().usage(None, &since[..10]).await?;
    let mut usage = UsageOf::new();
    for UsageRow {
        day,
        key,
        usage: used,
    } in rows
    {
        usage.entry(key).or_default().push(UsageView {
            day,
            requests: used.requests,
            successes: used.successes,
            failures: used.failures,
            rate_limited: used.rate_limited,
        });
    }
    for days in usage.values_mut() {
        days.sort_by(|one, two| two.day.cmp(&one.day));
    }
    Ok(usage)
}

fn loaded(
    setup: &Setup,
    chain: &ChainSetup,
    member: &Arc<Member>,
    usage: &UsageOf,
) -> ProviderView {
    let gate = member.gate.snapshot();
    let key = provider_key(member.gate.key());
    let days = usage.get(&key).into_iter().flatten();
    let usage = days.map(|day| UsageView {
        day: day.day.clone(),
        ..*day
    });
    ProviderView {
        r#type: gate.kind.as_str(),
        status: gate.status.as_str(),
        state: Some(gate.state.as_str()),
        why: gate.why.map(crate::gate::Why::as_str),
        reason: member.shut_reason().map(|reason| reason.message),
        until: gate.until.map(rfc3339),
        breaker: Some(BreakerView {
            state: gate.breaker.as_str(),
            generation: gate.generation,
        }),
        consecutive_fails: gate.history.consecutive_fails,
        last_success: gate.history.last_success.map(rfc3339),
        last_error: gate.history.last_error.map(rfc3339),
        last_error_msg: gate.history.last_error_msg,
        hold: gate.hold.map(|hold| HoldView {
            state: hold.reason.as_str(),
            reason: hold.message,
            until: Some(rfc3339(hold.until)),
        }),
        forced: gate.forced.map(|forced| HoldView {
            state: forced.state.as_str(),
            reason: forced.reason,
            until: forced.until.map(rfc3339),
        }),
        in_flight: gate.in_flight,
        totals: serde_json::to_value(gate.totals).unwrap_or_default(),
        pacer: pacer_view(member),
        connections: member.connections as u64,
        cells_max: member.cells_max() as u64,
        usage: usage.collect(),
        ..not_loaded(setup, chain, &member.name)
    }
}

/// The pacer's numbers with times as everywhere in the API.
fn pacer_view(member: &Member) -> Value {
    let snapshot = member.gate.pacer().snapshot();
    let mut view = serde_json::to_value(&snapshot).unwrap_or_default();
    if let Value::Object(fields) = &mut view {
        for (key, at) in [("not_before", snapshot.not_before), ("next", snapshot.next)] {
            fields.insert(key.to_owned(), at.map(rfc3339).into());
        }
    }
    view
}

fn not_loaded(setup: &Setup, chain: &ChainSetup, name: &ProviderName) -> ProviderView {
    let config = setup.loaded.config.providers.get(name);
    let why = chain.pool.unusable.iter().find(|it| it.provider == *name);
    let file = setup.assembled.used.get(name);
    ProviderView {
        chain: chain.chain.name.to_string(),
        provider: name.to_string(),
        r#type: crate::gate::ProviderType::Scan.as_str(),
        plugin: config.map(|it| it.plugin.to_string()).unwrap_or_default(),
        plugin_version: file.map(|it| it.manifest.version.clone()),
        plugin_sha256: file.map(|it| format!("sha256:{}", it.sha256)),
        endpoint: config.map(|it| it.endpoint.origin()).unwrap_or_default(),
        status: crate::gate::HealthStatus::Down.as_str(),
        state: None,
        why: Some("not_loaded"),
        reason: why.map(|why| why.message.clone()),
        until: None,
        breaker: None,
        consecutive_fails: 0,
        last_success: None,
        last_error: None,
        last_error_msg: None,
        hold: None,
        forced: None,
        in_flight: 0,
        totals: Value::Null,
        pacer: Value::Null,
        connections: 0,
        cells_max: 0,
        usage: Vec::new(),
    }
}
