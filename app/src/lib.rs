//! The site: pages and the server functions behind them, rendered on the server and hydrated in the browser.
//!
//! Architecture invariant: server functions touch our own store and nothing else; there is no SQL and no HTTP client here.
//! Every page but the chat works without JavaScript, and nothing inline runs or styles without a nonce.

// Views are deeply nested types.
#![recursion_limit = "256"]

mod address;
#[cfg(feature = "ssr")]
pub mod attempts;
mod browser;
mod components;
pub mod fail;
pub mod format;
#[cfg(feature = "ssr")]
mod mails;
pub mod pages;
#[cfg(feature = "ssr")]
pub mod password;
#[cfg(feature = "ssr")]
mod query;
#[cfg(feature = "ssr")]
pub mod session;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
pub mod site;
mod theme;
mod viewer;
mod wire;

#[cfg(feature = "ssr")]
pub use shell::shell;
#[cfg(feature = "ssr")]
pub use site::Site;

use components::layout::{Footer, Header};
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::SsrMode::Async;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;
use pages::account::AccountPage;
use pages::account::activity::ActivityPageView;
use pages::account::credits::CreditsPageView;
use pages::account::credits::receipt::ReceiptPage;
use pages::account::generation::GenerationPage;
use pages::account::keys::KeysPageView;
use pages::account::sessions::SessionsPage;
use pages::admin::{CostsPage, GrantsPage, OverviewPage, PeoplePage, ProvidersPage, PurchasesPage};
use pages::chat::ChatPageView;
use pages::docs::Docs;
use pages::forgot::ForgotPage;
use pages::home::Home;
use pages::mailbox::MailboxPage;
use pages::model::Model;
use pages::models::Models;
use pages::not_found::NotFound;
use pages::rankings::Rankings;
use pages::reset::ResetPage;
use pages::sign_in::{SignInPage, SignOutPage};
use pages::sign_up::SignUpPage;
use pages::verify::VerifyPage;

/// Everything inside `<body>`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|title| format!("{title} · Tollway")/>
        <Router>
            <Frame/>
        </Router>
    }
}

#[component]
fn Frame() -> impl IntoView {
    viewer::provide_viewer();
    view! {
        <a class="skip-link" href="#main">
            "Skip to the content"
        </a>
        <Header/>
        <main id="main" tabindex="-1">
            <PageRoutes/>
        </main>
        <Footer/>
    }
}

/// The table of page routes.
#[component]
fn PageRoutes() -> impl IntoView {
    view! {
        <FlatRoutes fallback=NotFound>
            <Route path=path!("/") view=Home ssr=Async/>
            <Route path=path!("/models") view=Models ssr=Async/>
            <Route path=path!("/models/:author/:slug") view=Model ssr=Async/>
            <Route path=path!("/rankings") view=Rankings ssr=Async/>
            <Route path=path!("/chat") view=ChatPageView ssr=Async/>
            <Route path=path!("/docs") view=Docs ssr=Async/>
            <Route path=path!("/sign-up") view=SignUpPage ssr=Async/>
            <Route path=path!("/sign-in") view=SignInPage ssr=Async/>
            <Route path=path!("/sign-out") view=SignOutPage ssr=Async/>
            <Route path=path!("/verify") view=VerifyPage ssr=Async/>
            <Route path=path!("/forgot") view=ForgotPage ssr=Async/>
            <Route path=path!("/reset") view=ResetPage ssr=Async/>
            <Route path=path!("/account") view=AccountPage ssr=Async/>
            <Route path=path!("/account/credits") view=CreditsPageView ssr=Async/>
            <Route path=path!("/account/credits/receipts/:id") view=ReceiptPage ssr=Async/>
            <Route path=path!("/account/keys") view=KeysPageView ssr=Async/>
            <Route path=path!("/account/activity") view=ActivityPageView ssr=Async/>
            <Route path=path!("/account/activity/:id") view=GenerationPage ssr=Async/>
            <Route path=path!("/account/sessions") view=SessionsPage ssr=Async/>
            <Route path=path!("/admin") view=OverviewPage ssr=Async/>
            <Route path=path!("/admin/purchases") view=PurchasesPage ssr=Async/>
            <Route path=path!("/admin/grants") view=GrantsPage ssr=Async/>
            <Route path=path!("/admin/providers") view=ProvidersPage ssr=Async/>
            <Route path=path!("/admin/costs") view=CostsPage ssr=Async/>
            <Route path=path!("/admin/people") view=PeoplePage ssr=Async/>
            <Route path=path!("/dev/mailbox") view=MailboxPage ssr=Async/>
            <Route path=path!("/:author/:slug") view=Model ssr=Async/>
        </FlatRoutes>
    }
}
