//! `/account/sessions`: the browsers that are signed in.

use super::{AccountFrame, Done};
use crate::components::badge::{Badge, Tone};
use crate::components::fault::{FormFault, fail_of};
use crate::components::layout::loaded;
use crate::components::time::At;
use crate::fail::Fail;
use crate::wire::data;
use domain::time::Micros;
use leptos::form::ActionForm;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: String,
    pub is_this: bool,
    pub browser: String,
    pub ip: String,
    pub created: Micros,
    pub last_seen: Micros,
    pub expires: Micros,
}

#[server(endpoint = "sessions")]
pub async fn load_sessions() -> Result<Vec<SessionRow>, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (this, user) = crate::session::require().await?;
        let site = site()?;
        let mut tx = site.store.read().await?;
        let sessions = store::sessions::list(&mut tx, &user.id, (site.now)()).await?;
        let row = |session: store::sessions::Session| SessionRow {
            is_this: session.id == this.id,
            id: session.id.as_str().to_owned(),
            browser: browser_name(&session.user_agent),
            ip: session.ip,
            created: session.created,
            last_seen: session.last_seen,
            expires: session.expires,
        };
        Ok(sessions.into_iter().map(row).collect())
    })
    .await
}

#[server(endpoint = "revoke_session")]
pub async fn revoke_session(id: String) -> Result<(), Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (this, user) = crate::session::require().await?;
        let site = site()?;
        let id = domain::id::SessionId::stored(id);
        let mut tx = site.store.begin().await?;
        store::sessions::revoke(&mut tx, &user.id, &id).await?;
        tx.commit().await?;
        if id == this.id {
            crate::session::forget(&site);
            leptos_axum::redirect("/");
        }
        Ok(())
    })
    .await
}

#[server(endpoint = "revoke_other_sessions")]
pub async fn revoke_others() -> Result<(), Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (this, user) = crate::session::require().await?;
        let mut tx = site()?.store.begin().await?;
        store::sessions::revoke_all(&mut tx, &user.id, Some(&this.id)).await?;
        tx.commit().await?;
        leptos_axum::redirect("/account/sessions?ended=1");
        Ok(())
    })
    .await
}

/// The browser and system that a `User-Agent` names, as people call them.
#[cfg(feature = "ssr")]
fn browser_name(user_agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let named = |table: &[(&str, &'static str)]| {
        table
            .iter()
            .find(|(mark, _)| user_agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => "An unknown browser".to_owned(),
    }
}

#[component]
pub fn SessionsPage() -> impl IntoView {
    let revoke = ServerAction::<RevokeSession>::new();
    let others = ServerAction::<RevokeOthers>::new();
    let page = data(
        move || (revoke.version().get(), others.version().get()),
        |_| load_sessions(),
    );
    view! {
        <AccountFrame title="Sessions" lead="Browsers that are signed in. A session ends 30 days after its sign-in.">
            <Done key="ended" text="All other sessions have ended."/>
            <FormFault fail=fail_of(revoke)/>
            <FormFault fail=fail_of(others)/>
            {loaded(page, move |rows| view! { <Sessions rows revoke others/> })}
        </AccountFrame>
    }
}

#[component]
fn Sessions(
    rows: Vec<SessionRow>,
    revoke: ServerAction<RevokeSession>,
    others: ServerAction<RevokeOthers>,
) -> impl IntoView {
    let has_others = rows.len() > 1;
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            view! {
                <tr data-testid="session-row">
                    <th scope="row">
                        <span class="row">{row.browser} {row.is_this.then(|| view! { <Badge text="this browser" tone=Tone::Good/> })}</span>
                    </th>
                    <td data-label="Address" class="break">{row.ip}</td>
                    <td data-label="Signed in"><At time=row.created/></td>
                    <td data-label="Last seen"><At time=row.last_seen/></td>
                    <td data-label="Ends"><At time=row.expires/></td>
                    <td class="actions">
                        <ActionForm action=revoke>
                            <input type="hidden" name="id" value=row.id/>
                            <button class="button danger compact" data-testid="session-revoke">
                                {if row.is_this { "Sign out" } else { "End" }}
                            </button>
                        </ActionForm>
                    </td>
                </tr>
            }
        })
        .collect();
    view! {
        <div class="stack">
            <div class="table-box">
                <table class="table cards">
                    <thead>
                        <tr>
                            <th scope="col">"Browser"</th>
                            <th scope="col">"Address"</th>
                            <th scope="col">"Signed in (UTC)"</th>
                            <th scope="col">"Last seen"</th>
                            <th scope="col">"Ends"</th>
                            <th scope="col"><span class="out-of-sight">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {has_others
                .then(|| {
                    view! {
                        <ActionForm action=others>
                            <button class="button danger" data-testid="revoke-others">"End all other sessions"</button>
                        </ActionForm>
                    }
                })}
        </div>
    }
}

#[cfg(test)]
#[cfg(feature = "ssr")]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_call_it() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0";
        assert_eq!(
            [browser_name(firefox), browser_name(edge)],
            ["Firefox on Linux", "Edge on Windows"]
        );
        assert_eq!(browser_name(""), "An unknown browser");
    }
}
