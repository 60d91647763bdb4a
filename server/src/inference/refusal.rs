//! Why a request is not served, in words that say what to do.

use super::admission::{self, Admission};
use super::amount;
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use domain::error_type::ErrorType;
use domain::generation::Attempt;
use domain::money::NanoUsd;
use gateway::request::ChatRequest;
use gateway::route::{RouteError, Skipped};
use gateway::upstream_error::UpstreamError;
use serde_json::{Value, json};

/// No endpoint can be asked.
pub fn unroutable(error: RouteError) -> ApiError {
    match error {
        RouteError::UnknownModel { model, near } => {
            let hint = if near.is_empty() {
                String::new()
            } else {
                format!(" Did you mean {}?", near.join(" or "))
            };
            let message = format!("There is no model named {model:?}.{hint} GET /api/v1/models lists all.");
            ApiError::new(ErrorType::NotFound, message).with("near_matches", near)
        }
        RouteError::UnknownVariant { model, variant } => {
            let message =
                format!("The model {model} has no variant {variant:?}. Known variants are free, floor and nitro.");
            ApiError::new(ErrorType::NotFound, message)
        }
        RouteError::NoKey {
            model,
            settings,
            skipped,
        } => {
            let wanted = settings.join(" or ");
            let message = format!(
                "No provider of {model} is configured on this server. Its operator can enable one by setting {wanted}."
            );
            ApiError::new(ErrorType::ProviderUnavailable, message)
                .status(503)
                .with("settings", settings)
                .with("skipped", skipped.iter().map(left_out).collect::<Vec<_>>())
        }
        RouteError::NoEndpoint { model, skipped } => {
            let reasons: Vec<String> = skipped
                .iter()
                .take(5)
                .map(|skipped| format!("{}: {}", skipped.provider, skipped.reason))
                .collect();
            let message = format!("No endpoint of {model} can serve this request. {}.", reasons.join("; "));
            ApiError::new(ErrorType::NotFound, message)
                .with("skipped", skipped.iter().map(left_out).collect::<Vec<_>>())
        }
    }
}

/// The account cannot pay.
pub fn no_credits(state: &DataPlane, request: &ChatRequest, admission: &Admission, available: NanoUsd) -> ApiError {
    let buy = format!("Buy credits at {}/account/credits", state.config.base_url);
    short(state, request, admission, available, &buy).with("limit_source", "account")
}

/// The key's own limit does not allow it.
pub fn key_limit(
    state: &DataPlane,
    caller: &Caller,
    request: &ChatRequest,
    admission: &Admission,
    available: NanoUsd,
) -> ApiError {
    let raise = format!("Raise the limit of the key {:?} on the Keys page", caller.key.name);
    short(state, request, admission, available, &raise).with("limit_source", "key")
}

/// A provider failed, as its caller is told.
pub fn provider_error(error: &UpstreamError, provider: &str) -> ApiError {
    let message = if provider.is_empty() {
        error.message.clone()
    } else {
        format!("{provider}: {}", error.message)
    };
    let mut told = ApiError::new(error.kind, message)
        .status(error.status)
        .with("provider_name", provider);
    if let Some(code) = &error.provider_code {
        told = told.with("provider_code", code.clone());
    }
    if matches!(error.status, 429 | 503) && error.cooldown_secs > 0 {
        told = told.retry_after_secs(error.cooldown_secs);
    }
    told
}

/// An attempt, for the metadata of an error.
pub fn told(attempt: &Attempt) -> Value {
    json!({"provider": attempt.provider, "status": attempt.status, "error_type": attempt.error_type})
}

fn short(
    state: &DataPlane,
    request: &ChatRequest,
    admission: &Admission,
    available: NanoUsd,
    remedy: &str,
) -> ApiError {
    let affordable = affordable_max_tokens(state, request, available);
    let or = match affordable {
        Some(tokens) if tokens > 0 => format!(", or set max_tokens to {tokens} or less"),
        _ => String::new(),
    };
    let message = format!(
        "This request may cost up to {}, and {} is available for it. {remedy}{or}.",
        admission.least, available
    );
    ApiError::new(ErrorType::PaymentRequired, message)
        .with("affordable_max_tokens", affordable)
        .with("available", amount(available))
        .with("required", amount(admission.least))
}

/// For the cheapest endpoint that could serve the request.
fn affordable_max_tokens(state: &DataPlane, request: &ChatRequest, available: NanoUsd) -> Option<u64> {
    let catalog = state.catalog.load();
    let route = gateway::route::route(&catalog, request, &state.conditions(), 0).ok()?;
    route
        .attempts
        .iter()
        .filter_map(|candidate| admission::affordable(request, candidate, available))
        .max()
}

fn left_out(skipped: &Skipped) -> Value {
    json!({"endpoint": skipped.endpoint, "provider": skipped.provider, "reason": skipped.reason.to_string()})
}
