//! `reload`: the configuration is read again.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Mistake, Problem};
use crate::service::app::App;
use crate::service::setup::SetupError;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(reload))
}

/// A configuration that was taken.
#[derive(Debug, Serialize, ToSchema)]
struct ReloadedView {
    /// What is worth knowing about it.
    warnings: Vec<String>,
}

/// Reads the configuration again, as SIGHUP does. One with mistakes changes nothing.
#[utoipa::path(post, path = "/reload", tag = "service",
    responses(
        (status = 200, body = ReloadedView),
        (status = 422, description = "all its mistakes", body = Problem),
        (status = "4XX", body = Problem)))]
async fn reload(State(app): State<App>) -> Result<Json<ReloadedView>, Problem> {
    match app.reload().await {
        Ok(reloaded) => Ok(Json(ReloadedView {
            warnings: reloaded.warnings,
        })),
        Err(SetupError::Ledger(error)) => Err(error.into()),
        Err(SetupError::Config(errors)) => {
            let mistakes = errors.findings().iter().map(|finding| Mistake {
                pointer: finding.place.to_string(),
                detail: finding.message.clone(),
            });
            Err(Problem::unprocessable(
                "invalid_configuration",
                "the configuration has mistakes; the one before stays",
            )
            .with_errors(mistakes.collect()))
        }
    }
}
