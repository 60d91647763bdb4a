//! How chat completions are described: what `gateway::{request, completion, chunk}` read and write.
#![allow(dead_code, reason = "these types are described and never made")]

use super::failure::Problem;
use crate::api::Usd;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is not named here is forwarded as written.
#[derive(Serialize, ToSchema)]
pub struct ChatRequest {
    /// `author/name`, with `:free`, `:nitro` or `:floor` if wanted. Needed when `models` is absent.
    model: Option<String>,
    /// Tried in order when the first fails.
    models: Option<Vec<String>>,
    messages: Vec<BTreeMap<String, Value>>,
    stream: Option<bool>,
    stream_options: Option<BTreeMap<String, Value>>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    tools: Option<Vec<BTreeMap<String, Value>>>,
    tool_choice: Option<Value>,
    response_format: Option<BTreeMap<String, Value>>,
    reasoning: Option<BTreeMap<String, Value>>,
    /// Which providers may serve, and in which order: docs/ROUTING.md.
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ChatCompletion {
    /// The generation's id.
    id: String,
    #[schema(pattern = "^chat\\.completion$")]
    object: String,
    /// Unix seconds.
    created: i64,
    model: String,
    /// The display name of who served it.
    provider: String,
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Serialize, ToSchema)]
struct Choice {
    index: u64,
    message: Message,
    finish_reason: Option<FinishReason>,
    /// The provider's own word.
    native_finish_reason: Option<String>,
    logprobs: Option<BTreeMap<String, Value>>,
    /// Why the answer broke off.
    error: Option<Problem>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Error,
}

#[derive(Serialize, ToSchema)]
struct Message {
    #[schema(pattern = "^assistant$")]
    role: String,
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<Vec<BTreeMap<String, Value>>>,
    tool_calls: Option<Vec<ToolCall>>,
    images: Option<Vec<BTreeMap<String, Value>>>,
    annotations: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct ToolCall {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    function: Function,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct Function {
    name: Option<String>,
    /// JSON, as the model wrote it.
    arguments: Option<String>,
}

/// One event of a stream. The last before `[DONE]` has no choices and the usage.
#[derive(Serialize, ToSchema)]
pub struct ChatChunk {
    id: String,
    #[schema(pattern = "^chat\\.completion\\.chunk$")]
    object: String,
    created: i64,
    model: String,
    provider: String,
    choices: Vec<ChunkChoice>,
    usage: Option<Usage>,
    /// After the stream began; nothing follows.
    error: Option<Problem>,
}

#[derive(Serialize, ToSchema)]
struct ChunkChoice {
    index: u64,
    delta: Delta,
    finish_reason: Option<FinishReason>,
    native_finish_reason: Option<String>,
    logprobs: Option<BTreeMap<String, Value>>,
}

#[derive(Serialize, ToSchema)]
struct Delta {
    role: Option<String>,
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<Vec<BTreeMap<String, Value>>>,
    /// Fragments; those of one call share an `index`.
    tool_calls: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cost: Usd,
    is_byok: bool,
    cost_details: CostDetails,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct CostDetails {
    upstream_inference_cost: Option<Usd>,
    upstream_inference_prompt_cost: Usd,
    upstream_inference_completions_cost: Usd,
}

#[derive(Serialize, ToSchema)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
    audio_tokens: u64,
    video_tokens: u64,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    image_tokens: u64,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}
