//! Saying that something did not work: a line above a form, or a page instead of its content.

use crate::fail::Fail;
use leptos::prelude::*;

/// The failure of a form, where there is one.
#[component]
pub fn FormFault(#[prop(into)] fail: Signal<Option<Fail>>) -> impl IntoView {
    move || {
        fail.get().map(|fail| {
            view! {
                <div class="notice bad" role="alert" data-testid="form-error">
                    <p>{fail.to_string()}</p>
                </div>
            }
        })
    }
}

/// Stands where a page's content would be.
#[component]
pub fn PageFault(fail: Fail) -> impl IntoView {
    let (title, way_out) = match fail {
        Fail::NotFound => ("Not found", ("/models", "Browse the models")),
        Fail::SignedOut => ("Sign in first", ("/sign-in", "Sign in")),
        Fail::Forbidden => ("Not yours to see", ("/", "Back to the start")),
        _ => ("That did not work", ("/", "Back to the start")),
    };
    view! {
        <leptos_meta::Title text=title/>
        <section class="empty" data-testid="page-error">
            <h1>{title}</h1>
            <p class="soft">{fail.to_string()}</p>
            <a class="button" href=way_out.0>{way_out.1}</a>
        </section>
    }
}

/// How the last submission of a form failed, also when the page was loaded anew because there is no script.
pub fn fail_of<S>(action: ServerAction<S>) -> Signal<Option<Fail>>
where
    S: leptos::server_fn::ServerFn<Error = Fail> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    Signal::derive(move || action.value().get().and_then(Result::err))
}

/// At the top of a page that the server renders alone: how the form went that led back to it.
#[cfg(feature = "ssr")]
#[component]
pub fn Notices(fail: Option<Fail>, done: Option<&'static str>) -> impl IntoView {
    let done = done.filter(|_| fail.is_none()).map(|text| {
        view! {
            <div class="notice" role="status" data-testid="form-done">
                <p>{text}</p>
            </div>
        }
    });
    let fail = fail.map(|fail| {
        view! {
            <div class="notice bad" role="alert" data-testid="form-error">
                <p>{fail.to_string()}</p>
            </div>
        }
    });
    view! {
        {fail}
        {done}
    }
}
