//! The one path of every inference request: route → reserve money → send → relay → settle.

use crate::auth::Caller;
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::exchange::{Exchange, Starting, Waiting};
use crate::relay::{KEEP_ALIVE, Relay};
use crate::settlement::{Beginning, OpenGeneration, Taken};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::catalog::CancelPolicy;
use domain::generation::{Attempt, Generation, Outcome};
use domain::id::GenerationId;
use domain::money::NanoUsd;
use domain::usage::Usage;
use gateway::chunk;
use gateway::completion::Completion;
use gateway::estimate;
use gateway::openai;
use gateway::request::ChatRequest;
use gateway::route::{self, Candidate, Route};
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

mod admission;
mod admit;
mod refusal;
mod told;

#[cfg(test)]
mod hot_path;

use admit::{Admitted, admit};
pub use refusal::provider_error;

const GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");
/// Endpoints tried for one request.
const ATTEMPTS_MAX: usize = 8;

/// Serves a chat request to its end, or to the beginning of its stream.
pub async fn serve(state: &Arc<DataPlane>, caller: Caller, request: ChatRequest) -> Result<Response, ApiError> {
    let catalog = state.catalog.load_full();
    let seed = u64::from_le_bytes(clock::random());
    let mut route = route::route(&catalog, &request, &state.conditions(), seed).map_err(refusal::unroutable)?;
    let Admitted {
        hold,
        seat,
        place,
        told,
    } = admit(state, &caller, &request, &mut route).await?;
    let generation = draft(state, &caller, &request, &route.attempts[0]);
    let id = generation.id.clone();
    let beginning = Beginning {
        generation,
        provider: route.attempts[0].provider.name.clone(),
        prompt: request.prompt.clone(),
        choices: request.choices,
        hold,
        seat,
        place,
    };
    let open = OpenGeneration::new(beginning, state.room.clone());
    let envelope = open.envelope.clone();
    let stream = request.stream;
    let waiting = Arc::<Waiting>::default();
    let taken = open.taken();
    let attempts = first_to_answer(Arc::clone(state), request, route, caller, open, Arc::clone(&waiting));
    let mut starting = Starting::new(attempts, waiting, taken, state.background.clone());
    let response = if stream {
        let relay = tokio::select! {
            biased;
            started = &mut starting => started.map(Relay::running),
            () = tokio::time::sleep(KEEP_ALIVE) => Ok(Relay::waiting(envelope, starting)),
        };
        relay.map(events)
    } else {
        match starting.await {
            Ok(exchange) => collect(exchange).await.map(json_text),
            Err(error) => Err(error),
        }
    };
    let mut response = response.unwrap_or_else(IntoResponse::into_response);
    told.put(state, response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(GENERATION_ID, id);
    }
    Ok(response)
}

/// The generation as it is known before the request leaves.
fn draft(state: &DataPlane, caller: &Caller, request: &ChatRequest, first: &Candidate) -> Generation {
    let now = clock::now();
    Generation {
        id: GenerationId::new(now, clock::random()),
        node: state.node.clone(),
        account: caller.account.clone(),
        key: caller.key.hash.clone(),
        model: first.model.slug.clone(),
        endpoint: first.endpoint.id.clone(),
        provider: first.provider.slug.clone(),
        surface: "chat".to_owned(),
        streamed: request.stream,
        usage: Usage {
            prompt: request.prompt_tokens_estimate,
            ..Usage::default()
        },
        estimated: true,
        cost: NanoUsd::ZERO,
        house_cost: NanoUsd::ZERO,
        prices: first.endpoint.prices.clone(),
        outcome: Outcome::Failed,
        finish_reason: None,
        native_finish_reason: None,
        upstream_id: None,
        created: now,
        first_token_us: None,
        duration_us: 0,
        app_name: caller.app_name.clone(),
        app_url: caller.app_url.clone(),
        attempts: Vec::new(),
    }
}

/// Tries endpoints in order until one begins to answer. Nothing has reached the caller yet, so failing over is unseen.
async fn first_to_answer(
    state: Arc<DataPlane>,
    request: ChatRequest,
    route: Route,
    caller: Caller,
    mut open: OpenGeneration,
    waiting: Arc<Waiting>,
) -> Result<Exchange, ApiError> {
    let user = request.field("user").map(|user| end_user(&caller, user));
    let mut last: Option<(UpstreamError, String)> = None;
    for candidate in route.attempts.iter().take(ATTEMPTS_MAX) {
        let Some(cap) = admission::cap(&request, candidate, open.held()) else {
            continue;
        };
        let body = openai::encode(&request, &candidate.provider, &candidate.endpoint, cap, user.as_deref());
        let taken = open
            .intend(candidate, state.health.calibration(&candidate.endpoint.id))
            .await
            .map_err(|error| ApiError::internal(&error))?;
        if waiting.gone.load(Ordering::Acquire) {
            break;
        }
        waiting
            .bills_on
            .store(candidate.provider.cancel != CancelPolicy::Stops, Ordering::Release);
        let started = Instant::now();
        let begun = attempt(&state, candidate, body, &taken, &waiting).await;
        open.attempted(described(candidate, started, begun.as_ref().err()));
        let failure = match begun {
            Ok(answer) => {
                let background = state.background.clone();
                return Ok(Exchange::new(answer, open, candidate.provider.cancel, background));
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
) -> Result<crate::upstream::Answer, crate::upstream::Failed> {
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

fn described(candidate: &Candidate, started: Instant, failure: Option<&crate::upstream::Failed>) -> Attempt {
    Attempt {
        endpoint: candidate.endpoint.id.clone(),
        provider: candidate.provider.slug.clone(),
        status: failure.map_or(Some(200), |failure| failure.status),
        error_type: failure.map(|failure| failure.error.kind.name().to_owned()),
        latency_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
    }
}

/// Puts a whole answer together for a caller who did not ask for a stream. Dropped half-way, it settles as cancelled.
async fn collect(mut exchange: Exchange) -> Result<String, ApiError> {
    let mut completion = Completion::default();
    let failure = loop {
        match exchange.next().await {
            Some(Ok(decoded)) => {
                exchange.checkpoint();
                completion.absorb(&decoded.choices);
            }
            Some(Err(error)) => break Some(error),
            None if exchange.open().is_complete() => break None,
            None => break Some(upstream_error::from_transport(TransportFailure::Broken)),
        }
    };
    let envelope = exchange.open().envelope.clone();
    if let Some(failure) = failure {
        exchange.finish(Outcome::Failed);
        return Err(provider_error(&failure, &envelope.provider));
    }
    let Some(generation) = exchange.finish(Outcome::Completed) else {
        return Err(ApiError::internal(&"a generation ended twice"));
    };
    Ok(completion.finish(&envelope, &generation.usage, &chunk::settled_cost(&generation), None))
}

/// Who asks, as told to providers: stable for one end user of one account, and meaningless outside.
fn end_user(caller: &Caller, user: &[u8]) -> String {
    let user = String::from_utf8_lossy(user);
    let hash = domain::api_key::secret_hash(&format!("end-user:{}:{user}", caller.account));
    format!("tw-{}", &hash[..32])
}

fn events(relay: Relay) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::new(relay)).into_response()
}

fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// The estimate that holds are based on.
fn prompt_ceiling(request: &ChatRequest) -> u64 {
    estimate::prompt_tokens_ceiling(request.prompt_tokens_estimate)
}

/// For metadata of errors.
fn amount(amount: NanoUsd) -> Value {
    json!(amount.to_decimal())
}
