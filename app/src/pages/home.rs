//! `/`: what this is, what it offers right now, and the first call.

use crate::components::code::CodeTabs;
use crate::components::example::first_call;
use crate::components::layout::loaded;
use crate::fail::Fail;
use crate::format;
use crate::pages::models::{ModelLine, ModelRow};
use crate::wire::data;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomePage {
    pub models: usize,
    pub providers: usize,
    pub endpoints: usize,
    /// Of the last seven days.
    pub week_tokens: u64,
    pub week_requests: u64,
    /// The most used models, or what can be called right now while nothing was used yet.
    pub top: Vec<ModelRow>,
    pub base_url: String,
    /// The model of the first example.
    pub example: String,
}

#[server(endpoint = "home")]
pub async fn load_home() -> Result<HomePage, Fail> {
    use crate::pages::models::query::ModelQuery;
    use crate::pages::models::search::{Shelf, search};
    use crate::pages::models::week_tokens;
    use crate::site::{answer, site};
    const TOP_MAX: usize = 6;
    answer(async {
        let site = site()?;
        let now = (site.now)();
        let from = now.plus(-6 * domain::time::Micros::DAY);
        let totals = store::rankings::totals(&mut site.store.read().await?, &from.day(), &now.day()).await?;
        let week = week_tokens(&site).await?;
        let catalog = (site.catalog)();
        let shelf = Shelf {
            catalog: &catalog,
            callable: &site.callable,
            week: &week,
        };
        let ready = search(
            &shelf,
            &ModelQuery {
                ready: true,
                ..ModelQuery::default()
            },
        )
        .rows;
        let popular = search(&shelf, &ModelQuery::default()).rows;
        let used = popular.iter().filter(|row| row.week_tokens > 0).cloned();
        let mut top: Vec<ModelRow> = used.collect();
        for row in ready.iter().chain(&popular) {
            if !top.iter().any(|there| there.slug == row.slug) {
                top.push(row.clone());
            }
        }
        top.truncate(TOP_MAX);
        let example = ready
            .first()
            .or(popular.first())
            .map(|row| row.slug.to_string())
            .unwrap_or_default();
        Ok(HomePage {
            models: catalog.models().len(),
            providers: catalog.providers().len(),
            endpoints: catalog.endpoints_count(),
            week_tokens: totals.prompt.saturating_add(totals.completion),
            week_requests: totals.requests,
            top,
            base_url: site.base_url.clone(),
            example,
        })
    })
    .await
}

#[component]
pub fn Home() -> impl IntoView {
    let page = data(|| (), |()| load_home());
    loaded(page, |page| view! { <HomeView page/> })
}

#[component]
fn HomeView(page: HomePage) -> impl IntoView {
    let examples = first_call(&page.base_url, &page.example);
    let facts = [
        (
            "Models",
            format::grouped(u64::try_from(page.models).unwrap_or_default()),
        ),
        (
            "Providers",
            format::grouped(u64::try_from(page.providers).unwrap_or_default()),
        ),
        (
            "Priced endpoints",
            format::grouped(u64::try_from(page.endpoints).unwrap_or_default()),
        ),
        ("Tokens in 7 days", format::short(page.week_tokens)),
        ("Requests in 7 days", format::short(page.week_requests)),
    ];
    let all_are_used = page.top.iter().all(|row| row.week_tokens > 0);
    let heading = if all_are_used {
        "Most used this week"
    } else {
        "Start with one of these"
    };
    let top: Vec<_> = page.top.into_iter().map(|row| view! { <ModelLine row/> }).collect();
    view! {
        <leptos_meta::Title text="Every model, one key, exact prices"/>
        <leptos_meta::Meta
            name="description"
            content="One API for the language models of every provider, with the route, the price and the charge of each request laid open."
        />
        <div class="page home">
            <section class="hero">
                <div class="stack">
                    <h1>"Every model, one key, exact prices"</h1>
                    <p class="lead">
                        "Tollway stands between your program and the providers of language models. You call one API; it picks the endpoint, follows the answer token by token, and charges exactly what the provider's price list says."
                    </p>
                    <div class="row">
                        <a class="button" href="/sign-up">
                            "Get a key"
                        </a>
                        <a class="button quiet" href="/models">
                            "Browse models"
                        </a>
                    </div>
                </div>
                <CodeTabs name="hero" examples=examples/>
            </section>
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
            <section class="stack">
                <div class="section-head">
                    <h2>{heading}</h2>
                    <a class="small" href="/models">
                        "All models"
                    </a>
                </div>
                <ul class="plain model-list">{top}</ul>
            </section>
            <Promises/>
        </div>
    }
}

#[component]
fn Promises() -> impl IntoView {
    let promises = [
        (
            "Charged to the nano-dollar",
            "Prices are integers per token. Every charge keeps the prices it was made with, so you can recompute it, and so do we: the books are double entry and must sum to zero.",
        ),
        (
            "Hang up and it stops",
            "Close the connection and the provider is told at once. Each endpoint states whether its bill stops with it, and you pay for what was produced.",
        ),
        (
            "A route you can read",
            "Each request records which endpoints were tried, what they answered and how long they took. Nothing is decided where you cannot look.",
        ),
        (
            "No prompts kept",
            "Token counts, times and prices are stored. What you ask and what comes back is not.",
        ),
    ];
    view! {
        <section class="stack">
            <h2>"What you can hold us to"</h2>
            <div class="promises">
                {promises
                    .map(|(title, text)| {
                        view! {
                            <div class="stack-s">
                                <h3>{title}</h3>
                                <p class="small soft">{text}</p>
                            </div>
                        }
                    })}
            </div>
        </section>
    }
}
