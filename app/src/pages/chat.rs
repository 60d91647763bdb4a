//! `/chat`: talk to a model in the browser. The talk is kept by the browser alone.

mod message;
mod sse;
mod stream;
mod talk;
mod turn;

use crate::components::example::curl;
use crate::components::layout::loaded;
use crate::fail::Fail;
use crate::wire::data;
use domain::slug::ModelSlug;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};
use talk::{Talk, TalkView};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatPage {
    pub is_signed_in: bool,
    pub has_credits: bool,
    pub base_url: String,
    /// Models that can be called, then the others; each by name.
    pub models: Vec<ChatModel>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatModel {
    pub slug: ModelSlug,
    pub name: String,
    pub ready: bool,
}

#[server(endpoint = "chat")]
pub async fn load_chat() -> Result<ChatPage, Fail> {
    use crate::site::{answer, site};
    use domain::catalog::{ModelEntry, ModelKind};
    answer(async {
        let site = site()?;
        let user = crate::session::current().await?;
        let has_credits = match &user {
            Some((_, user)) => {
                let credits = store::ledger::credits(&mut site.store.read().await?, &user.account).await?;
                credits.available.saturating_add(credits.in_escrow).is_positive()
            }
            None => false,
        };
        let catalog = (site.catalog)();
        let is_ready = |entry: &ModelEntry| {
            let mut providers = entry
                .endpoints
                .iter()
                .filter_map(|endpoint| catalog.provider(&endpoint.provider));
            providers.any(|provider| provider.is_spoken() && (site.callable)(provider))
        };
        let chats = catalog.models().filter(|entry| entry.model.kind == ModelKind::Chat);
        let mut models: Vec<ChatModel> = chats
            .map(|entry| ChatModel {
                slug: entry.model.slug.clone(),
                name: entry.model.name.clone(),
                ready: is_ready(entry),
            })
            .collect();
        models.sort_by_key(|model| (!model.ready, model.name.to_lowercase()));
        Ok(ChatPage {
            is_signed_in: user.is_some(),
            has_credits,
            base_url: site.base_url.clone(),
            models,
        })
    })
    .await
}

#[component]
pub fn ChatPageView() -> impl IntoView {
    let page = data(|| (), |()| load_chat());
    view! {
        <leptos_meta::Title text="Chat"/>
        <div class="page chat-page">{loaded(page, |page| view! { <Chat page/> })}</div>
    }
}

#[component]
fn Chat(page: ChatPage) -> impl IntoView {
    let wanted = use_query_map().with_untracked(|query| query.get("model"));
    let chosen = page
        .models
        .iter()
        .find(|model| wanted.as_deref() == Some(model.slug.as_str()))
        .or_else(|| page.models.first())
        .map(|model| model.slug.to_string())
        .unwrap_or_default();
    let talk = Talk::new(chosen.clone());
    let gate = match (page.is_signed_in, page.has_credits) {
        (false, _) => Some(
            view! { <Gate text="Sign in to chat: the tokens are paid from your credits." href="/sign-in?next=/chat" label="Sign in"/> },
        ),
        (true, false) => Some(
            view! { <Gate text="Your balance is empty. A few dollars last for a long talk." href="/account/credits" label="Buy credits"/> },
        ),
        (true, true) => None,
    };
    view! {
        <h1 class="out-of-sight">"Chat"</h1>
        <noscript inner_html=without_script(&page.base_url, &chosen)></noscript>
        {gate}
        <TalkView talk models=page.models is_open=page.is_signed_in/>
    }
}

#[component]
fn Gate(text: &'static str, href: &'static str, label: &'static str) -> impl IntoView {
    view! {
        <div class="notice row between" data-testid="chat-gate">
            <p>{text}</p>
            <a class="button compact" href=href>
                {label}
            </a>
        </div>
    }
}

/// Browsers that run scripts take the inside of `noscript` for text, so it cannot be hydrated and is given as HTML.
fn without_script(base_url: &str, model: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<div class=\"notice warn\"><p>The chat needs JavaScript. The same from a terminal, with an API key:</p>\
         <div class=\"code\"><pre><code>{}</code></pre></div></div>",
        escape(&curl(base_url, model))
    )
}
