//! `/livez` and `/readyz`: for whoever keeps the process running and sends it work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::gate::HealthStatus;
use crate::service::app::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
}

/// Whether the service can do its work.
#[derive(Debug, Serialize)]
struct Ready {
    /// `ready`, `not_ready` or `stopping`.
    status: &'static str,
    store: Part,
    chains: Vec<ChainReady>,
    /// Plugin folders that are configured and not there.
    missing_plugin_folders: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Part {
    ok: bool,
    /// What is wrong.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChainReady {
    chain: String,
    /// Providers that are loaded, whether or not they answer.
    providers: usize,
    healthy: usize,
    /// Why its last scan could not begin.
    trouble: Option<String>,
}

/// The process is alive; depends on nothing outside it.
async fn livez() -> &'static str {
    "ok\n"
}

/// 503 only when the store cannot be written, or no chain has a provider loaded, or the service is
/// being shut down. An outage of providers never changes it: that would restart what is well.
async fn readyz(State(app): State<App>) -> Response {
    let setup = app.setup();
    let problem = app.check_store().await.err();
    let store = Part {
        ok: problem.is_none(),
        problem,
    };
    let chains: Vec<ChainReady> = setup
        .chains
        .iter()
        .map(|(name, chain)| {
            let members = &chain.pool.members;
            let is_healthy = |it: &&std::sync::Arc<crate::pool::Member>| {
                it.gate.health().status == HealthStatus::Healthy
            };
            let status = app.chain(name).map(|handle| handle.status());
            ChainReady {
                chain: name.to_string(),
                providers: members.len(),
                healthy: members.iter().filter(is_healthy).count(),
                trouble: status.and_then(|status| status.trouble),
            }
        })
        .collect();
    let is_stopping = app.shutdown().is_cancelled();
    let ready = store.ok && chains.iter().any(|chain| chain.providers > 0) && !is_stopping;
    let (code, status) = match (ready, is_stopping) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let missing = setup.missing_folders().into_iter();
    let body = Ready {
        status,
        store,
        chains,
        missing_plugin_folders: missing.map(|folder| folder.display().to_string()).collect(),
    };
    (code, Json(body)).into_response()
}
