//! How each API says that something went wrong. Our own type and metadata go with it as further members.

use super::Surface;
use domain::error_type::ErrorType;
use serde_json::{Map, Value, json};

/// A failure with everything its caller is told.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    pub status: u16,
    pub kind: ErrorType,
    pub message: &'a str,
    pub metadata: &'a Map<String, Value>,
}

impl Failure<'_> {
    /// The body of a response, or the data of an event. `request` is the generation's id, where there is one.
    #[must_use]
    pub fn body(&self, surface: Surface, request: Option<&str>) -> Value {
        let Self {
            status,
            kind,
            message,
            metadata,
        } = *self;
        match surface {
            Surface::Chat | Surface::Completions => {
                let mut metadata = metadata.clone();
                metadata.insert("error_type".to_owned(), kind.name().into());
                json!({"error": {"code": status, "message": message, "metadata": metadata}})
            }
            Surface::Responses => json!({"error": {
                "message": message, "type": openai_type(status), "param": metadata.get("field"),
                "code": responses_code(kind), "error_type": kind.name(), "metadata": metadata,
            }}),
            Surface::Messages => json!({
                "type": "error",
                "error": {"type": anthropic_type(kind), "message": message, "error_type": kind.name(), "metadata": metadata},
                "request_id": request,
            }),
            Surface::Gemini => json!({"error": {
                "code": status, "message": message, "status": google_status(status),
                "error_type": kind.name(), "metadata": metadata,
            }}),
        }
    }
}

/// Of a response that failed, as the Responses API numbers its reasons.
#[must_use]
pub const fn responses_code(kind: ErrorType) -> &'static str {
    use ErrorType as E;
    match kind {
        E::RateLimitExceeded => "rate_limit_exceeded",
        E::ContextLengthExceeded | E::InvalidRequest | E::InvalidPrompt => "invalid_prompt",
        E::InvalidImage => "invalid_image",
        E::NotFound => "not_found",
        E::Authentication => "invalid_api_key",
        E::PaymentRequired => "insufficient_quota",
        _ => "server_error",
    }
}

const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

const fn anthropic_type(kind: ErrorType) -> &'static str {
    use ErrorType as E;
    match kind {
        E::Authentication => "authentication_error",
        E::PermissionDenied => "permission_error",
        E::PaymentRequired => "billing_error",
        E::NotFound => "not_found_error",
        E::PayloadTooLarge => "request_too_large",
        E::RateLimitExceeded => "rate_limit_error",
        E::ProviderOverloaded | E::ServiceUnavailable => "overloaded_error",
        E::Timeout => "timeout_error",
        E::ProviderUnavailable | E::Server | E::Unmapped => "api_error",
        E::ContextLengthExceeded
        | E::MaxTokensExceeded
        | E::TokenLimitExceeded
        | E::StringTooLong
        | E::MethodNotAllowed
        | E::InvalidRequest
        | E::InvalidPrompt
        | E::PreconditionFailed
        | E::Unprocessable
        | E::ContentPolicyViolation
        | E::Refusal
        | E::InvalidImage => "invalid_request_error",
    }
}

const fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 412 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        502 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_its_own_shape_and_ours_goes_with_it() {
        let metadata = Map::from_iter([("limit_source".to_owned(), "account".into())]);
        let failure = Failure {
            status: 429,
            kind: ErrorType::RateLimitExceeded,
            message: "slow down",
            metadata: &metadata,
        };
        let body = |surface| failure.body(surface, Some("gen-1"));
        assert_eq!(
            body(Surface::Chat),
            json!({"error": {"code": 429, "message": "slow down",
                "metadata": {"limit_source": "account", "error_type": "rate_limit_exceeded"}}})
        );
        let messages = body(Surface::Messages);
        assert_eq!(
            (&messages["type"], &messages["request_id"]),
            (&json!("error"), &json!("gen-1"))
        );
        assert_eq!(messages["error"]["type"], "rate_limit_error");
        assert_eq!(messages["error"]["metadata"]["limit_source"], "account");
        assert_eq!(body(Surface::Responses)["error"]["type"], "rate_limit_error");
        assert_eq!(body(Surface::Responses)["error"]["code"], "rate_limit_exceeded");
        assert_eq!(body(Surface::Gemini)["error"]["status"], "RESOURCE_EXHAUSTED");
        assert_eq!(body(Surface::Gemini)["error"]["error_type"], "rate_limit_exceeded");
    }
}
