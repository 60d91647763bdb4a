//! Between column values and the types of `domain`, always checked.

use crate::error::{Result, StoreError};
use domain::account::Email;
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use domain::time::Micros;
use domain::usage::Usage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

pub(crate) fn flag(value: bool) -> i64 {
    i64::from(value)
}

/// A count to store. Counts above `i64::MAX` are refused as `Corrupt`.
pub(crate) fn stored_count(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| StoreError::corrupt(format!("the count {value}")))
}

pub(crate) fn count(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| StoreError::corrupt(format!("the negative count {value}")))
}

/// The counts of usage that have no column of their own, as they are rarely there: NULL when there are none.
pub(crate) fn other_usage(usage: &Usage) -> Result<Option<String>> {
    let other = Usage {
        prompt: 0,
        completion: 0,
        reasoning: 0,
        cache_read: 0,
        cache_write: 0,
        images: 0,
        ..*usage
    };
    if other == Usage::default() {
        return Ok(None);
    }
    let counts: BTreeMap<String, u64> = from_json(&to_json(&other)?)?;
    let counts: BTreeMap<_, _> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    to_json(&counts).map(Some)
}

/// Usage with those counts alone.
pub(crate) fn usage(other: Option<&str>) -> Result<Usage> {
    other.map_or(Ok(Usage::default()), from_json)
}

pub(crate) fn email(text: &str) -> Result<Email> {
    Email::parse(text).map_err(|_| StoreError::corrupt("an e-mail address that does not parse"))
}

pub(crate) fn model(text: &str) -> Result<ModelSlug> {
    ModelSlug::parse(text).map_err(|_| StoreError::corrupt(format!("the model slug {text:?}")))
}

pub(crate) fn micros(value: Option<i64>) -> Option<Micros> {
    value.map(Micros::new)
}

pub(crate) fn nano(value: Option<i64>) -> Option<NanoUsd> {
    value.map(NanoUsd::new)
}

/// A word out of a closed set, by the `parse` function of its enum.
pub(crate) fn word<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    parse(text).ok_or_else(|| StoreError::corrupt(format!("the unknown word {text:?}")))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(StoreError::corrupt)
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(StoreError::corrupt)
}
