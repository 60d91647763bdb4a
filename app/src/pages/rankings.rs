//! `/rankings`: who is used how much, from daily totals.

#[cfg(feature = "ssr")]
mod rank;
mod tables;

use crate::components::chart::{Column, SERIES_MAX, StackedColumns, series};
use crate::components::layout::{Page, loaded};
use crate::fail::Fail;
use crate::format;
use crate::wire::data;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use tables::{Models, Shares};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    Day,
    #[default]
    Week,
    Month,
}

impl Span {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Day => "Today",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// Days, today included.
    #[must_use]
    pub const fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
        }
    }

    fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|span| span.name() == text)
            .unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankingsPage {
    pub span: Span,
    pub from_day: String,
    pub to_day: String,
    /// Most tokens first.
    pub models: Vec<ModelRank>,
    pub authors: Vec<Share>,
    pub providers: Vec<Share>,
    pub apps: Vec<Share>,
    pub requests: u64,
    pub tokens: u64,
    /// Tokens of each day: the first [`SERIES_MAX`] models, then the others together.
    pub days: Vec<(String, Vec<u64>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRank {
    pub slug: String,
    /// Empty when the model is no longer listed.
    pub name: String,
    pub requests: u64,
    pub prompt: u64,
    pub completion: u64,
    /// Tokens in the span before, as long.
    pub before: u64,
}

/// A part of all tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub name: String,
    pub href: Option<String>,
    pub requests: u64,
    pub tokens: u64,
}

#[server(endpoint = "rankings")]
pub async fn load_rankings(span: Span) -> Result<RankingsPage, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let site = site()?;
        (site.settled)().await;
        let catalog = (site.catalog)();
        let mut tx = site.store.read().await?;
        rank::page(&mut tx, &catalog, span, (site.now)()).await
    })
    .await
}

#[component]
pub fn Rankings() -> impl IntoView {
    let params = use_query_map();
    let span = Memo::new(move |_| Span::parse(params.read().get_str("view").unwrap_or_default()));
    let page = data(move || span.get(), load_rankings);
    let tabs = Span::ALL.map(|choice| {
        let is_chosen = move || (span.get() == choice).then_some("page");
        view! {
            <a href=format!("/rankings?view={}", choice.name()) aria-current=is_chosen data-noscroll=true>
                {choice.label()}
            </a>
        }
    });
    view! {
        <Page title="Rankings" lead="Tokens that went through this server, prompt and answer together.">
            <nav class="segmented" aria-label="Span">
                {tabs}
            </nav>
            {loaded(page, |page| view! { <Board page/> })}
        </Page>
    }
}

#[component]
fn Board(page: RankingsPage) -> impl IntoView {
    if page.models.is_empty() {
        return view! {
            <div class="empty" data-testid="rankings-empty">
                <h2>"Nothing was used in this span"</h2>
                <p class="soft">"Rankings count what this server relayed, and nothing else: no borrowed figures, no samples. The first request makes the first row."</p>
                <a class="button" href="/chat">
                    "Make it"
                </a>
            </div>
        }
        .into_any();
    }
    let legend: Vec<_> = page
        .models
        .iter()
        .take(SERIES_MAX)
        .enumerate()
        .map(|(at, model)| (series(at), model.slug.clone()))
        .chain((page.models.len() > SERIES_MAX).then(|| (series(SERIES_MAX), "others".to_owned())))
        .map(|(class, name)| {
            view! {
                <li>
                    <span class=format!("swatch {class}") aria-hidden="true"></span>
                    {name}
                </li>
            }
        })
        .collect();
    let columns: Vec<Column> = page
        .days
        .iter()
        .map(|(day, parts)| Column {
            label: day.clone(),
            parts: parts.clone(),
        })
        .collect();
    let label = format!("Tokens per day from {} to {}, by model", page.from_day, page.to_day);
    let lead = format!(
        "{} tokens in {}, {} to {}",
        format::short(page.tokens),
        format::count(usize::try_from(page.requests).unwrap_or(usize::MAX), "request"),
        page.from_day,
        page.to_day,
    );
    view! {
        <div class="stack-l">
            <p class="small faint">{lead}</p>
            {(columns.len() > 1)
                .then(|| {
                    view! {
                        <section class="stack">
                            <StackedColumns columns label unit=format::short/>
                            <ul class="legend-list">{legend}</ul>
                        </section>
                    }
                })}
            <Models rows=page.models span=page.span/>
            <div class="share-grid">
                <Shares title="Share by author" rows=page.authors/>
                <Shares title="Share by provider" rows=page.providers/>
                <Shares title="Apps" rows=page.apps/>
            </div>
            <section class="stack-s" id="method">
                <h2>"How this is counted"</h2>
                <p class="small soft">
                    "Each generation that was charged or failed after it began adds its prompt and answer tokens to the total of its UTC day, model, provider and app, in the same transaction that charges it. Tokens are counted by each provider's own tokenizer, so models compare only roughly. An app is named by the "
                    <code>"X-Title"</code> " and " <code>"HTTP-Referer"</code>
                    " headers of its requests. Today is live; nothing is estimated or scaled up."
                </p>
            </section>
        </div>
    }
    .into_any()
}
