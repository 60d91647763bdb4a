//! `/account/credits/receipts/{purchase}`: what was paid, fit to print; and giving unused credits back.

use crate::components::layout::loaded;
use crate::components::rendered::{Markup, Rendered};
use crate::fail::Fail;
use crate::pages::account::AccountFrame;
use crate::wire::data;
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map};

#[cfg(feature = "ssr")]
mod paper;

/// A paid purchase of the account of whoever asks.
#[server(endpoint = "receipt")]
pub async fn load_receipt(id: String, #[server(default)] query: String) -> Result<Markup, Fail> {
    use crate::query::Query;
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        paper::render(&site, &user, id, &Query::parse(&query)).await
    })
    .await
}

#[component]
pub fn ReceiptPage() -> impl IntoView {
    let params = use_params_map();
    let search = use_location().search;
    let wanted = move || (params.read().get("id").unwrap_or_default(), search.get());
    let page = data(wanted, |(id, query)| load_receipt(id, query));
    view! {
        <AccountFrame title="Receipt">
            <p class="small no-print"><a href="/account/credits">"Back to credits"</a></p>
            {loaded(page, |markup| view! { <Rendered markup/> })}
        </AccountFrame>
    }
}
