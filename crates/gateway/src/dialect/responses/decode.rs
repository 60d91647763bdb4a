//! The stream of the Responses API, understood.

use super::format;
use crate::dialect::conversation::unquoted;
use crate::dialect::delta::{Delta, url_citation};
use crate::dialect::json::Json;
use crate::dialect::{done, failed, reasoning};
use crate::openai::{self, Decoded, NotAChunk};
use bytes::Bytes;
use domain::catalog::Provider;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(in crate::dialect) struct Decoder {
    /// Whose reasoning it is.
    format: String,
    begun: bool,
    items: BTreeMap<u64, Item>,
    calls: u64,
    images: u64,
    /// Characters of text so far.
    characters: u64,
}

#[derive(Debug)]
enum Item {
    Reasoning {
        id: Option<String>,
        /// Of the part of the summary that was told last.
        part: Option<u64>,
    },
    Call {
        index: u64,
        has_arguments: bool,
    },
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    summary_index: u64,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<RawItem<'a>>,
    #[serde(borrow, default)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<Vec<SummaryPart<'a>>>,
    #[serde(borrow, default)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    output_format: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct SummaryPart<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(default)]
    start_index: u64,
    #[serde(default)]
    end_index: u64,
}

/// The cache is counted within the input, reasoning within the output.
#[derive(Deserialize, Default)]
#[serde(default)]
struct NativeUsage {
    input_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    output_tokens: u64,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl NativeUsage {
    fn normalised(self, images: u64) -> Usage {
        let input = self.input_tokens_details.unwrap_or_default();
        let cache_read = input.cached_tokens.unwrap_or(0).min(self.input_tokens);
        let reasoning = self.output_tokens_details.unwrap_or_default().reasoning_tokens;
        Usage {
            prompt: self.input_tokens,
            completion: self.output_tokens,
            reasoning: reasoning.unwrap_or(0).min(self.output_tokens),
            cache_read,
            cache_write: input
                .cache_write_tokens
                .unwrap_or(0)
                .min(self.input_tokens - cache_read),
            images,
            ..Usage::default()
        }
    }
}

impl Decoder {
    pub fn new(provider: &Provider) -> Self {
        Self {
            format: format(provider),
            begun: false,
            items: BTreeMap::new(),
            calls: 0,
            images: 0,
            characters: 0,
        }
    }

    pub fn event(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        if data.as_ref() == b"[DONE]" {
            out.push_back(done());
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        let at = event.output_index;
        let delta = event
            .delta
            .map(RawValue::get)
            .filter(|raw| raw.starts_with('"') && raw.len() > 2);
        match (event.kind.as_ref(), delta) {
            ("response.created", _) => out.extend(event.response.map(|response| Decoded {
                upstream_id: response.id.map(Cow::into_owned),
                ..Decoded::default()
            })),
            ("response.output_item.added", _) => out.extend(event.item.and_then(|item| self.open(at, &item))),
            ("response.output_item.done", _) => {
                if let Some(item) = event.item {
                    self.close(at, &item, out);
                }
            }
            ("response.output_text.delta", Some(text)) => out.push_back(self.text(text, event.logprobs)),
            ("response.refusal.delta", Some(text)) => out.push_back(self.delta().refusal(text).decoded()),
            ("response.reasoning_summary_text.delta", Some(text)) => {
                out.push_back(self.summary(at, event.summary_index, text));
            }
            ("response.reasoning_text.delta", Some(text)) => {
                let detail = reasoning::entry("text", text, &self.format, at).into_text();
                out.push_back(self.delta().reasoning(text, Json::raw(detail)).decoded());
            }
            ("response.function_call_arguments.delta", Some(part)) => out.extend(self.arguments(at, part)),
            ("response.function_call_arguments.done", _) => out.extend(self.late_arguments(at, event.arguments)),
            ("response.output_text.annotation.added", _) => {
                let annotation = event.annotation.map(|raw| annotation(raw.get()));
                out.extend(annotation.map(|annotation| self.delta().annotation(annotation).decoded()));
            }
            ("response.completed" | "response.incomplete", _) => {
                let response = event.response.ok_or(NotAChunk)?;
                out.push_back(self.end(response));
                out.push_back(done());
            }
            ("response.failed", _) => {
                let response = event.response.ok_or(NotAChunk)?;
                out.extend(response.usage.map(|usage| Decoded {
                    progress: Some(usage.normalised(self.images)),
                    ..Decoded::default()
                }));
                out.push_back(failed(response.error.map_or(&data[..], |raw| raw.get().as_bytes())));
            }
            ("error", _) => out.push_back(failed(data)),
            // Repetitions of what came piece by piece, and whatever comes to be.
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, at: u64, item: &RawItem<'_>) -> Option<Decoded> {
        match item.kind.as_ref() {
            "reasoning" => {
                let id = item.id.as_deref().map(str::to_owned);
                self.items.insert(at, Item::Reasoning { id, part: None });
                None
            }
            "function_call" => {
                let index = self.calls;
                self.calls += 1;
                let has_arguments = false;
                self.items.insert(at, Item::Call { index, has_arguments });
                let id = item.call_id.as_deref().or(item.id.as_deref()).unwrap_or_default();
                Some(
                    self.delta()
                        .call(index, id, item.name.as_deref().unwrap_or_default())
                        .decoded(),
                )
            }
            _ => None,
        }
    }

    fn close(&mut self, at: u64, item: &RawItem<'_>, out: &mut VecDeque<Decoded>) {
        match item.kind.as_ref() {
            "reasoning" => self.close_reasoning(at, item, out),
            "function_call" => out.extend(self.late_arguments(at, item.arguments)),
            "image_generation_call" => {
                let Some(result) = item.result.as_deref().filter(|result| !result.is_empty()) else {
                    return;
                };
                let (index, after) = (self.images, self.characters);
                self.images += 1;
                let media_type = format!("image/{}", item.output_format.as_deref().unwrap_or("png"));
                out.push_back(self.delta().image(&media_type, result, index, after).decoded());
            }
            _ => {}
        }
    }

    fn close_reasoning(&mut self, at: u64, item: &RawItem<'_>, out: &mut VecDeque<Decoded>) {
        let was_told = matches!(self.items.get(&at), Some(Item::Reasoning { part: Some(_), .. }));
        let untold = item.summary.iter().flatten().filter(|_| !was_told);
        for (part, text) in (0..).zip(untold.filter_map(|part| part.text)) {
            if text.get().len() > 2 {
                out.push_back(self.summary(at, part, text.get()));
            }
        }
        let encrypted = item
            .encrypted_content
            .map(RawValue::get)
            .filter(|raw| raw.starts_with('"'));
        if let Some(data) = encrypted {
            let detail = reasoning::entry("data", data, &self.format, at).and("id", item.id.as_deref());
            let detail = Json::raw(detail.into_text());
            out.push_back(self.delta().details(detail).decoded());
        }
    }

    fn text(&mut self, raw: &str, logprobs: Option<&RawValue>) -> Decoded {
        self.characters += unquoted(raw).chars().count() as u64;
        let logprobs = logprobs.map(RawValue::get).filter(|raw| raw.starts_with("[{"));
        let logprobs = logprobs.map(|raw| Json::object([("content", Json::raw(raw)), ("refusal", Json::raw("null"))]));
        self.delta().content(raw).logprobs(logprobs).decoded()
    }

    /// Parts of a summary are paragraphs.
    fn summary(&mut self, at: u64, part: u64, raw: &str) -> Decoded {
        let (id, told) = match self.items.get_mut(&at) {
            Some(Item::Reasoning { id, part: told }) => (id.clone(), told.replace(part)),
            _ => (None, Some(part)),
        };
        let raw = match told {
            Some(told) if told != part => Cow::Owned(format!("\"\\n\\n{}", &raw[1..])),
            _ => Cow::Borrowed(raw),
        };
        let detail = reasoning::entry("summary", &raw, &self.format, at)
            .and("id", id)
            .into_text();
        self.delta().reasoning(&raw, Json::raw(detail)).decoded()
    }

    fn arguments(&mut self, at: u64, part: &str) -> Option<Decoded> {
        let Some(Item::Call { index, has_arguments }) = self.items.get_mut(&at) else {
            return None;
        };
        *has_arguments = true;
        let index = *index;
        Some(self.delta().arguments(index, part).decoded())
    }

    /// Those that never came piece by piece.
    fn late_arguments(&mut self, at: u64, all: Option<&RawValue>) -> Option<Decoded> {
        let Some(Item::Call {
            has_arguments: false, ..
        }) = self.items.get(&at)
        else {
            return None;
        };
        let all = all
            .map(RawValue::get)
            .filter(|raw| raw.starts_with('"') && raw.len() > 2);
        self.arguments(at, all.unwrap_or("\"{}\""))
    }

    fn end(&mut self, response: Response<'_>) -> Decoded {
        let usage = response.usage.map(|usage| usage.normalised(self.images));
        let incomplete = response.incomplete_details.and_then(|details| details.reason);
        let native = incomplete.or(response.status).unwrap_or("completed".into());
        let reason = match native.as_ref() {
            "completed" if self.calls > 0 => "tool_calls",
            native => openai::finish_reason(native),
        };
        Decoded {
            usage,
            ..self.delta().finished(&native, reason)
        }
    }

    fn delta(&mut self) -> Delta {
        Delta::new(0).role(!std::mem::replace(&mut self.begun, true))
    }
}

/// The chat API has the same, one level deeper.
fn annotation(raw: &str) -> Json<'_> {
    let annotation: Option<Annotation<'_>> = serde_json::from_str(raw).ok();
    match annotation.filter(|annotation| annotation.url.is_some()) {
        Some(annotation) => {
            let at = annotation.start_index..annotation.end_index;
            let url = annotation.url.as_deref().unwrap_or_default();
            Json::raw(url_citation(url, annotation.title.as_deref(), None, at).into_text())
        }
        None => Json::object([("type", "file_citation".into()), ("file_citation", Json::raw(raw))]),
    }
}
