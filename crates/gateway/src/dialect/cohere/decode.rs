//! Cohere's stream, understood.

use super::{FORMAT, PLAN};
use crate::dialect::delta::{Delta, filled, url_citation};
use crate::dialect::json::Json;
use crate::dialect::{done, failed, reasoning};
use crate::openai::{self, Decoded, NotAChunk};
use bytes::Bytes;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(in crate::dialect) struct Decoder {
    begun: bool,
    /// Place among the calls by the provider's index, and whether arguments came.
    calls: BTreeMap<u64, (u64, bool)>,
    /// Of the next entry of `reasoning_details`.
    detail: u64,
    /// What the last piece of reasoning was, which the next may continue.
    last: Option<Thought>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thought {
    Thinking,
    Plan,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Option<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Each member is an object in some events and a list in others.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_plan: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Citation<'a> {
    #[serde(default)]
    start: u64,
    #[serde(default)]
    end: u64,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sources: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct CitedSource<'a> {
    #[serde(borrow, default)]
    document: Option<Document<'a>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
}

/// What is billed may be less than what was counted.
#[derive(Deserialize, Default)]
#[serde(default)]
struct NativeUsage {
    billed_units: Option<Units>,
    tokens: Option<Units>,
    cached_tokens: Option<f64>,
}

/// Whole numbers, written as decimals.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Units {
    input_tokens: f64,
    output_tokens: f64,
}

impl NativeUsage {
    fn normalised(self) -> Usage {
        let units = self.billed_units.or(self.tokens).unwrap_or_default();
        let prompt = whole(units.input_tokens);
        Usage {
            prompt,
            completion: whole(units.output_tokens),
            cache_read: whole(self.cached_tokens.unwrap_or(0.0)).min(prompt),
            ..Usage::default()
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float keeps to the integer's bounds"
)]
fn whole(tokens: f64) -> u64 {
    tokens.ceil() as u64
}

impl Decoder {
    pub fn event(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        if data.as_ref() == b"[DONE]" {
            out.push_back(done());
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        let message = event.delta.as_ref().and_then(|delta| delta.message.as_ref());
        match event.kind.as_ref() {
            "message-start" => out.push_back(Decoded {
                upstream_id: event.id.map(Cow::into_owned),
                ..Decoded::default()
            }),
            "content-start" | "content-delta" => {
                let text = message.and_then(|message| object::<Text<'_>>(message.content));
                out.extend(text.and_then(|text| self.text(&text)));
            }
            "tool-plan-delta" => {
                let plan = message.and_then(|message| filled(message.tool_plan));
                out.extend(plan.map(|plan| self.thought(plan, Thought::Plan)));
            }
            "tool-call-start" => {
                let call = message.and_then(|message| object::<Call<'_>>(message.tool_calls));
                if let Some(call) = call {
                    self.open(event.index, &call, out);
                }
            }
            "tool-call-delta" => {
                let call = message.and_then(|message| object::<Call<'_>>(message.tool_calls));
                let part = call.and_then(|call| filled(call.function?.arguments));
                out.extend(part.and_then(|part| self.arguments(event.index, part)));
            }
            "tool-call-end" => {
                if let Some((_, false)) = self.calls.get(&event.index) {
                    out.extend(self.arguments(event.index, "\"{}\""));
                }
            }
            "citation-start" => {
                let citation = message.and_then(|message| object::<Citation<'_>>(message.citations));
                self.cite(citation, out);
            }
            "message-end" => {
                out.extend(event.delta.map(|delta| self.end(delta)));
                out.push_back(done());
            }
            // An error has no type of its own.
            "" => out.push_back(failed(data)),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &Text<'_>) -> Option<Decoded> {
        if let Some(thinking) = filled(text.thinking) {
            return Some(self.thought(thinking, Thought::Thinking));
        }
        let text = filled(text.text)?;
        Some(self.delta().content(text).decoded())
    }

    fn thought(&mut self, raw: &str, kind: Thought) -> Decoded {
        if self.last.is_some_and(|last| last != kind) {
            self.detail += 1;
        }
        self.last = Some(kind);
        let detail = reasoning::entry("text", raw, FORMAT, self.detail);
        let detail = detail.and("id", (kind == Thought::Plan).then_some(PLAN));
        self.delta().reasoning(raw, detail).decoded()
    }

    fn open(&mut self, at: u64, call: &Call<'_>, out: &mut VecDeque<Decoded>) {
        let index = self.calls.len() as u64;
        self.calls.insert(at, (index, false));
        let name = call.function.as_ref().map_or("", |function| function.name.as_ref());
        out.push_back(self.delta().call(index, &call.id, name).decoded());
        let part = call.function.as_ref().and_then(|function| filled(function.arguments));
        out.extend(part.and_then(|part| self.arguments(at, part)));
    }

    fn arguments(&mut self, at: u64, part: &str) -> Option<Decoded> {
        let (index, has_arguments) = self.calls.get_mut(&at)?;
        *has_arguments = true;
        let index = *index;
        Some(self.delta().arguments(index, part).decoded())
    }

    fn cite(&mut self, citation: Option<Citation<'_>>, out: &mut VecDeque<Decoded>) {
        let Some(citation) = citation else { return };
        for raw in &citation.sources {
            let annotation = annotation(&citation, raw.get());
            out.push_back(self.delta().annotation(annotation).decoded());
        }
    }

    fn end(&mut self, delta: Change<'_>) -> Decoded {
        let native = delta.finish_reason.unwrap_or("COMPLETE".into());
        if let (Some(error), "ERROR") = (delta.error, native.as_ref()) {
            return failed(format!(r#"{{"error":{}}}"#, error.get()).as_bytes());
        }
        let usage = delta.usage.map(NativeUsage::normalised);
        Decoded {
            usage,
            ..self.delta().finished(&native, openai::finish_reason(&native))
        }
    }

    fn delta(&mut self) -> Delta {
        Delta::new(0).role(!std::mem::replace(&mut self.begun, true))
    }
}

fn annotation<'a>(citation: &Citation<'_>, raw: &'a str) -> Json<'a> {
    let document = serde_json::from_str::<CitedSource<'_>>(raw)
        .ok()
        .and_then(|source| source.document);
    let at = citation.start..citation.end;
    let web = document.and_then(|document| Some((document.url?, document.title)));
    match web {
        Some((url, title)) => Json::raw(url_citation(&url, title.as_deref(), citation.text.as_deref(), at).into_text()),
        None => Json::object([
            ("type", "file_citation".into()),
            ("start_index", at.start.into()),
            ("end_index", at.end.into()),
            ("file_citation", Json::raw(raw)),
        ]),
    }
}

fn object<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    let raw = raw.map(RawValue::get).filter(|raw| raw.starts_with('{'))?;
    serde_json::from_str(raw).ok()
}
