//! The API under `/api/v1`: one file per resource.

use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::response::{IntoResponse, Response};
use domain::catalog::Catalog;
use domain::error_type::ErrorType;
use domain::money::NanoUsd;
use domain::near::nearest;
use gateway::surface::Surface;
use http::Uri;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub mod chat;
pub mod completions;
pub mod credits;
pub mod gemini;
pub mod generation;
pub mod health;
pub mod key;
pub mod messages;
pub mod models;
pub mod openapi;
pub mod playground;
pub mod providers;
pub mod responses;

/// Dollars as a JSON number, exact to the last digit: no float is involved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usd(pub NanoUsd);

/// `{"data": …}`, the frame of every successful answer that is not a completion.
#[derive(Serialize, ToSchema)]
pub struct Data<T> {
    pub data: T,
}

/// How long a read waits for charges that are on their way to the store.
const SETTLED_WAIT: Duration = Duration::from_secs(1);
const SUGGESTIONS_MAX: usize = 3;

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_decimal()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl PartialSchema for Usd {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Number);
        number.description(Some("Dollars, exact to the nano-dollar.")).into()
    }
}

impl ToSchema for Usd {}

/// 404 for an address that is none of ours.
pub async fn unknown(uri: Uri) -> ApiError {
    ApiError::new(
        ErrorType::NotFound,
        format!("There is nothing at {}. The API is documented at /docs.", uri.path()),
    )
}

/// 404 for a model that is not in the catalog, with the names that come closest.
#[must_use]
pub fn unknown_model(catalog: &Catalog, wanted: &str) -> ApiError {
    let slugs = catalog.models().map(|entry| entry.model.slug.as_str());
    let near: Vec<String> = nearest(wanted, slugs, SUGGESTIONS_MAX)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let hint = match near.first() {
        Some(name) => format!(" Did you mean {name}?"),
        None => String::new(),
    };
    ApiError::new(ErrorType::NotFound, format!("No model is named {wanted:?}.{hint}")).with("suggestions", near)
}

/// Gives every failure the published form, also those that arise before a handler runs (method, size, encoding).
pub async fn published(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || status.is_success() || status.is_redirection() || status.is_informational() {
        return response;
    }
    let (kind, message) = reason(status.as_u16());
    let mut published = ApiError::new(kind, message).status(status.as_u16()).into_response();
    if let Some(allow) = response.headers().get(http::header::ALLOW) {
        published.headers_mut().insert(http::header::ALLOW, allow.clone());
    }
    published
}

/// Says failures as the callers of `surface` expect them, also those that arise before a handler runs.
pub async fn spoken(surface: Surface, response: Response) -> Response {
    let response = published(response).await;
    let Some(error) = response.extensions().get::<Arc<ApiError>>().cloned() else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    let id = parts.headers.get("x-generation-id").and_then(|id| id.to_str().ok());
    let body = error.failure().body(surface, id).to_string();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, body.into())
}

fn reason(status: u16) -> (ErrorType, &'static str) {
    match status {
        403 => (
            ErrorType::PermissionDenied,
            "The request was not sent from a page of this site.",
        ),
        404 => (ErrorType::NotFound, "There is nothing here."),
        405 => (ErrorType::MethodNotAllowed, "This address does not take this method."),
        413 => (ErrorType::PayloadTooLarge, "The request body is too large."),
        415 => (ErrorType::InvalidRequest, "Send the body as application/json."),
        422 => (ErrorType::Unprocessable, "The request cannot be processed as it is."),
        400..=499 => (ErrorType::InvalidRequest, "The request cannot be read."),
        503 => (
            ErrorType::ServiceUnavailable,
            "The service is busy. Try again in a few seconds.",
        ),
        _ => (ErrorType::Server, "Something went wrong on our side."),
    }
}

/// Waits, but not for long, until what was generated so far is in the store.
async fn settled(state: &DataPlane) {
    if tokio::time::timeout(SETTLED_WAIT, state.settled()).await.is_err() {
        tracing::debug!("charges are slow to arrive in the store; answering without them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_numbers() {
        let text = |nano| serde_json::to_string(&Usd(NanoUsd::new(nano))).unwrap();
        assert_eq!(text(1), "0.000000001");
        assert_eq!(text(-12_500_000_000), "-12.5");
        assert_eq!(text(i64::MAX), "9223372036.854775807");
    }

    #[tokio::test]
    async fn plain_failures_become_published_ones() {
        let plain = (http::StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")], "no").into_response();
        let response = published(plain).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET");
        assert!(
            response.headers()["content-type"]
                .as_bytes()
                .starts_with(b"application/json")
        );
        let own = ApiError::new(ErrorType::NotFound, "mine").into_response();
        let body = axum::body::to_bytes(published(own).await.into_body(), 1_000)
            .await
            .unwrap();
        assert!(String::from_utf8_lossy(&body).contains("mine"));
    }
}
