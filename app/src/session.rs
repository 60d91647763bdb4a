//! Who is asking: the session cookie, and the sign-in behind it.

use crate::fail::Fail;
use crate::site::{Site, accepts_html, client_ip, parts, site};
use domain::api_key::secret_hash;
use domain::id::SessionId;
use domain::time::Micros;
use http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use std::sync::Arc;
use store::Tx;
use store::sessions::{self, Session};
use store::users::User;
use tokio::sync::OnceCell;

pub const LIFETIME_US: i64 = 30 * Micros::DAY;
/// How stale `last_seen` may be before a visit writes it.
const TOUCH_AFTER_US: i64 = 5 * Micros::MINUTE;
const USER_AGENT_CHARS_MAX: usize = 200;

/// The session behind one response, looked up once however many of its parts ask. The server provides it with the site.
#[derive(Clone, Default)]
pub struct Memo(Arc<OnceCell<Option<(Session, User)>>>);

/// Who holds the session cookie of these headers. `None` for no cookie, an unknown one, and a store that does not answer.
pub async fn user_from_headers(site: &Site, headers: &HeaderMap) -> Option<(Session, User)> {
    let looked_up = look_up(site, headers).await;
    looked_up
        .inspect_err(|error| tracing::error!(error = %error, "a session could not be looked up"))
        .ok()
        .flatten()
}

/// Who is asking for the page or server function being answered.
pub async fn current() -> Result<Option<(Session, User)>, Fail> {
    let site = site()?;
    let headers = parts()?.headers;
    let memo = use_context::<Memo>().unwrap_or_default();
    let found = memo.0.get_or_try_init(|| look_up(&site, &headers)).await?;
    Ok(found.clone())
}

/// Who is asking, or a redirect to the sign-in page and `Fail::SignedOut`.
pub async fn require() -> Result<(Session, User), Fail> {
    if let Some(found) = current().await? {
        return Ok(found);
    }
    let parts = parts()?;
    leptos_axum::redirect(&sign_in_path(&parts));
    Err(Fail::SignedOut)
}

/// Starts a session for `user` and sets its cookie. Whatever session the browser held before ends: the token rotates at
/// every sign-in.
pub async fn start(site: &Site, tx: &mut Tx, user: &User) -> Result<(), Fail> {
    let parts = parts()?;
    let now = (site.now)();
    if let Some(token) = cookie(&parts.headers, cookie_name(site))
        && let Some((old, owner)) = sessions::by_token(tx, &secret_hash(token), now).await?
    {
        sessions::revoke(tx, &owner.id, &old.id).await?;
    }
    let token = site.secret();
    let session = Session {
        id: SessionId::new(site.bytes()),
        user: user.id.clone(),
        created: now,
        last_seen: now,
        expires: now.plus(LIFETIME_US),
        ip: client_ip(&parts).to_string(),
        user_agent: user_agent(&parts.headers),
    };
    sessions::create(tx, &secret_hash(&token), &session).await?;
    set_cookie(site, cookie_name(site), &token, Some(LIFETIME_US / Micros::SECOND));
    Ok(())
}

/// Makes the browser forget its session.
pub fn forget(site: &Site) {
    set_cookie(site, cookie_name(site), "", Some(0));
}

/// Sets an `HttpOnly`, `SameSite=Lax` cookie on the response being built; without a lifetime it ends with the browser.
pub fn set_cookie(site: &Site, name: &str, value: &str, seconds: Option<i64>) {
    let secure = if site.secure_cookies { "; Secure" } else { "" };
    let lifetime = seconds
        .map(|seconds| format!("; Max-Age={seconds}"))
        .unwrap_or_default();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{lifetime}");
    if let (Some(options), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(&text)) {
        options.append_header(SET_COOKIE, value);
    }
}

/// The value of one cookie.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

const fn cookie_name(site: &Site) -> &'static str {
    if site.secure_cookies {
        "__Host-tollway"
    } else {
        "tollway"
    }
}

async fn look_up(site: &Site, headers: &HeaderMap) -> Result<Option<(Session, User)>, store::StoreError> {
    let Some(token) = cookie(headers, cookie_name(site)).filter(|token| token.len() == 64) else {
        return Ok(None);
    };
    let now = (site.now)();
    let mut tx = site.store.read().await?;
    let found = sessions::by_token(&mut tx, &secret_hash(token), now).await?;
    drop(tx);
    if let Some((session, _)) = &found
        && now.since(session.last_seen) > TOUCH_AFTER_US
    {
        let mut tx = site.store.begin().await?;
        sessions::touch(&mut tx, &session.id, now).await?;
        tx.commit().await?;
    }
    Ok(found)
}

fn sign_in_path(parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if accepts_html(&parts.headers) && parts.method == http::Method::GET {
        crate::address::with_query("/sign-in", &[("next", path)])
    } else {
        "/sign-in".to_owned()
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let text = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.chars().take(USER_AGENT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("theme=dark; tollway=abc; other=1"));
        assert_eq!(cookie(&headers, "tollway"), Some("abc"));
        assert_eq!(cookie(&headers, "toll"), None);
    }
}
