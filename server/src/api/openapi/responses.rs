//! How OpenAI's Responses are described: what `gateway::surface::responses` reads and writes.
#![allow(dead_code, reason = "these types are described and never made")]

use crate::api::Usd;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// OpenAI's request. `models` and `provider` are ours.
#[derive(Serialize, ToSchema)]
pub struct ResponsesRequest {
    model: Option<String>,
    models: Option<Vec<String>>,
    /// Text, or a list of items.
    input: Value,
    instructions: Option<String>,
    stream: Option<bool>,
    max_output_tokens: Option<u64>,
    tools: Option<Vec<BTreeMap<String, Value>>>,
    tool_choice: Option<Value>,
    reasoning: Option<BTreeMap<String, Value>>,
    text: Option<BTreeMap<String, Value>>,
    store: Option<bool>,
    previous_response_id: Option<String>,
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Called `Response` by OpenAI.
#[derive(Serialize, ToSchema)]
#[schema(as = Response)]
pub struct ResponseObject {
    id: String,
    #[schema(pattern = "^response$")]
    object: String,
    /// Unix seconds.
    created_at: i64,
    /// `completed`, `incomplete`, `failed` or `in_progress`.
    status: String,
    model: String,
    error: Option<BTreeMap<String, Value>>,
    incomplete_details: Option<BTreeMap<String, Value>>,
    output: Vec<Item>,
    usage: Option<ResponseUsage>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// A message, reasoning, a call of a tool, …
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseItem)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct ResponseUsage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    cost: Option<Usd>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// One event of a stream.
#[derive(Serialize, ToSchema)]
pub struct ResponseEvent {
    /// `response.created`, `response.output_text.delta`, …, `response.completed` or `response.failed`.
    #[serde(rename = "type")]
    kind: String,
    sequence_number: u64,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// What every failure of this surface answers.
#[derive(Serialize, ToSchema)]
pub struct ResponsesFailure {
    error: ResponsesProblem,
}

#[derive(Serialize, ToSchema)]
struct ResponsesProblem {
    message: String,
    /// OpenAI's words.
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    param: Option<Value>,
    /// Ours, of the table in docs/API.md.
    error_type: String,
    metadata: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ResponseDeleted {
    id: String,
    #[schema(pattern = "^response$")]
    object: String,
    deleted: bool,
}

#[derive(Serialize, ToSchema)]
pub struct InputItems {
    #[schema(pattern = "^list$")]
    object: String,
    data: Vec<BTreeMap<String, Value>>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// OpenAI's Responses
#[utoipa::path(
    post,
    path = "/responses",
    operation_id = "createResponse",
    tag = "Inference",
    request_body = ResponsesRequest,
    responses(
        (status = 200, description = "The response, or with `stream` its events.", content((ResponseObject = "application/json"), (ResponseEvent = "text/event-stream"))),
        (status = "default", description = "A failure.", body = ResponsesFailure),
    )
)]
pub const fn create() {}

/// A response that was kept
#[utoipa::path(
    get,
    path = "/responses/{id}",
    operation_id = "getResponse",
    tag = "Inference",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "As it was answered.", body = ResponseObject),
        (status = "default", description = "A failure.", body = ResponsesFailure),
    )
)]
pub const fn get() {}

/// Forgets a response
#[utoipa::path(
    delete,
    path = "/responses/{id}",
    operation_id = "deleteResponse",
    tag = "Inference",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It is gone.", body = ResponseDeleted),
        (status = "default", description = "A failure.", body = ResponsesFailure),
    )
)]
pub const fn delete() {}

/// What a response answered
#[utoipa::path(
    get,
    path = "/responses/{id}/input_items",
    operation_id = "listResponseInputItems",
    tag = "Inference",
    params(("id" = String, Path), ("limit" = Option<u64>, Query), ("order" = Option<String>, Query), ("after" = Option<String>, Query)),
    responses(
        (status = 200, description = "The request's own items.", body = InputItems),
        (status = "default", description = "A failure.", body = ResponsesFailure),
    )
)]
pub const fn input_items() {}
