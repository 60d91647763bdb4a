//! `/account`: where a person's account stands, and what to do next.

pub mod activity;
pub mod credits;
pub mod generation;
pub mod keys;
pub mod sessions;

use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::{SignOutForm, loaded};
use crate::components::price::cents;
use crate::fail::Fail;
use crate::format;
use crate::pages::verify::SendVerification;
use crate::wire::data;
use domain::account::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use domain::money::NanoUsd;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub email: String,
    pub is_verified: bool,
    pub is_dev: bool,
    pub balance: NanoUsd,
    pub purchased: NanoUsd,
    pub keys: usize,
    /// Of the last seven days, today included.
    pub week: Week,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    pub requests: u64,
    pub tokens: u64,
    pub cost: NanoUsd,
}

#[server(endpoint = "account")]
pub async fn load_overview() -> Result<Overview, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        let now = (site.now)();
        let from = now.plus(-6 * domain::time::Micros::DAY);
        let mut tx = site.store.read().await?;
        let credits = store::ledger::credits(&mut tx, &user.account).await?;
        let keys = store::keys::list(&mut tx, &user.account).await?;
        let days = store::generations::account_summary(&mut tx, &user.account, &from.day(), &now.day()).await?;
        let week = days.iter().fold(Week::default(), |week, line| Week {
            requests: week.requests + line.requests,
            tokens: week.tokens + line.prompt + line.completion,
            cost: week.cost.saturating_add(line.cost),
        });
        Ok(Overview {
            email: user.email.as_str().to_owned(),
            is_verified: user.verified.is_some(),
            is_dev: site.dev,
            balance: credits.available.saturating_add(credits.in_escrow),
            purchased: credits.purchased,
            keys: keys.len(),
            week,
        })
    })
    .await
}

/// Sets a new password for someone who knows the old one; other browsers are signed out.
#[server(endpoint = "change_password")]
pub async fn change_password(current: String, password: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, parts, site};
    use domain::account::Password;
    answer(async {
        let (session, user) = crate::session::require().await?;
        let site = site()?;
        if !site.allow(Action::SignIn, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let password = Password::parse(&password)?;
        let known = store::users::by_email(&mut site.store.read().await?, &user.email).await?;
        if !crate::password::verify(&current, known.map(|(_, stored)| stored)).await? {
            return Err(Fail::Refused);
        }
        let hash = crate::password::hash(&password, site.bytes()).await?;
        let mut tx = site.store.begin().await?;
        store::users::set_password(&mut tx, &user.id, &hash).await?;
        store::sessions::revoke_all(&mut tx, &user.id, Some(&session.id)).await?;
        tx.commit().await?;
        leptos_axum::redirect("/account?password=1");
        Ok(())
    })
    .await
}

/// The frame of the account's pages.
#[component]
pub fn AccountFrame(
    #[prop(into)] title: String,
    #[prop(optional, into)] lead: Option<String>,
    children: Children,
) -> impl IntoView {
    view! {
        <leptos_meta::Title text=title.clone()/>
        <div class="page account">
            <nav class="account-nav" aria-label="Your account">
                <A href="/account" exact=true>
                    "Overview"
                </A>
                <A href="/account/credits">"Credits"</A>
                <A href="/account/keys">"API keys"</A>
                <A href="/account/activity">"Activity"</A>
                <A href="/account/sessions">"Sessions"</A>
            </nav>
            <div class="stack-l">
                <div class="page-head">
                    <h1>{title}</h1>
                    {lead.map(|lead| view! { <p class="soft">{lead}</p> })}
                </div>
                {children()}
            </div>
        </div>
    }
}

#[component]
pub fn AccountPage() -> impl IntoView {
    let page = data(|| (), |()| load_overview());
    view! {
        <AccountFrame title="Account">
            <Done key="verified" text="The address is confirmed."/>
            <Done key="mailed" text="The mail is on its way."/>
            <Done key="password" text="The password is changed, and other browsers are signed out."/>
            {loaded(page, |page| view! { <Standing page/> })}
        </AccountFrame>
    }
}

/// Says that something worked, when the address says so.
#[component]
pub fn Done(key: &'static str, text: &'static str) -> impl IntoView {
    let query = use_query_map();
    let is_shown = move || query.read().get_str(key).is_some();
    view! {
        <div class="notice" role="status" hidden=move || !is_shown() data-testid=format!("done-{key}")>
            <p>{text}</p>
        </div>
    }
}

#[component]
fn Standing(page: Overview) -> impl IntoView {
    view! {
        <dl class="figures">
            <div>
                <dt>"Balance"</dt>
                <dd data-testid="balance">{cents(page.balance)}</dd>
            </div>
            <div>
                <dt>"Spent in 7 days"</dt>
                <dd>{page.week.cost.to_dollars()}</dd>
            </div>
            <div>
                <dt>"Requests in 7 days"</dt>
                <dd>{format::grouped(page.week.requests)}</dd>
            </div>
            <div>
                <dt>"Tokens in 7 days"</dt>
                <dd>{format::short(page.week.tokens)}</dd>
            </div>
            <div>
                <dt>"API keys"</dt>
                <dd>{page.keys}</dd>
            </div>
        </dl>
        <Steps page=page.clone()/>
        <section class="stack">
            <h2>"Sign-in"</h2>
            <p>
                "You sign in as " <strong data-testid="email-shown">{page.email.clone()}</strong>
                {if page.is_verified { " (confirmed)." } else { " (not confirmed yet)." }}
            </p>
            <ChangePassword/>
            <SignOutForm/>
        </section>
    }
}

/// What is left to do before the first answer arrives; vanishes when all is done.
#[component]
fn Steps(page: Overview) -> impl IntoView {
    let is_funded = page.purchased.is_positive();
    let has_key = page.keys > 0;
    let has_called = page.week.requests > 0;
    let steps = [
        (
            page.is_verified,
            view! { <ConfirmStep is_dev=page.is_dev is_verified=page.is_verified/> }.into_any(),
        ),
        (
            is_funded,
            view! { <a href="/account/credits">"Buy credits"</a> }.into_any(),
        ),
        (
            has_key,
            view! { <a href="/account/keys">"Create an API key"</a> }.into_any(),
        ),
        (
            has_called,
            view! {
                <a href="/chat">"Try a model in the browser"</a>
                " or "
                <a href="/docs">"make the first call"</a>
            }
            .into_any(),
        ),
    ];
    let is_done = page.is_verified && is_funded && has_key && has_called;
    let items = steps.map(|(is_done, text)| {
        let mark = if is_done { "Done: " } else { "To do: " };
        view! {
            <li class:done=is_done>
                <span class="out-of-sight">{mark}</span>
                <span class="step">{text}</span>
            </li>
        }
    });
    (!is_done).then(|| {
        view! {
            <section class="stack">
                <h2>"To the first answer"</h2>
                <ol class="plain steps">{items}</ol>
            </section>
        }
    })
}

#[component]
fn ConfirmStep(is_verified: bool, is_dev: bool) -> impl IntoView {
    let action = ServerAction::<SendVerification>::new();
    if is_verified {
        return view! { "Confirm your address" }.into_any();
    }
    view! {
        <span class="row">
            "Confirm your address: we mailed you a link."
            <ActionForm action=action>
                <button class="link-button">"Send it again"</button>
            </ActionForm>
            {is_dev.then(|| view! { <a href="/dev/mailbox">"Open the dev mailbox"</a> })}
            <FormFault fail=fail_of(action)/>
        </span>
    }
    .into_any()
}

#[component]
fn ChangePassword() -> impl IntoView {
    let action = ServerAction::<ChangePassword>::new();
    let is_open = move || action.value().read().as_ref().is_some_and(Result::is_err);
    view! {
        <details class="disclosure" open=is_open>
            <summary>"Change the password"</summary>
            <ActionForm action=action>
                <div class="fields narrow-fields">
                    <FormFault fail=fail_of(action)/>
                    <Field name="current" label="Current password" kind="password" autocomplete="current-password" required=true/>
                    <Field
                        name="password"
                        label="New password"
                        kind="password"
                        autocomplete="new-password"
                        minlength=PASSWORD_CHARS_MIN
                        maxlength=PASSWORD_BYTES_MAX
                        required=true
                    />
                    <button class="button" data-testid="change-password">"Change it"</button>
                </div>
            </ActionForm>
        </details>
    }
}
