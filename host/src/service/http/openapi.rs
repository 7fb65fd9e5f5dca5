//! The API's routes, and the OpenAPI 3.1 document that is made of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Router, middleware};
use utoipa::OpenApi as _;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement, Server};
use utoipa_axum::router::OpenApiRouter;

use super::{
    addresses, balances, chains, decisions, events, guard, history, providers, reload, scans,
    session, totals,
};
use crate::service::app::App;

/// What the document says of the whole.
#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Scanhost",
    description = "Balances of many addresses on many chains. Amounts are decimal strings of the \
        smallest unit, times are RFC 3339 in UTC, lists come in pages, errors are RFC 9457 problem \
        documents with a stable `code`."
))]
struct Whole;

/// Everything under `/api/v1`.
pub(super) fn routes(app: &App) -> Router<App> {
    let inside = OpenApiRouter::new()
        .merge(scans::routes())
        .merge(chains::routes())
        .merge(providers::routes())
        .merge(balances::routes())
        .merge(totals::routes())
        .merge(history::routes())
        .merge(addresses::routes())
        .merge(decisions::routes())
        .merge(events::routes())
        .merge(reload::routes())
        .layer(middleware::from_fn_with_state(app.clone(), guard::let_in));
    let (router, mut document) = OpenApiRouter::with_openapi(Whole::openapi())
        .merge(inside)
        // Who is not let in yet must be able to log in.
        .merge(session::routes())
        .split_for_parts();
    finish(&mut document, &app.setup().loaded.config.service.base_path);
    let json = document.to_json().expect("a document serializes");
    let json: Arc<str> = json.into();
    let served = Router::new()
        .route("/openapi.json", axum::routing::get(document_of))
        .layer(middleware::from_fn_with_state(app.clone(), guard::let_in))
        .layer(axum::Extension(Document(json)));
    router.merge(served)
}

#[derive(Clone, Debug)]
struct Document(Arc<str>);

async fn document_of(
    State(_): State<App>,
    axum::Extension(Document(json)): axum::Extension<Document>,
) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json.to_string(),
    )
}

fn finish(document: &mut OpenApi, base_path: &str) {
    let base = base_path.trim_end_matches('/');
    document.servers = Some(vec![Server::new(format!("{base}/api/v1"))]);
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    let cookie = ApiKey::Cookie(ApiKeyValue::new(guard::COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::new("token", none),
        SecurityRequirement::new("session", none),
        // Without a configured token nothing is needed.
        SecurityRequirement::default(),
    ]);
}
