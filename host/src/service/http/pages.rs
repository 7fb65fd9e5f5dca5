//! The dashboard's files, which anybody may have: what they show comes from the API.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::service::app::App;
use crate::service::page::{ASSETS, Asset, POLICY};

/// The page is at `base` with a slash behind it, its files are beside it.
pub(super) fn routes(base: &str) -> Router<App> {
    let mut router = Router::new();
    for (path, asset) in ASSETS {
        let serve = move |headers: HeaderMap| async move { answer(asset, &headers) };
        router = router.route(&format!("{base}/{path}"), get(serve));
    }
    router
}

fn answer(asset: &Asset, headers: &HeaderMap) -> Response {
    let etag = asset.etag();
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.body.into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, asset.content_type);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::CACHE_CONTROL, "no-cache");
    let etag = HeaderValue::from_str(&etag).expect("it is hex digits");
    headers.insert(header::ETAG, etag);
    response
}
