//! From a provider's failure to what the router does and the caller sees: one table.

use domain::error_type::ErrorType;

/// A provider's failure, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    pub kind: ErrorType,
    /// Status to answer with when no other endpoint can help.
    pub status: u16,
    /// Whether another endpoint may succeed with the same request.
    pub elsewhere: bool,
    /// Seconds to leave this endpoint alone.
    pub cooldown_secs: u64,
    /// What the provider said, cut and cleaned for the caller.
    pub message: String,
    /// The provider's own code, if it gave one.
    pub provider_code: Option<String>,
}

/// How a connection failed before there was a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportFailure {
    Connect,
    /// No first token within the limit.
    Timeout,
    /// The connection broke, or what came was not the provider's protocol.
    Broken,
}

pub const MESSAGE_CHARS_MAX: usize = 600;
/// A provider's hint is believed up to this long.
pub const COOLDOWN_SECS_MAX: u64 = 600;

/// Words by which providers say that the prompt is too long; they do so with status 400, 413 or 422.
const CONTEXT_WORDS: &[&str] = &[
    "context length",
    "context_length",
    "context window",
    "context size",
    "prompt is too long",
    "too many tokens",
    "input is too long",
    "maximum context",
    "exceeds the available context",
    "reduce the length",
    "max_prompt_tokens",
];
/// Words by which providers refuse content.
const POLICY_WORDS: &[&str] = &[
    "content filter",
    "content_filter",
    "content policy",
    "content_policy",
    "safety system",
    "moderation",
];

/// What providers call their failures where they give no number.
const NAMES: &[(&str, u16)] = &[
    ("api_error", 500),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("content_filter", 400),
    ("context_length_exceeded", 400),
    ("insufficient_quota", 402),
    ("internalServerException", 500),
    ("invalid_api_key", 401),
    ("invalid_prompt", 400),
    ("invalid_request_error", 400),
    ("modelStreamErrorException", 502),
    ("modelTimeoutException", 504),
    ("not_found_error", 404),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("request_too_large", 413),
    ("server_error", 500),
    ("serviceUnavailableException", 503),
    ("throttlingException", 429),
    ("timeout_error", 504),
    ("validationException", 400),
];

/// Words by which a provider refuses the house's key with status 400.
const KEY_WORDS: &[&str] = &["api key not valid", "api key expired"];

/// Understands an HTTP answer other than success.
#[must_use]
pub fn from_status(status: u16, body: &[u8], retry_after_secs: Option<u64>) -> UpstreamError {
    let (message, provider_code) = read(body);
    let lower = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let hint = retry_after_secs.or_else(|| retry_delay_secs(body));
    let cooldown = |secs: u64| hint.unwrap_or(secs).min(COOLDOWN_SECS_MAX);
    let (kind, answer, elsewhere, cooldown_secs) = match status {
        400 | 413 | 422 if says(CONTEXT_WORDS) => (ErrorType::ContextLengthExceeded, 400, true, 0),
        400 | 403 if says(POLICY_WORDS) => (ErrorType::ContentPolicyViolation, 400, false, 0),
        400 if says(KEY_WORDS) => (ErrorType::ProviderUnavailable, 502, true, cooldown(60)),
        // The house's own key or balance at the provider: never the caller's fault.
        401..=403 => (ErrorType::ProviderUnavailable, 502, true, cooldown(60)),
        404 => (ErrorType::ProviderUnavailable, 502, true, cooldown(60)),
        408 | 504 | 524 => (ErrorType::Timeout, 504, true, cooldown(5)),
        413 => (ErrorType::PayloadTooLarge, 413, true, 0),
        422 | 498 | 499 => (ErrorType::Unprocessable, 422, false, 0),
        424 => (ErrorType::Unprocessable, 422, true, 0),
        429 => (ErrorType::RateLimitExceeded, 429, true, cooldown(10)),
        503 | 529 => (ErrorType::ProviderOverloaded, 503, true, cooldown(5)),
        500..=599 => (ErrorType::ProviderUnavailable, 502, true, cooldown(5)),
        400..=499 => (ErrorType::InvalidRequest, 400, false, 0),
        _ => (ErrorType::ProviderUnavailable, 502, true, cooldown(5)),
    };
    UpstreamError {
        kind,
        status: answer,
        elsewhere,
        cooldown_secs,
        message,
        provider_code,
    }
}

/// Understands a failure without an HTTP status.
#[must_use]
pub fn from_transport(failure: TransportFailure) -> UpstreamError {
    let (kind, message) = match failure {
        TransportFailure::Connect => (ErrorType::ProviderUnavailable, "The provider could not be reached."),
        TransportFailure::Timeout => (ErrorType::Timeout, "The provider did not begin to answer in time."),
        TransportFailure::Broken => (
            ErrorType::ProviderUnavailable,
            "The provider's answer broke off or was not understood.",
        ),
    };
    UpstreamError {
        kind,
        status: kind.status(),
        elsewhere: true,
        cooldown_secs: 5,
        message: message.to_owned(),
        provider_code: None,
    }
}

/// Understands an error event in the middle of a stream.
#[must_use]
pub fn from_event(data: &[u8]) -> UpstreamError {
    let event = parse(data);
    let status = event.as_ref().and_then(|value| {
        let error = value.get("error").unwrap_or(value);
        let said = ["code", "status", "type"]
            .into_iter()
            .filter_map(|name| error.get(name));
        said.filter_map(|said| match said {
            serde_json::Value::String(name) => from_name(name),
            number => u16::try_from(number.as_u64()?).ok(),
        })
        .find(|status| (400..600).contains(status))
    });
    from_status(status.unwrap_or(502), data, None)
}

/// Understands a failure that has a name of its own beside its data.
#[must_use]
pub fn from_named_event(name: &str, data: &[u8]) -> UpstreamError {
    let error = from_status(from_name(name).unwrap_or(502), data, None);
    UpstreamError {
        provider_code: error.provider_code.or_else(|| Some(clean(name))),
        ..error
    }
}

fn from_name(name: &str) -> Option<u16> {
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, status)| *status)
}

/// When to come back, where a provider says so in the error's details: `"retryDelay": "34.5s"`.
fn retry_delay_secs(body: &[u8]) -> Option<u64> {
    let value = parse(body)?;
    let mut details = value.get("error")?.get("details")?.as_array()?.iter();
    let delay = details.find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let whole = delay.strip_suffix('s')?.split('.').next()?;
    whole.parse::<u64>().ok()?.checked_add(1)
}

/// Some put the one error in a list.
fn parse(body: &[u8]) -> Option<serde_json::Value> {
    match serde_json::from_slice(body).ok()? {
        serde_json::Value::Array(mut all) if !all.is_empty() => Some(all.swap_remove(0)),
        value => Some(value),
    }
}

/// The message and code of an error body in any of the usual shapes; HTML is reduced to a remark.
fn read(body: &[u8]) -> (String, Option<String>) {
    let text = String::from_utf8_lossy(body);
    let Some(value) = parse(body) else {
        let is_text = !text.trim_start().starts_with('<') && !text.trim().is_empty();
        return (
            if is_text {
                clean(&text)
            } else {
                "The provider gave no reason.".to_owned()
            },
            None,
        );
    };
    let error = value.get("error").unwrap_or(&value);
    let message = ["message", "detail", "error", "msg"]
        .iter()
        .find_map(|name| error.get(name)?.as_str());
    let message = message
        .or_else(|| error.as_str())
        .or_else(|| value.get("message")?.as_str());
    let code = ["code", "type", "status"]
        .iter()
        .find_map(|name| match error.get(name)? {
            serde_json::Value::String(code) => Some(code.clone()),
            serde_json::Value::Number(code) => Some(code.to_string()),
            _ => None,
        });
    (
        clean(message.unwrap_or("The provider gave no reason.")),
        code.map(|code| clean(&code)),
    )
}

/// One line without control characters, cut, and without anything that looks like a key.
fn clean(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if looks_secret(word) { "[redacted]" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

fn looks_secret(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.starts_with("sk-") || word.starts_with("AIza") || word.starts_with("gsk_") || word.starts_with("xai-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, kind: ErrorType, answer: u16, elsewhere: bool) {
        let error = from_status(status, body.as_bytes(), None);
        assert_eq!(
            (error.kind, error.status, error.elsewhere),
            (kind, answer, elsewhere),
            "{status} {body}"
        );
    }

    #[test]
    fn the_table() {
        let message = |text: &str| format!(r#"{{"error":{{"message":"{text}"}}}}"#);
        check(400, &message("Unknown field"), ErrorType::InvalidRequest, 400, false);
        check(
            400,
            &message("This model's maximum context length is 8192"),
            ErrorType::ContextLengthExceeded,
            400,
            true,
        );
        check(
            400,
            &message("Output blocked by content filter"),
            ErrorType::ContentPolicyViolation,
            400,
            false,
        );
        check(
            400,
            &message("API key not valid. Please pass a valid API key."),
            ErrorType::ProviderUnavailable,
            502,
            true,
        );
        check(424, "", ErrorType::Unprocessable, 422, true);
        check(498, "", ErrorType::Unprocessable, 422, false);
        check(
            401,
            &message("Incorrect API key"),
            ErrorType::ProviderUnavailable,
            502,
            true,
        );
        check(
            402,
            &message("Insufficient balance"),
            ErrorType::ProviderUnavailable,
            502,
            true,
        );
        check(
            404,
            &message("no such model"),
            ErrorType::ProviderUnavailable,
            502,
            true,
        );
        check(429, "", ErrorType::RateLimitExceeded, 429, true);
        check(500, "<html>oops</html>", ErrorType::ProviderUnavailable, 502, true);
        check(503, "", ErrorType::ProviderOverloaded, 503, true);
        check(529, "", ErrorType::ProviderOverloaded, 503, true);
        check(504, "", ErrorType::Timeout, 504, true);
    }

    #[test]
    fn events_are_understood_by_number_or_name() {
        let kind = |data: &str| from_event(data.as_bytes()).kind;
        assert_eq!(
            kind(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
            ErrorType::ProviderOverloaded
        );
        assert_eq!(
            kind(r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#),
            ErrorType::RateLimitExceeded
        );
        assert_eq!(
            kind(r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#),
            ErrorType::RateLimitExceeded
        );
        assert_eq!(kind(r#"{"error":"model gone"}"#), ErrorType::ProviderUnavailable);
        let named = from_named_event("throttlingException", br#"{"message":"Too many"}"#);
        assert_eq!(
            (named.kind, named.message.as_str()),
            (ErrorType::RateLimitExceeded, "Too many")
        );
        assert_eq!(named.provider_code.as_deref(), Some("throttlingException"));
    }

    #[test]
    fn messages_are_cleaned() {
        let error = from_status(
            401,
            br#"{"error":{"message":"Bad key sk-abc123\n given","code":"invalid_api_key"}}"#,
            None,
        );
        assert_eq!(error.message, "Bad key [redacted] given");
        assert_eq!(error.provider_code.as_deref(), Some("invalid_api_key"));
        assert_eq!(
            from_status(502, b"<html>", None).message,
            "The provider gave no reason."
        );
        assert_eq!(from_status(500, br#"{"detail":"boom"}"#, None).message, "boom");
    }

    #[test]
    fn a_hint_is_believed_within_limits() {
        assert_eq!(from_status(429, b"", Some(30)).cooldown_secs, 30);
        assert_eq!(from_status(429, b"", Some(90_000)).cooldown_secs, COOLDOWN_SECS_MAX);
        let body = br#"[{"error":{"code":429,"message":"Quota","details":[{"@type":"x"},{"retryDelay":"34.07s"}]}}]"#;
        let error = from_status(429, body, None);
        assert_eq!((error.cooldown_secs, error.message.as_str()), (35, "Quota"));
    }
}
