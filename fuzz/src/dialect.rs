//! Providers' dialects: a stream of any bytes becomes pieces of JSON or an error, a request of any bytes a call of JSON
//! or a refusal.

use crate::framing::{lines_of, pieces, sse_events};
use crate::surface;
use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use gateway::dialect::{self, Decoder, Framing};
use gateway::openai::Decoded;
use gateway::request::ChatRequest;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::LazyLock;

pub const DIALECTS: [Dialect; 7] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::CohereV2,
    Dialect::Ollama,
];

pub fn decode(dialect: Dialect, data: &[u8]) {
    let whole = understood(dialect, events(dialect, std::iter::once(data)));
    let cut = understood(dialect, events(dialect, pieces(data)));
    assert_eq!(format!("{cut:?}"), format!("{whole:?}"));
    check(&whole);
    let mut at_once = VecDeque::new();
    let _ = decoder(dialect).whole(&Bytes::copy_from_slice(data), &mut at_once);
    check(&Vec::from(at_once));
}

pub fn encode(dialect: Dialect, data: &[u8]) {
    if let Ok(request) = ChatRequest::parse(&Bytes::copy_from_slice(data)) {
        call(dialect, &request);
    }
}

/// What would be sent for it is JSON, to an address.
pub(crate) fn call(dialect: Dialect, request: &ChatRequest) {
    let _ = dialect::hides_reasoning(request);
    for cap in [None, Some(7)] {
        if let Ok(call) = dialect::encode(dialect, request, &PROVIDER, &ENDPOINT, cap, Some("u")) {
            let body = serde_json::from_slice::<&serde_json::value::RawValue>(&call.body);
            assert!(body.is_ok(), "no JSON is sent: {}", String::from_utf8_lossy(&call.body));
            let is_path = call.path.starts_with('/') && !call.path.contains(['\r', '\n', ' ']);
            assert!(is_path, "{:?}", call.path);
        }
    }
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    made(json!({"slug": "p", "name": "P", "base_url": "http://x", "dialect": "other", "auth": "none"}))
});
static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    made(
        json!({"id": "a/b|p", "model": "a/b", "provider": "p", "provider_model_id": "claude-sonnet-4-5",
        "context_length": 100_000, "prices": {"prompt": 1, "completion": 1}}),
    )
});

fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a row of the catalog")
}

fn decoder(dialect: Dialect) -> Decoder {
    Decoder::new(dialect, &PROVIDER, "gen-1")
}

fn events<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(Option<String>, Bytes)> {
    match dialect::framing(dialect) {
        Framing::Events => sse_events(pieces)
            .into_iter()
            .map(|event| (event.name, event.data))
            .collect(),
        Framing::Lines => lines_of(pieces).into_iter().map(|line| (None, line)).collect(),
        // Names and payloads, as the golden files have them; the frames have a target of their own.
        Framing::AwsEvents => lines_of(pieces).iter().map(named).collect(),
    }
}

fn named(line: &Bytes) -> (Option<String>, Bytes) {
    match line.iter().position(|byte| *byte == b' ') {
        Some(space) => (
            Some(String::from_utf8_lossy(&line[..space]).into_owned()),
            line.slice(space + 1..),
        ),
        None => (None, line.clone()),
    }
}

/// As the relay does: what is of no protocol ends the answer.
fn understood(dialect: Dialect, events: Vec<(Option<String>, Bytes)>) -> Vec<Decoded> {
    let mut decoder = decoder(dialect);
    let mut out = VecDeque::new();
    for (name, data) in events {
        if decoder.event(name.as_deref(), &data, &mut out).is_err() {
            break;
        }
    }
    out.into()
}

/// Every piece is an object in JSON, and can be told to any caller.
fn check(all: &[Decoded]) {
    for piece in all.iter().flat_map(|decoded| &decoded.choices) {
        let delta = serde_json::from_slice::<Value>(&piece.delta);
        assert!(delta.is_ok_and(|delta| delta.is_object()), "a delta is an object");
    }
    surface::write(all);
}
