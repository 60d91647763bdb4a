//! `/models`: every model, searched, filtered and sorted by the address alone.

pub mod query;
#[cfg(feature = "ssr")]
pub mod search;

use crate::browser;
use crate::components::badge::{Badge, Tone};
use crate::components::layout::{Page, loaded};
use crate::components::monogram::Monogram;
use crate::components::pager::Pager;
use crate::components::price::PerMillion;
use crate::fail::Fail;
use crate::format;
use crate::wire::{Data, data};
use domain::money::PicoUsd;
use domain::slug::ModelSlug;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use query::{ModelQuery, Order};
use serde::{Deserialize, Serialize};

const ROWS_PER_PAGE: usize = 40;

/// One model as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRow {
    pub slug: ModelSlug,
    pub name: String,
    pub summary: String,
    /// Tokens.
    pub context: u64,
    pub input: Vec<String>,
    pub output: Vec<String>,
    /// Prices of the cheapest endpoint.
    pub prompt: Option<PicoUsd>,
    pub completion: Option<PicoUsd>,
    /// How many providers offer it.
    pub providers: usize,
    pub released: Option<String>,
    /// Tokens of the last seven days.
    pub week_tokens: u64,
    /// It can be called right now.
    pub ready: bool,
    pub tools: bool,
}

/// A value that a filter can take, and how many models have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facet {
    pub value: String,
    pub label: String,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsPage {
    /// The query that this page answers.
    pub query: ModelQuery,
    pub rows: Vec<ModelRow>,
    /// How many fit the query.
    pub total: usize,
    /// How many there are.
    pub all: usize,
    pub authors: Vec<Facet>,
    pub providers: Vec<Facet>,
}

#[server(endpoint = "models")]
pub async fn load_models(query: ModelQuery) -> Result<ModelsPage, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let site = site()?;
        let week = week_tokens(&site).await?;
        let catalog = (site.catalog)();
        let shelf = search::Shelf {
            catalog: &catalog,
            callable: &site.callable,
            week: &week,
        };
        Ok(search::search(&shelf, &query))
    })
    .await
}

/// Tokens of each model over the last seven days, today included.
#[cfg(feature = "ssr")]
pub async fn week_tokens(site: &crate::site::Site) -> Result<std::collections::HashMap<ModelSlug, u64>, Fail> {
    const MODELS_MAX: i64 = 10_000;
    let now = (site.now)();
    let from = now.plus(-6 * domain::time::Micros::DAY);
    let mut tx = site.store.read().await?;
    let ranked = store::rankings::models(&mut tx, &from.day(), &now.day(), MODELS_MAX).await?;
    Ok(ranked
        .into_iter()
        .map(|row| (row.model, row.prompt.saturating_add(row.completion)))
        .collect())
}

#[component]
pub fn Models() -> impl IntoView {
    let params = use_query_map();
    let query = Memo::new(move |_| ModelQuery::from_params(&params.read()));
    let page = data(move || query.get(), load_models);
    view! {
        <Page title="Models" lead="Every price is what you pay: the provider's own, to the token.">
            <div class="browse">
                <Filters query page/>
                {loaded(page, |page| view! { <Results page/> })}
            </div>
        </Page>
    }
}

#[component]
fn Filters(query: Memo<ModelQuery>, page: Data<ModelsPage>) -> impl IntoView {
    let navigate = use_navigate();
    let go = move |event: &leptos::web_sys::Event, replace: bool| {
        if let Some(text) = browser::form_query(event) {
            let options = NavigateOptions {
                replace,
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(&format!("/models?{text}"), options);
        }
    };
    let is_live = browser::hydrated();
    let on_input = {
        let go = go.clone();
        move |event: leptos::ev::Event| go(&event, true)
    };
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        go(&event, false);
    };
    let supports = |name: &'static str| move || query.with(|query| query.supports.iter().any(|item| item == name));
    view! {
        <form class="filters" method="get" action="/models" role="search" on:input=on_input on:submit=on_submit>
            <div class="field filters-search">
                <label for="q">"Search"</label>
                <input
                    class="input"
                    type="search"
                    id="q"
                    name="q"
                    placeholder="Name or author"
                    autocomplete="off"
                    value=move || query.with(|query| query.q.clone())
                    prop:value=move || query.with(|query| query.q.clone())
                    data-testid="model-search"
                />
            </div>
            <div class="field">
                <label for="order">"Sort"</label>
                <select class="input" id="order" name="order" data-testid="model-order" prop:value=move || query.with(|query| query.order.value())>
                    {Order::ALL
                        .map(|order| {
                            let is_chosen = move || query.with(|query| query.order == order);
                            view! {
                                <option value=order.value() selected=is_chosen>
                                    {order.label()}
                                </option>
                            }
                        })}
                </select>
            </div>
            <details class="filters-more" open=move || query.with(ModelQuery::is_narrowed)>
                <summary>"Filters"</summary>
                <div class="fields">
                    <Choice name="input_modalities" label="Takes" query pick=|query| query.input.clone() options=MODALITIES/>
                    <Choice name="output_modalities" label="Produces" query pick=|query| query.output.clone() options=MODALITIES/>
                    <Choice name="context" label="Context, at least" query pick=context_choice options=CONTEXTS/>
                    <Transition>
                        {move || Suspend::new(async move {
                            let page = page.await.ok();
                            let (authors, providers) = page.map(|page| (page.authors, page.providers)).unwrap_or_default();
                            view! {
                                <FacetChoice name="model_authors" label="Author" query pick=|query| query.author.clone() facets=authors/>
                                <FacetChoice name="providers" label="Provider" query pick=|query| query.provider.clone() facets=providers/>
                            }
                        })}
                    </Transition>
                    <fieldset class="plain">
                        <legend class="legend">"Only models that"</legend>
                        <Check name="ready" value="1" label="can be called now" is_on=Signal::derive(move || query.with(|query| query.ready))/>
                        <Check name="free" value="1" label="are free" is_on=Signal::derive(move || query.with(|query| query.free))/>
                        <Check name="supported_parameters" value="tools" label="call tools" is_on=Signal::derive(supports("tools"))/>
                        <Check
                            name="supported_parameters"
                            value="structured_outputs"
                            label="follow a JSON schema"
                            is_on=Signal::derive(supports("structured_outputs"))
                        />
                        <Check name="supported_parameters" value="reasoning" label="reason" is_on=Signal::derive(supports("reasoning"))/>
                    </fieldset>
                </div>
            </details>
            <div class="row">
                <button class="button compact" hidden=move || is_live.get() data-testid="model-apply">
                    "Apply"
                </button>
                <a class="small" href="/models" hidden=move || !query.with(ModelQuery::is_narrowed)>
                    "Clear all"
                </a>
            </div>
        </form>
    }
}

const MODALITIES: &[(&str, &str)] = &[
    ("", "Anything"),
    ("text", "Text"),
    ("image", "Images"),
    ("audio", "Audio"),
    ("video", "Video"),
    ("file", "Files"),
];
const CONTEXTS: &[(&str, &str)] = &[
    ("", "Any"),
    ("32000", "32K"),
    ("128000", "128K"),
    ("200000", "200K"),
    ("1000000", "1M"),
];

fn context_choice(query: &ModelQuery) -> String {
    if query.context_min == 0 {
        String::new()
    } else {
        query.context_min.to_string()
    }
}

#[component]
fn Choice(
    name: &'static str,
    label: &'static str,
    query: Memo<ModelQuery>,
    pick: fn(&ModelQuery) -> String,
    options: &'static [(&'static str, &'static str)],
) -> impl IntoView {
    let options: Vec<_> = options
        .iter()
        .map(|(value, label)| {
            let is_chosen = move || query.with(pick) == *value;
            view! { <option value=*value selected=is_chosen>{*label}</option> }
        })
        .collect();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select class="input compact" id=name name=name prop:value=move || query.with(pick)>
                {options}
            </select>
        </div>
    }
}

#[component]
fn FacetChoice(
    name: &'static str,
    label: &'static str,
    query: Memo<ModelQuery>,
    pick: fn(&ModelQuery) -> String,
    facets: Vec<Facet>,
) -> impl IntoView {
    let options: Vec<_> = facets
        .into_iter()
        .map(|facet| {
            let value = facet.value.clone();
            let is_chosen = Memo::new(move |_| query.with(pick) == value);
            view! {
                <option value=facet.value selected=move || is_chosen.get() prop:selected=move || is_chosen.get()>
                    {format!("{} ({})", facet.label, facet.count)}
                </option>
            }
        })
        .collect();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select class="input compact" id=name name=name>
                <option value="" prop:selected=move || query.with(|query| pick(query).is_empty())>
                    "All"
                </option>
                {options}
            </select>
        </div>
    }
}

#[component]
fn Check(name: &'static str, value: &'static str, label: &'static str, is_on: Signal<bool>) -> impl IntoView {
    view! {
        <label class="check">
            <input type="checkbox" name=name value=value checked=move || is_on.get() prop:checked=move || is_on.get()/>
            {label}
        </label>
    }
}

#[component]
fn Results(page: ModelsPage) -> impl IntoView {
    let query = page.query;
    let first = (query.page - 1) * ROWS_PER_PAGE;
    let last = first + page.rows.len();
    let shown = if page.rows.is_empty() {
        format::count(page.total, "model")
    } else {
        format!("{}–{last} of {}", first + 1, format::count(page.total, "model"))
    };
    let previous = (query.page > 1).then(|| query.at_page(query.page - 1).href());
    let next = (last < page.total).then(|| query.at_page(query.page + 1).href());
    let rows: Vec<_> = page.rows.into_iter().map(|row| view! { <ModelLine row/> }).collect();
    let is_empty = rows.is_empty();
    let all = page.all;
    view! {
        <div class="stack">
            <p class="small faint" role="status" data-testid="model-count">
                {format!("{} of {all}", format::count(page.total, "model"))}
            </p>
            {if is_empty {
                view! {
                    <div class="empty">
                        <h2>"No model fits all of this"</h2>
                        <p class="soft">"Drop a filter, or search for fewer words."</p>
                        <a class="button quiet" href="/models">
                            "Show all models"
                        </a>
                    </div>
                }
                    .into_any()
            } else {
                view! { <ul class="plain model-list">{rows}</ul> }.into_any()
            }}
            <Pager shown previous next/>
        </div>
    }
}

/// One line of a list of models.
#[component]
pub fn ModelLine(row: ModelRow) -> impl IntoView {
    let href = format!("/{}", row.slug);
    let author = row.slug.author().to_owned();
    let takes = row.input.iter().filter(|kind| *kind != "text").cloned();
    let gives = row
        .output
        .iter()
        .filter(|kind| *kind != "text")
        .map(|kind| format!("→ {kind}"));
    let modalities: Vec<_> = takes.chain(gives).map(|kind| view! { <Badge text=kind/> }).collect();
    view! {
        <li class="model-line" data-testid="model-row" data-slug=row.slug.to_string()>
            <Monogram name=author/>
            <div class="model-line-main">
                <div class="row">
                    <a class="model-name" href=href>
                        {row.name}
                    </a>
                    {row.ready.then(|| view! { <Badge text="ready" tone=Tone::Good title="Can be called on this server right now"/> })}
                    {row.tools.then(|| view! { <Badge text="tools"/> })}
                    {modalities}
                </div>
                <code class="faint tiny break">{row.slug.to_string()}</code>
                {(!row.summary.is_empty()).then(|| view! { <p class="small soft model-summary">{row.summary}</p> })}
            </div>
            <dl class="model-line-facts">
                <div>
                    <dt>"Context"</dt>
                    <dd>{format::context(row.context)}</dd>
                </div>
                <div>
                    <dt>"Input/M"</dt>
                    <dd>
                        <PerMillion price=row.prompt/>
                    </dd>
                </div>
                <div>
                    <dt>"Output/M"</dt>
                    <dd>
                        <PerMillion price=row.completion/>
                    </dd>
                </div>
                <div>
                    <dt>"Providers"</dt>
                    <dd>{row.providers}</dd>
                </div>
                <div>
                    <dt>"Tokens 7d"</dt>
                    <dd>{if row.week_tokens == 0 { "–".to_owned() } else { format::short(row.week_tokens) }}</dd>
                </div>
            </dl>
        </li>
    }
}
