//! Errors of the API: RFC 9457 problem documents with a stable `code`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::LedgerError;

/// A request that was not done, and why; `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Problem {
    /// Always `about:blank`: `code` is what programs go by.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable word for programs.
    code: &'static str,
    /// What is wrong, where, and what to do next.
    detail: String,
    /// Every mistake, where there can be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
    #[serde(skip)]
    retry_after_secs: Option<u64>,
}

/// One mistake of several.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Mistake {
    /// Where: a JSON pointer, a parameter, or a place in the configuration.
    pub(in crate::service) pointer: String,
    /// What is wrong there.
    pub(in crate::service) detail: String,
}

// === impl Problem ===

impl Problem {
    /// A problem; `code` is never changed once it is out.
    pub(in crate::service) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_secs: None,
        }
    }

    pub(in crate::service) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(in crate::service) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    pub(in crate::service) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(in crate::service) fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// With every mistake by itself.
    pub(in crate::service) fn with_errors(mut self, errors: Vec<Mistake>) -> Self {
        self.errors = errors;
        self
    }

    /// With the time after which another try makes sense.
    pub(in crate::service) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_secs;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<LedgerError> for Problem {
    /// The store's own word goes to the log: it may name files and statements.
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NoPass { pass } => {
                Self::not_found("unknown_scan", format!("there is no scan `{pass}`"))
            }
            LedgerError::PassEnded { pass, status } => Self::conflict(
                "scan_ended",
                format!("scan `{pass}` has ended already: {status}"),
            ),
            error => {
                let causes = crate::causes::with_causes(&error);
                tracing::error!(error = %causes, "a request met a store that does not work: {causes}");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    "the store cannot be used now; `/readyz` and the log of the service say why",
                )
                .retry_after(5)
            }
        }
    }
}
