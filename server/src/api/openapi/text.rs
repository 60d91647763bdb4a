//! How OpenAI's older completions of a text are described: what `gateway::surface::completions` reads and writes.
#![allow(dead_code, reason = "these types are described and never made")]

use super::completion::Usage;
use super::failure::{Failure, Problem};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct CompletionRequest {
    model: Option<String>,
    models: Option<Vec<String>>,
    prompt: Value,
    stream: Option<bool>,
    max_tokens: Option<u64>,
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// The answer, or one event of a stream.
#[derive(Serialize, ToSchema)]
pub struct TextCompletion {
    id: String,
    #[schema(pattern = "^text_completion$")]
    object: String,
    /// Unix seconds.
    created: i64,
    model: String,
    provider: Option<String>,
    choices: Vec<TextChoice>,
    usage: Option<Usage>,
    /// After the stream began; nothing follows.
    error: Option<Problem>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct TextChoice {
    index: u64,
    text: String,
    finish_reason: Option<String>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Completion of a text
#[utoipa::path(
    post,
    path = "/completions",
    operation_id = "createCompletion",
    tag = "Inference",
    request_body = CompletionRequest,
    responses(
        (status = 200, description = "The answer, or with `stream` its pieces and then `[DONE]`.", content((TextCompletion = "application/json"), (TextCompletion = "text/event-stream"))),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn create() {}
