//! `/docs`: the first call, streaming, errors, and how billing works.

mod errors;

use crate::components::code::{CodeBlock, CodeTabs};
use crate::components::example::first_call;
use crate::components::layout::loaded;
use crate::fail::Fail;
use crate::wire::data;
use errors::ErrorTable;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocsPage {
    pub base_url: String,
    /// A model that can be called, when there is one.
    pub example: String,
}

#[server(endpoint = "docs")]
pub async fn load_docs() -> Result<DocsPage, Fail> {
    use crate::site::{answer, site};
    use domain::catalog::ModelEntry;
    answer(async {
        let site = site()?;
        let catalog = (site.catalog)();
        let is_ready = |entry: &&ModelEntry| {
            let mut providers = entry
                .endpoints
                .iter()
                .filter_map(|endpoint| catalog.provider(&endpoint.provider));
            providers.any(|provider| provider.is_spoken() && (site.callable)(provider))
        };
        let model = catalog.models().find(is_ready).or_else(|| catalog.models().next());
        let example = model.map(|entry| entry.model.slug.to_string()).unwrap_or_default();
        Ok(DocsPage {
            base_url: site.base_url.clone(),
            example,
        })
    })
    .await
}

#[component]
pub fn Docs() -> impl IntoView {
    let page = data(|| (), |()| load_docs());
    view! {
        <leptos_meta::Title text="Docs"/>
        {loaded(page, |page| view! { <DocsView page/> })}
    }
}

#[component]
fn DocsView(page: DocsPage) -> impl IntoView {
    let sections = [
        ("quickstart", "Quickstart"),
        ("streaming", "Streaming"),
        ("models", "Models"),
        ("key", "Your key"),
        ("billing", "Billing"),
        ("errors", "Errors"),
    ];
    let links = sections.map(|(id, title)| view! { <li><a href=format!("#{id}")>{title}</a></li> });
    view! {
        <div class="page docs">
            <nav class="docs-nav" aria-label="On this page">
                <ul class="plain">{links}</ul>
            </nav>
            <article class="stack-l">
                <div class="page-head">
                    <h1>"Docs"</h1>
                    <p class="soft">
                        "The API has the shape of OpenAI's chat completions, so clients made for it work: change the address and the key."
                    </p>
                </div>
                <Quickstart page=page.clone()/>
                <Streaming/>
                <Models base_url=page.base_url.clone()/>
                <Key base_url=page.base_url/>
                <Billing/>
                <ErrorTable/>
            </article>
        </div>
    }
}

#[component]
fn Quickstart(page: DocsPage) -> impl IntoView {
    let examples = first_call(&page.base_url, &page.example);
    view! {
        <section class="stack" id="quickstart">
            <h2>"Quickstart"</h2>
            <ol class="numbered">
                <li><a href="/sign-up">"Sign up"</a> " and confirm your address."</li>
                <li><a href="/account/credits">"Buy credits"</a> "."</li>
                <li>
                    <a href="/account/keys">"Create a key"</a> " and keep it in " <code>"TOLLWAY_API_KEY"</code> "."
                </li>
                <li>"Make the call:"</li>
            </ol>
            <CodeTabs name="quickstart" examples=examples/>
            <p class="small soft">
                "The Python and TypeScript examples use OpenAI's own client, unchanged: "
                <code>"pip install openai"</code> " or " <code>"npm install openai"</code> "."
            </p>
        </section>
    }
}

#[component]
fn Streaming() -> impl IntoView {
    let example = r#"data: {"id":"gen-…","object":"chat.completion.chunk","provider":"…","choices":[{"index":0,"delta":{"content":"Hello"}}]}

: keep-alive

data: {"id":"gen-…","choices":[],"usage":{"prompt_tokens":14,"completion_tokens":9,"cost":0.0000025}}

data: [DONE]"#;
    view! {
        <section class="stack" id="streaming">
            <h2>"Streaming"</h2>
            <p>
                "With " <code>"\"stream\": true"</code>
                " the answer arrives as server-sent events. The last chunk before "
                <code>"[DONE]"</code> " carries the usage and what it cost; lines that begin with a colon keep the connection open and mean nothing."
            </p>
            <CodeBlock code=example label="An example stream"/>
            <ul class="bullets">
                <li>
                    "The header " <code>"X-Generation-Id"</code> " names the generation; "
                    <code>"GET /api/v1/generation?id=…"</code> " tells its cost afterwards."
                </li>
                <li>"Hang up when you have enough. The provider is told at once, and you pay for what was produced."</li>
                <li>
                    "An error after the first token cannot change the status any more: it arrives as an event with an "
                    <code>"error"</code> " object and the stream ends."
                </li>
            </ul>
        </section>
    }
}

#[component]
fn Models(base_url: String) -> impl IntoView {
    let code = format!(
        "curl {base_url}/api/v1/models\ncurl {base_url}/api/v1/models/AUTHOR/NAME/endpoints\ncurl {base_url}/api/v1/providers"
    );
    view! {
        <section class="stack" id="models">
            <h2>"Models"</h2>
            <p>
                "A model is named " <code>"author/name"</code>
                ". Its page lists every endpoint that offers it, with price, limits and data policy; the same as JSON:"
            </p>
            <CodeBlock code=code label="Listing models"/>
            <p>
                "An endpoint whose provider has no key on this server is listed and cannot be called: the call answers 503 with "
                <code>"provider_unavailable"</code> " and names the setting that the operator has to set."
            </p>
        </section>
    }
}

#[component]
fn Key(base_url: String) -> impl IntoView {
    let code = format!(
        "curl {base_url}/api/v1/key -H \"Authorization: Bearer $TOLLWAY_API_KEY\"\ncurl {base_url}/api/v1/credits -H \"Authorization: Bearer $TOLLWAY_API_KEY\""
    );
    view! {
        <section class="stack" id="key">
            <h2>"Your key"</h2>
            <p>
                "Send it as " <code>"Authorization: Bearer …"</code> " or as " <code>"x-api-key"</code>
                ". A key can have a limit in dollars that starts anew each day, week or month (UTC), and a day on which it ends. What is left:"
            </p>
            <CodeBlock code=code label="Asking what is left"/>
        </section>
    }
}

#[component]
fn Billing() -> impl IntoView {
    view! {
        <section class="stack" id="billing">
            <h2>"Billing"</h2>
            <ul class="bullets">
                <li>"You pay the provider's price for each token, as listed on the model's page when the request was admitted. There is no markup and no fee on purchases."</li>
                <li>"Tokens times price is summed exactly and rounded up once per request, to the billionth of a dollar. Every charge can be recomputed on its page in your activity."</li>
                <li>"Before a request leaves, the most it can cost is set aside; afterwards the difference comes back. A request you cannot pay is refused with 402, and told how many tokens you can."</li>
                <li>"An answer that fails, or comes back empty, costs nothing."</li>
                <li>"When you hang up, endpoints that stop are charged for what they produced; endpoints that bill to the end are followed to the end and charged in full. Each endpoint says which it is."</li>
                <li>"Credits do not expire."</li>
            </ul>
        </section>
    }
}
