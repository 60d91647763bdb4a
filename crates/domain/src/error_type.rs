//! The stable reasons an API call can fail for, and their HTTP status: the published table.

use serde::{Deserialize, Serialize};

macro_rules! error_types {
    ($($variant:ident = $name:literal, $status:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorType { $($variant,)* }

        impl ErrorType {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of `error.metadata.error_type`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status, unless the error says otherwise (routing refuses with 503 `provider_unavailable`).
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

error_types! {
    ContextLengthExceeded = "context_length_exceeded", 400;
    MaxTokensExceeded = "max_tokens_exceeded", 400;
    TokenLimitExceeded = "token_limit_exceeded", 400;
    StringTooLong = "string_too_long", 400;
    Authentication = "authentication", 401;
    PaymentRequired = "payment_required", 402;
    PermissionDenied = "permission_denied", 403;
    NotFound = "not_found", 404;
    MethodNotAllowed = "method_not_allowed", 405;
    RateLimitExceeded = "rate_limit_exceeded", 429;
    ProviderOverloaded = "provider_overloaded", 503;
    ProviderUnavailable = "provider_unavailable", 502;
    InvalidRequest = "invalid_request", 400;
    InvalidPrompt = "invalid_prompt", 400;
    PreconditionFailed = "precondition_failed", 412;
    PayloadTooLarge = "payload_too_large", 413;
    Unprocessable = "unprocessable", 422;
    ContentPolicyViolation = "content_policy_violation", 400;
    Refusal = "refusal", 400;
    InvalidImage = "invalid_image", 400;
    Server = "server", 500;
    ServiceUnavailable = "service_unavailable", 503;
    Timeout = "timeout", 504;
    Unmapped = "unmapped", 500;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_serialised_form() {
        for kind in ErrorType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
