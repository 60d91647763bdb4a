//! `/forgot`: asks for a mail that allows a new password. The answer is the same, and takes as long, whether or not the
//! address has an account.

use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::Page;
use crate::fail::Fail;
use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Longer than looking up an account and queueing a mail takes.
#[cfg(feature = "ssr")]
const ANSWER_AFTER_MS: u64 = 250;

#[server(endpoint = "forgot")]
pub async fn forgot(email: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, parts, site};
    use std::time::Duration;
    use tokio::time::{Instant, sleep_until};
    answer(async {
        let site = site()?;
        if !site.allow(Action::Mail, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let email = domain::account::Email::parse(&email)?;
        let answer_at = Instant::now() + Duration::from_millis(ANSWER_AFTER_MS);
        let sent = send(&site, &email).await;
        sleep_until(answer_at).await;
        sent?;
        leptos_axum::redirect("/forgot?sent=1");
        Ok(())
    })
    .await
}

#[cfg(feature = "ssr")]
async fn send(site: &crate::site::Site, email: &domain::account::Email) -> Result<(), Fail> {
    let known = store::users::by_email(&mut site.store.read().await?, email).await?;
    let Some((user, _)) = known else { return Ok(()) };
    let mut tx = site.store.begin().await?;
    crate::mails::reset(site, &mut tx, &user.email, &user.id).await?;
    tx.commit().await?;
    (site.mail_queued)();
    Ok(())
}

#[component]
pub fn ForgotPage() -> impl IntoView {
    let action = ServerAction::<Forgot>::new();
    let query = use_query_map();
    let is_sent = move || query.read().get_str("sent").is_some();
    view! {
        <Page title="Forgot the password?" lead="We mail you a link that sets a new one." narrow=true>
            <div class="notice" role="status" hidden=move || !is_sent() data-testid="mail-sent">
                <p>"If the address has an account, a mail is on its way. The link in it works for one hour."</p>
            </div>
            <ActionForm action=action>
                <div class="fields">
                    <FormFault fail=fail_of(action)/>
                    <Field name="email" label="E-mail" kind="email" autocomplete="email" required=true/>
                    <button class="button wide" disabled=move || action.pending().get() data-testid="submit">
                        "Send the link"
                    </button>
                </div>
            </ActionForm>
        </Page>
    }
}
