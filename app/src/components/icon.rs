//! Icons as inline SVG on a 24 × 24 grid, drawn with the text's colour.

use leptos::prelude::*;

/// Each icon is the `d` of one stroked path.
pub const MENU: &str = "M4 7h16M4 12h16M4 17h16";
pub const COPY: &str = "M9 9h10v11H9zM15 9V4H5v11h4";
pub const CHECK: &str = "M5 13l4.5 4.5L19 7";

#[component]
pub fn Icon(path: &'static str) -> impl IntoView {
    view! {
        <svg
            viewBox="0 0 24 24"
            width="20"
            height="20"
            fill="none"
            stroke="currentColor"
            stroke-width="1.8"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
        >
            <path d=path></path>
        </svg>
    }
}

/// The toll gate of the brand.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" fill="#0d5c4d"></rect>
            <path d="M7 10.5h18M16 10.5V26" stroke="#fff" stroke-width="3.2" stroke-linecap="round"></path>
            <path d="M9.5 26v-4M22.5 26v-4" stroke="#f2b544" stroke-width="3" stroke-linecap="round"></path>
        </svg>
    }
}
