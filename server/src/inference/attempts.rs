//! Endpoint after endpoint, until one begins to answer.

use super::admission;
use super::refusal::{self, provider_error};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::exchange::{Exchange, Waiting};
use crate::outbound::FetchError;
use crate::settlement::OpenGeneration;
use crate::upstream::{Failed, Outgoing};
use domain::catalog::CancelPolicy;
use domain::error_type::ErrorType;
use domain::generation::{Attempt, Outcome};
use gateway::dialect::{self, Decoder, Inexpressible};
use gateway::request::ChatRequest;
use gateway::route::{Candidate, Route};
use gateway::upstream_error::{self, Elsewhere, TransportFailure, UpstreamError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Endpoints whose protocol cannot say what was asked, and what that is.
#[derive(Default)]
pub struct Unsaid(Vec<(Value, Inexpressible)>);

/// Endpoints tried for one request.
pub const ATTEMPTS_MAX: usize = 8;

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
    let mut unsaid = Unsaid::default();
    // With the images in it that it only links, once an endpoint wants that.
    let mut fetched: Option<Result<Option<ChatRequest>, (String, FetchError)>> = None;
    // The longest context that was too short.
    let mut too_short: Option<u64> = None;
    for candidate in &route.attempts {
        if open.attempts().len() >= ATTEMPTS_MAX {
            break;
        }
        if too_short.is_some_and(|length| candidate.endpoint.context_length <= length) {
            continue;
        }
        let Some(cap) = admission::cap(&request, candidate, open.held()) else {
            continue;
        };
        let (provider, endpoint) = (&*candidate.provider, &*candidate.endpoint);
        let spoken = dialect::of(provider, endpoint);
        // In its own words an API is asked as the caller asks.
        let wants_whole = dialect::wants_images_whole(spoken) && !request.is_native(spoken);
        if wants_whole && fetched.is_none() {
            fetched = Some(state.outbound.inlined(&request).await);
        }
        let asked = match fetched.as_ref().filter(|_| wants_whole) {
            Some(Ok(Some(whole))) => whole,
            Some(Err((field, error))) => {
                let (field, why) = (field.clone(), error.why());
                unsaid.add(candidate, Inexpressible { field, why });
                continue;
            }
            Some(Ok(None)) | None => &request,
        };
        let call = match dialect::encode(spoken, asked, provider, endpoint, cap, user.as_deref()) {
            Ok(call) => call,
            Err(inexpressible) => {
                unsaid.add(candidate, inexpressible);
                continue;
            }
        };
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
        let outgoing = Outgoing {
            provider,
            endpoint,
            call,
            framing: dialect::framing(spoken),
            decoder: Decoder::new(spoken, provider, &open.envelope.id)
                .hiding_reasoning(dialect::hides_reasoning(&request)),
        };
        let begun = state.upstream.begin(&state.config, outgoing, &taken, &waiting).await;
        open.attempted(described(candidate, started, begun.as_ref().err()));
        let failure = match begun {
            Ok(mut answer) => {
                let limits = std::mem::take(&mut answer.limits);
                state.health.limited(&candidate.endpoint.id, limits);
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
        learn(&state, candidate, &failure);
        match failure.error.elsewhere {
            Elsewhere::LargerContext => too_short = too_short.max(Some(candidate.endpoint.context_length)),
            Elsewhere::Always | Elsewhere::Never => {}
        }
        let is_final = failure.error.elsewhere == Elsewhere::Never;
        last = Some((failure.error, candidate.provider.name.clone()));
        if is_final || waiting.gone.load(Ordering::Acquire) {
            break;
        }
    }
    let attempts: Vec<Value> = open.attempts().iter().map(refusal::told).collect();
    open.finish(Outcome::Failed);
    Err(unanswered(last, unsaid, attempts))
}

/// What the caller is told when no endpoint answered: of the `last` failure, or that nobody could be asked.
pub fn unanswered(last: Option<(UpstreamError, String)>, unsaid: Unsaid, attempts: Vec<Value>) -> ApiError {
    match last {
        Some((error, provider)) => unsaid
            .beside(provider_error(&error, &provider))
            .with("attempts", attempts),
        None => unsaid.refusal(),
    }
}

/// What a failure says about the endpoint: how long to leave it alone, and whether its operator must know.
pub fn learn(state: &DataPlane, candidate: &Candidate, failure: &Failed) {
    let endpoint = &candidate.endpoint.id;
    state.health.limited(endpoint, failure.limits.clone());
    state.health.cool_down(endpoint, failure.error.cooldown_secs);
    if failure.error.is_houses {
        tracing::error!(
            endpoint,
            provider.status = failure.status,
            provider.message = failure.error.message,
            "a provider refuses this server's key, balance or model name"
        );
    }
}

pub fn described(candidate: &Candidate, started: Instant, failure: Option<&Failed>) -> Attempt {
    Attempt {
        endpoint: candidate.endpoint.id.clone(),
        provider: candidate.provider.slug.clone(),
        status: failure.map_or(Some(200), |failure| failure.status),
        error_type: failure.map(|failure| failure.error.kind.name().to_owned()),
        latency_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
    }
}

impl Unsaid {
    pub fn add(&mut self, candidate: &Candidate, why: Inexpressible) {
        let skipped = json!({"endpoint": candidate.endpoint.id, "provider": candidate.provider.slug,
            "reason": why.to_string(), "field": why.field});
        self.0.push((skipped, why));
    }

    /// Beside the failure of those that were asked.
    fn beside(self, error: ApiError) -> ApiError {
        if self.0.is_empty() {
            return error;
        }
        let skipped: Vec<Value> = self.0.into_iter().map(|(skipped, _)| skipped).collect();
        error.with("skipped", skipped)
    }

    /// Nobody was asked.
    fn refusal(self) -> ApiError {
        let Some((_, why)) = self.0.first() else {
            return provider_error(&upstream_error::from_transport(TransportFailure::Connect), "");
        };
        let message = format!("No provider of this model can be asked this: {why}.");
        let field = why.field.clone();
        self.beside(ApiError::new(ErrorType::InvalidRequest, message).with("field", field))
    }
}

/// Who asks, as told to providers: stable for one end user of one account, and meaningless outside.
pub fn end_user(caller: &Caller, user: &[u8]) -> String {
    let user = String::from_utf8_lossy(user);
    let hash = domain::api_key::secret_hash(&format!("end-user:{}:{user}", caller.account));
    format!("tw-{}", &hash[..32])
}
