//! `/reset?token=`: sets a new password with a mailed link, and ends every session that the old one opened.

use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::Page;
use crate::fail::Fail;
use domain::account::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[server(endpoint = "reset")]
pub async fn reset_password(token: String, password: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, parts, site};
    use domain::account::Password;
    use domain::api_key::secret_hash;
    use store::email_tokens::{Purpose, take};
    answer(async {
        let site = site()?;
        if !site.allow(Action::Link, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let password = Password::parse(&password)?;
        let hash = crate::password::hash(&password, site.bytes()).await?;
        let now = (site.now)();
        let mut tx = site.store.begin().await?;
        let id = take(&mut tx, Purpose::Reset, &secret_hash(&token), now)
            .await?
            .ok_or(Fail::LinkSpent)?;
        let user = store::users::by_id(&mut tx, &id).await?.ok_or(Fail::LinkSpent)?;
        store::users::set_password(&mut tx, &id, &hash).await?;
        store::users::set_verified(&mut tx, &id, now).await?;
        store::sessions::revoke_all(&mut tx, &id, None).await?;
        crate::session::start(&site, &mut tx, &user).await?;
        tx.commit().await?;
        leptos_axum::redirect("/account?password=1");
        Ok(())
    })
    .await
}

#[component]
pub fn ResetPage() -> impl IntoView {
    let action = ServerAction::<ResetPassword>::new();
    let query = use_query_map();
    let token = move || query.read().get("token").unwrap_or_default();
    view! {
        <Page title="Set a new password" lead="Every browser that is signed in with the old one is signed out." narrow=true>
            <ActionForm action=action>
                <div class="fields">
                    <FormFault fail=fail_of(action)/>
                    <input type="hidden" name="token" value=token/>
                    <Field
                        name="password"
                        label="New password"
                        kind="password"
                        autocomplete="new-password"
                        minlength=PASSWORD_CHARS_MIN
                        maxlength=PASSWORD_BYTES_MAX
                        hint="At least 10 characters."
                        required=true
                        autofocus=true
                    />
                    <button class="button wide" disabled=move || action.pending().get() data-testid="submit">
                        "Set the password"
                    </button>
                </div>
            </ActionForm>
        </Page>
    }
}
