//! A short label; its tone is never the only carrier of meaning.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    /// Of what the server renders alone.
    #[cfg(feature = "ssr")]
    Accent,
    Good,
    Warn,
    Bad,
}

#[component]
pub fn Badge(
    #[prop(into)] text: String,
    #[prop(optional)] tone: Tone,
    /// Shown when pointed at.
    #[prop(optional, into)]
    title: Option<String>,
) -> impl IntoView {
    let class = match tone {
        Tone::Plain => "badge",
        #[cfg(feature = "ssr")]
        Tone::Accent => "badge accent",
        Tone::Good => "badge good",
        Tone::Warn => "badge warn",
        Tone::Bad => "badge bad",
    };
    view! { <span class=class title=title>{text}</span> }
}
