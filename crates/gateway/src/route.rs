//! Which endpoints a request may go to, in which order, and why the others may not. Pure and seeded: the same inputs
//! give the same route.

use crate::dialect;
use crate::request::{ChatRequest, DataCollection, Dollars, Preferences, Sort};
use domain::catalog::{Catalog, Endpoint, Model, ModelEntry, Provider};
use domain::money::PicoUsd;
use domain::slug::{ModelRef, ModelSlug};
use domain::time::Micros;
use std::fmt;
use std::sync::Arc;

/// Ordered attempts and everything that was left out.
#[derive(Debug, Clone, Default)]
pub struct Route {
    pub attempts: Vec<Candidate>,
    pub skipped: Vec<Skipped>,
}

#[derive(Debug, Clone)]
pub struct Candidate {
    pub model: Arc<Model>,
    /// With the prices of this moment and of the service tier that the request asks for.
    pub endpoint: Arc<Endpoint>,
    pub provider: Arc<Provider>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub endpoint: String,
    pub provider: String,
    pub reason: Skip,
}

/// Why an endpoint is not eligible, and thereby what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The operator has not configured this setting.
    NoKey {
        setting: String,
    },
    /// Its protocol or authentication is not spoken.
    NotSpoken,
    NotInOnly,
    Ignored,
    NotInOrder,
    ContextTooShort {
        context_length: u64,
    },
    AnswerTooLong {
        max_completion_tokens: u64,
    },
    MissingParameter {
        name: String,
    },
    Quantization,
    TooDear,
    DataPolicy,
    NotFree,
    Deprecated,
}

/// What the data plane knows that the catalog does not.
pub trait Conditions {
    /// Name of the setting whose absence keeps a provider from being called for this endpoint.
    fn missing_setting(&self, provider: &Provider, endpoint: &Endpoint) -> Option<String>;
    /// Whether the endpoint failed just now and should come last.
    fn is_cooling_down(&self, endpoint: &str) -> bool;
    /// For prices that depend on the time of the day.
    fn now(&self) -> Micros;
    /// Today, for deprecation dates, as `YYYY-MM-DD`.
    fn today(&self) -> &str;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteError {
    UnknownModel {
        model: String,
        near: Vec<String>,
    },
    UnknownVariant {
        model: String,
        variant: String,
    },
    /// Every endpoint is only missing the operator's key.
    NoKey {
        model: ModelSlug,
        settings: Vec<String>,
        skipped: Vec<Skipped>,
    },
    /// No endpoint is eligible for this request.
    NoEndpoint {
        model: ModelSlug,
        skipped: Vec<Skipped>,
    },
}

/// Filters, then orders. `seed` decides the weighted choice among healthy endpoints.
pub fn route(
    catalog: &Catalog,
    request: &ChatRequest,
    conditions: &dyn Conditions,
    seed: u64,
) -> Result<Route, RouteError> {
    let mut random = SplitMix(seed);
    let mut route = Route::default();
    let mut unknown = None;
    for wanted in &request.models {
        match catalog.model(&wanted.slug) {
            Some(entry) => add_model(&mut route, catalog, entry, wanted, request, conditions, &mut random)?,
            None => unknown = unknown.or(Some(wanted)),
        }
    }
    if !route.attempts.is_empty() {
        return Ok(route);
    }
    Err(match unknown {
        Some(wanted) if route.skipped.is_empty() => unknown_model(catalog, wanted),
        _ => nothing_eligible(request, route.skipped),
    })
}

fn add_model(
    route: &mut Route,
    catalog: &Catalog,
    entry: &ModelEntry,
    wanted: &ModelRef,
    request: &ChatRequest,
    conditions: &dyn Conditions,
    random: &mut SplitMix,
) -> Result<(), RouteError> {
    let variant = Variant::parse(wanted)?;
    let mut eligible = Vec::new();
    let service = request.service_tier();
    for endpoint in &entry.endpoints {
        let endpoint = &endpoint.chosen(conditions.now(), service.as_deref());
        let Some(provider) = catalog.provider(&endpoint.provider) else {
            continue;
        };
        match skip(entry, endpoint, provider, request, variant, conditions) {
            Some(reason) => route.skipped.push(Skipped {
                endpoint: endpoint.id.clone(),
                provider: provider.slug.clone(),
                reason,
            }),
            None => eligible.push(Candidate {
                model: entry.model.clone(),
                endpoint: endpoint.clone(),
                provider: provider.clone(),
            }),
        }
    }
    route
        .attempts
        .extend(ordered(eligible, &request.preferences, variant, conditions, random));
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    None,
    Free,
    /// Cheapest first.
    Floor,
    /// Fastest first.
    Nitro,
}

impl Variant {
    fn parse(wanted: &ModelRef) -> Result<Self, RouteError> {
        match wanted.variant.as_deref() {
            None => Ok(Self::None),
            Some("free") => Ok(Self::Free),
            Some("floor") => Ok(Self::Floor),
            Some("nitro") => Ok(Self::Nitro),
            Some(variant) => Err(RouteError::UnknownVariant {
                model: wanted.slug.to_string(),
                variant: variant.to_owned(),
            }),
        }
    }
}

/// The first filter that removes the endpoint.
fn skip(
    entry: &ModelEntry,
    endpoint: &Endpoint,
    provider: &Provider,
    request: &ChatRequest,
    variant: Variant,
    conditions: &dyn Conditions,
) -> Option<Skip> {
    let wants = &request.preferences;
    let named = |list: &[String]| list.iter().any(|name| matches(name, endpoint, provider));
    if !wants.only.is_empty() && !named(&wants.only) {
        return Some(Skip::NotInOnly);
    }
    if named(&wants.ignore) {
        return Some(Skip::Ignored);
    }
    if wants.allow_fallbacks == Some(false) && !wants.order.is_empty() && !named(&wants.order) {
        return Some(Skip::NotInOrder);
    }
    if endpoint
        .deprecated
        .is_some_and(|date| date.to_string().as_str() <= conditions.today())
    {
        return Some(Skip::Deprecated);
    }
    if wants.data_collection == Some(DataCollection::Deny) && keeps_prompts(provider) {
        return Some(Skip::DataPolicy);
    }
    if variant == Variant::Free && !endpoint.prices.is_free() {
        return Some(Skip::NotFree);
    }
    if let Some(reason) = does_not_fit(endpoint, request) {
        return Some(reason);
    }
    if !wants.quantizations.is_empty() && !quantization_wanted(endpoint, &wants.quantizations) {
        return Some(Skip::Quantization);
    }
    if too_dear(endpoint, wants) {
        return Some(Skip::TooDear);
    }
    if let Some(name) = missing_parameter(entry, endpoint, request) {
        return Some(Skip::MissingParameter { name });
    }
    if !provider.speaks(dialect::of(provider, endpoint)) {
        return Some(Skip::NotSpoken);
    }
    conditions
        .missing_setting(provider, endpoint)
        .map(|setting| Skip::NoKey { setting })
}

fn does_not_fit(endpoint: &Endpoint, request: &ChatRequest) -> Option<Skip> {
    // The estimate errs on the high side, so only a prompt far beyond the context is refused here; the rest is
    // left to the provider, which counts exactly.
    if request.prompt_tokens_estimate / 2 > endpoint.context_length {
        return Some(Skip::ContextTooShort {
            context_length: endpoint.context_length,
        });
    }
    let max_completion_tokens = endpoint.max_completion_tokens?;
    (request.max_tokens? > max_completion_tokens).then_some(Skip::AnswerTooLong { max_completion_tokens })
}

/// With `require_parameters` every known parameter must be supported; without, only `tools` and `response_format`
/// decide, and only when some endpoint of the model has them.
fn missing_parameter(entry: &ModelEntry, endpoint: &Endpoint, request: &ChatRequest) -> Option<String> {
    const SOFT: &[&str] = &["tools", "response_format"];
    let supports = |endpoint: &Endpoint, name: &str| {
        endpoint.supported_parameters.is_empty() || endpoint.supported_parameters.iter().any(|have| have == name)
    };
    let missing = |name: &&str| request.says(name) && !supports(endpoint, name);
    if request.preferences.require_parameters {
        return KNOWN_PARAMETERS
            .iter()
            .find(|name| missing(name))
            .map(|name| (*name).to_owned());
    }
    let elsewhere = |name: &&&str| entry.endpoints.iter().any(|other| supports(other, name));
    SOFT.iter()
        .filter(|name| missing(name))
        .find(elsewhere)
        .map(|name| (*name).to_owned())
}

/// Parameters that providers may lack.
const KNOWN_PARAMETERS: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "min_p",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning",
    "repetition_penalty",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
];

fn keeps_prompts(provider: &Provider) -> bool {
    provider.data_policy.trains != Some(false) || provider.data_policy.logs_prompts == Some(true)
}

fn quantization_wanted(endpoint: &Endpoint, wanted: &[String]) -> bool {
    let have = endpoint.quantization.as_deref().unwrap_or("unknown");
    wanted.iter().any(|name| name == have)
}

fn too_dear(endpoint: &Endpoint, wants: &Preferences) -> bool {
    let Some(max) = &wants.max_price else { return false };
    let above = |price: PicoUsd, max: &Option<Dollars>| {
        max.as_ref().and_then(Dollars::per_token).is_some_and(|max| price > max)
    };
    above(endpoint.prices.prompt, &max.prompt) || above(endpoint.prices.completion, &max.completion)
}

/// A base slug names all offers of a provider, a tag exactly one.
fn matches(name: &str, endpoint: &Endpoint, provider: &Provider) -> bool {
    name.eq_ignore_ascii_case(&provider.slug) || name.eq_ignore_ascii_case(&provider.name) || name == endpoint.tag()
}

fn ordered(
    mut eligible: Vec<Candidate>,
    wants: &Preferences,
    variant: Variant,
    conditions: &dyn Conditions,
    random: &mut SplitMix,
) -> Vec<Candidate> {
    // Endpoints come from the catalog cheapest first.
    let strict = wants.sort.is_some() || !wants.order.is_empty() || matches!(variant, Variant::Floor | Variant::Nitro);
    if strict {
        if wants.sort == Some(Sort::Price) || variant == Variant::Floor {
            eligible.sort_by_key(price);
        }
        let rank = |candidate: &Candidate| {
            wants
                .order
                .iter()
                .position(|name| matches(name, &candidate.endpoint, &candidate.provider))
                .unwrap_or(usize::MAX)
        };
        eligible.sort_by_key(rank);
    } else {
        choose_by_price(&mut eligible, conditions, random);
    }
    let in_order = !wants.order.is_empty();
    if wants.allow_fallbacks == Some(false) && !in_order {
        eligible.truncate(1);
    }
    eligible
}

/// Healthy endpoints first; among them one is drawn with weight 1/price², the others follow by price.
fn choose_by_price(eligible: &mut [Candidate], conditions: &dyn Conditions, random: &mut SplitMix) {
    eligible.sort_by_key(|candidate| (conditions.is_cooling_down(&candidate.endpoint.id), price(candidate)));
    let healthy = eligible
        .iter()
        .take_while(|candidate| !conditions.is_cooling_down(&candidate.endpoint.id))
        .count();
    let weights: Vec<f64> = eligible[..healthy].iter().map(weight).collect();
    let mut ticket = random.unit() * weights.iter().sum::<f64>();
    for (place, weight) in weights.iter().enumerate() {
        ticket -= weight;
        if ticket <= 0.0 {
            eligible[..=place].rotate_right(1);
            return;
        }
    }
}

fn price(candidate: &Candidate) -> i64 {
    candidate
        .endpoint
        .prices
        .prompt
        .get()
        .saturating_add(candidate.endpoint.prices.completion.get())
}

fn weight(candidate: &Candidate) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a weight needs no more than 53 bits")]
    let price = price(candidate).max(1) as f64;
    1.0 / (price * price)
}

fn unknown_model(catalog: &Catalog, wanted: &ModelRef) -> RouteError {
    let names = catalog.models().map(|entry| entry.model.slug.as_str());
    let near = domain::near::nearest(wanted.slug.as_str(), names, 3)
        .into_iter()
        .map(str::to_owned)
        .collect();
    RouteError::UnknownModel {
        model: wanted.slug.to_string(),
        near,
    }
}

fn nothing_eligible(request: &ChatRequest, skipped: Vec<Skipped>) -> RouteError {
    let model = request.models[0].slug.clone();
    let mut settings: Vec<String> = skipped
        .iter()
        .filter_map(|skipped| match &skipped.reason {
            Skip::NoKey { setting } => Some(setting.clone()),
            _ => None,
        })
        .collect();
    settings.sort();
    settings.dedup();
    if settings.is_empty() {
        RouteError::NoEndpoint { model, skipped }
    } else {
        RouteError::NoKey {
            model,
            settings,
            skipped,
        }
    }
}

impl Dollars {
    /// Dollars per million tokens as pico-dollars per token; `None` when it is not an amount.
    fn per_token(&self) -> Option<PicoUsd> {
        let text = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        // A dollar per million tokens is a micro-dollar per token: six digits of the pico-dollar's twelve.
        let dollars = PicoUsd::parse_usd(&text).ok()?;
        Some(PicoUsd::new(dollars.get() / 1_000_000))
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey { setting } => write!(f, "the operator has not set {setting}"),
            Self::NotSpoken => f.write_str("its protocol is not spoken"),
            Self::NotInOnly => f.write_str("not in provider.only"),
            Self::Ignored => f.write_str("in provider.ignore"),
            Self::NotInOrder => f.write_str("not in provider.order, and provider.allow_fallbacks is false"),
            Self::ContextTooShort { context_length } => write!(f, "its context is {context_length} tokens"),
            Self::AnswerTooLong { max_completion_tokens } => {
                write!(f, "max_tokens is above its limit of {max_completion_tokens}")
            }
            Self::MissingParameter { name } => write!(f, "it does not support {name}"),
            Self::Quantization => f.write_str("not in provider.quantizations"),
            Self::TooDear => f.write_str("above provider.max_price"),
            Self::DataPolicy => f.write_str("provider.data_collection is deny, and it may keep prompts"),
            Self::NotFree => f.write_str("it is not free"),
            Self::Deprecated => f.write_str("it is no longer offered"),
        }
    }
}

/// Steele, Lea and Flood 2014: enough for a draw, and the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
        let bits = (self.next() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
