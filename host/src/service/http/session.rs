//! `session`: the token for a cookie, since a browser's `EventSource` sends no header.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Body;
use super::guard::{self, Role};
use super::problem::Problem;
use crate::service::app::App;
use crate::service::server::Peer;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(begin, look, end))
}

/// What gives the session its role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// `token` or `read_token` of [service].
    token: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    /// `admin` may do everything, `read` may look.
    role: &'static str,
    /// Whether a token is needed at all.
    token_required: bool,
}

/// Begins a session: a cookie for 12 hours that scripts cannot read.
#[utoipa::path(post, path = "/session", tag = "session", request_body = Login,
    responses((status = 204, description = "the cookie is set"), (status = "4XX", body = Problem)))]
async fn begin(
    State(app): State<App>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<Response, Problem> {
    let setup = app.setup();
    let service = &setup.loaded.config.service;
    if service.token.is_none() {
        // Everybody may everything: a session would say nothing.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(role) = Role::of_token(service, &login.token) else {
        let peer = peer.map(|peer| peer.0.0.ip());
        let now = app.clock().now();
        if !app.limits().refusals.admits(peer, now) {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "too many requests with a wrong token; slow down",
            )
            .retry_after(3));
        }
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "that is not the token of this service",
        ));
    };
    let lasts_ms = i64::try_from(guard::SESSION.as_millis()).unwrap_or(i64::MAX);
    let until_ms = app.clock().unix_ms().saturating_add(lasts_ms);
    let cookie = role.cookie(service, until_ms);
    Ok(with_cookie(cookie.as_deref(), &service.base_path, &headers))
}

/// Who asks, and whether a token is needed.
#[utoipa::path(get, path = "/session", tag = "session",
    responses((status = 200, body = Session), (status = "4XX", body = Problem)))]
async fn look(State(app): State<App>, headers: HeaderMap) -> Result<Json<Session>, Problem> {
    let setup = app.setup();
    let service = &setup.loaded.config.service;
    let role = guard::role_of(service, &headers, app.clock().unix_ms());
    let role = role.ok_or_else(|| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the token to `POST /api/v1/session`",
        )
    })?;
    Ok(Json(Session {
        role: role.as_str(),
        token_required: service.token.is_some(),
    }))
}

/// Ends the session.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 204, description = "the cookie is gone"), (status = "4XX", body = Problem)))]
async fn end(State(app): State<App>, headers: HeaderMap) -> Response {
    let setup = app.setup();
    with_cookie(None, &setup.loaded.config.service.base_path, &headers)
}

fn with_cookie(value: Option<&str>, base_path: &str, headers: &HeaderMap) -> Response {
    let forwarded = headers.get("x-forwarded-proto");
    let is_https = forwarded.is_some_and(|proto| proto.as_bytes() == b"https");
    let cookie = guard::set_cookie(value, base_path, is_https);
    let mut response = StatusCode::NO_CONTENT.into_response();
    let cookie = HeaderValue::from_str(&cookie).expect("it is hex digits and configured words");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}
