//! The response object: what was asked, and what came of it.

use crate::chunk::Envelope;
use crate::dialect::json::Json;
use crate::request::{Field, present};
use domain::price::Cost;
use domain::usage::Usage;

/// What a response repeats of its request, and what is needed to keep it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names and raw JSON of what is repeated as it was said.
    said: Vec<(&'static str, String)>,
    pub previous: Option<String>,
    /// Whether the response is kept.
    pub keeps: bool,
    /// The request's own items, a JSON list.
    pub input: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// And why.
    Incomplete(&'static str),
    Failed,
}

/// What a response repeats, and what stands there when nothing was said.
const REPEATED: &[(&str, &str)] = &[
    ("background", "false"),
    ("frequency_penalty", "null"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "null"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "null"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

impl Asked {
    pub(super) fn of(fields: &[Field], previous: Option<String>, keeps: bool, input: &[String]) -> Self {
        let said = REPEATED.iter().map(|(name, unsaid)| {
            let value = present(fields, name).and_then(|value| std::str::from_utf8(value).ok());
            (*name, value.unwrap_or(unsaid).to_owned())
        });
        Self {
            said: said.collect(),
            previous,
            keeps,
            input: format!("[{}]", input.join(",")),
        }
    }
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// The id under which a response is told and kept: the generation's, as OpenAI's clients expect it to begin.
pub(super) fn id(envelope: &Envelope) -> String {
    format!("resp_{}", envelope.id.trim_start_matches("gen-"))
}

/// `output` are whole items. `error` is the object of a response that failed.
pub(super) fn response<'a>(
    envelope: &'a Envelope,
    asked: &'a Asked,
    status: Status,
    output: Vec<Json<'a>>,
    usage: Option<Json<'a>>,
    error: Option<Json<'a>>,
) -> Json<'a> {
    let null = || Json::raw("null");
    let incomplete = match status {
        Status::Incomplete(reason) => Json::object([("reason", reason.into())]),
        _ => null(),
    };
    // No clock here: it is the moment at which it began.
    let completed = match status {
        Status::Completed => Json::raw(envelope.created.to_string()),
        _ => null(),
    };
    let mut response = Json::object([
        ("id", id(envelope).into()),
        ("object", "response".into()),
        ("created_at", Json::raw(envelope.created.to_string())),
        ("completed_at", completed),
        ("status", status.name().into()),
        ("model", envelope.model.as_str().into()),
        ("provider", envelope.provider.as_str().into()),
        ("output", Json::List(output)),
        ("error", error.unwrap_or_else(null)),
        ("incomplete_details", incomplete),
        (
            "previous_response_id",
            asked.previous.as_deref().map_or_else(null, Json::from),
        ),
        ("store", asked.keeps.into()),
    ]);
    for (name, raw) in &asked.said {
        response = response.with(name, Json::raw(raw.as_str()));
    }
    response.with("usage", usage.unwrap_or_else(null))
}

pub(super) fn usage_json(usage: &Usage, cost: &Cost) -> Json<'static> {
    let input = Json::object([
        ("cached_tokens", usage.cache_read.into()),
        ("cache_write_tokens", usage.cache_write.into()),
    ]);
    let details = Json::object([("upstream_inference_cost", Json::raw("null"))])
        .with("upstream_inference_input_cost", Json::raw(cost.prompt.to_decimal()))
        .with(
            "upstream_inference_output_cost",
            Json::raw(cost.completion.to_decimal()),
        );
    Json::object([
        ("input_tokens", usage.prompt.into()),
        ("input_tokens_details", input),
        ("output_tokens", usage.completion.into()),
        (
            "output_tokens_details",
            Json::object([("reasoning_tokens", usage.reasoning.into())]),
        ),
        ("total_tokens", usage.total().into()),
        ("cost", Json::raw(cost.total.to_decimal())),
        ("is_byok", false.into()),
        ("cost_details", details),
    ])
}
