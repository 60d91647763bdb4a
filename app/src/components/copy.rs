//! A button that copies text; it appears once the script runs, since it can do nothing before.

use crate::browser;
use crate::components::icon::{CHECK, COPY, Icon};
use leptos::prelude::*;

#[component]
pub fn CopyButton(
    #[prop(into)] text: String,
    /// What is copied, for screen readers: `the key`.
    #[prop(into)]
    what: String,
) -> impl IntoView {
    let is_ready = browser::hydrated();
    let is_copied = RwSignal::new(false);
    let copy = move |_| {
        browser::copy(&text);
        is_copied.set(true);
        set_timeout(move || is_copied.set(false), std::time::Duration::from_secs(2));
    };
    let label = move || {
        if is_copied.get() {
            format!("Copied {what}")
        } else {
            format!("Copy {what}")
        }
    };
    view! {
        <button type="button" class="copy" hidden=move || !is_ready.get() aria-label=label.clone() title=label on:click=copy>
            {move || if is_copied.get() { view! { <Icon path=CHECK/> } } else { view! { <Icon path=COPY/> } }}
        </button>
    }
}
