//! Callers' APIs: a body of any bytes becomes a request that every dialect can say, or a refusal; and whatever a provider
//! answers is JSON in every caller's words.

use crate::dialect::{DIALECTS, call};
use crate::framing::sse_events;
use bytes::Bytes;
use domain::error_type::ErrorType;
use domain::price::Cost;
use domain::usage::Usage;
use gateway::chunk::Envelope;
use gateway::openai::Decoded;
use gateway::request::{ChatRequest, RequestError};
use gateway::surface::failure::Failure;
use gateway::surface::gemini::Sending;
use gateway::surface::responses::Draft;
use gateway::surface::{Form, Stream, Surface, Whole, completions, gemini, messages};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// As the server reads a body of this surface.
pub fn parse(surface: Surface, data: &[u8]) {
    if let Ok(request) = request(surface, &Bytes::copy_from_slice(data)) {
        for dialect in DIALECTS {
            call(dialect, &request);
        }
    }
}

/// Puts what was understood into every caller's words.
pub fn write(all: &[Decoded]) {
    let envelope = Envelope {
        id: "gen-1".into(),
        created: 7,
        model: "a/b".into(),
        provider: "P".into(),
    };
    for form in FORMS.iter() {
        let (mut stream, mut whole) = (Stream::new(form, &envelope), Whole::new(form, &envelope.id));
        let (mut out, mut usage) = (Vec::new(), Usage::default());
        for decoded in all {
            stream.pieces(&mut out, &decoded.choices);
            whole.pieces(&decoded.choices);
            for report in [decoded.progress, decoded.usage].into_iter().flatten() {
                usage = usage.merged(report);
            }
        }
        let mut broken = Stream::new(form, &envelope);
        all.iter()
            .for_each(|decoded| broken.pieces(&mut Vec::new(), &decoded.choices));
        let mut failed = Vec::new();
        broken.fail(&mut failed, &FAILURE);
        check_stream(form, &failed, false);
        stream.end(&mut out, &usage, &Cost::default());
        check_stream(form, &out, true);
        let (text, kept) = whole.finish(&envelope, &usage, &Cost::default());
        json(text.as_bytes());
        drop(kept);
    }
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let bodies = [
        (
            Surface::Chat,
            r#"{"model":"a/b","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (Surface::Completions, r#"{"model":"a/b","prompt":"x"}"#),
        (Surface::Responses, r#"{"model":"a/b","input":"x"}"#),
        (
            Surface::Messages,
            r#"{"model":"a/b","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        ),
        (Surface::Gemini, r#"{"contents":[{"parts":[{"text":"x"}]}]}"#),
    ];
    let form = |(surface, body): (Surface, &'static str)| request(surface, &Bytes::from(body)).expect("a request").form;
    bodies.map(form).into()
});
static METADATA: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
static FAILURE: LazyLock<Failure<'static>> = LazyLock::new(|| Failure {
    status: 502,
    kind: ErrorType::ProviderUnavailable,
    message: "It broke \"off\".\n",
    metadata: &METADATA,
});

fn request(surface: Surface, body: &Bytes) -> Result<ChatRequest, RequestError> {
    match surface {
        Surface::Chat => ChatRequest::parse(body),
        Surface::Completions => completions::parse(body),
        Surface::Responses => Draft::parse(body)?.request(&[], true),
        Surface::Messages => messages::parse(body),
        Surface::Gemini => gemini::parse(body, "a/b", Sending::Events),
    }
}

/// Every event is one, and JSON.
fn check_stream(form: &Form, text: &[u8], ends: bool) {
    let events = sse_events(std::iter::once(text));
    assert!(!ends || !events.is_empty(), "{form:?} ends without a word");
    for event in events.iter().filter(|event| event.data.as_ref() != b"[DONE]") {
        json(&event.data);
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}
