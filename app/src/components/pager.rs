//! Links to the previous and the next page of a list.

use leptos::prelude::*;

#[component]
pub fn Pager(
    /// Which items are shown: `1–50 of 612 models`.
    #[prop(into)]
    shown: String,
    previous: Option<String>,
    next: Option<String>,
    #[prop(default = "Previous")] previous_label: &'static str,
    #[prop(default = "Next")] next_label: &'static str,
) -> impl IntoView {
    view! {
        <nav class="pager" aria-label="Pages">
            <span class="faint">{shown}</span>
            <span class="row">
                {previous.map(|href| view! { <a class="button quiet compact" rel="prev" href=href>{previous_label}</a> })}
                {next.map(|href| view! { <a class="button quiet compact" rel="next" href=href data-testid="next-page">{next_label}</a> })}
            </span>
        </nav>
    }
}
