//! `/{author}/{slug}`: one model, and every endpoint that offers it.

mod endpoints;

use crate::components::badge::{Badge, Tone};
use crate::components::code::CodeTabs;
use crate::components::copy::CopyButton;
use crate::components::example::first_call;
use crate::components::layout::loaded;
use crate::components::monogram::Monogram;
use crate::fail::Fail;
use crate::format;
use crate::pages::not_found::Missing;
use crate::wire::data;
use domain::catalog::{CancelPolicy, DataPolicy};
use domain::money::PicoUsd;
use domain::price::Prices;
use domain::slug::ModelSlug;
use endpoints::Endpoints;
use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPage {
    pub slug: ModelSlug,
    pub name: String,
    pub description: String,
    /// Tokens.
    pub context: u64,
    pub input: Vec<String>,
    pub output: Vec<String>,
    pub released: Option<String>,
    pub knowledge_cutoff: Option<String>,
    pub open_weights: Option<bool>,
    /// Tokens of the last seven days.
    pub week_tokens: u64,
    /// Request parameters that at least one endpoint takes.
    pub parameters: Vec<String>,
    /// Cheapest first.
    pub endpoints: Vec<EndpointRow>,
    /// Where the examples send their call.
    pub base_url: String,
}

/// One provider's offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRow {
    pub tag: String,
    pub provider: String,
    pub provider_name: String,
    pub readiness: Readiness,
    pub prices: Prices,
    pub context: u64,
    pub max_output: Option<u64>,
    pub quantization: Option<String>,
    pub region: Option<String>,
    pub cancel: CancelPolicy,
    pub data_policy: DataPolicy,
    pub headquarters: Option<String>,
    pub privacy_policy_url: Option<String>,
    pub terms_of_service_url: Option<String>,
    pub status_page_url: Option<String>,
    pub sources: Vec<String>,
}

/// Whether this server can call an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    Ready,
    /// The operator has not set the provider's key: the setting's name.
    NeedsKey(String),
    /// The provider wants no key and has no address yet.
    NotRunning,
    /// Its protocol is not spoken here.
    NotSpoken,
}

/// The model, or near matches of a name that is not one.
#[server(endpoint = "model")]
pub async fn load_model(name: String) -> Result<Result<ModelPage, Vec<ModelSlug>>, Fail> {
    use crate::site::{answer, mark_missing, site};
    answer(async {
        let site = site()?;
        let catalog = (site.catalog)();
        let wanted = domain::slug::ModelRef::parse(&name).ok();
        let Some(entry) = wanted.as_ref().and_then(|wanted| catalog.model(&wanted.slug)) else {
            mark_missing();
            return Ok(Err(near(&catalog, &name)));
        };
        let week = crate::pages::models::week_tokens(&site).await?;
        let week_tokens = week.get(&entry.model.slug).copied().unwrap_or_default();
        Ok(Ok(page_of(&site, &catalog, entry, week_tokens)))
    })
    .await
}

#[cfg(feature = "ssr")]
fn near(catalog: &domain::catalog::Catalog, name: &str) -> Vec<ModelSlug> {
    const NEAR_MAX: usize = 5;
    let slugs = catalog.models().map(|entry| entry.model.slug.as_str());
    let found = domain::near::nearest(name.get(..200).unwrap_or(name), slugs, NEAR_MAX);
    found
        .into_iter()
        .filter_map(|slug| ModelSlug::parse(slug).ok())
        .collect()
}

#[cfg(feature = "ssr")]
fn page_of(
    site: &crate::site::Site,
    catalog: &domain::catalog::Catalog,
    entry: &domain::catalog::ModelEntry,
    week_tokens: u64,
) -> ModelPage {
    let model = &entry.model;
    let endpoints: Vec<EndpointRow> = entry
        .endpoints
        .iter()
        .filter_map(|endpoint| {
            catalog
                .provider(&endpoint.provider)
                .map(|provider| (endpoint, provider))
        })
        .map(|(endpoint, provider)| EndpointRow {
            tag: endpoint.tag(),
            provider: provider.slug.clone(),
            provider_name: provider.name.clone(),
            readiness: readiness(site, provider),
            prices: endpoint.prices.clone(),
            context: endpoint.context_length,
            max_output: endpoint.max_completion_tokens,
            quantization: endpoint.quantization.clone(),
            region: endpoint.region.clone(),
            cancel: provider.cancel,
            data_policy: provider.data_policy.clone(),
            headquarters: provider.headquarters.clone(),
            privacy_policy_url: provider.privacy_policy_url.clone(),
            terms_of_service_url: provider.terms_of_service_url.clone(),
            status_page_url: provider.status_page_url.clone(),
            sources: endpoint.sources.clone(),
        })
        .collect();
    let mut parameters: Vec<String> = entry
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.supported_parameters.clone())
        .collect();
    parameters.sort();
    parameters.dedup();
    ModelPage {
        slug: model.slug.clone(),
        name: model.name.clone(),
        description: model.description.clone(),
        context: model.context_length,
        input: model.input_modalities.clone(),
        output: model.output_modalities.clone(),
        released: model.released.map(|day| day.to_string()),
        knowledge_cutoff: model.knowledge_cutoff.clone(),
        open_weights: model.open_weights,
        week_tokens,
        parameters,
        endpoints,
        base_url: site.base_url.clone(),
    }
}

#[cfg(feature = "ssr")]
fn readiness(site: &crate::site::Site, provider: &domain::catalog::Provider) -> Readiness {
    if !provider.is_spoken() {
        return Readiness::NotSpoken;
    }
    if (site.callable)(provider) {
        return Readiness::Ready;
    }
    provider
        .key_setting
        .clone()
        .map_or(Readiness::NotRunning, Readiness::NeedsKey)
}

#[component]
pub fn Model() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| {
        let params = params.read();
        let part = |key: &str| params.get(key).unwrap_or_default();
        format!("{}/{}", part("author"), part("slug"))
    });
    let page = data(move || name.get(), load_model);
    loaded(page, move |page| match page {
        Ok(page) => Either::Left(view! { <Found page/> }),
        Err(near) => Either::Right(view! { <Missing near/> }),
    })
}

#[component]
fn Found(page: ModelPage) -> impl IntoView {
    let slug = page.slug.to_string();
    let author = page.slug.author().to_owned();
    let author_href = format!("/models?model_authors={author}");
    let is_ready = page
        .endpoints
        .iter()
        .any(|endpoint| endpoint.readiness == Readiness::Ready);
    let summary = format!(
        "{}: {} context, {}. Prices, limits and data policies of every endpoint.",
        page.name,
        format::context(page.context),
        format::count(page.endpoints.len(), "endpoint"),
    );
    let examples = first_call(&page.base_url, &slug);
    view! {
        <leptos_meta::Title text=page.name.clone()/>
        <leptos_meta::Meta name="description" content=summary/>
        <leptos_meta::Link rel="canonical" href=format!("{}/{slug}", page.base_url)/>
        <article class="page model-page">
            <header class="model-head">
                <Monogram name=author.clone() large=true/>
                <div class="stack-s">
                    <div class="row">
                        <h1>{page.name.clone()}</h1>
                        {if is_ready {
                            view! { <Badge text="ready" tone=Tone::Good title="Can be called on this server right now"/> }
                        } else {
                            view! { <Badge text="listed" tone=Tone::Warn title="No endpoint can be called on this server yet"/> }
                        }}
                    </div>
                    <div class="row small">
                        <code class="break" data-testid="model-slug">
                            {slug.clone()}
                        </code>
                        <CopyButton text=slug.clone() what="the model's name"/>
                        <span class="faint">"by " <a href=author_href>{author}</a></span>
                    </div>
                </div>
                <a class="button" href=format!("/chat?model={slug}")>
                    "Chat"
                </a>
            </header>
            <Figures page=page.clone()/>
            {(!page.description.is_empty()).then(|| view! { <p class="soft">{page.description.clone()}</p> })}
            <Endpoints rows=page.endpoints.clone()/>
            <section class="stack" id="api">
                <h2>"Call it"</h2>
                <CodeTabs name="first-call" examples=examples/>
            </section>
            <Parameters names=page.parameters.clone()/>
        </article>
    }
}

#[component]
fn Figures(page: ModelPage) -> impl IntoView {
    let least = |price: fn(&Prices) -> PicoUsd| {
        let prices = page.endpoints.iter().map(|endpoint| price(&endpoint.prices));
        prices.min().map_or_else(|| "–".to_owned(), PicoUsd::per_million)
    };
    let facts = [
        ("Context", format::context(page.context)),
        ("Input from, per M tokens", least(|prices| prices.prompt)),
        ("Output from, per M tokens", least(|prices| prices.completion)),
        ("Endpoints", page.endpoints.len().to_string()),
        ("Tokens in 7 days", format::short(page.week_tokens)),
    ];
    let more = [
        ("Takes", Some(page.input.join(", "))),
        ("Produces", Some(page.output.join(", "))),
        ("Released", page.released),
        ("Knows until", page.knowledge_cutoff),
        (
            "Weights",
            page.open_weights
                .map(|is_open| if is_open { "open" } else { "closed" }.to_owned()),
        ),
    ];
    view! {
        <dl class="figures">
            {facts
                .map(|(name, value)| {
                    view! {
                        <div>
                            <dt>{name}</dt>
                            <dd>{value}</dd>
                        </div>
                    }
                })}
        </dl>
        <dl class="facts inline">
            {more
                .map(|(name, value)| {
                    value.filter(|value| !value.is_empty())
                        .map(|value| {
                            view! {
                                <div>
                                    <dt>{name}</dt>
                                    <dd>{value}</dd>
                                </div>
                            }
                        })
                })}
        </dl>
    }
}

#[component]
fn Parameters(names: Vec<String>) -> impl IntoView {
    (!names.is_empty()).then(|| {
        let names: Vec<_> = names.into_iter().map(|name| view! { <li><code class="badge">{name}</code></li> }).collect();
        view! {
            <section class="stack-s">
                <h2>"Parameters"</h2>
                <p class="small soft">"Taken by at least one endpoint. A request goes only to endpoints that take all it sets."</p>
                <ul class="plain badges">{names}</ul>
            </section>
        }
    })
}
