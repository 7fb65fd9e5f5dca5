//! Who may ask what: the `Host` and `Origin` of a request, its token or session, how often.
//!
//! A page on the web can make an operator's browser send requests to a service on loopback, under
//! a name of its own that points there. So the `Host` must be one of ours, whether or not a token
//! is needed, and whoever sends an `Origin` must send ours.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use crate::config::{MetricsAccess, Secret, Service};
use crate::service::app::App;
use crate::service::server::Peer;

/// The name of the session's cookie.
pub(super) const COOKIE: &str = "scanhost_session";
/// How long a session lasts.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Everything.
    Admin,
    /// Look.
    Read,
}

// === impl Role ===

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Read => "read",
        }
    }

    /// The role that a secret gives; compared in constant time.
    pub(super) fn of_token(service: &Service, token: &str) -> Option<Self> {
        let is = |secret: &Option<Secret>| {
            let secret = secret.as_ref().map(Secret::expose);
            secret.is_some_and(|secret| is_same(secret, token))
        };
        // Both are compared, whichever it is.
        let (admin, read) = (is(&service.token), is(&service.read_token));
        match (admin, read) {
            (true, _) => Some(Self::Admin),
            (false, true) => Some(Self::Read),
            (false, false) => None,
        }
    }

    /// The value of a cookie that gives this role until then: nothing of the token is in it.
    pub(super) fn cookie(self, service: &Service, until_ms: i64) -> Option<String> {
        let signature = self.signature(service, until_ms)?;
        let signature = signature.finalize().into_bytes();
        Some(format!(
            "{}.{until_ms}.{}",
            self.as_str(),
            hex::encode(signature)
        ))
    }

    /// The role that a cookie gives at this moment.
    fn of_cookie(service: &Service, cookie: &str, now_ms: i64) -> Option<Self> {
        let mut parts = cookie.splitn(3, '.');
        let role = match parts.next()? {
            "admin" => Self::Admin,
            "read" => Self::Read,
            _ => return None,
        };
        let until_ms: i64 = parts.next()?.parse().ok()?;
        let told = hex::decode(parts.next()?).ok()?;
        let signature = role.signature(service, until_ms)?;
        signature.verify_slice(&told).ok()?;
        (until_ms > now_ms).then_some(role)
    }

    /// Bound to the role's token: whoever changes that ends all its sessions.
    fn signature(self, service: &Service, until_ms: i64) -> Option<Hmac<Sha256>> {
        let token = match self {
            Self::Admin => service.token.as_ref(),
            Self::Read => service.read_token.as_ref(),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(token?.expose().as_bytes())
            .expect("a key may have any length");
        mac.update(b"scanhost session\0");
        mac.update(self.as_str().as_bytes());
        mac.update(&until_ms.to_be_bytes());
        Some(mac)
    }
}

/// Compared by their hashes, so that not even the length takes another time.
fn is_same(secret: &str, token: &str) -> bool {
    let (secret, token) = (Sha256::digest(secret), Sha256::digest(token));
    secret.ct_eq(&token).into()
}

/// Refuses a `Host` that is none of ours and an `Origin` that is another's.
pub(super) async fn own_names(State(app): State<App>, request: Request, next: Next) -> Response {
    let setup = app.setup();
    let service = &setup.loaded.config.service;
    match check_names(service, request.headers(), request.uri().host()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_names(service: &Service, headers: &HeaderMap, uri: Option<&str>) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let host = host.map(|host| host.to_str().unwrap_or("?"));
    let Some(host) = host.or(uri).filter(|_| more.is_none()) else {
        let detail = "the request needs one `Host`";
        return Err(Problem::bad_request("host_missing", detail));
    };
    let is_own = |name: &str| is_own_name(service, name);
    if !is_own(name_of(host)) || uri.is_some_and(|uri| !is_own(uri)) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host_not_allowed",
            "this service does not answer to that `Host`; add the name to `allowed_hosts` in \
             [service] if it is yours",
        ));
    }
    let foreign = || {
        Problem::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "pages of another origin may not ask this service",
        )
    };
    if let Some(origin) = text(header::ORIGIN) {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let authority = authority.ok_or_else(foreign)?;
        let is_same = authority.eq_ignore_ascii_case(host);
        let name = name_of(authority);
        // A proxy may have another name and port than we see.
        let is_listed = service.allowed_hosts.iter().any(|it| is_host(it, name));
        if !is_same && !is_listed {
            return Err(foreign());
        }
    }
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some("cross-site") if text(header::ORIGIN).is_some() => Err(foreign()),
        _ => Ok(()),
    }
}

/// A `Host` without its port.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(name, _)| name);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// A configured name may have a port, which makes no difference.
fn is_host(configured: &str, name: &str) -> bool {
    let configured = match configured.parse::<IpAddr>() {
        Ok(_) => configured,
        Err(_) => name_of(configured),
    };
    configured.eq_ignore_ascii_case(name)
}

fn is_own_name(service: &Service, name: &str) -> bool {
    let name = name.trim_matches(['[', ']']);
    let listen = service.listen.ip();
    let is_address = match name.parse::<IpAddr>() {
        // An address cannot be made to point here by somebody else's name server.
        Ok(address) => {
            address == listen
                || listen.is_unspecified()
                || (listen.is_loopback() && address.is_loopback())
        }
        Err(_) => {
            name.eq_ignore_ascii_case("localhost")
                && (listen.is_loopback() || listen.is_unspecified())
        }
    };
    is_address || service.allowed_hosts.iter().any(|it| is_host(it, name))
}

/// Lets through who may ask this; the role goes along as an extension.
pub(super) async fn let_in(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match admit(&app, &request) {
        Ok(role) => {
            request.extensions_mut().insert(role);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets through who may read the metrics.
pub(super) async fn let_in_to_metrics(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let is_open = app.setup().loaded.config.service.metrics == MetricsAccess::Open;
    let role = is_open.then_some(Role::Read);
    match role.map_or_else(|| admit(&app, &request), Ok) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn admit(app: &App, request: &Request) -> Result<Role, Problem> {
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let now = app.clock().now();
    if changes && !app.limits().changes.admits(peer, now) {
        return Err(too_often("too many changing requests"));
    }
    let setup = app.setup();
    let service = &setup.loaded.config.service;
    let Some(role) = role_of(service, request.headers(), app.clock().unix_ms()) else {
        if has_credential(request.headers()) && !app.limits().refusals.admits(peer, now) {
            return Err(too_often("too many requests with a wrong token"));
        }
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the token as `Authorization: Bearer TOKEN`, or log in at the dashboard",
        ));
    };
    if changes && role == Role::Read {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "read_only",
            "this token may look and change nothing",
        ));
    }
    Ok(role)
}

fn too_often(what: &str) -> Problem {
    let detail = format!("{what}; slow down");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(1)
}

/// The role of whoever sends these headers; without a configured token everybody may everything.
pub(super) fn role_of(service: &Service, headers: &HeaderMap, now_ms: i64) -> Option<Role> {
    if service.token.is_none() {
        return Some(Role::Admin);
    }
    // A proxy may have a password of its own in front of ours.
    let by_token = bearer(headers).and_then(|token| Role::of_token(service, &token));
    by_token.or_else(|| Role::of_cookie(service, session(headers)?, now_ms))
}

/// The headers that a role comes from.
pub(super) fn credential(headers: &HeaderMap) -> HeaderMap {
    let names = [header::AUTHORIZATION, header::COOKIE];
    let mut credential = HeaderMap::new();
    for name in names {
        for value in headers.get_all(&name) {
            credential.append(&name, value.clone());
        }
    }
    credential
}

fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || session(headers).is_some()
}

/// `Bearer TOKEN`, or `Basic` with the token as its password, which Prometheus and curl can send.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = base64::engine::general_purpose::STANDARD
        .decode(rest)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

/// The header that begins a session, or with no value ends it.
pub(super) fn set_cookie(value: Option<&str>, base_path: &str, is_https: bool) -> String {
    let (value, max_age) = match value {
        Some(value) => (value, SESSION.as_secs()),
        None => ("", 0),
    };
    let secure = if is_https { "; Secure" } else { "" };
    format!(
        "{COOKIE}={value}; Path={base_path}; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"
    )
}

#[cfg(test)]
mod tests;
