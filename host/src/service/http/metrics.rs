//! `/metrics`: numbers for Prometheus.

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::routing::get;
use axum::{Router, middleware};

use super::guard;
use crate::service::app::App;

/// The text format of Prometheus.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes(app: &App) -> Router<App> {
    let let_in = middleware::from_fn_with_state(app.clone(), guard::let_in_to_metrics);
    Router::new()
        .route("/metrics", get(metrics))
        .route_layer(let_in)
}

async fn metrics(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    let text = app.metrics().render(&app).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
