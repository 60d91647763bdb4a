//! How Anthropic's Messages are described: what `gateway::surface::messages` reads and writes.
#![allow(dead_code, reason = "these types are described and never made")]

use crate::api::Usd;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Anthropic's request. `models` and `provider` are ours; what is not named here is forwarded as written where the
/// provider speaks the same API.
#[derive(Serialize, ToSchema)]
pub struct MessagesRequest {
    model: String,
    max_tokens: u64,
    messages: Vec<BTreeMap<String, Value>>,
    stream: Option<bool>,
    tools: Option<Vec<BTreeMap<String, Value>>>,
    tool_choice: Option<BTreeMap<String, Value>>,
    thinking: Option<BTreeMap<String, Value>>,
    provider: Option<BTreeMap<String, Value>>,
    models: Option<Vec<String>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct AnthropicMessage {
    id: String,
    #[serde(rename = "type")]
    #[schema(pattern = "^message$")]
    kind: String,
    #[schema(pattern = "^assistant$")]
    role: String,
    model: String,
    provider: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: MessageUsage,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Text, thinking, a call of a tool, …
#[derive(Serialize, ToSchema)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct MessageUsage {
    /// Without what was read from the cache or written to it.
    input_tokens: u64,
    output_tokens: u64,
    cost: Option<Usd>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// One event of a stream, in the order that Anthropic sends them.
#[derive(Serialize, ToSchema)]
pub struct MessagesEvent {
    /// `message_start`, `content_block_start`, `content_block_delta`, `content_block_stop`, `message_delta`,
    /// `message_stop`, `ping` or `error`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// What every failure of this surface answers.
#[derive(Serialize, ToSchema)]
pub struct MessagesFailure {
    #[serde(rename = "type")]
    #[schema(pattern = "^error$")]
    kind: String,
    error: MessagesProblem,
    /// The generation, where there is one.
    request_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct MessagesProblem {
    /// Anthropic's word.
    #[serde(rename = "type")]
    kind: String,
    message: String,
    /// Ours, of the table in docs/API.md.
    error_type: String,
    metadata: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct CountTokensRequest {
    model: String,
    messages: Vec<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct TokenCount {
    input_tokens: u64,
}

/// Anthropic's Messages
#[utoipa::path(
    post,
    path = "/messages",
    operation_id = "createMessage",
    tag = "Inference",
    request_body = MessagesRequest,
    responses(
        (status = 200, description = "The answer, or with `stream` its events.", content((AnthropicMessage = "application/json"), (MessagesEvent = "text/event-stream"))),
        (status = "default", description = "A failure.", body = MessagesFailure),
    )
)]
pub const fn create() {}

/// How many tokens a message has
#[utoipa::path(
    post,
    path = "/messages/count_tokens",
    operation_id = "countMessageTokens",
    tag = "Inference",
    request_body = CountTokensRequest,
    responses(
        (status = 200, description = "Counted on our side; nothing is charged.", body = TokenCount),
        (status = "default", description = "A failure.", body = MessagesFailure),
    )
)]
pub const fn count_tokens() {}
