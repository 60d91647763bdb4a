//! `/admin` and the pages below it: the books, purchases, grants, providers, what the house pays, people. For
//! administrators; every form and every page asks for that itself.

use crate::components::layout::loaded;
use crate::components::rendered::{Markup, Rendered};
use crate::fail::Fail;
use crate::wire::data;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
mod costs;
#[cfg(feature = "ssr")]
mod cuts;
#[cfg(feature = "ssr")]
mod grants;
#[cfg(feature = "ssr")]
mod overview;
#[cfg(feature = "ssr")]
mod people;
#[cfg(feature = "ssr")]
mod providers;
#[cfg(feature = "ssr")]
mod purchases;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Overview,
    Purchases,
    Grants,
    Providers,
    Costs,
    People,
}

#[server(endpoint = "admin")]
pub async fn load_admin(part: Part, #[server(default)] query: String) -> Result<Markup, Fail> {
    use crate::components::fault::Notices;
    use crate::query::Query;
    crate::site::answer(async {
        let (site, _) = admin().await?;
        (site.settled)().await;
        let query = Query::parse(&query);
        let body = match part {
            Part::Overview => overview::view(&site).await?,
            Part::Purchases => purchases::view(&site, &query).await?,
            Part::Grants => grants::view(&site).await?,
            Part::Providers => providers::view(&site).await?,
            Part::Costs => costs::view(&site).await?,
            Part::People => people::view(&site).await?,
        };
        Ok(Markup::of(view! {
            <Notices fail=query.fail() done=done(query.get("done"))/>
            {body}
        }))
    })
    .await
}

/// The site and who asks, for administrators only.
#[cfg(feature = "ssr")]
async fn admin() -> Result<(std::sync::Arc<crate::site::Site>, store::users::User), Fail> {
    let (_, user) = crate::session::require().await?;
    if user.is_admin {
        Ok((crate::site::site()?, user))
    } else {
        Err(Fail::Forbidden)
    }
}

/// What a form has done, by the word in the address.
#[cfg(feature = "ssr")]
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "refunded" => "The refund is on its way: its credits are frozen until the processor says how it went.",
        "released" => "The credits are released.",
        "written-off" => "The debt is written off.",
        "granted" => "The credits are granted.",
        "imported" => "The invoices are imported.",
        "records" => "The records are compared; those of answers that were not left in the middle are passed over.",
        "paid" => "The payment is recorded.",
        "payout" => "The payout is recorded.",
        _ => return None,
    })
}

#[component]
pub fn OverviewPage() -> impl IntoView {
    page("Books", Part::Overview)
}

#[component]
pub fn PurchasesPage() -> impl IntoView {
    page("Purchases", Part::Purchases)
}

#[component]
pub fn GrantsPage() -> impl IntoView {
    page("Grants and codes", Part::Grants)
}

#[component]
pub fn ProvidersPage() -> impl IntoView {
    page("Providers and processors", Part::Providers)
}

#[component]
pub fn CostsPage() -> impl IntoView {
    page("Costs of the house", Part::Costs)
}

#[component]
pub fn PeoplePage() -> impl IntoView {
    page("People", Part::People)
}

fn page(title: &'static str, part: Part) -> AnyView {
    let search = use_location().search;
    let page = data(move || search.get(), move |query| load_admin(part, query));
    view! {
        <leptos_meta::Title text=title/>
        <div class="page account">
            <nav class="account-nav" aria-label="Administration">
                <A href="/admin" exact=true>
                    "Books"
                </A>
                <A href="/admin/purchases">"Purchases"</A>
                <A href="/admin/grants">"Grants"</A>
                <A href="/admin/providers">"Providers"</A>
                <A href="/admin/costs">"Costs"</A>
                <A href="/admin/people">"People"</A>
            </nav>
            <div class="stack-l">
                <div class="page-head">
                    <h1>{title}</h1>
                </div>
                {loaded(page, |markup| view! { <Rendered markup/> })}
            </div>
        </div>
    }
    .into_any()
}
