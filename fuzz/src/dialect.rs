//! Providers' dialects: a stream of any bytes becomes pieces of JSON or an error, a request of any bytes a call of JSON
//! or a refusal.

use crate::framing::{lines_of, pieces, sse_events};
use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use domain::price::Cost;
use domain::usage::Usage;
use gateway::chunk::{Emitter, Envelope};
use gateway::completion::Completion;
use gateway::dialect::{self, Decoder, Framing};
use gateway::openai::Decoded;
use gateway::request::ChatRequest;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::LazyLock;

pub fn decode(dialect: Dialect, data: &[u8]) {
    let whole = understood(dialect, events(dialect, std::iter::once(data)));
    let cut = understood(dialect, events(dialect, pieces(data)));
    assert_eq!(format!("{cut:?}"), format!("{whole:?}"));
    relay(whole);
    let mut at_once = VecDeque::new();
    let _ = decoder(dialect).whole(&Bytes::copy_from_slice(data), &mut at_once);
    relay(at_once.into());
}

pub fn encode(dialect: Dialect, data: &[u8]) {
    let Ok(request) = ChatRequest::parse(&Bytes::copy_from_slice(data)) else {
        return;
    };
    let _ = dialect::hides_reasoning(&request, dialect);
    for cap in [None, Some(7)] {
        if let Ok(call) = dialect::encode(dialect, &request, &PROVIDER, &ENDPOINT, cap, Some("u")) {
            assert!(
                serde_json::from_slice::<&serde_json::value::RawValue>(&call.body).is_ok(),
                "no JSON is sent"
            );
            assert!(
                call.path.starts_with('/') && !call.path.contains(['\r', '\n', ' ']),
                "{:?}",
                call.path
            );
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

/// Puts what was understood into the caller's words.
fn relay(all: Vec<Decoded>) {
    let envelope = Envelope {
        id: "gen-1".into(),
        created: 7,
        model: "a/b".into(),
        provider: "P".into(),
    };
    let emitter = Emitter::new(&envelope);
    let (mut completion, mut usage) = (Completion::default(), Usage::default());
    for decoded in all {
        for piece in &decoded.choices {
            assert!(json(&piece.delta).is_object(), "a delta is an object");
        }
        let mut out = Vec::new();
        emitter.chunk(&mut out, &decoded.choices);
        for event in sse_events(std::iter::once(out.as_slice())) {
            json(&event.data);
        }
        completion.absorb(&decoded.choices);
        for report in [decoded.progress, decoded.usage].into_iter().flatten() {
            usage = usage.merged(report);
        }
    }
    json(completion.finish(&envelope, &usage, &Cost::default(), None).as_bytes());
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}
