//! Who calls: one extractor for every way to carry a key.

use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use domain::api_key::ApiKey;
use domain::error_type::ErrorType;
use domain::id::AccountId;
use domain::time::Micros;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use store::keys::Key;

mod key_cache;

pub use key_cache::KeyCache;

/// A caller whose key is known, enabled and not expired.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: AccountId,
    pub key: Arc<Key>,
    /// What the calling app says it is called, cleaned and capped.
    pub app_name: Option<String>,
    /// What the calling app says its address is: an http(s) URL without credentials, query or fragment.
    pub app_url: Option<String>,
}

pub const APP_NAME_CHARS_MAX: usize = 100;
pub const APP_URL_BYTES_MAX: usize = 300;

const API_KEY_HEADERS: [&str; 2] = ["x-api-key", "x-goog-api-key"];
const TITLE_HEADERS: [&str; 2] = ["x-openrouter-title", "x-title"];

impl Caller {
    /// Resolves the credential in `headers`. A database that cannot be reached is a 503, never a 401.
    pub async fn from_headers(state: &DataPlane, headers: &HeaderMap) -> Result<Self, ApiError> {
        let hash = credential(headers)?.hash();
        let key = state.keys.get(&state.store, &hash).await?;
        Self::admit(key, headers, clock::now())
    }

    /// The caller of a key that was found (or not), with what `headers` say about the app.
    pub fn admit(key: Option<Arc<Key>>, headers: &HeaderMap, now: Micros) -> Result<Self, ApiError> {
        let key = key.filter(|key| !key.deleted).ok_or_else(|| {
            refused("This API key is not known here. It may have been deleted; create a new one on the Keys page.")
        })?;
        if key.disabled {
            return Err(refused(
                "This API key is disabled. Its owner can enable it on the Keys page.",
            ));
        }
        if let Some(expires) = key.expires.filter(|expires| *expires <= now) {
            return Err(refused(&format!("This API key expired at {}.", expires.rfc3339())));
        }
        Ok(Self {
            account: key.account.clone(),
            app_name: TITLE_HEADERS.iter().find_map(|name| app_name(headers.get(*name)?)),
            app_url: headers.get("http-referer").and_then(app_url),
            key,
        })
    }
}

impl FromRequestParts<Arc<DataPlane>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<DataPlane>) -> Result<Self, ApiError> {
        Self::from_headers(state, &parts.headers).await
    }
}

/// The key in `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`, in this order.
fn credential(headers: &HeaderMap) -> Result<ApiKey, ApiError> {
    let carried = match headers.get(http::header::AUTHORIZATION) {
        Some(value) => Some(bearer(value)?),
        None => API_KEY_HEADERS
            .iter()
            .find_map(|name| headers.get(HeaderName::from_static(name)))
            .map(text)
            .transpose()?,
    };
    let text = carried.filter(|text| !text.is_empty()).ok_or_else(|| {
        refused("No API key. Send it as `Authorization: Bearer sk-tw-v1-…`; keys are made on the Keys page.")
    })?;
    ApiKey::parse(text).ok_or_else(malformed)
}

fn bearer(value: &HeaderValue) -> Result<&str, ApiError> {
    let value = text(value)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(rest.trim()),
        false => Err(refused(
            "The Authorization header must be `Bearer` followed by an API key.",
        )),
    }
}

fn text(value: &HeaderValue) -> Result<&str, ApiError> {
    value.to_str().map(str::trim).map_err(|_| malformed())
}

fn malformed() -> ApiError {
    refused(
        "This is not a valid API key. Keys begin with sk-tw-v1- and end in a checksum: check that the whole key was copied.",
    )
}

fn refused(message: &str) -> ApiError {
    ApiError::new(ErrorType::Authentication, message)
}

/// Without control characters, trimmed and cut; `None` when nothing is left.
fn app_name(value: &HeaderValue) -> Option<String> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let plain: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(APP_NAME_CHARS_MAX)
        .collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

fn app_url(value: &HeaderValue) -> Option<String> {
    let mut url = url::Url::parse(value.to_str().ok()?.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let text = url.as_str().trim_end_matches('/');
    (text.len() <= APP_URL_BYTES_MAX).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
