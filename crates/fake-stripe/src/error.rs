//! What Stripe answers when it refuses: `{"error": {"type", "code", "message", "param", …}}`.

use serde_json::{Map, Value, json};

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    error: Map<String, Value>,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let error = [
            ("type".to_owned(), Value::from(kind)),
            ("message".to_owned(), Value::from(message.into())),
        ];
        Self {
            status,
            error: error.into_iter().collect(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    pub(crate) fn missing_param(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}."))
            .with("code", "parameter_missing")
            .with("param", param)
    }

    pub(crate) fn no_such(what: &str, id: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("No such {what}: '{id}'"))
            .with("code", "resource_missing")
            .with("param", "id")
    }

    /// 402, as for a payment that the issuer declines.
    pub(crate) fn declined(code: &str, decline_code: &str, payment_intent: Value) -> Self {
        Self::new(402, "card_error", "Your card was declined.")
            .with("code", code)
            .with("decline_code", decline_code)
            .with("payment_intent", payment_intent)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.error.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.error })
    }
}
