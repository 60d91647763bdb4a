//! Changing keys: what the forms send, parsed once.

use crate::fail::Fail;
#[cfg(feature = "ssr")]
use domain::{api_key::KeyHash, money::NanoUsd, period::Period, time::Micros};
use leptos::prelude::*;

pub const NAME_CHARS_MAX: usize = 80;

/// Changes name, limit, reset and expiry to what the form holds; an empty field empties them.
#[server(endpoint = "update_key")]
pub async fn update_key(
    hash: String,
    name: String,
    #[server(default)] limit: String,
    #[server(default)] reset: String,
    #[server(default)] expires: String,
) -> Result<(), Fail> {
    crate::site::answer(async {
        let now = (crate::site::site()?.now)();
        let change = store::keys::KeyChange {
            name: Some(parse_name(&name)?),
            limit: Some(parse_limit(&limit)?),
            reset: Some(parse_reset(&reset)?),
            expires: Some(parse_expiry(&expires, now)?),
            ..store::keys::KeyChange::default()
        };
        apply(hash, &change).await
    })
    .await
}

#[server(endpoint = "toggle_key")]
pub async fn toggle_key(hash: String, disabled: bool) -> Result<(), Fail> {
    crate::site::answer(async {
        let change = store::keys::KeyChange {
            disabled: Some(disabled),
            ..store::keys::KeyChange::default()
        };
        apply(hash, &change).await
    })
    .await
}

#[server(endpoint = "delete_key")]
pub async fn delete_key(hash: String) -> Result<(), Fail> {
    crate::site::answer(async {
        let (_, user) = crate::session::require().await?;
        let site = crate::site::site()?;
        let hash = KeyHash::stored(hash);
        let mut tx = site.store.begin().await?;
        let was_there = store::keys::delete(&mut tx, &user.account, &hash, (site.now)()).await?;
        tx.commit().await?;
        (site.key_changed)(&hash);
        if was_there { Ok(()) } else { Err(Fail::NotFound) }
    })
    .await
}

#[cfg(feature = "ssr")]
async fn apply(hash: String, change: &store::keys::KeyChange) -> Result<(), Fail> {
    let (_, user) = crate::session::require().await?;
    let site = crate::site::site()?;
    let hash = KeyHash::stored(hash);
    let mut tx = site.store.begin().await?;
    let changed = store::keys::update(&mut tx, &user.account, &hash, change, (site.now)()).await?;
    tx.commit().await?;
    (site.key_changed)(&hash);
    changed.map(|_| ()).ok_or(Fail::NotFound)
}

#[cfg(feature = "ssr")]
pub(super) fn parse_name(text: &str) -> Result<String, Fail> {
    let name = text.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(Fail::KeyName) }
}

#[cfg(feature = "ssr")]
pub(in crate::pages::account) fn parse_limit(text: &str) -> Result<Option<NanoUsd>, Fail> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let limit = NanoUsd::parse_usd(text).map_err(|_| Fail::KeyLimit)?;
    if limit.is_negative() {
        Err(Fail::KeyLimit)
    } else {
        Ok(Some(limit))
    }
}

#[cfg(feature = "ssr")]
pub(in crate::pages::account) fn parse_reset(text: &str) -> Result<Option<Period>, Fail> {
    if text.is_empty() {
        return Ok(None);
    }
    Period::parse(text).map(Some).ok_or(Fail::Malformed)
}

/// The end of the last day on which the key works, in UTC.
#[cfg(feature = "ssr")]
pub(super) fn parse_expiry(text: &str, now: Micros) -> Result<Option<Micros>, Fail> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let day: chrono::NaiveDate = text.trim().parse().map_err(|_| Fail::KeyExpiry)?;
    let end = Micros::start_of(day).plus(Micros::DAY);
    if end > now { Ok(Some(end)) } else { Err(Fail::KeyExpiry) }
}

#[cfg(test)]
#[cfg(feature = "ssr")]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_mean_none() {
        let now = Micros::new(1_795_421_106_000_000);
        assert_eq!(parse_limit(" "), Ok(None));
        assert_eq!(parse_reset(""), Ok(None));
        assert_eq!(parse_expiry("", now), Ok(None));
    }

    #[test]
    fn bad_fields_are_named() {
        let now = Micros::new(1_795_421_106_000_000);
        assert_eq!(parse_name("  "), Err(Fail::KeyName));
        assert_eq!(parse_limit("-1"), Err(Fail::KeyLimit));
        assert_eq!(parse_limit("1e3"), Err(Fail::KeyLimit));
        assert_eq!(parse_reset("yearly"), Err(Fail::Malformed));
        assert_eq!(parse_expiry("2026-11-22", now), Err(Fail::KeyExpiry));
        assert_eq!(parse_expiry("tomorrow", now), Err(Fail::KeyExpiry));
    }

    #[test]
    fn a_key_works_to_the_end_of_its_last_day() {
        let now = Micros::new(1_795_421_106_000_000);
        let end = parse_expiry("2026-11-23", now).unwrap().unwrap();
        assert_eq!(end.rfc3339(), "2026-11-24T00:00:00Z");
        assert_eq!(parse_limit("2.50"), Ok(Some(NanoUsd::new(2_500_000_000))));
        assert_eq!(parse_reset("weekly"), Ok(Some(Period::Weekly)));
    }
}
