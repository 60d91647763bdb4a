//! From a provider's failure to what the router does and the caller sees: one table ([`RULES`]).

use crate::rate_limit::duration_ms;
use domain::error_type::ErrorType;
use table::NAMES;
pub use table::{Elsewhere, RULES, Rule, markdown};

mod clean;
mod table;

use clean::clean;

/// A provider's failure, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    pub kind: ErrorType,
    /// Status to answer with when no other endpoint can help.
    pub status: u16,
    pub elsewhere: Elsewhere,
    /// Only the operator can do something about it: a key, a balance, a model's name.
    pub is_houses: bool,
    /// Seconds to leave this endpoint alone.
    pub cooldown_secs: u64,
    /// The provider's status, if it came to that.
    pub upstream_status: Option<u16>,
    /// What the provider said, cut and cleaned for the caller.
    pub message: String,
    /// The provider's own code, if it gave one.
    pub provider_code: Option<String>,
}

/// How a connection failed before there was a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportFailure {
    /// The house's own settings or credentials do not let it be called.
    NoAccess,
    Connect,
    /// No first token within the limit.
    Timeout,
    /// The connection broke, or what came was not the provider's protocol.
    Broken,
}

pub const MESSAGE_CHARS_MAX: usize = 600;
/// A provider's hint is believed up to this long.
pub const COOLDOWN_SECS_MAX: u64 = 600;

/// Understands an HTTP answer other than success. `retry_after_ms` is what its headers say.
#[must_use]
pub fn from_status(status: u16, body: &[u8], retry_after_ms: Option<u64>) -> UpstreamError {
    let Said { message, code, quotas } = read(body);
    let said = format!("{message} {} {quotas}", code.as_deref().unwrap_or_default()).to_lowercase();
    let rule = table::rule_for(status, &said);
    let hint = retry_after_ms
        .or_else(|| retry_delay_ms(body))
        .or_else(|| told_delay_ms(&said));
    let cooldown_secs = match (rule.cooldown_secs, hint) {
        (0, _) => 0,
        (secs, None) => secs,
        (_, Some(ms)) => ms.div_ceil(1_000),
    };
    UpstreamError {
        kind: rule.kind,
        status: rule.status,
        elsewhere: rule.elsewhere,
        is_houses: rule.is_houses,
        cooldown_secs: cooldown_secs.min(COOLDOWN_SECS_MAX),
        upstream_status: Some(status),
        message,
        provider_code: code,
    }
}

/// Understands a failure without an HTTP status.
#[must_use]
pub fn from_transport(failure: TransportFailure) -> UpstreamError {
    let (kind, message) = match failure {
        TransportFailure::NoAccess => (
            ErrorType::ProviderUnavailable,
            "The provider can't be called with this server's credentials.",
        ),
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
        elsewhere: Elsewhere::Always,
        is_houses: failure == TransportFailure::NoAccess,
        upstream_status: None,
        cooldown_secs: if failure == TransportFailure::NoAccess { 60 } else { 5 },
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
    UpstreamError {
        upstream_status: status,
        ..from_status(status.unwrap_or(502), data, None)
    }
}

/// Understands a failure that has a name of its own beside its data.
#[must_use]
pub fn from_named_event(name: &str, data: &[u8]) -> UpstreamError {
    let status = from_name(name);
    let error = from_status(status.unwrap_or(502), data, None);
    UpstreamError {
        upstream_status: status,
        provider_code: error.provider_code.or_else(|| Some(clean(name))),
        ..error
    }
}

fn from_name(name: &str) -> Option<u16> {
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, status)| *status)
}

/// When to come back, where a provider says so in the error's details: `"retryDelay": "34.5s"`.
fn retry_delay_ms(body: &[u8]) -> Option<u64> {
    let value = parse(body)?;
    let mut details = value.get("error")?.get("details")?.as_array()?.iter();
    duration_ms(details.find_map(|detail| detail.get("retryDelay")?.as_str())?)
}

/// The same in words: "Please retry in 10h17m3.2s", "try again in 6 seconds".
fn told_delay_ms(said: &str) -> Option<u64> {
    let (_, after) = said
        .split_once("retry in ")
        .or_else(|| said.split_once("try again in "))?;
    let mut words = after
        .split_whitespace()
        .map(|word| word.trim_end_matches([',', '.', ')']));
    let first = words.next()?;
    duration_ms(first).or_else(|| {
        let number: f64 = first.parse().ok()?;
        let unit = words.next()?;
        let letter = ["second", "minute", "hour", "ms", "day"]
            .iter()
            .find(|known| unit.starts_with(**known))?;
        let short = if *letter == "ms" { "ms" } else { letter.get(..1)? };
        duration_ms(&format!("{number}{short}"))
    })
}

/// Some put the one error in a list.
fn parse(body: &[u8]) -> Option<serde_json::Value> {
    match serde_json::from_slice(body).ok()? {
        serde_json::Value::Array(mut all) if !all.is_empty() => Some(all.swap_remove(0)),
        value => Some(value),
    }
}

/// What an error body says, cleaned.
struct Said {
    message: String,
    code: Option<String>,
    /// Names of the quotas that are used up.
    quotas: String,
}

/// The message and code of an error body in any of the usual shapes; HTML is reduced to a remark.
fn read(body: &[u8]) -> Said {
    let nothing = "The provider gave no reason.";
    let Some(value) = parse(body) else {
        let text = String::from_utf8_lossy(body);
        let is_text = !text.trim_start().starts_with('<') && !text.trim().is_empty();
        return Said {
            message: if is_text { clean(&text) } else { nothing.to_owned() },
            code: None,
            quotas: String::new(),
        };
    };
    let error = value.get("error").unwrap_or(&value);
    let message = ["message", "detail", "error", "msg", "Message"]
        .iter()
        .find_map(|name| error.get(name)?.as_str());
    let message = message
        .or_else(|| error.as_str())
        .or_else(|| value.get("message")?.as_str());
    let code = ["code", "type", "status", "__type"]
        .iter()
        .find_map(|name| match error.get(name)? {
            serde_json::Value::String(code) => Some(code.clone()),
            serde_json::Value::Number(code) => Some(code.to_string()),
            _ => None,
        });
    let details = error.get("details").and_then(serde_json::Value::as_array);
    let violations = details.into_iter().flatten();
    let violations = violations
        .filter_map(|detail| detail.get("violations")?.as_array())
        .flatten();
    let quotas: Vec<&str> = violations
        .filter_map(|violation| violation.get("quotaId")?.as_str())
        .collect();
    Said {
        message: clean(message.unwrap_or(nothing)),
        code: code.map(|code| clean(&code)),
        quotas: quotas.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, kind: ErrorType, answer: u16, elsewhere: bool) {
        let elsewhere = match (elsewhere, kind) {
            (true, ErrorType::ContextLengthExceeded) => Elsewhere::LargerContext,
            (true, _) => Elsewhere::Always,
            (false, _) => Elsewhere::Never,
        };
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
        assert_eq!(from_status(429, b"", Some(30_000)).cooldown_secs, 30);
        assert_eq!(from_status(429, b"", Some(90_000_000)).cooldown_secs, COOLDOWN_SECS_MAX);
        let body = br#"[{"error":{"code":429,"message":"Quota","details":[{"@type":"x"},{"retryDelay":"34.07s"}]}}]"#;
        let error = from_status(429, body, None);
        assert_eq!((error.cooldown_secs, error.message.as_str()), (35, "Quota"));
    }

    #[test]
    fn what_providers_really_say() {
        for (status, body, kind, cooldown_secs) in [
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                ErrorType::ProviderUnavailable,
                600,
            ),
            (
                429,
                r#"{"error":{"code":429,"message":"Quota exceeded. Please retry in 10h17m3.2s.","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}"#,
                ErrorType::RateLimitExceeded,
                600,
            ),
            (
                429,
                r#"{"error":{"message":"Rate limit reached. Please try again in 6 seconds.","type":"tokens"}}"#,
                ErrorType::RateLimitExceeded,
                6,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Could not process image"}}"#,
                ErrorType::InvalidImage,
                0,
            ),
            (
                400,
                r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#,
                ErrorType::ContentPolicyViolation,
                0,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
                ErrorType::ContextLengthExceeded,
                0,
            ),
            (
                403,
                r#"{"message":"The security token included in the request is expired"}"#,
                ErrorType::ProviderUnavailable,
                60,
            ),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                ErrorType::ProviderOverloaded,
                5,
            ),
        ] {
            let error = from_status(status, body.as_bytes(), None);
            assert_eq!(
                (error.kind, error.cooldown_secs),
                (kind, cooldown_secs),
                "{status} {body}"
            );
            assert_eq!(error.upstream_status, Some(status));
        }
    }

    #[test]
    fn every_status_that_is_no_success_has_a_row_and_every_row_can_be_reached() {
        let mut reached = vec![false; RULES.len()];
        for (place, rule) in RULES.iter().enumerate() {
            for (from, to) in rule.statuses {
                for status in [*from, *to] {
                    let said = rule.words.first().copied().unwrap_or_default();
                    let found = table::rule_for(status, said);
                    reached[place] |= found.signal == rule.signal;
                }
            }
        }
        assert!(reached.iter().all(|reached| *reached), "{reached:?}");
    }

    #[test]
    fn the_published_table_is_this_one() {
        let published = include_str!("../../../docs/API.md");
        let table = markdown();
        assert!(published.contains(&table), "docs/API.md should hold:\n{table}");
    }
}
