//! The table from a provider's signal to what it means here. The first row that fits holds.

use domain::error_type::ErrorType;
use std::fmt::Write;

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// For readers of the published table.
    pub signal: &'static str,
    /// HTTP statuses, as ranges that include both ends.
    pub statuses: &'static [(u16, u16)],
    /// Any of these in what the provider says, in lower case; empty when what it says does not matter.
    pub words: &'static [&'static str],
    pub kind: ErrorType,
    /// Status to answer with when no other endpoint can help.
    pub status: u16,
    pub elsewhere: Elsewhere,
    /// Seconds to leave the endpoint alone where the provider does not say how long.
    pub cooldown_secs: u64,
    /// Only the operator can do something about it.
    pub is_houses: bool,
}

/// Whether another endpoint may succeed with the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    Never,
    Always,
    /// One that takes more tokens.
    LargerContext,
}

/// By which providers say that the prompt is too long.
const CONTEXT: &[&str] = &[
    "context length",
    "context_length",
    "context window",
    "context_window",
    "context size",
    "prompt is too long",
    "prompt too long",
    "too many tokens",
    "input is too long",
    "input too long",
    "input length",
    "input token count",
    "`inputs` tokens",
    "maximum context",
    "maximum number of tokens",
    "exceeds the available context",
    "reduce the length",
    "max_prompt_tokens",
];
/// By which they refuse content.
const POLICY: &[&str] = &[
    "content filter",
    "content_filter",
    "content policy",
    "content_policy",
    "content management policy",
    "content exists risk",
    "content violates",
    "data_inspection_failed",
    "responsible ai",
    "safety system",
    "moderation",
    "usage policies",
    "prohibited_content",
];
/// By which they refuse an image.
const IMAGE: &[&str] = &[
    "could not process image",
    "failed to decode image",
    "image_parse_error",
    "invalid image",
    "invalid_image",
    "unable to process input image",
    "unsupported image",
];
/// By which they refuse the house's key with another status than 401.
const KEY: &[&str] = &[
    "api key not valid",
    "api key expired",
    "api_key_invalid",
    "invalid api key",
    "security token included in the request is",
];
/// By which they say with 429 that the house's credit is used up, and nothing that passes.
const CREDIT: &[&str] = &[
    "insufficient_quota",
    "insufficient balance",
    "insufficient credits",
    "credit balance",
];
/// By which they say with 429 that it will be hours.
const DAILY: &[&str] = &["perday", "per day", "daily", "limit: 0,", "(rpd)", "(tpd)"];

const HOUR_LONG_SECS: u64 = super::COOLDOWN_SECS_MAX;

const fn rule(
    signal: &'static str,
    statuses: &'static [(u16, u16)],
    words: &'static [&'static str],
    kind: ErrorType,
    status: u16,
    elsewhere: Elsewhere,
    cooldown_secs: u64,
) -> Rule {
    Rule {
        signal,
        statuses,
        words,
        kind,
        status,
        elsewhere,
        cooldown_secs,
        is_houses: false,
    }
}

const fn houses(rule: Rule) -> Rule {
    Rule {
        is_houses: true,
        ..rule
    }
}

use Elsewhere::{Always, LargerContext, Never};
use ErrorType as E;

pub const RULES: &[Rule] = &[
    rule(
        "the prompt is too long",
        &[(400, 400), (413, 413), (422, 422)],
        CONTEXT,
        E::ContextLengthExceeded,
        400,
        LargerContext,
        0,
    ),
    rule(
        "the content is refused",
        &[(400, 400), (403, 403), (422, 422), (451, 451)],
        POLICY,
        E::ContentPolicyViolation,
        400,
        Never,
        0,
    ),
    rule(
        "an image is refused",
        &[(400, 400), (413, 413), (422, 422)],
        IMAGE,
        E::InvalidImage,
        400,
        Never,
        0,
    ),
    houses(rule(
        "the server's key is refused",
        &[(400, 400)],
        KEY,
        E::ProviderUnavailable,
        502,
        Always,
        60,
    )),
    houses(rule(
        "the server's key, balance or permission does not suffice",
        &[(401, 403)],
        &[],
        E::ProviderUnavailable,
        502,
        Always,
        60,
    )),
    houses(rule(
        "the model is not found",
        &[(404, 404), (410, 410)],
        &[],
        E::ProviderUnavailable,
        502,
        Always,
        60,
    )),
    rule(
        "no answer in time",
        &[(408, 408), (504, 504), (524, 524)],
        &[],
        E::Timeout,
        504,
        Always,
        5,
    ),
    rule(
        "the request is too large",
        &[(413, 413)],
        &[],
        E::PayloadTooLarge,
        413,
        Always,
        0,
    ),
    rule(
        "a step before the model failed",
        &[(424, 424)],
        &[],
        E::Unprocessable,
        422,
        Always,
        0,
    ),
    rule(
        "understood and not processed (498 at Cohere, 499 at Vertex)",
        &[(422, 422), (498, 499)],
        &[],
        E::Unprocessable,
        422,
        Never,
        0,
    ),
    houses(rule(
        "the server's credit at the provider is used up",
        &[(429, 429)],
        CREDIT,
        E::ProviderUnavailable,
        502,
        Always,
        HOUR_LONG_SECS,
    )),
    rule(
        "a quota of the day is used up",
        &[(429, 429)],
        DAILY,
        E::RateLimitExceeded,
        429,
        Always,
        HOUR_LONG_SECS,
    ),
    rule(
        "too many requests or tokens",
        &[(429, 429)],
        &[],
        E::RateLimitExceeded,
        429,
        Always,
        10,
    ),
    rule(
        "the model is overloaded (529 at Anthropic)",
        &[(503, 503), (529, 529)],
        &[],
        E::ProviderOverloaded,
        503,
        Always,
        5,
    ),
    rule(
        "the provider failed, or answered with nothing or HTML",
        &[(500, 599)],
        &[],
        E::ProviderUnavailable,
        502,
        Always,
        5,
    ),
    rule(
        "any other refusal",
        &[(400, 499)],
        &[],
        E::InvalidRequest,
        400,
        Never,
        0,
    ),
    rule(
        "anything else that is no success",
        &[(0, u16::MAX)],
        &[],
        E::ProviderUnavailable,
        502,
        Always,
        5,
    ),
];

/// What providers call their failures where they give no number, and the status that means the same.
pub const NAMES: &[(&str, u16)] = &[
    ("ABORTED", 503),
    ("DEADLINE_EXCEEDED", 504),
    ("FAILED_PRECONDITION", 400),
    ("INTERNAL", 500),
    ("INVALID_ARGUMENT", 400),
    ("NOT_FOUND", 404),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("UNAUTHENTICATED", 401),
    ("UNAVAILABLE", 503),
    ("accessDeniedException", 403),
    ("api_error", 500),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("content_filter", 400),
    ("context_length_exceeded", 400),
    ("engine_overloaded", 503),
    ("insufficient_quota", 402),
    ("internalServerException", 500),
    ("internal_error", 500),
    ("invalid_api_key", 401),
    ("invalid_prompt", 400),
    ("invalid_request_error", 400),
    ("modelErrorException", 424),
    ("modelNotReadyException", 429),
    ("modelStreamErrorException", 502),
    ("modelTimeoutException", 504),
    ("model_not_found", 404),
    ("not_found_error", 404),
    ("overloaded", 503),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("request_too_large", 413),
    ("resourceNotFoundException", 404),
    ("server_error", 500),
    ("serviceQuotaExceededException", 429),
    ("serviceUnavailableException", 503),
    ("service_unavailable", 503),
    ("throttlingException", 429),
    ("timeout_error", 504),
    ("validationException", 400),
];

/// The row for a status and what was said with it, in lower case.
pub(super) fn rule_for(status: u16, said: &str) -> &'static Rule {
    let fits = |rule: &&Rule| {
        rule.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
            && (rule.words.is_empty() || rule.words.iter().any(|word| said.contains(word)))
    };
    // The last row fits everything.
    RULES.iter().find(fits).unwrap_or(&RULES[RULES.len() - 1])
}

/// The table as documentation publishes it.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "| the provider says | with status | `error_type` | answered | another endpoint | left alone |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let statuses: Vec<String> = rule
            .statuses
            .iter()
            .map(|(from, to)| match (*from, *to) {
                (0, u16::MAX) => "any".to_owned(),
                (from, to) if from == to => from.to_string(),
                (from, to) => format!("{from}–{to}"),
            })
            .collect();
        let elsewhere = match rule.elsewhere {
            Never => "no",
            Always => "yes",
            LargerContext => "with a longer context",
        };
        let cooldown = match rule.cooldown_secs {
            0 => "–".to_owned(),
            secs => format!("{secs} s"),
        };
        // Writing to text never fails.
        let _ = writeln!(
            out,
            "| {}{} | {} | `{}` | {} | {elsewhere} | {cooldown} |",
            rule.signal,
            if rule.is_houses { " †" } else { "" },
            statuses.join(", "),
            rule.kind.name(),
            rule.status,
        );
    }
    out
}
