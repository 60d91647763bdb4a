//! Why a request is not served, in words that say what to do.

use super::admission::{self, Admission};
use super::{amount, told};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::free_tier::{FreeRefused, PAID_MIN};
use domain::error_type::ErrorType;
use domain::generation::Attempt;
use domain::money::NanoUsd;
use domain::time::Micros;
use gateway::request::ChatRequest;
use gateway::route::{RouteError, Skipped};
use gateway::upstream_error::UpstreamError;
use serde_json::{Value, json};

const OUT_OF_TOUCH_RETRY_SECS: u64 = 10;

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

/// The account's budget does not allow it.
pub fn budget(state: &DataPlane, request: &ChatRequest, admission: &Admission, available: NanoUsd) -> ApiError {
    let raise = "Raise the account's budget on the Credits page";
    short(state, request, admission, available, raise).with("limit_source", "budget")
}

/// The key's requests that run at once are as many as may be.
pub fn all_seats_taken(state: &DataPlane) -> ApiError {
    let message = format!(
        "{} requests of this key are running, and no more may run at once. Wait for one to end.",
        state.seats.per_key()
    );
    ApiError::new(ErrorType::RateLimitExceeded, message)
        .with("limit_source", "concurrency")
        .retry_after_secs(1)
}

/// This node cannot be sure that what it leased is still its own.
pub fn out_of_touch() -> ApiError {
    ApiError::new(
        ErrorType::ServiceUnavailable,
        "This server is out of touch with its database and admits nothing for now. Try again in a few seconds.",
    )
    .retry_after_secs(OUT_OF_TOUCH_RETRY_SECS)
}

/// A free model was asked for, and no other can serve.
pub fn no_more_for_free(state: &DataPlane, refused: FreeRefused) -> ApiError {
    let buy = format!("{}/account/credits", state.config.base_url);
    match refused {
        FreeRefused::Store(error) => error.into(),
        FreeRefused::Owing { balance } => {
            let message = format!(
                "The balance of this account is {balance}; free models can be used again when it is not below zero. Buy credits at {buy}."
            );
            ApiError::new(ErrorType::PaymentRequired, message)
                .with("limit_source", "account")
                .with("available", amount(balance))
        }
        FreeRefused::Minute { left, wait } => {
            let message = format!(
                "Free models answer {} requests per minute, and these are used up. Try again in {} s, or ask for the model without `:free`.",
                left.limit,
                wait.as_secs().saturating_add(1)
            );
            ApiError::new(ErrorType::RateLimitExceeded, message)
                .with("limit_source", "free_per_minute")
                .retry_after_secs(wait.as_secs().saturating_add(1))
                .headers(told::rate_limit(&left))
        }
        FreeRefused::Day { left, per_day_paid } => {
            let more = per_day_paid.map_or(String::new(), |more| {
                format!(" After buying {PAID_MIN} of credits it is {more} per day: {buy}.")
            });
            let message = format!(
                "Free models answer {} requests per day, and today's are used up. They start anew at 00:00 UTC.{more} Or ask for the model without `:free`.",
                left.limit
            );
            let wait = left.reset.since(crate::clock::now()) / Micros::SECOND;
            ApiError::new(ErrorType::RateLimitExceeded, message)
                .with("limit_source", "free_per_day")
                .retry_after_secs(u64::try_from(wait).unwrap_or(0).saturating_add(1))
                .headers(told::rate_limit(&left))
        }
    }
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
    if let Some(status) = error.upstream_status {
        told = told.with("upstream_status", status);
    }
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
