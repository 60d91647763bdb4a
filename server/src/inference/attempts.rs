//! Endpoint after endpoint, until one begins to answer.

use super::admission;
use super::refusal::{self, provider_error};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::exchange::{Exchange, Waiting};
use crate::settlement::{OpenGeneration, Taken};
use crate::upstream::{Answer, Failed};
use domain::catalog::CancelPolicy;
use domain::error_type::ErrorType;
use domain::generation::{Attempt, Outcome};
use gateway::openai;
use gateway::request::ChatRequest;
use gateway::route::{Candidate, Route};
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Endpoints tried for one request.
const ATTEMPTS_MAX: usize = 8;

/// Tries endpoints in order until one begins to answer. Nothing has reached the caller yet, so failing over is unseen.
pub async fn first_to_answer(
    state: Arc<DataPlane>,
    request: ChatRequest,
    route: Route,
    caller: Caller,
    mut open: OpenGeneration,
    waiting: Arc<Waiting>,
) -> Result<Exchange, ApiError> {
    let user = request.user.as_ref().map(|user| end_user(&caller, user));
    let mut last: Option<(UpstreamError, String)> = None;
    for candidate in route.attempts.iter().take(ATTEMPTS_MAX) {
        let Some(cap) = admission::cap(&request, candidate, open.held()) else {
            continue;
        };
        if let Err(error) = request.chat_form() {
            open.finish(Outcome::Failed);
            let refused = ApiError::new(ErrorType::InvalidRequest, format!("{error}."));
            return Err(refused.with("field", error.field));
        }
        let body = openai::encode(&request, &candidate.provider, &candidate.endpoint, cap, user.as_deref());
        let taken = open
            .intend(candidate, state.health.calibration(&candidate.endpoint.id))
            .await
            .map_err(|error| ApiError::internal(&error))?;
        if waiting.gone.load(Ordering::Acquire) {
            break;
        }
        let policy = state.measured.policy(&candidate.endpoint.id, candidate.provider.cancel);
        waiting.bills_on.store(policy != CancelPolicy::Stops, Ordering::Release);
        let started = Instant::now();
        let begun = attempt(&state, candidate, body, &taken, &waiting).await;
        open.attempted(described(candidate, started, begun.as_ref().err()));
        let failure = match begun {
            Ok(answer) => {
                let background = state.background.clone();
                return Ok(Exchange::new(answer, open, policy, background));
            }
            Err(failure) if failure.is_left => {
                open.finish(Outcome::Cancelled);
                return Err(provider_error(&failure.error, &candidate.provider.name));
            }
            Err(failure) => failure,
        };
        waiting.bills_on.store(false, Ordering::Release);
        state
            .health
            .cool_down(&candidate.endpoint.id, failure.error.cooldown_secs);
        let elsewhere = failure.error.elsewhere;
        last = Some((failure.error, candidate.provider.name.clone()));
        if !elsewhere || waiting.gone.load(Ordering::Acquire) {
            break;
        }
    }
    let attempts: Vec<Value> = open.attempts().iter().map(refusal::told).collect();
    open.finish(Outcome::Failed);
    let (error, provider) =
        last.unwrap_or_else(|| (upstream_error::from_transport(TransportFailure::Connect), String::new()));
    Err(provider_error(&error, &provider).with("attempts", attempts))
}

async fn attempt(
    state: &DataPlane,
    candidate: &Candidate,
    body: Vec<u8>,
    taken: &Taken,
    waiting: &Waiting,
) -> Result<Answer, Failed> {
    let key = candidate
        .provider
        .key_setting
        .as_deref()
        .and_then(|setting| state.config.provider_key(setting));
    state
        .upstream
        .begin(&candidate.provider, &candidate.endpoint, key, body, taken, waiting)
        .await
}

fn described(candidate: &Candidate, started: Instant, failure: Option<&Failed>) -> Attempt {
    Attempt {
        endpoint: candidate.endpoint.id.clone(),
        provider: candidate.provider.slug.clone(),
        status: failure.map_or(Some(200), |failure| failure.status),
        error_type: failure.map(|failure| failure.error.kind.name().to_owned()),
        latency_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
    }
}

/// Who asks, as told to providers: stable for one end user of one account, and meaningless outside.
fn end_user(caller: &Caller, user: &[u8]) -> String {
    let user = String::from_utf8_lossy(user);
    let hash = domain::api_key::secret_hash(&format!("end-user:{}:{user}", caller.account));
    format!("tw-{}", &hash[..32])
}
