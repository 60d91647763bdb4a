//! What the server renders alone: where every action is a link or a plain form, the browser needs no code of the page.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// HTML made from a view, on the server. Its texts are escaped as in every view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Markup(String);

#[cfg(feature = "ssr")]
impl Markup {
    /// `view` must not react to anything and must not ask for contexts.
    pub fn of(view: impl IntoView) -> Self {
        Self(view.into_view().to_html())
    }
}

#[component]
pub fn Rendered(markup: Markup) -> impl IntoView {
    view! { <div class="stack-l" inner_html=markup.0></div> }
}
