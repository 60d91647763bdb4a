//! The OpenAI chat dialect towards providers: request out, stream events in.

use crate::request::{ChatRequest, Field};
use crate::upstream_error::{self, UpstreamError};
use bytes::Bytes;
use domain::catalog::{Endpoint, Progress, Provider};
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(crate) mod quirks;

/// Path below the provider's base URL.
pub const PATH: &str = "/chat/completions";

/// One event of a provider's stream, or a whole answer, understood.
#[derive(Debug, Default)]
pub struct Decoded {
    pub upstream_id: Option<String>,
    pub choices: Vec<Piece>,
    /// Usage as billed.
    pub usage: Option<Usage>,
    /// Usage so far, from providers that report it along the way.
    pub progress: Option<Usage>,
    pub error: Option<UpstreamError>,
    /// The provider says that nothing follows.
    pub done: bool,
    /// This is the whole answer, not an event of it.
    pub whole: bool,
}

/// What one event adds to one choice.
#[derive(Debug, Clone)]
pub struct Piece {
    pub index: u64,
    /// The `delta` object as the provider wrote it.
    pub delta: Bytes,
    /// `reasoning_content` of the delta, under the name some providers use instead of `reasoning`.
    pub reasoning_alias: Option<Bytes>,
    pub logprobs: Option<Bytes>,
    /// The provider's word for it.
    pub native_finish_reason: Option<String>,
    /// The API's word for it, where it does not follow from the provider's alone.
    pub finish_reason: Option<&'static str>,
    /// Bytes of produced text, reasoning and tool arguments.
    pub text_bytes: usize,
    /// The first of these texts, as it stands in JSON between its quotes.
    pub text: Bytes,
    pub is_reasoning: bool,
}

impl Decoded {
    /// Whether the answer itself is still to come: another provider can take over without the caller seeing it.
    #[must_use]
    pub fn is_preamble(&self) -> bool {
        self.choices.is_empty() && self.usage.is_none() && self.error.is_none() && !self.done
    }
}

impl Piece {
    /// One of the five finish reasons of the API, on the last piece of a choice.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&'static str> {
        let native = self.native_finish_reason.as_deref();
        native.map(|native| self.finish_reason.unwrap_or_else(|| finish_reason(native)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's event is not of the provider's protocol")]
pub struct NotAChunk;

/// Fields that are ours, not the provider's.
pub(crate) const OWN_FIELDS: &[&str] = &[
    "debug",
    "include_reasoning",
    "models",
    "plugins",
    "preset",
    "provider",
    "route",
    "session_id",
    "trace",
    "transforms",
    "usage",
];
/// Fields that are always written anew.
const REPLACED_FIELDS: &[&str] = &["model", "stream", "stream_options", "user"];

/// The body for one endpoint: the caller's fields as written, with ours removed or replaced.
///
/// `max_tokens_cap` limits the answer to what can be paid for; `user` stands for the caller's end user.
#[must_use]
pub fn encode(
    request: &ChatRequest,
    provider: &Provider,
    endpoint: &Endpoint,
    max_tokens_cap: Option<u64>,
    user: Option<&str>,
) -> Vec<u8> {
    let size = request
        .fields()
        .iter()
        .map(|field| field.name.len() + field.value.len() + 4)
        .sum::<usize>();
    let mut body = Object::with_room(size + 256);
    body.text("model", &endpoint.provider_model_id);
    // Always streamed: a provider notices a hang-up only then.
    body.raw("stream", b"true");
    let quirks = &provider.quirks;
    if !quirks.no_stream_options {
        body.raw("stream_options", stream_options(provider.progress));
    }
    if provider.progress == Progress::Timings {
        body.raw("timings_per_token", b"true");
    }
    if let Some(user) = user.filter(|_| !quirks.no_user) {
        body.text("user", user);
    }
    let limit_name = if let Some(only) = quirks.limit {
        only.name()
    } else if request.field("max_completion_tokens").is_some() {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let limit = max_tokens_cap.or(request.max_tokens.filter(|_| quirks.limit.is_some()));
    if let Some(limit) = limit {
        body.raw(limit_name, limit.to_string().as_bytes());
    }
    let is_limit = |name: &str| matches!(name, "max_tokens" | "max_completion_tokens");
    for Field { name, value } in request.fields() {
        let dropped = OWN_FIELDS.contains(&name.as_str()) || REPLACED_FIELDS.contains(&name.as_str());
        if !(dropped || is_limit(name) && limit.is_some() || quirks::drops(quirks, name)) {
            body.raw(quirks::name(quirks, name), &quirks::value(quirks, name, value));
        }
    }
    quirks::reasoning(&mut body, quirks, request);
    body.finish()
}

/// Understands the data of one event, or a whole JSON answer from a provider that ignored `stream`.
pub fn decode(data: &Bytes) -> Result<Decoded, NotAChunk> {
    if data.as_ref() == b"[DONE]" {
        return Ok(Decoded {
            done: true,
            ..Decoded::default()
        });
    }
    let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
    if data.iter().any(is_line_end) {
        return decode(&on_one_line(data));
    }
    if chunk.error.is_some_and(|error| error.get() != "null") {
        return Ok(Decoded {
            error: Some(upstream_error::from_event(data)),
            ..Decoded::default()
        });
    }
    if chunk.choices.is_none() && chunk.usage.is_none() {
        return Err(NotAChunk);
    }
    Ok(Decoded {
        upstream_id: chunk.id.map(Cow::into_owned),
        choices: chunk
            .choices
            .unwrap_or_default()
            .into_iter()
            .map(|choice| piece(data, choice))
            .collect(),
        progress: chunk.timings.map(|timings| timings.usage()),
        usage: chunk.usage.map(NativeUsage::normalised),
        error: None,
        done: false,
        whole: false,
    })
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Parts are passed on as they are written, within a line of a stream. In JSON a line end is nothing but space.
fn on_one_line(data: &[u8]) -> Bytes {
    let spaced = data.iter().map(|byte| if is_line_end(byte) { b' ' } else { *byte });
    spaced.collect::<Vec<u8>>().into()
}

/// The five finish reasons of the API, whatever a provider calls them.
#[must_use]
pub fn finish_reason(native: &str) -> &'static str {
    match native {
        "length" | "max_tokens" | "MAX_TOKENS" | "max_output_tokens" | "model_context_window_exceeded" => "length",
        "tool_calls" | "function_call" | "tool_use" | "TOOL_CALL" => "tool_calls",
        "content_filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "refusal"
        | "sensitive"
        | "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => "content_filter",
        "error"
        | "ERROR"
        | "TIMEOUT"
        | "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "MALFORMED_RESPONSE"
        | "malformed_model_output"
        | "malformed_tool_use" => "error",
        _ => "stop",
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
    #[serde(default)]
    timings: Option<Timings>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default, alias = "message")]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// Usage under the names that providers of this dialect use.
#[derive(Deserialize, Default)]
#[serde(default)]
struct NativeUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Option<u64>,
    /// Databricks, Modal.
    cache_read_input_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Timings {
    prompt_n: Option<u64>,
    cache_n: Option<u64>,
    predicted_n: Option<u64>,
}

impl NativeUsage {
    /// One meaning for all: reasoning is part of the completion. Where a provider's total shows that it counted
    /// reasoning apart (xAI), it is added.
    fn normalised(self) -> Usage {
        let prompt_details = self.prompt_tokens_details.unwrap_or_default();
        let prompt = self.prompt_tokens.unwrap_or(0);
        let completion = self.completion_tokens.unwrap_or(0);
        let details = self.completion_tokens_details.unwrap_or_default();
        let reasoning = details.reasoning_tokens.or(self.reasoning_tokens).unwrap_or(0);
        let apart = reasoning > 0 && self.total_tokens == Some(prompt + completion + reasoning);
        let completion = if apart { completion + reasoning } else { completion };
        let cached = prompt_details
            .cached_tokens
            .or(self.prompt_cache_hit_tokens)
            .or(self.cache_read_input_tokens);
        let cache_read = cached.unwrap_or(0).min(prompt);
        Usage {
            prompt,
            completion,
            reasoning: reasoning.min(completion),
            cache_read,
            cache_write: prompt_details.cache_write_tokens.unwrap_or(0).min(prompt - cache_read),
            audio_in: prompt_details.audio_tokens.unwrap_or(0).min(prompt),
            image_in: prompt_details.image_tokens.unwrap_or(0).min(prompt),
            audio_out: details.audio_tokens.unwrap_or(0).min(completion),
            image_out: details.image_tokens.unwrap_or(0).min(completion),
            ..Usage::default()
        }
    }
}

impl Timings {
    fn usage(&self) -> Usage {
        let cached = self.cache_n.unwrap_or(0);
        Usage {
            prompt: self.prompt_n.unwrap_or(0) + cached,
            completion: self.predicted_n.unwrap_or(0),
            cache_read: cached,
            ..Usage::default()
        }
    }
}

/// A JSON object written field by field.
pub(crate) struct Object(Vec<u8>);

impl Object {
    /// `bytes` should be a little more than it will be long.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0
            .extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.raw(name, serde_json::Value::from(value).to_string().as_bytes());
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}

fn stream_options(progress: Progress) -> &'static [u8] {
    match progress {
        Progress::ContinuousUsage => br#"{"include_usage":true,"continuous_usage_stats":true}"#,
        Progress::AtEnd | Progress::Timings => br#"{"include_usage":true}"#,
    }
}

fn piece(data: &Bytes, choice: Choice<'_>) -> Piece {
    let raw = choice.delta.map_or("{}", RawValue::get);
    let delta: Delta<'_> = serde_json::from_str(raw).unwrap_or_default();
    let reasoning = [delta.reasoning, delta.reasoning_content]
        .into_iter()
        .flatten()
        .map(text_bytes)
        .max()
        .unwrap_or(0);
    let tools = delta
        .tool_calls
        .unwrap_or_default()
        .into_iter()
        .filter_map(|call| call.function);
    let mut tool_bytes = 0;
    let mut tool_text = None;
    for part in tools.flat_map(|function| [function.name, function.arguments]).flatten() {
        tool_bytes += text_bytes(part);
        tool_text = tool_text.or(Some(part).filter(|part| text_bytes(part) > 0));
    }
    let text = [delta.content, delta.reasoning, delta.reasoning_content, delta.refusal]
        .into_iter()
        .flatten()
        .find(|text| text_bytes(text) > 0)
        .or(tool_text);
    let visible: usize = [delta.content, delta.refusal]
        .into_iter()
        .flatten()
        .map(text_bytes)
        .sum();
    let keep = |raw: Option<&RawValue>| raw.filter(|raw| raw.get() != "null").map(|raw| slice(data, raw.get()));
    Piece {
        index: choice.index,
        delta: choice
            .delta
            .map_or(Bytes::from_static(b"{}"), |raw| slice(data, raw.get())),
        reasoning_alias: if delta.reasoning.is_some() {
            None
        } else {
            keep(delta.reasoning_content)
        },
        logprobs: keep(choice.logprobs),
        native_finish_reason: choice.finish_reason.map(Cow::into_owned),
        finish_reason: None,
        text_bytes: reasoning + tool_bytes + visible,
        text: text.map_or(Bytes::new(), |raw| slice(data, &raw.get()[1..raw.get().len() - 1])),
        is_reasoning: reasoning > 0,
    }
}

/// Bytes of a JSON string between its quotes; zero for anything else.
fn text_bytes(raw: &RawValue) -> usize {
    let raw = raw.get();
    if raw.starts_with('"') { raw.len() - 2 } else { 0 }
}

fn slice(data: &Bytes, part: &str) -> Bytes {
    data.slice_ref(part.as_bytes())
}

#[cfg(test)]
mod tests;
