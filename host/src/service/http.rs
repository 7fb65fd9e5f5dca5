//! The HTTP API: routes, and what holds for all of them.
//!
//! From the outside in: panics become a problem document, the `Host` must be one of ours, answers
//! get headers that keep browsers from guessing, a request has a time to be answered in, and under
//! `/api/v1` who asks must be let in. Handlers come last, one file per noun.

mod addresses;
mod alerts;
mod balances;
mod chains;
mod decisions;
mod events;
mod extract;
mod guard;
mod health;
mod history;
mod metrics;
mod openapi;
mod pages;
mod paging;
pub(super) mod problem;
mod providers;
mod reload;
mod scans;
mod session;
mod totals;
mod views;
mod webhooks;

pub(super) use self::openapi::document;

use std::any::Any;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use self::problem::Problem;
use super::app::App;

/// Most bytes of a body: 10,000 addresses of the longest kind, and room.
const BODY_MAX: usize = 2 << 20;

/// The whole service as one router.
pub(super) fn router(app: &App) -> Router {
    let base_path = app.setup().loaded.config.service.base_path.clone();
    let api = openapi::routes(app);
    let base = base_path.trim_end_matches('/');
    let mounted = Router::new()
        .nest(&format!("{base}/api/v1"), api)
        .merge(health::routes())
        .merge(metrics::routes(app))
        .merge(pages::routes(base));
    let mounted = if base.is_empty() {
        mounted
    } else {
        // Whoever watches the process need not know where a proxy mounts it: `/livez` stays.
        mounted
            .route(base, get(to_slash))
            .nest(base, health::routes().merge(metrics::routes(app)))
    };
    mounted
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), in_time))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            guard::own_names,
        ))
        .layer(middleware::from_fn(with_headers))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app.clone())
}

/// Relative links of the page need the slash.
async fn to_slash(request: Request) -> Redirect {
    Redirect::permanent(&format!("{}/", request.uri().path()))
}

async fn no_such_path(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(100).collect();
    Problem::not_found(
        "not_found",
        format!("there is nothing at `{path}`; `/api/v1/openapi.json` lists what there is"),
    )
}

async fn no_such_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("`{}` is not done here", request.method()),
    )
}

/// A request that is not answered in time ends; a stream that has begun is answered already.
async fn in_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let timeout = app.setup().loaded.config.service.request_timeout;
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "request_timeout",
            "the request was not answered in time; try again, with fewer rows at once",
        )
        .retry_after(1)
        .into_response(),
    }
}

async fn with_headers(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let has_body = request.headers().contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length != "0");
    let mut response = next.run(request).await;
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    let headers = response.headers_mut();
    if has_body && is_refused {
        // Of a body that nobody read there may be more to come: the next request needs another
        // connection, and whoever sends it is to know.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut set = |name, value| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::CACHE_CONTROL, "no-store");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    );
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    let said = said.unwrap_or("no message");
    tracing::error!("a request made the service panic: {said}");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this is a fault of Scanhost; the log of the service tells more",
    )
    .into_response()
}
