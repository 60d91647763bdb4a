//! What an API call answers when it fails: the published envelope `{"error":{"code","message","metadata"}}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::error_type::ErrorType;
use gateway::surface::Surface;
use gateway::surface::failure::Failure;
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use std::sync::Arc;
use store::StoreError;

/// A failure with everything its caller is told. What the caller must not know is logged where the error is made.
#[derive(Clone, Debug)]
pub struct ApiError {
    kind: ErrorType,
    status: u16,
    message: String,
    metadata: Map<String, Value>,
    retry_after_secs: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How long a caller is asked to wait when the database cannot be reached.
const DATABASE_RETRY_SECS: u64 = 5;

impl ApiError {
    /// With the status that the published table gives to `kind`.
    pub fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            message: message.into(),
            metadata: Map::new(),
            retry_after_secs: None,
            headers: Vec::new(),
        }
    }

    /// A masked 500. The cause goes to the log, never to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error.cause = %cause, "request failed for an internal reason");
        Self::new(
            ErrorType::Server,
            "Something went wrong on our side. Nothing was charged for this request.",
        )
    }

    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds `key` to `error.metadata`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the `Retry-After` header.
    #[must_use]
    pub const fn retry_after_secs(mut self, seconds: u64) -> Self {
        self.retry_after_secs = Some(seconds);
        self
    }

    /// Adds response headers.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The envelope, as sent in a response body.
    #[must_use]
    pub fn body(&self) -> Value {
        self.failure().body(Surface::Chat, None)
    }

    /// What any surface's envelope is made of.
    #[must_use]
    pub const fn failure(&self) -> Failure<'_> {
        Failure {
            status: self.status,
            kind: self.kind,
            message: self.message.as_str(),
            metadata: &self.metadata,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        // For the access log, and for surfaces that say it in another shape.
        response.extensions_mut().insert(self.kind);
        response.extensions_mut().insert(Arc::new(self.clone()));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A broken database is always a 503 or a masked 500, never an answer about the caller's key or credits.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if !matches!(error, StoreError::Unavailable(..)) {
            return Self::internal(&error);
        }
        tracing::warn!(error.cause = %error, "database is unavailable");
        Self::new(
            ErrorType::ServiceUnavailable,
            "The database cannot be reached right now. Try again in a few seconds.",
        )
        .retry_after_secs(DATABASE_RETRY_SECS)
    }
}

#[cfg(test)]
impl ApiError {
    pub const fn kind(&self) -> ErrorType {
        self.kind
    }

    pub const fn code(&self) -> u16 {
        self.status
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_envelope_names_code_message_and_type() {
        let error = ApiError::new(ErrorType::ProviderUnavailable, "no key")
            .status(503)
            .with("setting", "OPENAI_API_KEY");
        assert_eq!(
            error.body(),
            json!({"error": {"code": 503, "message": "no key", "metadata": {
                "error_type": "provider_unavailable", "setting": "OPENAI_API_KEY"}}})
        );
    }

    #[test]
    fn the_type_cannot_be_overwritten() {
        let body = ApiError::new(ErrorType::NotFound, "x")
            .with("error_type", "server")
            .body();
        assert_eq!(body["error"]["metadata"]["error_type"], "not_found");
    }

    #[test]
    fn headers_tell_when_to_retry_and_how_to_authenticate() {
        let response = ApiError::new(ErrorType::Authentication, "x")
            .retry_after_secs(7)
            .into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn internal_causes_stay_inside() {
        let body = ApiError::internal(&"row 7 of table users").body().to_string();
        assert!(!body.contains("row 7") && body.contains("\"server\""));
    }
}
