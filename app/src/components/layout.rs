//! The frame of every page: header, navigation, footer.

use crate::components::icon::{Icon, MENU, Mark};
use crate::components::price::cents;
use crate::pages::sign_in::SignOut;
use crate::theme::ThemeChoice;
use crate::viewer::{Viewer, use_viewer};
use crate::wire::Data;
use leptos::either::Either;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::components::A;

#[component]
pub fn Header() -> impl IntoView {
    view! {
        <header class="site-header">
            <div class="site-header-inner">
                <a class="brand" href="/">
                    <Mark/>
                    "Tollway"
                </a>
                <nav class="site-nav" aria-label="Main">
                    <MainLinks/>
                </nav>
                <nav class="site-nav end" aria-label="Account">
                    <ForViewer known=|viewer| view! { <AccountLinks viewer/> }.into_any() unknown=|| view! { <DoorLinks/> }.into_any()/>
                </nav>
                <Menu/>
            </div>
        </header>
    }
}

/// The navigation of narrow screens: opens without a script.
#[component]
fn Menu() -> impl IntoView {
    let path = leptos_router::hooks::use_location().pathname;
    let details = NodeRef::<leptos::html::Details>::new();
    Effect::new(move |_| {
        path.track();
        if let Some(details) = details.get() {
            details.set_open(false);
        }
    });
    view! {
        <details class="site-menu" node_ref=details>
            <summary aria-label="Menu" data-testid="menu">
                <Icon path=MENU/>
            </summary>
            <nav aria-label="Main, narrow">
                <MainLinks/>
                <ForViewer
                    known=|viewer| {
                        view! {
                            <AccountLinks viewer/>
                            <SignOutForm/>
                        }
                            .into_any()
                    }
                    unknown=|| view! { <DoorLinks/> }.into_any()
                />
            </nav>
        </details>
    }
}

#[component]
fn MainLinks() -> impl IntoView {
    view! {
        <A href="/models">"Models"</A>
        <A href="/rankings">"Rankings"</A>
        <A href="/chat">"Chat"</A>
        <A href="/docs">"Docs"</A>
    }
}

#[component]
fn AccountLinks(viewer: Viewer) -> impl IntoView {
    view! {
        {viewer.is_admin.then(|| view! { <A href="/admin">"Admin"</A> })}
        <A href="/account/keys">"Keys"</A>
        <a class="balance" href="/account/credits" title="Credits" data-testid="balance-chip">
            {cents(viewer.balance)}
        </a>
        <A href="/account" exact=true>
            "Account"
        </A>
    }
}

#[component]
fn DoorLinks() -> impl IntoView {
    view! {
        <a href="/sign-in">"Sign in"</a>
        <a class="button compact" href="/sign-up">
            "Sign up"
        </a>
    }
}

/// Shows one thing to people who are signed in and another to those who are not.
#[component]
pub fn ForViewer(known: fn(Viewer) -> AnyView, unknown: fn() -> AnyView) -> impl IntoView {
    let viewer = use_viewer();
    view! {
        <Transition>
            {move || Suspend::new(async move {
                match viewer.await {
                    Ok(Some(viewer)) => known(viewer),
                    _ => unknown(),
                }
            })}
        </Transition>
    }
}

/// A plain form, so that the whole page is built anew for someone who is no longer signed in.
#[component]
pub fn SignOutForm() -> impl IntoView {
    view! {
        <form method="post" action=SignOut::url()>
            <button class="button quiet compact" data-testid="sign-out">
                "Sign out"
            </button>
        </form>
    }
}

#[component]
pub fn Footer() -> impl IntoView {
    view! {
        <footer class="site-footer">
            <div class="site-footer-inner">
                <nav aria-label="Footer">
                    <a href="/models">"Models"</a>
                    <a href="/rankings">"Rankings"</a>
                    <a href="/docs">"Docs"</a>
                    <a href="/docs#billing">"How billing works"</a>
                    <a href="/docs#errors">"Errors"</a>
                </nav>
                <ThemeChoice/>
            </div>
        </footer>
    }
}

/// A page of ordinary width with its heading.
#[component]
pub fn Page(
    #[prop(into)] title: String,
    #[prop(optional, into)] lead: Option<String>,
    #[prop(optional)] narrow: bool,
    children: Children,
) -> impl IntoView {
    let class = if narrow { "page narrow" } else { "page" };
    view! {
        <leptos_meta::Title text=title.clone()/>
        <div class=class>
            <div class="page-head">
                <h1>{title}</h1>
                {lead.map(|lead| view! { <p class="soft">{lead}</p> })}
            </div>
            {children()}
        </div>
    }
}

/// Shown while a page's data is on its way after a navigation inside the browser.
#[component]
pub fn Loading() -> impl IntoView {
    view! { <p class="loading" role="status">"Loading…"</p> }
}

/// Waits for a page's data and shows it, or the failure in its place.
pub fn loaded<T, V>(resource: Data<T>, show: impl Fn(T) -> V + Clone + Send + Sync + 'static) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    view! {
        <Transition fallback=Loading>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    match resource.await {
                        Ok(data) => Either::Left(show(data)),
                        Err(fail) => Either::Right(view! { <crate::components::fault::PageFault fail/> }),
                    }
                })
            }}
        </Transition>
    }
}
