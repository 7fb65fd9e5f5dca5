//! What requests bring: bodies, queries and paths, refused with a problem document.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<T>(pub(super) T);

/// Query parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<T>(pub(super) T);

/// Parts of the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments<T>(pub(super) T);

// === impl Body ===

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Json::<Value>::from_request(request, state).await;
        let invalid = |detail: &str| {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Problem::new(status, "invalid_body", sentence(detail))
        };
        let body = body.map(|Json(body)| body).map_err(|error| {
            let code = match error {
                JsonRejection::JsonSyntaxError(_) => "invalid_json",
                JsonRejection::MissingJsonContentType(_) => "unsupported_media_type",
                JsonRejection::BytesRejection(_) => "unreadable_body",
                _ => "invalid_body",
            };
            let status = error.status();
            let code = match status {
                StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
                _ => code,
            };
            Problem::new(status, code, sentence(&error.body_text()))
        })?;
        // A list of the fields' values would pass for the object that has them.
        if !body.is_object() {
            return Err(invalid("the body is not a JSON object"));
        }
        let body = serde_json::from_value(body).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self(body))
    }
}

// === impl Params ===

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(params)| Self(params))
            .map_err(|error: QueryRejection| {
                Problem::bad_request("invalid_query", sentence(&error.body_text()))
            })
    }
}

// === impl Segments ===

impl<S, T> FromRequestParts<S> for Segments<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path))
            .map_err(|error: PathRejection| {
                Problem::bad_request("invalid_path", sentence(&error.body_text()))
            })
    }
}

/// A library's message as one line without what nobody may print.
fn sentence(text: &str) -> String {
    const MAX: usize = 300;
    let printable = text.chars().filter(|&c| !crate::model::is_unprintable(c));
    printable.take(MAX).collect()
}
