//! The one path of every inference request: route → reserve money → send → relay → settle.

use crate::auth::Caller;
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::exchange::{Exchange, Starting, Waiting};
use crate::keeper::Keeper;
use crate::relay::{KEEP_ALIVE, Relay};
use crate::settlement::{Beginning, OpenGeneration};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::generation::{Generation, Outcome};
use domain::id::GenerationId;
use domain::money::NanoUsd;
use domain::usage::Usage;
use gateway::chunk;
use gateway::estimate;
use gateway::request::ChatRequest;
use gateway::route::{self, Candidate};
use gateway::surface::{Form, Whole};
use gateway::upstream_error::{self, TransportFailure};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;

mod admission;
mod admit;
mod attempts;
mod refusal;
mod told;

#[cfg(test)]
mod hot_path;

use admit::{Admitted, admit};
use attempts::first_to_answer;
pub use refusal::provider_error;

const GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");

/// Serves a request of any surface to its end, or to the beginning of its stream.
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
    let keeper = Keeper::new(state, caller.account.clone());
    let (stream, form) = (request.stream, request.form.clone());
    let waiting = Arc::<Waiting>::default();
    let taken = open.taken();
    let attempts = first_to_answer(Arc::clone(state), request, route, caller, open, Arc::clone(&waiting));
    let mut starting = Starting::new(attempts, waiting, taken, state.background.clone());
    let response = if stream {
        let relay = tokio::select! {
            biased;
            started = &mut starting => started.map(|exchange| Relay::running(form.clone(), keeper, exchange)),
            () = tokio::time::sleep(KEEP_ALIVE) => Ok(Relay::waiting(form.clone(), keeper.clone(), envelope, starting)),
        };
        relay.map(|relay| events(&form, relay))
    } else {
        match starting.await {
            Ok(exchange) => collect(&form, exchange, keeper).await.map(json_text),
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
        surface: request.form.surface().name().to_owned(),
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

/// Puts a whole answer together for a caller who did not ask for a stream. Dropped half-way, it settles as cancelled.
async fn collect(form: &Form, mut exchange: Exchange, keeper: Keeper) -> Result<String, ApiError> {
    let mut whole = Whole::new(form, &exchange.open().envelope.id);
    let failure = loop {
        match exchange.next().await {
            Some(Ok(decoded)) => {
                exchange.checkpoint();
                whole.pieces(&decoded.choices);
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
    let (text, kept) = whole.finish(&envelope, &generation.usage, &chunk::settled_cost(&generation));
    if let Some(kept) = kept {
        keeper.keep(kept).await;
    }
    Ok(text)
}

fn events(form: &Form, relay: Relay) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(form.stream_content_type())),
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
