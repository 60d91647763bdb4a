//! The answer as candidates of parts, at once or chunk by chunk.

use super::contents::FORMAT;
use crate::chunk::Envelope;
use crate::dialect::json::Json;
use crate::dialect::reasoning::Detail;
use crate::openai::Piece;
use crate::surface::blocks::{Block, Blocks, Change, Kind};
use crate::surface::failure::Failure;
use crate::surface::{Surface, carry, events};
use domain::price::Cost;
use domain::usage::Usage;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Stream {
    envelope: Envelope,
    shows_thoughts: bool,
    /// Sent as a JSON list instead of events.
    is_list: bool,
    candidates: BTreeMap<u64, Candidate>,
    has_begun: bool,
}

#[derive(Debug)]
pub struct Whole {
    id: String,
    shows_thoughts: bool,
    candidates: BTreeMap<u64, Candidate>,
    parts: BTreeMap<u64, Vec<Json<'static>>>,
}

#[derive(Debug)]
struct Candidate {
    blocks: Blocks,
    parts: Parts,
}

/// Parts in the making.
#[derive(Debug, Default)]
struct Parts {
    shows_thoughts: bool,
    ready: Vec<Json<'static>>,
    /// A part that may still be signed, and what its signature is called.
    waiting: Option<(String, Json<'static>)>,
    /// Thoughts of other vendors' models, to be handed back with the next part.
    carried: Vec<Detail<'static>>,
    images: u64,
}

impl Candidate {
    fn new(id: &str, index: u64, shows_thoughts: bool) -> Self {
        Self {
            blocks: Blocks::new(id, index),
            parts: Parts {
                shows_thoughts,
                ..Parts::default()
            },
        }
    }

    fn pieces(&mut self, pieces: &[Piece]) -> Vec<Json<'static>> {
        let parts = &mut self.parts;
        self.blocks
            .pieces(pieces, &mut |_, block, change| parts.hear(block, &change));
        std::mem::take(&mut self.parts.ready)
    }

    fn end(&mut self) -> Vec<Json<'static>> {
        let parts = &mut self.parts;
        self.blocks.end(&mut |_, block, change| parts.hear(block, &change));
        self.parts.flush();
        if !self.parts.carried.is_empty() {
            self.parts.tell(Json::object([("text", "".into())]));
        }
        std::mem::take(&mut self.parts.ready)
    }

    fn finish_reason(&self) -> String {
        const OWN: &[&str] = &[
            "BLOCKLIST",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_SAFETY",
            "LANGUAGE",
            "MALFORMED_FUNCTION_CALL",
            "MAX_TOKENS",
            "PROHIBITED_CONTENT",
            "RECITATION",
            "SAFETY",
            "SPII",
            "STOP",
        ];
        match &self.blocks.finish {
            Some((native, _)) if OWN.contains(&native.as_str()) => native.clone(),
            Some((_, "length")) => "MAX_TOKENS".to_owned(),
            Some((_, "content_filter")) => "SAFETY".to_owned(),
            Some((_, "error")) => "OTHER".to_owned(),
            _ => "STOP".to_owned(),
        }
    }
}

impl Parts {
    fn hear(&mut self, block: &Block, change: &Change<'_>) {
        let text = |raw: &str| Json::object([("text", Json::raw(raw.to_owned()))]);
        match (change, &block.kind) {
            (Change::Grows(raw), Kind::Text | Kind::Refusal) => self.tell(text(raw)),
            (Change::Grows(raw), Kind::Thinking) if self.shows_thoughts => {
                self.flush();
                self.ready.push(text(raw).with("thought", true));
            }
            (Change::Begins, Kind::Image { url }) => {
                let key = format!("image:{}", self.images);
                self.images += 1;
                self.tell_later(key, image(url));
            }
            (Change::Ends, Kind::Call { id, name }) => {
                let is_object = block.text.trim_start().starts_with('{')
                    && serde_json::from_str::<serde::de::IgnoredAny>(&block.text).is_ok();
                let args = if is_object { block.text.clone() } else { "{}".to_owned() };
                let call = Json::object([
                    ("id", id.clone().into()),
                    ("name", name.clone().into()),
                    ("args", Json::raw(args)),
                ]);
                self.tell_later(id.clone(), Json::object([("functionCall", call)]));
            }
            (Change::Ends, Kind::Thinking | Kind::Redacted) => self.think(block),
            _ => {}
        }
    }

    /// What a thought hands back goes with the part it belongs to.
    fn think(&mut self, block: &Block) {
        let is_own = block.details.iter().all(|detail| detail.is_of(FORMAT));
        if !is_own {
            let mut details = block.details.clone();
            if let Some(first) = details.first_mut().filter(|_| !block.text.is_empty()) {
                let text = Some(Cow::Owned(block.text.clone()));
                match first.kind.as_ref() {
                    "reasoning.summary" => first.summary = text,
                    _ => first.text = text,
                }
            }
            self.carried.extend(details);
            return;
        }
        for detail in &block.details {
            if let Some(signature) = &detail.signature {
                let thought = Json::object([("text", "".into()), ("thought", true.into())]);
                self.ready.push(thought.with("thoughtSignature", signature.clone()));
            }
            let Some(data) = &detail.data else { continue };
            let key = detail.id.as_deref().unwrap_or_default();
            match self.waiting.take() {
                Some((waits, part)) if waits == key => {
                    self.ready.push(part.with("thoughtSignature", data.clone()));
                }
                others => {
                    self.waiting = others;
                    self.flush();
                    let text = Json::object([("text", "".into())]);
                    self.ready.push(text.with("thoughtSignature", data.clone()));
                }
            }
        }
    }

    fn tell(&mut self, part: Json<'static>) {
        self.flush();
        let part = self.sign(part);
        self.ready.push(part);
    }

    fn tell_later(&mut self, key: String, part: Json<'static>) {
        self.flush();
        let part = self.sign(part);
        self.waiting = Some((key, part));
    }

    fn sign(&mut self, part: Json<'static>) -> Json<'static> {
        if self.carried.is_empty() {
            return part;
        }
        part.with("thoughtSignature", carry::pack(&std::mem::take(&mut self.carried)))
    }

    fn flush(&mut self) {
        self.ready.extend(self.waiting.take().map(|(_, part)| part));
    }
}

impl Stream {
    pub fn new(envelope: &Envelope, is_list: bool, shows_thoughts: bool) -> Self {
        Self {
            envelope: envelope.clone(),
            shows_thoughts,
            is_list,
            candidates: BTreeMap::new(),
            has_begun: false,
        }
    }

    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        let mut told = Vec::new();
        for index in indices(pieces) {
            let candidate = entry(&mut self.candidates, &self.envelope.id, index, self.shows_thoughts);
            let parts = candidate.pieces(pieces);
            if !parts.is_empty() {
                told.push(json(index, parts, None));
            }
        }
        if !told.is_empty() {
            let chunk = response(&self.envelope, told, None);
            tell(out, self.is_list, &mut self.has_begun, &chunk);
        }
    }

    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) {
        entry(&mut self.candidates, &self.envelope.id, 0, self.shows_thoughts);
        let ended = self.candidates.iter_mut().map(|(index, candidate)| {
            let parts = candidate.end();
            json(*index, parts, Some(candidate.finish_reason()))
        });
        let ended = ended.collect();
        let chunk = response(&self.envelope, ended, Some(usage_json(usage, cost)));
        tell(out, self.is_list, &mut self.has_begun, &chunk);
        self.close(out);
    }

    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        let body = failure.body(Surface::Gemini, None).to_string();
        tell(out, self.is_list, &mut self.has_begun, &Json::raw(body));
        self.close(out);
    }

    fn close(&self, out: &mut Vec<u8>) {
        if self.is_list {
            out.extend_from_slice(b"]\n");
        }
    }
}

impl Whole {
    pub fn new(id: &str, shows_thoughts: bool) -> Self {
        Self {
            id: id.to_owned(),
            shows_thoughts,
            candidates: BTreeMap::new(),
            parts: BTreeMap::new(),
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        for index in indices(pieces) {
            let candidate = entry(&mut self.candidates, &self.id, index, self.shows_thoughts);
            let parts = candidate.pieces(pieces);
            self.parts.entry(index).or_default().extend(parts);
        }
    }

    pub fn finish(mut self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> String {
        entry(&mut self.candidates, &self.id, 0, self.shows_thoughts);
        let mut told = Vec::new();
        for (index, mut candidate) in self.candidates {
            let mut parts = self.parts.remove(&index).unwrap_or_default();
            parts.extend(candidate.end());
            told.push(json(index, joined(parts), Some(candidate.finish_reason())));
        }
        response(envelope, told, Some(usage_json(usage, cost))).into_text()
    }
}

fn indices(pieces: &[Piece]) -> Vec<u64> {
    let mut all: Vec<u64> = pieces.iter().map(|piece| piece.index).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn entry<'c>(
    candidates: &'c mut BTreeMap<u64, Candidate>,
    id: &str,
    index: u64,
    shows_thoughts: bool,
) -> &'c mut Candidate {
    candidates
        .entry(index)
        .or_insert_with(|| Candidate::new(id, index, shows_thoughts))
}

fn tell(out: &mut Vec<u8>, is_list: bool, has_begun: &mut bool, data: &Json<'_>) {
    let has_begun = std::mem::replace(has_begun, true);
    if is_list {
        out.extend_from_slice(if has_begun { b",\n" } else { b"[" });
        out.extend_from_slice(&data.to_bytes());
    } else {
        events::event(out, None, data);
    }
}

/// Texts that follow each other are one part again.
fn joined(parts: Vec<Json<'static>>) -> Vec<Json<'static>> {
    let mut all: Vec<Json<'static>> = Vec::with_capacity(parts.len());
    for part in parts {
        match all.last_mut() {
            Some(last) if is_text(last).is_some() && is_text(last) == is_text(&part) => add(last, &part),
            _ => all.push(part),
        }
    }
    all
}

/// Whether a part is text and nothing else, and then, whether of a thought.
fn is_text(part: &Json<'_>) -> Option<bool> {
    let Json::Object(members) = part else { return None };
    match members.as_slice() {
        [("text", Json::Raw(_))] => Some(false),
        [("text", Json::Raw(_)), ("thought", _)] => Some(true),
        _ => None,
    }
}

fn add(part: &mut Json<'static>, more: &Json<'static>) {
    if let (Json::Object(members), Json::Object(more)) = (part, more)
        && let (Some((_, Json::Raw(text))), Some((_, Json::Raw(more)))) = (members.first_mut(), more.first())
    {
        let text = text.to_mut();
        text.pop();
        text.push_str(&more[1..]);
    }
}

fn response<'a>(envelope: &'a Envelope, candidates: Vec<Json<'a>>, usage: Option<Json<'a>>) -> Json<'a> {
    Json::object([("candidates", Json::List(candidates))])
        .and("usageMetadata", usage)
        .with("modelVersion", envelope.model.as_str())
        .with("responseId", envelope.id.as_str())
        .with("provider", envelope.provider.as_str())
}

fn json(index: u64, parts: Vec<Json<'static>>, finish_reason: Option<String>) -> Json<'static> {
    let content = Json::object([("role", "model".into()), ("parts", Json::List(parts))]);
    Json::object([("content", content)])
        .and("finishReason", finish_reason)
        .with("index", index)
}

fn image(url: &str) -> Json<'static> {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let owned = |text: &str| Json::from(text.to_owned());
    match inline {
        Some((mime_type, data)) => {
            let data = Json::object([("mimeType", owned(mime_type)), ("data", owned(data))]);
            Json::object([("inlineData", data)])
        }
        None => Json::object([("fileData", Json::object([("fileUri", owned(url))]))]),
    }
}

/// Thoughts are counted apart from the answer here.
fn usage_json(usage: &Usage, cost: &Cost) -> Json<'static> {
    Json::object([
        ("promptTokenCount", usage.prompt.into()),
        ("cachedContentTokenCount", usage.cache_read.into()),
        (
            "candidatesTokenCount",
            usage.completion.saturating_sub(usage.reasoning).into(),
        ),
        ("thoughtsTokenCount", usage.reasoning.into()),
        ("totalTokenCount", usage.total().into()),
        ("cost", Json::raw(cost.total.to_decimal())),
    ])
}
