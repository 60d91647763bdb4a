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
