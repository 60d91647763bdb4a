//! The answer as a message of content blocks, at once or event by event.

use crate::chunk::Envelope;
use crate::dialect::json::Json;
use crate::openai::Piece;
use crate::surface::Surface;
use crate::surface::blocks::{Block, Blocks, Change, Kind};
use crate::surface::carry;
use crate::surface::events;
use crate::surface::failure::Failure;
use domain::price::Cost;
use domain::usage::Usage;
use serde::Deserialize;
use std::borrow::Cow;

/// How callers of the chat API see whose reasoning it is.
const FORMAT: &str = "anthropic-claude-v1";

/// Events in the order in which Anthropic sends them.
#[derive(Debug)]
pub struct Stream {
    envelope: Envelope,
    blocks: Blocks,
    omits_thinking: bool,
    has_begun: bool,
}

#[derive(Debug)]
pub struct Whole {
    blocks: Blocks,
    omits_thinking: bool,
}

impl Stream {
    pub fn new(envelope: &Envelope, omits_thinking: bool) -> Self {
        Self {
            envelope: envelope.clone(),
            blocks: Blocks::new(&envelope.id, 0),
            omits_thinking,
            has_begun: false,
        }
    }

    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        self.begin(out);
        let omits = self.omits_thinking;
        self.blocks
            .pieces(pieces, &mut |at, block, change| tell(out, omits, at, block, &change));
    }

    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) {
        self.begin(out);
        let omits = self.omits_thinking;
        self.blocks
            .end(&mut |at, block, change| tell(out, omits, at, block, &change));
        let delta = Json::object([
            ("stop_reason", stop_reason(&self.blocks).into()),
            ("stop_sequence", Json::raw("null")),
        ]);
        let data = Json::object([
            ("type", "message_delta".into()),
            ("delta", delta),
            ("usage", usage_json(usage, cost)),
        ]);
        event(out, "message_delta", &data);
        event(out, "message_stop", &Json::object([("type", "message_stop".into())]));
    }

    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        let body = failure.body(Surface::Messages, Some(&self.envelope.id));
        event(out, "error", &Json::raw(body.to_string()));
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        // What it will have used is told at its end.
        let usage = Json::object([("input_tokens", 0.into()), ("output_tokens", 0.into())]);
        let message = message(&self.envelope, Json::List(Vec::new()), None, usage);
        let data = Json::object([("type", "message_start".into()), ("message", message)]);
        event(out, "message_start", &data);
    }
}

impl Whole {
    pub fn new(id: &str, omits_thinking: bool) -> Self {
        Self {
            blocks: Blocks::new(id, 0),
            omits_thinking,
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        self.blocks.pieces(pieces, &mut |_, _, _| {});
    }

    pub fn finish(mut self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> String {
        self.blocks.end(&mut |_, _, _| {});
        let content = self.blocks.all().iter().map(|block| whole(block, self.omits_thinking));
        let content = Json::List(content.collect());
        let reason = Some(stop_reason(&self.blocks));
        message(envelope, content, reason, usage_json(usage, cost)).into_text()
    }
}

fn message<'a>(envelope: &'a Envelope, content: Json<'a>, reason: Option<&'a str>, usage: Json<'a>) -> Json<'a> {
    let reason = reason.map_or(Json::raw("null"), Json::from);
    Json::object([
        ("id", envelope.id.as_str().into()),
        ("type", "message".into()),
        ("role", "assistant".into()),
        ("model", envelope.model.as_str().into()),
        ("provider", envelope.provider.as_str().into()),
        ("content", content),
        ("stop_reason", reason),
        ("stop_sequence", Json::raw("null")),
        ("usage", usage),
    ])
}

/// What is neither read from the cache nor written to it is counted apart, as Anthropic does.
fn usage_json(usage: &Usage, cost: &Cost) -> Json<'static> {
    let (read, write) = (usage.cache_read, usage.cache_write);
    let input = usage.prompt.saturating_sub(read).saturating_sub(write);
    let by_ttl = Json::object([
        (
            "ephemeral_5m_input_tokens",
            write.saturating_sub(usage.cache_write_1h).into(),
        ),
        ("ephemeral_1h_input_tokens", usage.cache_write_1h.into()),
    ]);
    Json::object([
        ("input_tokens", input.into()),
        ("cache_creation_input_tokens", write.into()),
        ("cache_read_input_tokens", read.into()),
        ("cache_creation", by_ttl),
        ("output_tokens", usage.completion.into()),
        ("cost", Json::raw(cost.total.to_decimal())),
    ])
}

fn stop_reason(blocks: &Blocks) -> &'static str {
    let (native, reason) = match &blocks.finish {
        Some((native, reason)) => (native.as_str(), *reason),
        None => ("", "stop"),
    };
    match (native, reason) {
        ("stop_sequence", _) => "stop_sequence",
        ("model_context_window_exceeded", _) => "model_context_window_exceeded",
        ("pause_turn", _) => "pause_turn",
        (_, "length") => "max_tokens",
        (_, "content_filter") => "refusal",
        (_, "tool_calls") => "tool_use",
        _ if blocks.has_calls() => "tool_use",
        _ => "end_turn",
    }
}

fn tell(out: &mut Vec<u8>, omits_thinking: bool, at: usize, block: &Block, change: &Change<'_>) {
    let index = at as u64;
    let delta = |out: &mut Vec<u8>, kind: &'static str, name: &'static str, value: Json<'_>| {
        let delta = Json::object([("type", kind.into()), (name, value)]);
        let data = Json::object([
            ("type", "content_block_delta".into()),
            ("index", index.into()),
            ("delta", delta),
        ]);
        event(out, "content_block_delta", &data);
    };
    match (change, &block.kind) {
        (Change::Begins, _) => {
            let data = Json::object([
                ("type", "content_block_start".into()),
                ("index", index.into()),
                ("content_block", begun(block)),
            ]);
            event(out, "content_block_start", &data);
        }
        (Change::Grows(raw), Kind::Text | Kind::Refusal) => delta(out, "text_delta", "text", Json::raw(*raw)),
        (Change::Grows(raw), Kind::Thinking) if !omits_thinking => {
            delta(out, "thinking_delta", "thinking", Json::raw(*raw));
        }
        (Change::Grows(raw), Kind::Call { .. }) => delta(out, "input_json_delta", "partial_json", Json::raw(*raw)),
        (Change::Grows(_), Kind::Thinking | Kind::Redacted | Kind::Image { .. }) => {}
        (Change::Annotated(raw), _) => delta(out, "citations_delta", "citation", citation(raw)),
        (Change::Ends, kind) => {
            if *kind == Kind::Thinking
                && let Some(signature) = signature(block)
            {
                delta(out, "signature_delta", "signature", signature.into());
            }
            let data = Json::object([("type", "content_block_stop".into()), ("index", index.into())]);
            event(out, "content_block_stop", &data);
        }
    }
}

/// A block as it stands before it grows.
fn begun(block: &Block) -> Json<'_> {
    match &block.kind {
        Kind::Text | Kind::Refusal => Json::object([("type", "text".into()), ("text", "".into())]),
        Kind::Thinking => Json::object([
            ("type", "thinking".into()),
            ("thinking", "".into()),
            ("signature", "".into()),
        ]),
        Kind::Call { id, name } => call(id, name, Json::Object(Vec::new())),
        Kind::Redacted | Kind::Image { .. } => whole(block, false),
    }
}

fn whole(block: &Block, omits_thinking: bool) -> Json<'_> {
    match &block.kind {
        Kind::Text | Kind::Refusal => {
            let citations = block.annotations.iter().map(|raw| citation(raw));
            Json::object([("type", "text".into()), ("text", block.text.as_str().into())])
                .unless_empty("citations", Json::List(citations.collect()))
        }
        Kind::Thinking => {
            let text = if omits_thinking { "" } else { &block.text };
            Json::object([
                ("type", "thinking".into()),
                ("thinking", text.into()),
                ("signature", signature(block).unwrap_or_default().into()),
            ])
        }
        Kind::Redacted => {
            let own = block.details.iter().find(|detail| detail.is_of(FORMAT));
            let data = match own.and_then(|detail| detail.data.as_deref()) {
                Some(data) => Cow::Borrowed(data),
                None => carry::pack(&block.details).into(),
            };
            Json::object([("type", "redacted_thinking".into()), ("data", data.into())])
        }
        Kind::Call { id, name } => {
            let is_object = block.text.trim_start().starts_with('{')
                && serde_json::from_str::<serde::de::IgnoredAny>(&block.text).is_ok();
            // Arguments that broke off have no other place in a whole answer.
            let input = match is_object {
                true => Json::raw(block.text.as_str()),
                false if block.text.trim().is_empty() => Json::Object(Vec::new()),
                false => Json::object([("partial_json", block.text.as_str().into())]),
            };
            call(id, name, input)
        }
        Kind::Image { url } => Json::object([("type", "image".into()), ("source", image_source(url))]),
    }
}

fn call<'a>(id: &'a str, name: &'a str, input: Json<'a>) -> Json<'a> {
    Json::object([
        ("type", "tool_use".into()),
        ("id", id.into()),
        ("name", name.into()),
        ("input", input),
    ])
}

fn image_source(url: &str) -> Json<'_> {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => Json::object([
            ("type", "base64".into()),
            ("media_type", media_type.into()),
            ("data", data.into()),
        ]),
        None => Json::object([("type", "url".into()), ("url", url.into())]),
    }
}

/// Anthropic's own, or what another provider wants to have back. None where nothing is.
fn signature(block: &Block) -> Option<String> {
    let is_own = block.details.iter().all(|detail| detail.is_of(FORMAT));
    if is_own {
        let signatures = block.details.iter().filter_map(|detail| detail.signature.as_deref());
        return Some(signatures.collect::<String>()).filter(|signature| !signature.is_empty());
    }
    Some(carry::pack(&block.details))
}

fn citation(raw: &str) -> Json<'_> {
    #[derive(Deserialize)]
    struct Annotation<'a> {
        #[serde(borrow, default)]
        url_citation: Option<Web<'a>>,
    }
    #[derive(Deserialize)]
    struct Web<'a> {
        #[serde(borrow, default)]
        url: Cow<'a, str>,
        #[serde(borrow, default)]
        title: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        content: Option<Cow<'a, str>>,
    }
    let annotation: Option<Annotation<'_>> = serde_json::from_str(raw).ok();
    match annotation.and_then(|annotation| annotation.url_citation) {
        Some(web) => Json::object([
            ("type", "web_search_result_location".into()),
            ("url", web.url.into()),
            ("title", web.title.map_or(Json::raw("null"), Json::from)),
            ("cited_text", web.content.unwrap_or_default().into()),
            ("encrypted_index", "".into()),
        ]),
        None => Json::raw(raw),
    }
}

fn event(out: &mut Vec<u8>, name: &str, data: &Json<'_>) {
    events::event(out, Some(name), data);
}
