//! `/sign-in` and signing out.

use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::{Page, SignOutForm};
use crate::fail::Fail;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[server(endpoint = "sign_in")]
pub async fn sign_in(email: String, password: String, #[server(default)] next: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, local_path, parts, site};
    answer(async {
        let site = site()?;
        if !site.allow(Action::SignIn, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let known = match domain::account::Email::parse(&email) {
            Ok(email) => store::users::by_email(&mut site.store.read().await?, &email).await?,
            Err(_) => None,
        };
        let (user, stored) = known.unzip();
        let fits = crate::password::verify(&password, stored).await?;
        let user = user.filter(|_| fits).ok_or(Fail::Refused)?;
        let mut tx = site.store.begin().await?;
        crate::session::start(&site, &mut tx, &user).await?;
        tx.commit().await?;
        leptos_axum::redirect(local_path(&next).unwrap_or("/account"));
        Ok(())
    })
    .await
}

#[server(endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), Fail> {
    use crate::site::{answer, site};
    answer(async {
        let site = site()?;
        if let Some((session, user)) = crate::session::current().await? {
            let mut tx = site.store.begin().await?;
            store::sessions::revoke(&mut tx, &user.id, &session.id).await?;
            tx.commit().await?;
        }
        crate::session::forget(&site);
        leptos_axum::redirect("/");
        Ok(())
    })
    .await
}

#[component]
pub fn SignInPage() -> impl IntoView {
    let action = ServerAction::<SignIn>::new();
    let query = use_query_map();
    let is_verified = move || query.read().get_str("verified").is_some();
    view! {
        <Page title="Sign in" narrow=true>
            <div class="notice" role="status" hidden=move || !is_verified()>
                <p>"The address is confirmed. Sign in to go on."</p>
            </div>
            <ActionForm action=action>
                <div class="fields">
                    <FormFault fail=fail_of(action)/>
                    <NextField/>
                    <Field name="email" label="E-mail" kind="email" autocomplete="email" required=true autofocus=true/>
                    <Field name="password" label="Password" kind="password" autocomplete="current-password" required=true/>
                    <button class="button wide" disabled=move || action.pending().get() data-testid="submit">
                        "Sign in"
                    </button>
                </div>
            </ActionForm>
            <p class="small soft">
                <a href="/forgot">"Forgot the password?"</a> " New here? " <a href="/sign-up">"Sign up"</a> "."
            </p>
        </Page>
    }
}

#[component]
pub fn SignOutPage() -> impl IntoView {
    view! {
        <Page title="Sign out" lead="This ends the session in this browser." narrow=true>
            <SignOutForm/>
        </Page>
    }
}

/// Carries the page that was asked for through the form.
#[component]
pub fn NextField() -> impl IntoView {
    let query = use_query_map();
    let next = move || query.read().get("next").unwrap_or_default();
    view! { <input type="hidden" name="next" value=next/> }
}
