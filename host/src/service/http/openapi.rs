//! The API's routes, and the `OpenAPI` 3.1 document that is made of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Router, middleware};
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, SecurityRequirement, Server};
use utoipa_axum::router::OpenApiRouter;

use super::{
    addresses, alerts, balances, chains, decisions, events, guard, history, providers, reload,
    scans, session, totals, webhooks,
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

/// What needs a token, where one is configured.
fn guarded() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(scans::routes())
        .merge(chains::routes())
        .merge(providers::routes())
        .merge(balances::routes())
        .merge(totals::routes())
        .merge(history::routes())
        .merge(addresses::routes())
        .merge(decisions::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(alerts::routes())
        .merge(reload::routes())
}

/// The whole document, for a service that is mounted there.
pub(in crate::service) fn document(base_path: &str) -> OpenApi {
    let whole = OpenApiRouter::with_openapi(Whole::openapi());
    let (_, mut document) = whole
        .merge(guarded())
        .merge(session::routes())
        .split_for_parts();
    finish(&mut document, base_path);
    document
}

/// Everything under `/api/v1`.
pub(super) fn routes(app: &App) -> Router<App> {
    let let_in = middleware::from_fn_with_state(app.clone(), guard::let_in);
    let router = OpenApiRouter::new()
        .merge(guarded().layer(let_in))
        // Who is not let in yet must be able to log in.
        .merge(session::routes());
    let (router, _) = router.split_for_parts();
    let document = document(&app.setup().loaded.config.service.base_path);
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
    for (path, item) in &mut document.paths.paths {
        let name = path.replace(['/', '{', '}'], "_");
        let name = name.split('_').filter(|word| !word.is_empty());
        let name = name.collect::<Vec<_>>().join("_");
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                // The name of a handler is unique in its module only.
                operation.operation_id = Some(format!("{method}_{name}"));
                finish_operation(operation);
            }
        }
    }
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

/// What holds for every operation: the store may fail it, and problems are told in their own type.
fn finish_operation(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if let Some(refused) = responses.get("4XX").cloned() {
        responses.entry("5XX".to_owned()).or_insert(refused);
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if status.starts_with(['4', '5'])
            && let Some(problem) = response.content.shift_remove("application/json")
        {
            let kind = "application/problem+json".to_owned();
            response.content.insert(kind, problem);
        }
        if response.description.is_empty() {
            "what is wrong".clone_into(&mut response.description);
        }
    }
}
