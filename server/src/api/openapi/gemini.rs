//! How Gemini's generateContent is described: what `gateway::surface::gemini` reads and writes.
#![allow(dead_code, reason = "these types are described and never made")]

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Google's request.
#[derive(Serialize, ToSchema)]
pub struct GenerateContentRequest {
    contents: Value,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// The answer, or one event of a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerateContentResponse {
    candidates: Option<Vec<BTreeMap<String, Value>>>,
    usage_metadata: Option<BTreeMap<String, Value>>,
    model_version: Option<String>,
    response_id: Option<String>,
    /// After the stream began; nothing follows.
    error: Option<GeminiProblem>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// What every failure of this surface answers.
#[derive(Serialize, ToSchema)]
pub struct GeminiFailure {
    error: GeminiProblem,
}

#[derive(Serialize, ToSchema)]
struct GeminiProblem {
    /// The HTTP status.
    code: u16,
    message: String,
    /// Google's word.
    status: String,
    /// Ours, of the table in docs/API.md.
    error_type: String,
    metadata: BTreeMap<String, Value>,
}

/// Of `:countTokens`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeminiTokens {
    total_tokens: u64,
}

/// What `{slug}` ends in says which.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum GeminiAnswer {
    Tokens(GeminiTokens),
    Content(Box<GenerateContentResponse>),
    List(Vec<GenerateContentResponse>),
}

/// Gemini's generateContent, for a name in one part
#[utoipa::path(
    post,
    path = "/models/{author}",
    operation_id = "generateContentOfAlias",
    tag = "Inference",
    params(("author" = String, Path, description = "As below, for a model whose name has one part, or is encoded.")),
    request_body = GenerateContentRequest,
    responses(
        (status = 200, description = "The answer.", content((GeminiAnswer = "application/json"), (GenerateContentResponse = "text/event-stream"))),
        (status = "default", description = "A failure.", body = GeminiFailure),
    )
)]
pub const fn act() {}

/// Gemini's generateContent
///
/// Also at Google's own address, `/api/v1beta/models/…`.
#[utoipa::path(
    post,
    path = "/models/{author}/{slug}",
    operation_id = "generateContent",
    tag = "Inference",
    params(("author" = String, Path), ("slug" = String, Path, description = "With `:generateContent`, `:streamGenerateContent` or `:countTokens`."), ("alt" = Option<String>, Query)),
    request_body = GenerateContentRequest,
    responses(
        (status = 200, description = "The answer; of `:streamGenerateContent` its pieces, with `alt=sse` as events.", content((GeminiAnswer = "application/json"), (GenerateContentResponse = "text/event-stream"))),
        (status = "default", description = "A failure.", body = GeminiFailure),
    )
)]
pub const fn act_on_two() {}
