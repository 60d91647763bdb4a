//! What a provider's response headers say about how much more it takes, and when it takes more again: one table.

use chrono::{DateTime, Utc};

/// One limit, as far as the provider told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub of: Unit,
    pub limit: Option<u64>,
    pub remaining: u64,
    /// Milliseconds until it is full again, or begins anew.
    pub reset_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// Names of headers that tell one limit.
pub struct Headers {
    pub of: Unit,
    pub limit: &'static str,
    pub remaining: &'static str,
    pub reset: &'static str,
}

/// A hint is believed up to this long.
pub const WAIT_MS_MAX: u64 = 600_000;
/// Numbers this large are moments, in seconds since the epoch, and not durations.
const EPOCH_SECS_MIN: f64 = 1e9;
/// The same in milliseconds.
const EPOCH_MS_MIN: f64 = 1e12;

const fn headers(of: Unit, limit: &'static str, remaining: &'static str, reset: &'static str) -> Headers {
    Headers {
        of,
        limit,
        remaining,
        reset,
    }
}

/// Who says what.
pub const HEADERS: &[Headers] = &[
    // OpenAI, Azure, Groq (requests of a day), Cerebras, Together and most that copy them.
    headers(
        Unit::Requests,
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    headers(
        Unit::Tokens,
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
    // Cerebras.
    headers(
        Unit::Requests,
        "x-ratelimit-limit-requests-day",
        "x-ratelimit-remaining-requests-day",
        "x-ratelimit-reset-requests-day",
    ),
    headers(
        Unit::Tokens,
        "x-ratelimit-limit-tokens-minute",
        "x-ratelimit-remaining-tokens-minute",
        "x-ratelimit-reset-tokens-minute",
    ),
    // Fireworks.
    headers(
        Unit::InputTokens,
        "x-ratelimit-limit-tokens-prompt",
        "x-ratelimit-remaining-tokens-prompt",
        "x-ratelimit-reset-tokens-prompt",
    ),
    headers(
        Unit::OutputTokens,
        "x-ratelimit-limit-tokens-generated",
        "x-ratelimit-remaining-tokens-generated",
        "x-ratelimit-reset-tokens-generated",
    ),
    // Together, OpenRouter.
    headers(
        Unit::Requests,
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ),
    headers(
        Unit::Tokens,
        "x-tokenlimit-limit",
        "x-tokenlimit-remaining",
        "x-tokenlimit-reset",
    ),
    // Mistral.
    headers(
        Unit::Tokens,
        "x-ratelimitbysize-limit-minute",
        "x-ratelimitbysize-remaining-minute",
        "ratelimitbysize-reset",
    ),
    // The IETF's draft.
    headers(
        Unit::Requests,
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
    ),
    headers(
        Unit::Requests,
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    headers(
        Unit::Tokens,
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    headers(
        Unit::InputTokens,
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    headers(
        Unit::OutputTokens,
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// Every limit that `header` tells; `header` gives a value by its name in lower case.
#[must_use]
pub fn buckets<'h>(header: impl Fn(&str) -> Option<&'h str>, now: DateTime<Utc>) -> Vec<Bucket> {
    let told = HEADERS.iter().filter_map(|headers| {
        // Negative where there is no limit.
        let remaining = number(header(headers.remaining)?)?;
        let limit = header(headers.limit).and_then(number);
        if limit == Some(0) {
            return None;
        }
        Some(Bucket {
            of: headers.of,
            limit,
            remaining,
            reset_ms: header(headers.reset).and_then(|text| wait_ms(text, now)),
        })
    });
    told.collect()
}

/// When to come back, in milliseconds, as a refusal's headers say.
#[must_use]
pub fn retry_after_ms<'h>(header: impl Fn(&str) -> Option<&'h str>, now: DateTime<Utc>) -> Option<u64> {
    let exact = header("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok());
    let exact = exact.filter(|ms| *ms >= 0.0).map(clamped);
    exact
        .or_else(|| wait_ms(header("retry-after")?, now))
        .or_else(|| exhausted_ms(&buckets(&header, now)))
}

/// How long the limits that are used up stay so; `None` when none is.
#[must_use]
pub fn exhausted_ms(buckets: &[Bucket]) -> Option<u64> {
    let empty = buckets.iter().filter(|bucket| bucket.remaining == 0);
    empty.filter_map(|bucket| bucket.reset_ms).max()
}

/// Milliseconds from `now`: seconds (`6`, `1.5`), a duration (`6m0s`, `12ms`), a moment (RFC 3339, HTTP date, seconds or
/// milliseconds since the epoch). At most [`WAIT_MS_MAX`]; `None` when it is none of these, or negative.
#[must_use]
pub fn wait_ms(text: &str, now: DateTime<Utc>) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        #[allow(clippy::cast_precision_loss, reason = "a moment in this millennium fits exactly")]
        let now_ms = now.timestamp_millis() as f64;
        return match number {
            number if !number.is_finite() || number < 0.0 => None,
            number if number >= EPOCH_MS_MIN => Some(clamped((number - now_ms).max(0.0))),
            number if number >= EPOCH_SECS_MIN => Some(clamped((number * 1_000.0 - now_ms).max(0.0))),
            number => Some(clamped(number * 1_000.0)),
        };
    }
    duration_ms(text).or_else(|| {
        let moment = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
        let wait = moment.ok()?.signed_duration_since(now).num_milliseconds().max(0);
        Some(u64::try_from(wait).unwrap_or(0).min(WAIT_MS_MAX))
    })
}

/// `1h2m3.5s`, `250ms`, `10h17m`.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    const UNITS: &[(&str, f64)] = &[
        ("ms", 1.0),
        ("µs", 0.001),
        ("us", 0.001),
        ("ns", 0.000_001),
        ("d", 86_400_000.0),
        ("h", 3_600_000.0),
        ("m", 60_000.0),
        ("s", 1_000.0),
    ];
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, scale) = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        sum += number * scale;
        rest = &rest[end + unit.len()..];
    }
    Some(clamped(sum))
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn clamped(ms: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between zero and ten minutes"
    )]
    let ms = ms.ceil().clamp(0.0, WAIT_MS_MAX as f64) as u64;
    ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_421_106, 0).unwrap()
    }

    fn read<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    #[test]
    fn every_way_to_say_when() {
        for (text, ms) in [
            ("6", Some(6_000)),
            ("0.25", Some(250)),
            ("6m0s", Some(360_000)),
            ("12ms", Some(12)),
            ("1.5s", Some(1_500)),
            ("10h17m", Some(WAIT_MS_MAX)),
            ("2026-11-23T08:05:16Z", Some(10_000)),
            ("Mon, 23 Nov 2026 08:05:36 GMT", Some(30_000)),
            ("1795421136", Some(30_000)),
            ("1795421136000", Some(30_000)),
            ("1795421000", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("NaN", None),
        ] {
            assert_eq!(wait_ms(text, now()), ms, "{text}");
        }
    }

    #[test]
    fn limits_are_read_under_every_name() {
        let openai = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let told = buckets(read(&openai), now());
        assert_eq!(
            told[0],
            Bucket {
                of: Unit::Requests,
                limit: Some(60),
                remaining: 0,
                reset_ms: Some(6_000)
            }
        );
        assert_eq!((told[1].of, told[1].remaining), (Unit::Tokens, 149_984));
        assert_eq!(exhausted_ms(&told), Some(6_000));
        assert_eq!(exhausted_ms(&told[1..]), None);
        let anthropic = [
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-remaining", "7900"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-23T08:05:16Z"),
        ];
        let told = buckets(read(&anthropic), now());
        assert_eq!((told[0].of, told[0].reset_ms), (Unit::OutputTokens, Some(10_000)));
        // Azure's Responses.
        let azure = [
            ("x-ratelimit-limit-requests", "0"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-remaining-tokens", "-1"),
        ];
        assert_eq!(buckets(read(&azure), now()), []);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let when = |pairs: &[(&str, &str)]| retry_after_ms(read(pairs), now());
        assert_eq!(when(&[("retry-after-ms", "120"), ("retry-after", "1")]), Some(120));
        assert_eq!(when(&[("retry-after", "Mon, 23 Nov 2026 08:05:36 GMT")]), Some(30_000));
        let empty = [
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "3s"),
        ];
        assert_eq!(when(&empty), Some(3_000));
        assert_eq!(when(&[]), None);
    }
}
