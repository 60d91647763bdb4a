//! The HTTP side: the paths of every protocol, `GET /v1/models`, `POST /token`, `GET /tally`, `PUT /script`.

use crate::answer::{Answer, Asked};
use crate::playback::play;
use crate::script::{Cancel, Plan, Refusal, Script};
use crate::tally::{Estimate, Ledger, Outcome, Received, Tally};
use crate::tokens::{prompt_tokens, prompt_tokens_of};
use crate::voice::Protocol;
use crate::{aws, google};
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct State {
    script: Mutex<Script>,
    pub(crate) ledger: Arc<Ledger>,
}

type Shared = axum::extract::State<Arc<State>>;

pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        // Without it tokens wait for acknowledgements; a refusal only makes them late.
        drop(stream.set_nodelay(true));
    });
    axum::serve(listener, router(state)).await
}

impl State {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script: Mutex::new(script),
            ledger: Arc::default(),
        }
    }

    pub(crate) fn set_script(&self, script: Script) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    fn plan(&self, model: &str) -> Plan {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).next(model)
    }

    fn models(&self) -> Vec<String> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.models.keys().cloned().collect()
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/token", post(token))
        .route("/tally", get(tally))
        .route("/script", put(set_script))
        .fallback(ask)
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

/// A request in the protocol that is spoken on its path.
async fn ask(state: Shared, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some(protocol) = Protocol::of(uri.path()).filter(|_| method == Method::POST) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let parsed = serde_json::from_slice::<Value>(&body);
    state.ledger.received(Received {
        path: uri.path().to_owned(),
        headers: header_list(&headers),
        body: parsed.as_ref().cloned().unwrap_or_default(),
    });
    if let Err(why) = aws::verify(&method, &uri, &headers, &body).and_then(|()| google::verify(&headers)) {
        return (StatusCode::FORBIDDEN, Json(protocol.error(why, 403))).into_response();
    }
    let body = match parsed {
        Ok(body) => body,
        Err(error) => return bad_request(protocol, &error.to_string()),
    };
    let model = protocol.model(uri.path(), &body);
    match changed(state.plan(&model), &headers, &body) {
        Ok(plan) => answer(&state, protocol, uri.path(), plan, &body).await,
        Err(error) => bad_request(protocol, &error.to_string()),
    }
}

async fn answer(state: &State, protocol: Protocol, path: &str, plan: Plan, body: &Value) -> Response {
    let plan = match protocol.forced_tool(body) {
        Some(tool) => plan.by_tool(tool),
        None => plan,
    };
    let prompt = plan.prompt_tokens.unwrap_or_else(|| match protocol {
        Protocol::OpenaiChat => prompt_tokens(&body["messages"]),
        _ => prompt_tokens_of(body),
    });
    let asked = Asked::read(protocol, path, body, prompt);
    let estimate = Estimate {
        prompt,
        cached: plan.cached_tokens,
        planned: Answer::new(&plan, &asked, "").planned_tokens(),
        bills_to_end: plan.cancel == Cancel::BillsToEnd,
    };
    let mut bill = state.ledger.open(&asked.model, asked.streamed, estimate);
    tokio::time::sleep(Duration::from_millis(plan.headers_ms)).await;
    if let Some(refusal) = &plan.refusal {
        bill.close(Outcome::Refused);
        return refused(protocol, refusal);
    }
    let id = bill.answer_id();
    let answer = Answer::new(&plan, &asked, &id);
    let (content_type, steps) = if asked.streamed {
        (protocol.content_type(), answer.stream())
    } else {
        let (time, steps) = answer.whole();
        tokio::time::sleep(time).await;
        ("application/json", steps)
    };
    (
        [(header::CONTENT_TYPE, content_type)],
        Body::from_stream(play(steps, bill)),
    )
        .into_response()
}

/// The plan with what the request itself changes.
fn changed(plan: Plan, headers: &HeaderMap, body: &Value) -> Result<Plan, serde_json::Error> {
    let by_header = headers
        .get("x-fake-script")
        .map(|value| serde_json::from_slice(value.as_bytes()));
    let by_message = last_wish(body).and_then(|text| {
        let (_, after) = text.split_once("fake:")?;
        serde_json::Deserializer::from_str(after).into_iter::<Value>().next()
    });
    let mut plan = plan;
    for change in by_header.into_iter().chain(by_message) {
        plan = plan.with(&change?)?;
    }
    Ok(plan)
}

/// The last text that holds a script, wherever the protocol keeps what users say.
fn last_wish(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text.as_str()).filter(|text| text.contains("fake:")),
        Value::Array(all) => all.iter().rev().find_map(last_wish),
        Value::Object(fields) => fields.values().rev().find_map(last_wish),
        _ => None,
    }
}

fn refused(protocol: Protocol, refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match &refusal.body {
        Some(body) => (status, body.clone()).into_response(),
        None => (
            status,
            Json(protocol.error("the fake provider refuses as scripted", refusal.status)),
        )
            .into_response(),
    };
    for (name, value) in &refusal.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn bad_request(protocol: Protocol, message: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(protocol.error(message, 400))).into_response()
}

/// Google's token service.
async fn token(state: Shared, form: String) -> Response {
    state.ledger.received(Received {
        path: "/token".to_owned(),
        headers: Vec::new(),
        body: Value::Null,
    });
    match google::token(&form) {
        Ok(token) => Json(token).into_response(),
        Err(why) => (StatusCode::UNAUTHORIZED, Json(json!({"error": why}))).into_response(),
    }
}

fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

async fn models(state: Shared) -> Json<Value> {
    let data: Vec<Value> = state
        .models()
        .into_iter()
        .map(|id| json!({"id": id, "object": "model", "owned_by": "fake"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

async fn tally(state: Shared) -> Json<Tally> {
    Json(state.ledger.tally())
}

async fn set_script(state: Shared, Json(script): Json<Script>) -> StatusCode {
    state.set_script(script);
    StatusCode::NO_CONTENT
}
