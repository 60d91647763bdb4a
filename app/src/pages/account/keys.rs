//! `/account/keys`: API keys, each shown in full once.

mod change;
mod list;

use super::AccountFrame;
use crate::components::copy::CopyButton;
use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::loaded;
use crate::fail::Fail;
use crate::wire::data;
pub use change::{DeleteKey, ToggleKey, UpdateKey};
#[cfg(feature = "ssr")]
pub(super) use change::{parse_limit, parse_reset};
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use leptos::form::ActionForm;
use leptos::prelude::*;
use list::KeyList;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysPage {
    pub keys: Vec<KeyRow>,
    /// A key made a moment ago by a form without the script: shown this once.
    pub fresh: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    pub hash: String,
    pub name: String,
    pub label: String,
    pub limit: Option<NanoUsd>,
    pub reset: Option<Period>,
    pub expires: Option<Micros>,
    pub state: KeyState,
    pub created: Micros,
    pub last_used: Option<Micros>,
    /// Ever.
    pub used: NanoUsd,
    /// In the period that the limit counts.
    pub used_of_limit: NanoUsd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    Active,
    Disabled,
    Expired,
}

#[server(endpoint = "keys")]
pub async fn load_keys() -> Result<KeysPage, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        let now = (site.now)();
        let mut tx = site.store.read().await?;
        let mut keys = Vec::new();
        for key in store::keys::list(&mut tx, &user.account).await? {
            let usage = store::keys::usage(&mut tx, &key.hash, now).await?;
            keys.push(row(key, &usage, now));
        }
        Ok(KeysPage {
            keys,
            fresh: fresh::take(&site),
        })
    })
    .await
}

#[cfg(feature = "ssr")]
fn row(key: store::keys::Key, usage: &store::keys::KeyUsage, now: Micros) -> KeyRow {
    let used_of_limit = match key.reset {
        Some(Period::Daily) => usage.daily,
        Some(Period::Weekly) => usage.weekly,
        Some(Period::Monthly) => usage.monthly,
        None => usage.total,
    };
    let state = if key.expires.is_some_and(|expires| expires <= now) {
        KeyState::Expired
    } else if key.disabled {
        KeyState::Disabled
    } else {
        KeyState::Active
    };
    KeyRow {
        hash: key.hash.as_str().to_owned(),
        name: key.name,
        label: key.label,
        limit: key.limit,
        reset: key.reset,
        expires: key.expires,
        state,
        created: key.created,
        last_used: key.last_used,
        used: usage.total,
        used_of_limit,
    }
}

/// Creates a key and answers with the whole of it, this once.
#[server(endpoint = "create_key")]
pub async fn create_key(
    name: String,
    #[server(default)] limit: String,
    #[server(default)] reset: String,
    #[server(default)] expires: String,
) -> Result<String, Fail> {
    use crate::site::{answer, site};
    use domain::api_key::ApiKey;
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        let now = (site.now)();
        let secret = ApiKey::new(&site.bytes());
        let key = store::keys::Key {
            hash: secret.hash(),
            account: user.account,
            user: user.id,
            name: change::parse_name(&name)?,
            label: secret.label(),
            limit: change::parse_limit(&limit)?,
            reset: change::parse_reset(&reset)?,
            expires: change::parse_expiry(&expires, now)?,
            disabled: false,
            deleted: false,
            internal: false,
            created: now,
            updated: now,
            last_used: None,
        };
        let mut tx = site.store.begin().await?;
        if store::keys::list(&mut tx, &key.account).await?.len() >= KEYS_MAX {
            return Err(Fail::TooManyKeys);
        }
        store::keys::create(&mut tx, &key).await?;
        tx.commit().await?;
        (site.key_changed)(&key.hash);
        fresh::put(&site, secret.reveal());
        Ok(secret.reveal().to_owned())
    })
    .await
}

#[cfg(feature = "ssr")]
const KEYS_MAX: usize = 200;

/// Carries a new key over the redirect that follows a plain form: a cookie that ends with the browser, is read by no
/// script, and is cleared by the page that shows it.
#[cfg(feature = "ssr")]
mod fresh {
    use crate::session::{cookie, set_cookie};
    use crate::site::{Site, accepts_html, parts};
    use domain::api_key::ApiKey;
    use domain::time::Micros;

    const COOKIE: &str = "tollway-new-key";
    const LIFETIME_US: i64 = 2 * Micros::MINUTE;

    pub(super) fn put(site: &Site, secret: &str) {
        let is_plain_form = parts().is_ok_and(|parts| accepts_html(&parts.headers));
        if is_plain_form {
            set_cookie(site, COOKIE, &format!("{}.{secret}", (site.now)().get()), None);
        }
    }

    pub(super) fn take(site: &Site) -> Option<String> {
        let parts = parts().ok()?;
        let value = cookie(&parts.headers, COOKIE)?;
        set_cookie(site, COOKIE, "", Some(0));
        let (made, secret) = value.split_once('.')?;
        let age = (site.now)().since(Micros::new(made.parse().ok()?));
        let key = ApiKey::parse(secret).filter(|_| age < LIFETIME_US)?;
        Some(key.reveal().to_owned())
    }
}

#[component]
pub fn KeysPageView() -> impl IntoView {
    let create = ServerAction::<CreateKey>::new();
    let update = ServerAction::<UpdateKey>::new();
    let toggle = ServerAction::<ToggleKey>::new();
    let delete = ServerAction::<DeleteKey>::new();
    let versions = move || {
        [
            create.version().get(),
            update.version().get(),
            toggle.version().get(),
            delete.version().get(),
        ]
    };
    let page = data(versions, |_| load_keys());
    let created = move || create.value().get().and_then(Result::ok);
    view! {
        <AccountFrame title="API keys" lead="A key pays from your credits. Give each program its own, with a limit.">
            {move || created().map(|secret| view! { <NewSecret secret/> })}
            <NewKey create/>
            <FormFault fail=fail_of(update)/>
            <FormFault fail=fail_of(toggle)/>
            <FormFault fail=fail_of(delete)/>
            {loaded(
                page,
                move |page| {
                    view! {
                        {page.fresh.map(|secret| view! { <NewSecret secret/> })}
                        <KeyList keys=page.keys update toggle delete/>
                    }
                },
            )}
        </AccountFrame>
    }
}

#[component]
fn NewSecret(secret: String) -> impl IntoView {
    view! {
        <div class="notice" role="status">
            <p>
                <strong>"Copy the key now."</strong>
                " It is stored as a hash, so nobody can show it again."
            </p>
            <div class="secret">
                <code data-testid="key-secret">{secret.clone()}</code>
                <CopyButton text=secret what="the key"/>
            </div>
        </div>
    }
}

#[component]
fn NewKey(create: ServerAction<CreateKey>) -> impl IntoView {
    view! {
        <section class="card stack">
            <h2>"New key"</h2>
            <FormFault fail=fail_of(create)/>
            <ActionForm action=create>
                <div class="fields">
                    <div class="fields across">
                        <Field name="name" label="Name" placeholder="Laptop" maxlength=change::NAME_CHARS_MAX required=true testid="key-name"/>
                        <Field
                            name="limit"
                            label="Limit, if any"
                            money=true
                            inputmode="decimal"
                            placeholder="none"
                            autocomplete="off"
                            testid="key-limit"
                        />
                        <ResetChoice id="reset" chosen=None/>
                        <Field name="expires" label="Expires after, if ever" kind="date" testid="key-expires"/>
                    </div>
                    <div>
                        <button class="button" disabled=move || create.pending().get() data-testid="key-create">
                            "Create key"
                        </button>
                    </div>
                </div>
            </ActionForm>
        </section>
    }
}

/// When a limit starts anew.
#[component]
pub fn ResetChoice(#[prop(into)] id: String, chosen: Option<Period>) -> impl IntoView {
    let options = [Period::Daily, Period::Weekly, Period::Monthly]
        .map(|period| view! { <option value=period.name() selected=chosen == Some(period)>{period.name()}</option> });
    view! {
        <div class="field">
            <label for=id.clone()>"The limit counts"</label>
            <select class="input" id=id name="reset" data-testid="key-reset">
                <option value="" selected=chosen.is_none()>"once, for good"</option>
                {options}
            </select>
        </div>
    }
}
