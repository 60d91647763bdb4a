//! One model, and one endpoint, in the documented form.

use domain::catalog::{Catalog, Endpoint, ModelEntry};
use domain::money::PicoUsd;
use domain::price::{PriceTier, Prices};
use domain::time::Micros;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// What the list answers, as `listing.rs` writes it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "described here, written as text")]
pub struct ModelList {
    data: Vec<ModelRow>,
    total_count: u64,
    links: ListLinks,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "described here, written as text")]
struct ListLinks {
    /// The address of the next page.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Count {
    pub count: usize,
}

#[derive(Serialize, ToSchema)]
pub struct ModelRow {
    pub id: String,
    canonical_slug: String,
    name: String,
    /// Unix seconds of the release; 0 when unknown.
    pub created: i64,
    description: String,
    pub context_length: u64,
    pub architecture: Architecture,
    /// Of the cheapest endpoint.
    pricing: Pricing,
    top_provider: TopProvider,
    #[schema(value_type = Option<Object>)]
    per_request_limits: Option<()>,
    pub supported_parameters: BTreeSet<String>,
    #[schema(value_type = Option<Object>)]
    default_parameters: Option<()>,
    #[schema(value_type = Option<Object>)]
    supported_voices: Option<()>,
    knowledge_cutoff: Option<String>,
    /// When the last endpoint goes, if all are going.
    expiration_date: Option<String>,
    links: Links,
}

#[derive(Clone, Serialize, ToSchema)]
pub struct Architecture {
    modality: String,
    pub input_modalities: Vec<String>,
    pub output_modalities: Vec<String>,
    tokenizer: &'static str,
    #[schema(value_type = Option<Object>)]
    instruct_type: Option<()>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelLinks)]
struct Links {
    details: String,
}

#[derive(Serialize, ToSchema)]
struct TopProvider {
    context_length: u64,
    max_completion_tokens: Option<u64>,
    is_moderated: bool,
}

/// Dollars per token or piece, as decimal text.
#[derive(Serialize, ToSchema)]
struct Pricing {
    prompt: String,
    completion: String,
    request: String,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
    discount: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<Override>,
}

#[derive(Serialize, ToSchema)]
struct Override {
    min_prompt_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct EndpointList {
    id: String,
    name: String,
    created: i64,
    description: String,
    architecture: Architecture,
    endpoints: Vec<EndpointRow>,
}

/// What is measured (uptime, latency, throughput) is `null` until there is enough to measure.
#[derive(Serialize, ToSchema)]
struct EndpointRow {
    name: String,
    model_id: String,
    model_name: String,
    provider_name: String,
    tag: String,
    context_length: u64,
    max_completion_tokens: Option<u64>,
    max_prompt_tokens: Option<u64>,
    quantization: String,
    pricing: Pricing,
    supported_parameters: Vec<String>,
    supports_implicit_caching: bool,
    status: i8,
    uptime_last_5m: Option<f64>,
    uptime_last_30m: Option<f64>,
    uptime_last_1d: Option<f64>,
    #[schema(value_type = Option<Object>)]
    latency_last_30m: Option<()>,
    #[schema(value_type = Option<Object>)]
    throughput_last_30m: Option<()>,
}

impl ModelRow {
    #[must_use]
    pub fn new(entry: &ModelEntry) -> Self {
        let model = &entry.model;
        let first = entry.endpoints.first();
        let slug = model.slug.as_str();
        Self {
            id: slug.to_owned(),
            canonical_slug: slug.to_owned(),
            name: model.name.clone(),
            created: created(entry),
            description: model.description.clone(),
            context_length: model.context_length,
            architecture: Architecture::new(entry),
            pricing: Pricing::new(&first.map(|endpoint| endpoint.prices.clone()).unwrap_or_default()),
            top_provider: TopProvider {
                context_length: first.map_or(model.context_length, |endpoint| endpoint.context_length),
                max_completion_tokens: first.and_then(|endpoint| endpoint.max_completion_tokens),
                is_moderated: false,
            },
            per_request_limits: None,
            supported_parameters: entry
                .endpoints
                .iter()
                .flat_map(|e| e.supported_parameters.iter().cloned())
                .collect(),
            default_parameters: None,
            supported_voices: None,
            knowledge_cutoff: model.knowledge_cutoff.clone(),
            expiration_date: expiration(entry),
            links: Links {
                details: format!("/api/v1/models/{slug}/endpoints"),
            },
        }
    }
}

impl EndpointList {
    #[must_use]
    pub fn new(catalog: &Catalog, entry: &ModelEntry) -> Self {
        Self {
            id: entry.model.slug.to_string(),
            name: entry.model.name.clone(),
            created: created(entry),
            description: entry.model.description.clone(),
            architecture: Architecture::new(entry),
            endpoints: entry
                .endpoints
                .iter()
                .map(|endpoint| EndpointRow::new(catalog, entry, endpoint))
                .collect(),
        }
    }
}

impl EndpointRow {
    fn new(catalog: &Catalog, entry: &ModelEntry, endpoint: &Endpoint) -> Self {
        let provider = catalog
            .provider(&endpoint.provider)
            .map_or(&endpoint.provider, |provider| &provider.name);
        Self {
            name: format!("{provider} | {}", entry.model.slug),
            model_id: entry.model.slug.to_string(),
            model_name: entry.model.name.clone(),
            provider_name: provider.clone(),
            tag: endpoint.tag(),
            context_length: endpoint.context_length,
            max_completion_tokens: endpoint.max_completion_tokens,
            max_prompt_tokens: None,
            quantization: endpoint.quantization.clone().unwrap_or_else(|| "unknown".to_owned()),
            pricing: Pricing::new(&endpoint.prices),
            supported_parameters: endpoint.supported_parameters.clone(),
            supports_implicit_caching: endpoint.prices.cache_read.is_some(),
            status: 0,
            uptime_last_5m: None,
            uptime_last_30m: None,
            uptime_last_1d: None,
            latency_last_30m: None,
            throughput_last_30m: None,
        }
    }
}

impl Architecture {
    fn new(entry: &ModelEntry) -> Self {
        let model = &entry.model;
        Self {
            modality: format!(
                "{}->{}",
                model.input_modalities.join("+"),
                model.output_modalities.join("+")
            ),
            input_modalities: model.input_modalities.clone(),
            output_modalities: model.output_modalities.clone(),
            tokenizer: "Other",
            instruct_type: None,
        }
    }
}

impl Pricing {
    fn new(prices: &Prices) -> Self {
        Self {
            prompt: prices.prompt.to_decimal(),
            completion: prices.completion.to_decimal(),
            request: prices.request.unwrap_or_default().to_decimal(),
            image: PicoUsd::ZERO.to_decimal(),
            image_output: decimal(prices.image),
            internal_reasoning: decimal(prices.reasoning),
            input_cache_read: decimal(prices.cache_read),
            input_cache_write: decimal(prices.cache_write),
            discount: 0,
            overrides: prices.tiers.iter().map(Override::new).collect(),
        }
    }
}

impl Override {
    fn new(tier: &PriceTier) -> Self {
        Self {
            min_prompt_tokens: tier.min_prompt_tokens,
            prompt: decimal(tier.prompt),
            completion: decimal(tier.completion),
            input_cache_read: decimal(tier.cache_read),
            input_cache_write: decimal(tier.cache_write),
        }
    }
}

fn decimal(price: Option<PicoUsd>) -> Option<String> {
    price.map(PicoUsd::to_decimal)
}

fn created(entry: &ModelEntry) -> i64 {
    entry.model.released.map_or(0, |date| Micros::start_of(date).seconds())
}

fn expiration(entry: &ModelEntry) -> Option<String> {
    let dates: Option<Vec<_>> = entry.endpoints.iter().map(|endpoint| endpoint.deprecated).collect();
    dates?.into_iter().max().map(|date| date.to_string())
}
