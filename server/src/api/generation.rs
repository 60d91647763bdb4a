//! `GET /generation?id=`: everything recorded about one generation of the caller's account.

use super::openapi::failure::Failure;
use super::{Data, Usd, settled};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Query, State};
use domain::catalog::Catalog;
use domain::error_type::ErrorType;
use domain::generation::{Attempt, Generation, Outcome};
use domain::id::GenerationId;
use domain::usage::Usage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Deserialize)]
pub struct Wanted {
    id: Option<String>,
}

/// The documented fields that say something here; the others are sent as `null`.
#[derive(Serialize, ToSchema)]
pub struct GenerationInfo {
    id: String,
    upstream_id: Option<String>,
    model: String,
    provider_name: String,
    api_type: &'static str,
    created_at: String,
    streamed: bool,
    cancelled: bool,
    finish_reason: Option<String>,
    native_finish_reason: Option<String>,
    total_cost: Usd,
    usage: Usd,
    /// What the prompt cache saved; below zero when writing to it cost more.
    cache_discount: Option<Usd>,
    /// Milliseconds from arrival to the end.
    latency: f64,
    /// Milliseconds from the first token to the end.
    generation_time: f64,
    tokens_prompt: u64,
    tokens_completion: u64,
    native_tokens_prompt: u64,
    native_tokens_completion: u64,
    native_tokens_completion_images: u64,
    native_tokens_reasoning: u64,
    native_tokens_cached: u64,
    provider_responses: Vec<ProviderResponse>,
    http_referer: Option<String>,
    origin: String,
    data_region: &'static str,
    is_byok: bool,
    #[serde(flatten)]
    absent: Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct ProviderResponse {
    endpoint_id: String,
    provider_name: String,
    model_permaslug: String,
    status: Option<u16>,
    /// Milliseconds.
    latency: f64,
    is_byok: bool,
}

/// Documented fields for features that do not exist here.
const ABSENT: &[&str] = &[
    "app_id",
    "external_user",
    "moderation_latency",
    "num_fetches",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_media_prompt",
    "num_search_results",
    "preset_id",
    "request_id",
    "router",
    "service_tier",
    "session_id",
    "upstream_inference_cost",
    "user_agent",
    "web_search_engine",
    "workspace_id",
];

/// One generation of the key's account
#[utoipa::path(
    get,
    path = "/generation",
    operation_id = "getGeneration",
    tag = "Account",
    params(("id" = String, Query, description = "From the answer's `id` or its header `X-Generation-Id`.")),
    responses(
        (status = 200, description = "Everything recorded about it.", body = Data<GenerationInfo>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn get(
    State(state): State<Arc<DataPlane>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Data<GenerationInfo>>, ApiError> {
    let Some(id) = wanted.id.filter(|id| !id.is_empty()) else {
        return Err(ApiError::new(
            ErrorType::InvalidRequest,
            "Name the generation: /generation?id=gen-…",
        ));
    };
    settled(&state).await;
    let mut tx = state.store.read().await?;
    let found = store::generations::by_id(&mut tx, &GenerationId::stored(id)).await?;
    // Somebody else's generation looks just like one that never was.
    let own = found.filter(|generation| generation.account == caller.account);
    let generation = own.ok_or_else(|| {
        ApiError::new(
            ErrorType::NotFound,
            "No generation of this account has this id. Running ones appear when they end.",
        )
    })?;
    Ok(Json(Data {
        data: info(generation, &state.catalog.load()),
    }))
}

fn info(generation: Generation, catalog: &Catalog) -> GenerationInfo {
    let usage = generation.usage;
    let after_first_token = generation
        .duration_us
        .saturating_sub(generation.first_token_us.unwrap_or_default());
    GenerationInfo {
        upstream_id: generation.upstream_id.clone(),
        model: generation.model.to_string(),
        provider_name: provider_name(catalog, &generation.provider),
        api_type: "completions",
        created_at: generation.created.datetime().to_rfc3339(),
        streamed: generation.streamed,
        cancelled: generation.outcome == Outcome::Cancelled,
        finish_reason: generation.finish_reason.clone(),
        native_finish_reason: generation.native_finish_reason.clone(),
        total_cost: Usd(generation.cost),
        usage: Usd(generation.cost),
        cache_discount: cache_discount(&generation),
        latency: millis(generation.duration_us),
        generation_time: millis(after_first_token),
        tokens_prompt: usage.prompt,
        tokens_completion: usage.completion,
        native_tokens_prompt: usage.prompt,
        native_tokens_completion: usage.completion,
        native_tokens_completion_images: usage.images,
        native_tokens_reasoning: usage.reasoning,
        native_tokens_cached: usage.cache_read,
        provider_responses: generation
            .attempts
            .iter()
            .map(|attempt| response(attempt, &generation, catalog))
            .collect(),
        origin: generation.app_url.clone().unwrap_or_default(),
        http_referer: generation.app_url,
        data_region: "global",
        is_byok: false,
        absent: ABSENT.iter().map(|name| ((*name).to_owned(), json!(null))).collect(),
        id: generation.id.to_string(),
    }
}

fn response(attempt: &Attempt, generation: &Generation, catalog: &Catalog) -> ProviderResponse {
    ProviderResponse {
        endpoint_id: attempt.endpoint.clone(),
        provider_name: provider_name(catalog, &attempt.provider),
        model_permaslug: generation.model.to_string(),
        status: attempt.status,
        latency: millis(attempt.latency_us),
        is_byok: false,
    }
}

fn cache_discount(generation: &Generation) -> Option<Usd> {
    let usage = generation.usage;
    if usage.cache_read == 0 && usage.cache_write == 0 || !generation.outcome.is_charged() {
        return None;
    }
    let uncached = Usage {
        cache_read: 0,
        cache_write: 0,
        ..usage
    };
    let full = generation.prices.cost(&uncached).total;
    Some(Usd(full.saturating_sub(generation.prices.cost(&usage).total)))
}

fn provider_name(catalog: &Catalog, slug: &str) -> String {
    catalog
        .provider(slug)
        .map_or_else(|| slug.to_owned(), |provider| provider.name.clone())
}

/// Exact to the microsecond for anything shorter than two centuries.
fn millis(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}
