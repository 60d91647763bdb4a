//! How inference that is not a chat is described: what `gateway::task` reads and writes.
#![allow(dead_code, reason = "these types are described and never made")]

use super::failure::Failure;
use crate::api::Usd;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is not named here is forwarded where the provider has it.
#[derive(Serialize, ToSchema)]
pub struct EmbeddingsRequest {
    model: String,
    /// Text, a list of texts, tokens, or blocks of content.
    input: Value,
    /// `float` or `base64`.
    encoding_format: Option<String>,
    dimensions: Option<u64>,
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Embeddings {
    id: String,
    #[schema(pattern = "^list$")]
    object: String,
    model: String,
    data: Vec<Embedding>,
    usage: TaskUsage,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct Embedding {
    #[schema(pattern = "^embedding$")]
    object: String,
    index: u64,
    /// Numbers, or base64 of them.
    embedding: Value,
}

/// In the units that the model is priced by.
#[derive(Serialize, ToSchema)]
struct TaskUsage {
    cost: Option<Usd>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct RerankRequest {
    model: String,
    query: String,
    documents: Vec<Value>,
    top_n: Option<u64>,
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Ranking {
    id: String,
    model: String,
    provider: Option<String>,
    results: Vec<RankedDocument>,
    usage: TaskUsage,
}

#[derive(Serialize, ToSchema)]
struct RankedDocument {
    index: u64,
    relevance_score: f64,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ImagesRequest {
    model: String,
    prompt: String,
    n: Option<u64>,
    provider: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Images {
    /// Unix seconds.
    created: i64,
    data: Vec<BTreeMap<String, Value>>,
    usage: TaskUsage,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct SpeechRequest {
    model: String,
    input: String,
    voice: Option<Value>,
    response_format: Option<String>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// As JSON; or a form with `file`, as OpenAI's clients send it.
#[derive(Serialize, ToSchema)]
pub struct TranscriptionRequest {
    model: String,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Transcript {
    text: String,
    usage: TaskUsage,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Embeddings
#[utoipa::path(
    post,
    path = "/embeddings",
    operation_id = "createEmbeddings",
    tag = "Inference",
    request_body = EmbeddingsRequest,
    responses(
        (status = 200, description = "The embeddings.", body = Embeddings),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn embeddings() {}

/// Documents by relevance
#[utoipa::path(
    post,
    path = "/rerank",
    operation_id = "createRanking",
    tag = "Inference",
    request_body = RerankRequest,
    responses(
        (status = 200, description = "The documents, the most relevant first.", body = Ranking),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn rerank() {}

/// Images
#[utoipa::path(
    post,
    path = "/images",
    operation_id = "createImages",
    tag = "Inference",
    request_body = ImagesRequest,
    responses(
        (status = 200, description = "The images.", body = Images),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn images() {}

/// Images, at the address of OpenAI's clients
#[utoipa::path(
    post,
    path = "/images/generations",
    operation_id = "createImagesAsOpenai",
    tag = "Inference",
    request_body = ImagesRequest,
    responses(
        (status = 200, description = "The images.", body = Images),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn images_as_openai() {}

/// Speech
#[utoipa::path(
    post,
    path = "/audio/speech",
    operation_id = "createSpeech",
    tag = "Inference",
    request_body = SpeechRequest,
    responses(
        (status = 200, description = "The sound.", content_type = "audio/*"),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn speech() {}

/// Transcription
#[utoipa::path(
    post,
    path = "/audio/transcriptions",
    operation_id = "createTranscription",
    tag = "Inference",
    request_body = TranscriptionRequest,
    responses(
        (status = 200, description = "The text.", body = Transcript),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub const fn transcription() {}
