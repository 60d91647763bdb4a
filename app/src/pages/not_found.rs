//! What stands at an address where nothing is.

use domain::slug::ModelSlug;
use leptos::prelude::*;

/// The fallback of the router.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::site::mark_missing();
    view! { <Missing near=Vec::new()/> }
}

/// Says so, with names that may have been meant.
#[component]
pub fn Missing(near: Vec<ModelSlug>) -> impl IntoView {
    let has_near = !near.is_empty();
    let near: Vec<_> = near
        .into_iter()
        .map(|slug| view! { <li><a href=format!("/{slug}")><code>{slug.to_string()}</code></a></li> })
        .collect();
    view! {
        <leptos_meta::Title text="Not found"/>
        <div class="page narrow" data-testid="not-found">
            <p class="faint">"404"</p>
            <h1>"Nothing at this address"</h1>
            {if has_near {
                view! {
                    <p class="soft">"Perhaps one of these models was meant:"</p>
                    <ul class="plain stack-s">{near}</ul>
                }
                    .into_any()
            } else {
                view! { <p class="soft">"It may have moved, or the address has a typing error."</p> }.into_any()
            }}
            <div class="row">
                <a class="button" href="/models">"Browse the models"</a>
                <a class="button quiet" href="/docs">"Read the docs"</a>
            </div>
        </div>
    }
}
