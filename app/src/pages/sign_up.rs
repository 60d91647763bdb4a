//! `/sign-up`: a new account.
//!
//! Who may learn that an address has an account? Signing someone in at once tells a prober that the address was new, and
//! anything else shown for a taken one tells as much. So a taken address with the right password simply signs in, and with
//! a wrong one fails exactly as a wrong sign-in does, after the same hashing work; its owner is told by mail. Both forms
//! are limited per network address, so that addresses cannot be tried by the thousand.

use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::Page;
use crate::fail::Fail;
use crate::pages::sign_in::NextField;
use domain::account::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use leptos::form::ActionForm;
use leptos::prelude::*;

#[server(endpoint = "sign_up")]
pub async fn sign_up(email: String, password: String, #[server(default)] next: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{answer, client_ip, local_path, parts, site};
    use domain::account::{Email, Password};
    answer(async {
        let site = site()?;
        if !site.allow(Action::SignUp, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let email = Email::parse(&email)?;
        let password = Password::parse(&password)?;
        let mut tx = site.store.read().await?;
        let known = store::users::by_email(&mut tx, &email).await?;
        drop(tx);
        match known {
            Some(known) => enter_existing(&site, known, &password).await?,
            None => create(&site, &email, &password).await?,
        }
        leptos_axum::redirect(local_path(&next).unwrap_or("/account"));
        Ok(())
    })
    .await
}

#[cfg(feature = "ssr")]
async fn create(
    site: &crate::site::Site,
    email: &domain::account::Email,
    password: &domain::account::Password,
) -> Result<(), Fail> {
    use domain::id::{AccountId, UserId};
    use store::users::{NewUser, create};
    let password_hash = crate::password::hash(password, site.bytes()).await?;
    let new = NewUser {
        id: UserId::new(site.bytes()),
        account: AccountId::new(site.bytes()),
        email,
        password_hash: &password_hash,
        created: (site.now)(),
    };
    let mut tx = site.store.begin().await?;
    let user = create(&mut tx, &new).await.map_err(|error| match error {
        store::StoreError::Conflict(_) => Fail::Refused,
        other => other.into(),
    })?;
    crate::mails::verify(site, &mut tx, email, &user.id).await?;
    crate::session::start(site, &mut tx, &user).await?;
    tx.commit().await?;
    (site.mail_queued)();
    Ok(())
}

#[cfg(feature = "ssr")]
async fn enter_existing(
    site: &crate::site::Site,
    (user, stored): (store::users::User, String),
    password: &domain::account::Password,
) -> Result<(), Fail> {
    let typed = String::from_utf8_lossy(password.as_bytes());
    let fits = crate::password::verify(&typed, Some(stored)).await?;
    let mut tx = site.store.begin().await?;
    if fits {
        crate::session::start(site, &mut tx, &user).await?;
    } else {
        crate::mails::already_there(site, &mut tx, &user.email).await?;
    }
    tx.commit().await?;
    if fits {
        return Ok(());
    }
    (site.mail_queued)();
    Err(Fail::Refused)
}

#[component]
pub fn SignUpPage() -> impl IntoView {
    let action = ServerAction::<SignUp>::new();
    view! {
        <Page title="Sign up" lead="One account, one key, every model. You pay for tokens and nothing else." narrow=true>
            <ActionForm action=action>
                <div class="fields">
                    <FormFault fail=fail_of(action)/>
                    <NextField/>
                    <Field name="email" label="E-mail" kind="email" autocomplete="email" required=true autofocus=true/>
                    <Field
                        name="password"
                        label="Password"
                        kind="password"
                        autocomplete="new-password"
                        minlength=PASSWORD_CHARS_MIN
                        maxlength=PASSWORD_BYTES_MAX
                        hint="At least 10 characters. A few unrelated words are easy to remember and hard to guess."
                        required=true
                    />
                    <button class="button wide" disabled=move || action.pending().get() data-testid="submit">
                        "Create account"
                    </button>
                </div>
            </ActionForm>
            <p class="small soft">"Already have one? " <a href="/sign-in">"Sign in"</a> "."</p>
        </Page>
    }
}
