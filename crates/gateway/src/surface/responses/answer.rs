//! The answer as a response of items, at once or event by event.

use super::items::FORMAT;
use super::object::{self, Asked, Status, response, usage_json};
use crate::chunk::Envelope;
use crate::dialect::json::Json;
use crate::openai::Piece;
use crate::surface::blocks::{Block, Blocks, Change, Kind};
use crate::surface::carry;
use crate::surface::events::event;
use crate::surface::failure::{Failure, responses_code};
use domain::price::Cost;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Events in OpenAI's order, numbered.
#[derive(Debug)]
pub struct Stream {
    envelope: Envelope,
    asked: Arc<Asked>,
    blocks: Blocks,
    events: Events,
    has_begun: bool,
}

#[derive(Debug)]
pub struct Whole {
    blocks: Blocks,
    asked: Arc<Asked>,
}

/// The number of the next event.
#[derive(Debug, Default)]
struct Events(u64);

impl Stream {
    pub fn new(envelope: &Envelope, asked: &Arc<Asked>) -> Self {
        Self {
            envelope: envelope.clone(),
            asked: Arc::clone(asked),
            blocks: Blocks::new(&envelope.id, 0),
            events: Events::default(),
            has_begun: false,
        }
    }

    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        self.begin(out);
        let (events, envelope) = (&mut self.events, &self.envelope);
        self.blocks.pieces(pieces, &mut |at, block, change| {
            tell(out, events, envelope, at, block, &change);
        });
    }

    /// Gives the response as it is to be kept, if it is.
    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) -> Option<Kept> {
        self.begin(out);
        self.close(out);
        let status = status(&self.blocks);
        let usage = Some(usage_json(usage, cost));
        let output = output(&self.blocks, &self.envelope);
        let response = response(&self.envelope, &self.asked, status, output, usage, None);
        let name = match status {
            Status::Incomplete(_) => "response.incomplete",
            _ => "response.completed",
        };
        let text = response.into_text();
        let told = Json::object([("response", Json::raw(text.as_str()))]);
        self.events.tell(out, name, told);
        self.asked.keeps.then(|| Kept::new(&self.envelope, &self.asked, text))
    }

    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        self.begin(out);
        self.close(out);
        let error = Json::object([
            ("code", responses_code(failure.kind).into()),
            ("message", failure.message.into()),
            ("error_type", failure.kind.name().into()),
            (
                "metadata",
                Json::raw(serde_json::Value::Object(failure.metadata.clone()).to_string()),
            ),
        ]);
        let output = output(&self.blocks, &self.envelope);
        let response = response(&self.envelope, &self.asked, Status::Failed, output, None, Some(error));
        self.events
            .tell(out, "response.failed", Json::object([("response", response)]));
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            let response = response(&self.envelope, &self.asked, Status::InProgress, Vec::new(), None, None);
            self.events.tell(out, name, Json::object([("response", response)]));
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let (events, envelope) = (&mut self.events, &self.envelope);
        self.blocks.end(&mut |at, block, change| {
            tell(out, events, envelope, at, block, &change);
        });
    }
}

/// A response as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: String,
    pub previous: Option<String>,
    /// The request's own items, a JSON list.
    pub input: String,
    /// The response object as JSON.
    pub response: String,
}

impl Kept {
    fn new(envelope: &Envelope, asked: &Asked, response: String) -> Self {
        Self {
            id: object::id(envelope),
            previous: asked.previous.clone(),
            input: asked.input.clone(),
            response,
        }
    }
}

impl Whole {
    pub fn new(id: &str, asked: &Arc<Asked>) -> Self {
        Self {
            blocks: Blocks::new(id, 0),
            asked: Arc::clone(asked),
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        self.blocks.pieces(pieces, &mut |_, _, _| {});
    }

    pub fn finish(mut self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> (String, Option<Kept>) {
        self.blocks.end(&mut |_, _, _| {});
        let usage = Some(usage_json(usage, cost));
        let output = output(&self.blocks, envelope);
        let response = response(envelope, &self.asked, status(&self.blocks), output, usage, None);
        let text = response.into_text();
        let kept = self.asked.keeps.then(|| Kept::new(envelope, &self.asked, text.clone()));
        (text, kept)
    }
}

impl Events {
    fn tell(&mut self, out: &mut Vec<u8>, name: &'static str, data: Json<'_>) {
        let data = data.with("type", name).with("sequence_number", self.0);
        self.0 += 1;
        event(out, Some(name), &data);
    }
}

fn status(blocks: &Blocks) -> Status {
    match blocks.finish.as_ref().map(|(_, reason)| *reason) {
        Some("length") => Status::Incomplete("max_output_tokens"),
        Some("content_filter") if !blocks.all().iter().any(|block| block.kind == Kind::Refusal) => {
            Status::Incomplete("content_filter")
        }
        _ => Status::Completed,
    }
}

fn output<'a>(blocks: &'a Blocks, envelope: &Envelope) -> Vec<Json<'a>> {
    let all = blocks.all().iter().enumerate();
    all.map(|(at, block)| item(block, &id(block, at, envelope), true))
        .collect()
}

/// A provider's own where it has one, since it may ask for it.
fn id(block: &Block, at: usize, envelope: &Envelope) -> String {
    let known = block.details.iter().find_map(|detail| detail.id.as_deref());
    let own = envelope.id.trim_start_matches("gen-");
    match (&block.kind, known) {
        (Kind::Thinking | Kind::Redacted, Some(id)) if id.starts_with("rs_") => id.to_owned(),
        (Kind::Thinking | Kind::Redacted, _) => format!("rs_{own}_{at}"),
        (Kind::Text | Kind::Refusal, _) => format!("msg_{own}_{at}"),
        (Kind::Call { .. }, _) => format!("fc_{own}_{at}"),
        (Kind::Image { .. }, _) => format!("ig_{own}_{at}"),
    }
}

/// An item as it stands when its block is whole, or before it grows.
fn item<'a>(block: &'a Block, id: &str, is_whole: bool) -> Json<'a> {
    let head = |kind: &'static str| Json::object([("type", kind.into()), ("id", id.to_owned().into())]);
    let status = if is_whole { "completed" } else { "in_progress" };
    match &block.kind {
        Kind::Text | Kind::Refusal => {
            let content = if is_whole { vec![part(block, true)] } else { Vec::new() };
            head("message")
                .with("status", status)
                .with("role", "assistant")
                .with("content", Json::List(content))
        }
        Kind::Call { id, name } => {
            let arguments = if is_whole { arguments(block) } else { "" };
            head("function_call")
                .with("status", status)
                .with("call_id", id.as_str())
                .with("name", name.as_str())
                .with("arguments", arguments)
        }
        Kind::Thinking | Kind::Redacted => {
            let text = Json::object([
                (
                    "type",
                    if is_summary(block) {
                        "summary_text"
                    } else {
                        "reasoning_text"
                    }
                    .into(),
                ),
                ("text", block.text.as_str().into()),
            ]);
            let told = if is_whole && !block.text.is_empty() {
                vec![text]
            } else {
                Vec::new()
            };
            let (summary, content) = if is_summary(block) {
                (told, Vec::new())
            } else {
                (Vec::new(), told)
            };
            head("reasoning")
                .with("summary", Json::List(summary))
                .unless_empty("content", Json::List(content))
                .and("encrypted_content", encrypted(block).filter(|_| is_whole))
        }
        Kind::Image { url } => {
            let data = url.split_once(";base64,").map_or(url.as_str(), |(_, data)| data);
            let result = if is_whole { data.into() } else { Json::raw("null") };
            head("image_generation_call")
                .with("status", status)
                .with("result", result)
        }
    }
}

fn part(block: &Block, is_whole: bool) -> Json<'_> {
    let text = if is_whole { block.text.as_str() } else { "" };
    if block.kind == Kind::Refusal {
        return Json::object([("type", "refusal".into()), ("refusal", text.into())]);
    }
    let annotations = block.annotations.iter().filter(|_| is_whole).map(|raw| annotation(raw));
    Json::object([
        ("type", "output_text".into()),
        ("text", text.into()),
        ("annotations", Json::List(annotations.collect())),
        ("logprobs", Json::List(Vec::new())),
    ])
}

fn arguments(block: &Block) -> &str {
    if block.text.is_empty() { "{}" } else { &block.text }
}

fn is_summary(block: &Block) -> bool {
    block
        .details
        .first()
        .is_some_and(|detail| detail.kind == "reasoning.summary")
}

/// What goes back to who had the thought: as it came where that is OpenAI.
fn encrypted(block: &Block) -> Option<String> {
    if block.details.iter().all(|detail| detail.is_of(FORMAT)) {
        return block
            .details
            .iter()
            .find_map(|detail| detail.data.as_deref())
            .map(str::to_owned);
    }
    Some(carry::pack(&block.details))
}

/// The chat API has the same, one level deeper.
fn annotation(raw: &str) -> Json<'_> {
    #[derive(Deserialize)]
    struct Annotation<'a> {
        #[serde(borrow, default)]
        url_citation: Option<&'a RawValue>,
        #[serde(borrow, default)]
        file_citation: Option<&'a RawValue>,
    }
    let annotation: Option<Annotation<'_>> = serde_json::from_str(raw).ok();
    let inner = annotation.and_then(|annotation| match (annotation.url_citation, annotation.file_citation) {
        (Some(web), _) => Some(("url_citation", web)),
        (None, Some(file)) => Some(("file_citation", file)),
        (None, None) => None,
    });
    match inner {
        Some((kind, inner)) if inner.get().starts_with('{') && inner.get().len() > 2 => {
            Json::raw(format!(r#"{{"type":"{kind}",{}"#, &inner.get()[1..]))
        }
        _ => Json::raw(raw),
    }
}

fn tell(out: &mut Vec<u8>, events: &mut Events, envelope: &Envelope, at: usize, block: &Block, change: &Change<'_>) {
    let index = at as u64;
    let id = id(block, at, envelope);
    let place = |name: &'static str| {
        Json::object([
            ("item_id", id.clone().into()),
            ("output_index", index.into()),
            (name, 0.into()),
        ])
    };
    let in_content = || place("content_index");
    match change {
        Change::Begins => {
            let added = Json::object([("output_index", index.into()), ("item", item(block, &id, false))]);
            events.tell(out, "response.output_item.added", added);
            match block.kind {
                Kind::Text | Kind::Refusal => {
                    let added = in_content().with("part", part(block, false));
                    events.tell(out, "response.content_part.added", added);
                }
                Kind::Image { .. } => {
                    let call = || Json::object([("item_id", id.clone().into()), ("output_index", index.into())]);
                    events.tell(out, "response.image_generation_call.in_progress", call());
                    events.tell(out, "response.image_generation_call.completed", call());
                }
                Kind::Thinking | Kind::Redacted | Kind::Call { .. } => {}
            }
        }
        Change::Grows(raw) => {
            let delta = Json::raw(*raw);
            match &block.kind {
                Kind::Text => {
                    let told = in_content()
                        .with("delta", delta)
                        .with("logprobs", Json::List(Vec::new()));
                    events.tell(out, "response.output_text.delta", told);
                }
                Kind::Refusal => events.tell(out, "response.refusal.delta", in_content().with("delta", delta)),
                Kind::Call { .. } => {
                    let told = Json::object([("item_id", id.into()), ("output_index", index.into()), ("delta", delta)]);
                    events.tell(out, "response.function_call_arguments.delta", told);
                }
                Kind::Thinking | Kind::Redacted => {
                    if is_first(block, raw) {
                        events.tell(out, thought_event(block, "added"), thought_part(block, place, ""));
                    }
                    let told = thought_place(block, place).with("delta", delta);
                    events.tell(out, thought_event(block, "delta"), told);
                }
                Kind::Image { .. } => {}
            }
        }
        Change::Annotated(raw) => {
            let number = block.annotations.len().saturating_sub(1) as u64;
            let told = in_content()
                .with("annotation_index", number)
                .with("annotation", annotation(raw));
            events.tell(out, "response.output_text.annotation.added", told);
        }
        Change::Ends => ended(out, events, index, &id, block, place),
    }
}

fn ended<'a>(
    out: &mut Vec<u8>,
    events: &mut Events,
    index: u64,
    id: &str,
    block: &'a Block,
    place: impl Fn(&'static str) -> Json<'a>,
) {
    let text = || Json::from(block.text.as_str());
    match &block.kind {
        Kind::Text => {
            let told = place("content_index").with("text", text());
            let told = told.with("logprobs", Json::List(Vec::new()));
            events.tell(out, "response.output_text.done", told);
        }
        Kind::Refusal => {
            let told = place("content_index").with("refusal", text());
            events.tell(out, "response.refusal.done", told);
        }
        Kind::Call { name, .. } => {
            let told = Json::object([
                ("item_id", id.to_owned().into()),
                ("output_index", index.into()),
                ("name", name.as_str().into()),
                ("arguments", arguments(block).into()),
            ]);
            events.tell(out, "response.function_call_arguments.done", told);
        }
        Kind::Thinking | Kind::Redacted if !block.text.is_empty() => {
            let told = thought_place(block, &place).with("text", text());
            events.tell(out, thought_event(block, "done"), told);
            events.tell(
                out,
                thought_event(block, "ended"),
                thought_part(block, &place, &block.text),
            );
        }
        Kind::Thinking | Kind::Redacted | Kind::Image { .. } => {}
    }
    if matches!(block.kind, Kind::Text | Kind::Refusal) {
        let told = place("content_index").with("part", part(block, true));
        events.tell(out, "response.content_part.done", told);
    }
    let done = Json::object([("output_index", index.into()), ("item", item(block, id, true))]);
    events.tell(out, "response.output_item.done", done);
}

/// Whether all that was thought so far is `raw`.
fn is_first(block: &Block, raw: &str) -> bool {
    crate::dialect::conversation::unquoted(raw).len() == block.text.len()
}

fn thought_event(block: &Block, what: &str) -> &'static str {
    match (is_summary(block), what) {
        (true, "added") => "response.reasoning_summary_part.added",
        (true, "delta") => "response.reasoning_summary_text.delta",
        (true, "done") => "response.reasoning_summary_text.done",
        (true, _) => "response.reasoning_summary_part.done",
        (false, "added") => "response.content_part.added",
        (false, "delta") => "response.reasoning_text.delta",
        (false, "done") => "response.reasoning_text.done",
        (false, _) => "response.content_part.done",
    }
}

fn thought_place<'a>(block: &Block, place: impl Fn(&'static str) -> Json<'a>) -> Json<'a> {
    place(if is_summary(block) {
        "summary_index"
    } else {
        "content_index"
    })
}

fn thought_part<'a>(block: &Block, place: impl Fn(&'static str) -> Json<'a>, text: &'a str) -> Json<'a> {
    let kind = if is_summary(block) {
        "summary_text"
    } else {
        "reasoning_text"
    };
    let part = Json::object([("type", kind.into()), ("text", text.into())]);
    thought_place(block, place).with("part", part)
}
