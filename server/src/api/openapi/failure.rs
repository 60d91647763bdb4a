//! How failures are described: the forms that `error.rs` and the gateway write.
#![allow(dead_code, reason = "these types are described and never made")]

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What every failure answers, whatever its status.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    error: Problem,
}

#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status.
    code: u16,
    message: String,
    metadata: Metadata,
}

/// What helps to act on it: the provider's name and status, what is affordable, suggestions.
#[derive(Serialize, ToSchema)]
pub struct Metadata {
    /// One word of the table in docs/API.md.
    error_type: String,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}
