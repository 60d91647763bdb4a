//! The document around the app, and the headers that go with it.

use crate::App;
use crate::site::site;
use crate::theme;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, VARY};
use leptos::config::LeptosOptions;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::MetaTags;

/// The whole document. The server calls it for every page, with the request's contexts in place.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    set_headers();
    let style = format!("/{}/{}.css", options.site_pkg_dir, options.output_name);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme::chosen().attribute()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=style/>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

fn set_headers() {
    let Some(options) = use_context::<ResponseOptions>() else {
        return;
    };
    if let Some(policy) = content_security_policy() {
        options.insert_header(CONTENT_SECURITY_POLICY, policy);
    }
    // Every page shows who is signed in and the theme of a cookie.
    options.insert_header(VARY, HeaderValue::from_static("cookie"));
}

/// Scripts need the nonce of this response or come as files from here; styles come as files only. Forms may lead to the
/// payment processor, since browsers apply `form-action` to redirects too.
fn content_security_policy() -> Option<HeaderValue> {
    let nonce = use_nonce()?;
    let payment_pages = &site().ok()?.payment_pages;
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self' {payment_pages}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}
