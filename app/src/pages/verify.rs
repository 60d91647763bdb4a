//! `/verify?token=`: confirms an e-mail address. A button confirms rather than the link itself, because mail scanners
//! follow links.

use crate::components::fault::{FormFault, fail_of};
use crate::components::layout::Page;
use crate::fail::Fail;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[server(endpoint = "verify")]
pub async fn verify_address(token: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, parts, site};
    use domain::api_key::secret_hash;
    use store::email_tokens::{Purpose, take};
    answer(async {
        let site = site()?;
        if !site.allow(Action::Link, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let now = (site.now)();
        let mut tx = site.store.begin().await?;
        let user = take(&mut tx, Purpose::Verify, &secret_hash(&token), now)
            .await?
            .ok_or(Fail::LinkSpent)?;
        store::users::set_verified(&mut tx, &user, now).await?;
        tx.commit().await?;
        let is_signed_in = crate::session::current().await?.is_some();
        leptos_axum::redirect(if is_signed_in {
            "/account?verified=1"
        } else {
            "/sign-in?verified=1"
        });
        Ok(())
    })
    .await
}

/// Sends the mail again, to whoever is signed in.
#[server(endpoint = "verify_again")]
pub async fn send_verification() -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, parts, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        if !site.allow(Action::Mail, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let mut tx = site.store.begin().await?;
        crate::mails::verify(&site, &mut tx, &user.email, &user.id).await?;
        tx.commit().await?;
        (site.mail_queued)();
        leptos_axum::redirect("/account?mailed=1");
        Ok(())
    })
    .await
}

#[component]
pub fn VerifyPage() -> impl IntoView {
    let action = ServerAction::<VerifyAddress>::new();
    let query = use_query_map();
    let token = move || query.read().get("token").unwrap_or_default();
    view! {
        <Page title="Confirm your address" narrow=true>
            <ActionForm action=action>
                <div class="fields">
                    <FormFault fail=fail_of(action)/>
                    <input type="hidden" name="token" value=token/>
                    <button class="button wide" disabled=move || action.pending().get() data-testid="submit">
                        "Yes, this address is mine"
                    </button>
                </div>
            </ActionForm>
        </Page>
    }
}
