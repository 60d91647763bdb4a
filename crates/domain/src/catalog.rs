//! The catalog: providers, models, and endpoints (one provider's offer of one model), as an immutable indexed snapshot.

use crate::price::Prices;
use crate::quirks::Quirks;
use crate::slug::ModelSlug;
use crate::time::Micros;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who runs models. A provider is data; only its dialect is code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `deepinfra`, `google-vertex`: lowercase, stable.
    pub slug: String,
    pub name: String,
    /// Without a trailing slash; the dialect appends its paths.
    pub base_url: String,
    pub dialect: Dialect,
    pub auth: Auth,
    /// The environment variable that holds the operator's key; `None` when the provider wants no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_setting: Option<String>,
    #[serde(default)]
    pub cancel: CancelPolicy,
    #[serde(default)]
    pub progress: Progress,
    /// Where its OpenAI chat differs from the protocol.
    #[serde(default, skip_serializing_if = "Quirks::is_none")]
    pub quirks: Quirks,
    #[serde(default)]
    pub data_policy: DataPolicy,
    /// ISO 3166 code of the country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headquarters: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_policy_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_of_service_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_page_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub slug: ModelSlug,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub kind: ModelKind,
    /// Tokens; the largest any endpoint offers.
    pub context_length: u64,
    pub input_modalities: Vec<String>,
    pub output_modalities: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge_cutoff: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_weights: Option<bool>,
}

/// One provider's offer of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `model|provider`, with `|region` or `|quantization` where a provider has several.
    pub id: String,
    pub model: ModelSlug,
    pub provider: String,
    /// What the provider calls the model.
    pub provider_model_id: String,
    pub prices: Prices,
    /// Tokens.
    pub context_length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// Request parameters the provider takes, by their names in the chat API (`tools`, `temperature` …).
    /// Empty when unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_parameters: Vec<String>,
    /// `fp8`, `bf16` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Replaces the provider's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Replaces the provider's dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<NaiveDate>,
    /// Where the figures come from, with dates: `models.dev@2026-05`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// `corroborated`, `confirmed` or `single`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
}

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    OpenaiChat,
    OpenaiResponses,
    AnthropicMessages,
    Gemini,
    BedrockConverse,
    CohereV2,
    /// Ollama's own, at `/api/chat`.
    Ollama,
    /// One vendor's own protocol; listed, and not callable.
    Other,
}

/// How the operator's key travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    None,
    Bearer,
    /// The key alone in this header.
    XApiKey,
    XGoogApiKey,
    ApiKey,
    /// Requests are signed (Signature Version 4), or carry an API key of Bedrock as bearer.
    AwsSigv4,
    /// A service account's key buys short-lived bearer tokens.
    GoogleOauth2,
    /// A signature or token exchange of the vendor's own.
    Other,
}

/// What a provider does when the connection is closed in the middle of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelPolicy {
    /// Stops working and billing.
    Stops,
    /// Works and bills to the end.
    BillsToEnd,
    /// Treated as `bills-to-end`, so that no cost goes unrecorded.
    #[default]
    Unknown,
}

/// How usage can be followed before the end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Usage comes once, at the end.
    #[default]
    AtEnd,
    /// llama.cpp: `timings_per_token` gives `timings.{prompt_n,cache_n,predicted_n}` in every chunk.
    Timings,
    /// vLLM, SGLang: `stream_options.continuous_usage_stats` gives cumulative usage in every chunk.
    ContinuousUsage,
}

/// What a provider declares about the prompts it is sent; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPolicy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trains: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_prompts: Option<bool>,
    /// In the provider's words: `30 days`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    Chat,
    Embedding,
    Image,
    Speech,
    Transcription,
    Rerank,
    Video,
    Other,
}

/// The contents of catalog files and of catalog rows in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogData {
    pub providers: Vec<Provider>,
    pub models: Vec<Model>,
    pub endpoints: Vec<Endpoint>,
}

/// An immutable, indexed catalog. Cheap to look up in, replaced as a whole.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Grows with every change in the store.
    pub version: i64,
    providers: BTreeMap<String, Arc<Provider>>,
    models: BTreeMap<ModelSlug, ModelEntry>,
    endpoints_count: usize,
}

/// A model with its endpoints, cheapest first.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    pub model: Arc<Model>,
    pub endpoints: Vec<Arc<Endpoint>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("provider {0} is listed twice")]
    DuplicateProvider(String),
    #[error("model {0} is listed twice")]
    DuplicateModel(ModelSlug),
    #[error("endpoint {0} is listed twice")]
    DuplicateEndpoint(String),
    #[error("endpoint {endpoint} names provider {provider}, which is not listed")]
    NoProvider { endpoint: String, provider: String },
    #[error("endpoint {endpoint} names model {model}, which is not listed")]
    NoModel { endpoint: String, model: ModelSlug },
    #[error("endpoint {0} has a negative price")]
    NegativePrice(String),
}

impl Catalog {
    /// Checks that names are unique and references resolve, then indexes.
    pub fn new(version: i64, data: CatalogData) -> Result<Self, CatalogError> {
        let mut catalog = Self {
            version,
            ..Self::default()
        };
        for provider in data.providers {
            let slug = provider.slug.clone();
            if catalog.providers.insert(slug.clone(), Arc::new(provider)).is_some() {
                return Err(CatalogError::DuplicateProvider(slug));
            }
        }
        for model in data.models {
            let slug = model.slug.clone();
            let entry = ModelEntry {
                model: Arc::new(model),
                endpoints: Vec::new(),
            };
            if catalog.models.insert(slug.clone(), entry).is_some() {
                return Err(CatalogError::DuplicateModel(slug));
            }
        }
        for endpoint in data.endpoints {
            catalog.add(endpoint)?;
        }
        for entry in catalog.models.values_mut() {
            entry.endpoints.sort_by_key(|endpoint| {
                (
                    endpoint
                        .prices
                        .prompt
                        .get()
                        .saturating_add(endpoint.prices.completion.get()),
                    endpoint.id.clone(),
                )
            });
        }
        Ok(catalog)
    }

    #[must_use]
    pub fn model(&self, slug: &ModelSlug) -> Option<&ModelEntry> {
        self.models.get(slug)
    }

    #[must_use]
    pub fn provider(&self, slug: &str) -> Option<&Arc<Provider>> {
        self.providers.get(slug)
    }

    /// All models by slug.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &ModelEntry> {
        self.models.values()
    }

    /// All providers by slug.
    pub fn providers(&self) -> impl ExactSizeIterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// All endpoints, by model.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.models.values().flat_map(|entry| &entry.endpoints)
    }

    #[must_use]
    pub fn endpoints_count(&self) -> usize {
        self.endpoints_count
    }

    fn add(&mut self, endpoint: Endpoint) -> Result<(), CatalogError> {
        let id = endpoint.id.clone();
        if !self.providers.contains_key(&endpoint.provider) {
            return Err(CatalogError::NoProvider {
                endpoint: id,
                provider: endpoint.provider,
            });
        }
        if !endpoint.prices.is_valid() {
            return Err(CatalogError::NegativePrice(id));
        }
        let Some(entry) = self.models.get_mut(&endpoint.model) else {
            return Err(CatalogError::NoModel {
                endpoint: id,
                model: endpoint.model,
            });
        };
        if entry.endpoints.iter().any(|other| other.id == id) {
            return Err(CatalogError::DuplicateEndpoint(id));
        }
        entry.endpoints.push(Arc::new(endpoint));
        self.endpoints_count = self.endpoints_count.saturating_add(1);
        Ok(())
    }
}

impl Provider {
    /// Whether this build speaks the provider's protocol at all.
    #[must_use]
    pub const fn is_spoken(&self) -> bool {
        self.speaks(self.dialect)
    }

    /// Whether this build can use `dialect` with the provider.
    #[must_use]
    pub const fn speaks(&self, dialect: Dialect) -> bool {
        !matches!(dialect, Dialect::Other) && !matches!(self.auth, Auth::Other)
    }
}

impl Endpoint {
    /// This endpoint with the prices of a request at `now` that asks for `service`; itself where they do not depend on these.
    #[must_use]
    pub fn chosen(self: &Arc<Self>, now: Micros, service: Option<&str>) -> Arc<Self> {
        if self.prices.windows.is_empty() && self.prices.services.is_empty() {
            return Arc::clone(self);
        }
        Arc::new(Self {
            prices: self.prices.chosen(now, service),
            ..Self::clone(self)
        })
    }

    /// Provider slug, with quantisation or region where the provider has several offers: `deepinfra/fp8`.
    #[must_use]
    pub fn tag(&self) -> String {
        match self.id.rsplit('|').next() {
            Some(rest) if rest != self.provider => format!("{}/{rest}", self.provider),
            _ => self.provider.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::PicoUsd;

    fn provider(slug: &str) -> Provider {
        serde_json::from_value(serde_json::json!({
            "slug": slug, "name": slug, "base_url": "http://127.0.0.1:1/v1", "dialect": "openai-chat", "auth": "none"
        }))
        .unwrap()
    }

    fn model() -> Model {
        serde_json::from_value(serde_json::json!({
            "slug": "a/m", "name": "M", "kind": "chat", "context_length": 10,
            "input_modalities": ["text"], "output_modalities": ["text"]
        }))
        .unwrap()
    }

    fn endpoint(id: &str, provider: &str, price: i64) -> Endpoint {
        serde_json::from_value(serde_json::json!({
            "id": id, "model": "a/m", "provider": provider, "provider_model_id": "m", "context_length": 10,
            "prices": {"prompt": price, "completion": price}
        }))
        .unwrap()
    }

    #[test]
    fn endpoints_are_indexed_cheapest_first() {
        let data = CatalogData {
            providers: vec![provider("p"), provider("q")],
            models: vec![model()],
            endpoints: vec![endpoint("a/m|p", "p", 5), endpoint("a/m|q|fp8", "q", 3)],
        };
        let catalog = Catalog::new(1, data).unwrap();
        let entry = catalog.model(&ModelSlug::parse("a/m").unwrap()).unwrap();
        let tags: Vec<String> = entry.endpoints.iter().map(|endpoint| endpoint.tag()).collect();
        assert_eq!(tags, ["q/fp8", "p"]);
        assert_eq!(entry.endpoints[0].prices.prompt, PicoUsd::new(3));
    }

    #[test]
    fn a_dangling_reference_is_refused() {
        let with = |endpoints| CatalogData {
            providers: vec![provider("p")],
            models: vec![model()],
            endpoints,
        };
        let refuse = |endpoints| Catalog::new(1, with(endpoints)).unwrap_err().to_string();
        assert!(refuse(vec![endpoint("e", "q", 1)]).contains("names provider q"));
        assert!(refuse(vec![endpoint("e", "p", 1), endpoint("e", "p", 1)]).contains("twice"));
        assert!(refuse(vec![endpoint("e", "p", -1)]).contains("negative"));
    }
}
