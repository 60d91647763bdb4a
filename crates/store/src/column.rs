//! Between column values and the types of `domain`, always checked.

use crate::error::{Result, StoreError};
use domain::account::Email;
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use domain::time::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;

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
