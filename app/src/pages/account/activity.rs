//! `/account/activity`: the account's own generations, and what each day cost.

mod days;
mod rows;

use super::AccountFrame;
use crate::address::with_query;
use crate::browser;
use crate::components::layout::loaded;
use crate::fail::Fail;
use crate::wire::data;
use days::Days;
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use domain::time::Micros;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use leptos_router::params::ParamsMap;
use rows::Rows;
use serde::{Deserialize, Serialize};

/// Which generations are asked for; all of it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActivityQuery {
    /// Hash of a key.
    pub key: String,
    pub model: String,
    /// Only generations before this time, in microseconds; zero for the newest.
    pub before: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityPage {
    pub query: ActivityQuery,
    pub rows: Vec<ActivityRow>,
    /// `before` of the next page, when there is one.
    pub older: Option<i64>,
    pub days: Vec<Day>,
    /// Hash and name of the account's keys.
    pub keys: Vec<(String, String)>,
    /// Models used in the days shown.
    pub models: Vec<ModelSlug>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    pub id: String,
    pub created: Micros,
    pub model: ModelSlug,
    pub provider: String,
    pub key_name: Option<String>,
    pub app: Option<String>,
    pub prompt: u64,
    pub completion: u64,
    pub cost: NanoUsd,
    pub duration_us: i64,
    pub first_token_us: Option<i64>,
    pub finish: String,
    pub is_charged: bool,
}

/// One day of the account, per model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    pub day: String,
    pub requests: u64,
    pub tokens: u64,
    pub cost: NanoUsd,
    /// Cost of each model, in the order of [`ActivityPage::models`].
    pub costs: Vec<NanoUsd>,
}

#[cfg(feature = "ssr")]
const ROWS_PER_PAGE: usize = 50;
#[cfg(feature = "ssr")]
const DAYS: i64 = 30;

#[server(endpoint = "activity")]
pub async fn load_activity(query: ActivityQuery) -> Result<ActivityPage, Fail> {
    use crate::site::{answer, site};
    use domain::api_key::KeyHash;
    use store::generations::Filter;
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        let now = (site.now)();
        let filter = Filter {
            key: (!query.key.is_empty()).then(|| KeyHash::stored(query.key.clone())),
            model: ModelSlug::parse(&query.model).ok(),
            before: (query.before > 0).then(|| Micros::new(query.before)),
        };
        let limit = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
        let mut tx = site.store.read().await?;
        let keys = store::keys::list(&mut tx, &user.account).await?;
        let mut found = store::generations::list(&mut tx, &user.account, &filter, limit).await?;
        let from = now.plus(-(DAYS - 1) * Micros::DAY);
        let lines = store::generations::account_summary(&mut tx, &user.account, &from.day(), &now.day()).await?;
        drop(tx);
        let has_older = found.len() > ROWS_PER_PAGE;
        found.truncate(ROWS_PER_PAGE);
        let older = found.last().filter(|_| has_older).map(|last| last.created.get());
        let (models, days) = days::of(&lines, from, DAYS);
        Ok(ActivityPage {
            rows: found
                .into_iter()
                .map(|generation| rows::row(generation, &keys))
                .collect(),
            query,
            older,
            days,
            keys: keys
                .into_iter()
                .map(|key| (key.hash.as_str().to_owned(), key.name))
                .collect(),
            models,
        })
    })
    .await
}

impl ActivityQuery {
    fn from_params(params: &ParamsMap) -> Self {
        let text = |key: &str| params.get(key).unwrap_or_default();
        Self {
            key: text("key"),
            model: text("model"),
            before: text("before").parse().unwrap_or_default(),
        }
    }

    fn href(&self) -> String {
        let before = if self.before > 0 {
            self.before.to_string()
        } else {
            String::new()
        };
        with_query(
            "/account/activity",
            &[("key", &self.key), ("model", &self.model), ("before", &before)],
        )
    }
}

#[component]
pub fn ActivityPageView() -> impl IntoView {
    let params = use_query_map();
    let query = Memo::new(move |_| ActivityQuery::from_params(&params.read()));
    let page = data(move || query.get(), load_activity);
    view! {
        <AccountFrame title="Activity" lead="Every request you paid for, to the nano-dollar. Prompts and answers are not kept.">
            {loaded(
                page,
                |page| {
                    view! {
                        <Days days=page.days.clone() models=page.models.clone()/>
                        <Filters page=page.clone()/>
                        <Rows page/>
                    }
                },
            )}
        </AccountFrame>
    }
}

#[component]
fn Filters(page: ActivityPage) -> impl IntoView {
    let navigate = use_navigate();
    let is_live = browser::hydrated();
    let on_change = move |event: leptos::ev::Event| {
        if let Some(text) = browser::form_query(&event) {
            let options = NavigateOptions {
                scroll: false,
                ..NavigateOptions::default()
            };
            navigate(&format!("/account/activity?{text}"), options);
        }
    };
    let keys: Vec<_> = page
        .keys
        .into_iter()
        .map(|(hash, name)| {
            let is_chosen = hash == page.query.key;
            view! { <option value=hash selected=is_chosen>{name}</option> }
        })
        .collect();
    let models: Vec<_> = page
        .models
        .into_iter()
        .map(|slug| {
            let is_chosen = slug.as_str() == page.query.model;
            view! { <option value=slug.to_string() selected=is_chosen>{slug.to_string()}</option> }
        })
        .collect();
    view! {
        <form class="row activity-filters" method="get" action="/account/activity" on:change=on_change>
            <div class="field">
                <label for="key">"Key"</label>
                <select class="input compact" id="key" name="key" data-testid="activity-key">
                    <option value="">"All keys"</option>
                    {keys}
                </select>
            </div>
            <div class="field">
                <label for="model">"Model"</label>
                <select class="input compact" id="model" name="model" data-testid="activity-model">
                    <option value="">"All models"</option>
                    {models}
                </select>
            </div>
            <button class="button quiet compact" hidden=move || is_live.get()>"Apply"</button>
        </form>
    }
}
