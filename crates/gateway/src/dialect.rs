//! The wire protocols of providers: a chat request becomes a call in the provider's own words, and what comes back
//! becomes the chat stream's pieces again. Text in, text out.
//!
//! A provider is a row of the catalog; a dialect is code, and every place that depends on it matches all of them.

mod answer_tool;
mod anthropic;
mod bedrock;
mod cohere;
pub(crate) mod conversation;
mod delta;
mod gemini;
mod hidden;
pub(crate) mod json;
mod native;
mod ollama;
mod parameters;
pub(crate) mod reasoning;
mod responses;
mod turns;

use crate::openai::{self, Decoded, NotAChunk};
use crate::request::ChatRequest;
use crate::upstream_error;
use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use std::borrow::Cow;
use std::collections::VecDeque;

/// What to send to a provider, besides its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: &'static str,
    /// Below the base URL, with its query. May hold `{project}` and `{location}` for the operator's settings, as base
    /// URLs do.
    pub path: String,
    /// What the dialect needs besides `content-type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What a request says and a provider's API can't. Another endpoint may be able to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {why}")]
pub struct Inexpressible {
    /// Where in the request: `messages[2].content[0].type`.
    pub field: String,
    /// The rest of a sentence that begins with the field.
    pub why: &'static str,
}

/// How a stream's events are told apart on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: [`crate::sse::SseDecoder`].
    Events,
    /// A JSON object in each line: [`crate::lines::LineDecoder`].
    Lines,
    /// AWS event stream: `:event-type` or `:exception-type` is the event's name, the payload its data.
    AwsEvents,
}

/// Understands one provider's stream, event by event.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    hides_reasoning: bool,
}

#[derive(Debug)]
enum State {
    OpenaiChat,
    OpenaiResponses(Box<responses::Decoder>),
    AnthropicMessages(Box<anthropic::Decoder>),
    Gemini(Box<gemini::Decoder>),
    BedrockConverse(Box<bedrock::Decoder>),
    CohereV2(Box<cohere::Decoder>),
    Ollama(Box<ollama::Decoder>),
    Other,
}

/// The dialect an endpoint speaks.
#[must_use]
pub fn of(provider: &Provider, endpoint: &Endpoint) -> Dialect {
    endpoint.dialect.unwrap_or(provider.dialect)
}

#[must_use]
pub const fn framing(dialect: Dialect) -> Framing {
    match dialect {
        Dialect::OpenaiChat
        | Dialect::OpenaiResponses
        | Dialect::AnthropicMessages
        | Dialect::Gemini
        | Dialect::CohereV2
        | Dialect::Other => Framing::Events,
        Dialect::Ollama => Framing::Lines,
        Dialect::BedrockConverse => Framing::AwsEvents,
    }
}

/// Whether providers of the dialect take no image that is only linked.
#[must_use]
pub const fn wants_images_whole(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::BedrockConverse | Dialect::Ollama)
}

/// The call for one endpoint, always for a stream: a provider notices a hang-up only then.
///
/// `cap` limits the answer to what can be paid for; `user` stands for the caller's end user.
///
/// Dropped without a word, because they change how well an answer is made and not what it is: parameters of sampling
/// that the dialect or the endpoint does not know (refused when `provider.require_parameters` is set), marks of what to
/// cache, service tiers, and `reasoning_details` of another format than the provider's own. Instructions in the middle
/// of a conversation move to its beginning where the dialect has but one place for them. Everything else is expressed
/// or refused.
pub fn encode(
    dialect: Dialect,
    request: &ChatRequest,
    provider: &Provider,
    endpoint: &Endpoint,
    cap: Option<u64>,
    user: Option<&str>,
) -> Result<Call, Inexpressible> {
    let native = request.native.as_ref();
    if let Some(call) = native.and_then(|native| native::encode(native, dialect, provider, endpoint, cap, user)) {
        return Ok(call);
    }
    request.chat_form()?;
    match dialect {
        Dialect::OpenaiChat => {
            openai::quirks::refuse_required(request, provider)?;
            let body = openai::encode(request, provider, endpoint, cap, user);
            Ok(Call::new(openai_path(provider, endpoint), body))
        }
        Dialect::OpenaiResponses => responses::encode(request, provider, endpoint, cap, user),
        Dialect::AnthropicMessages => anthropic::encode(request, provider, endpoint, cap, user),
        Dialect::Gemini => gemini::encode(request, provider, endpoint, cap),
        Dialect::BedrockConverse => bedrock::encode(request, endpoint, cap),
        Dialect::CohereV2 => cohere::encode(request, endpoint, cap),
        Dialect::Ollama => ollama::encode(request, endpoint, cap),
        Dialect::Other => Err(cannot("model", "is offered in a protocol that is not spoken here")),
    }
}

impl Call {
    fn new(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: "POST",
            path: path.into(),
            headers: Vec::new(),
            body,
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Decoder {
    /// `id` names the generation, so that calls of tools get ids of their own where the provider gives none.
    #[must_use]
    pub fn new(dialect: Dialect, provider: &Provider, id: &str) -> Self {
        let state = match dialect {
            Dialect::OpenaiChat => State::OpenaiChat,
            Dialect::OpenaiResponses => State::OpenaiResponses(Box::new(responses::Decoder::new(provider))),
            Dialect::AnthropicMessages => State::AnthropicMessages(Box::default()),
            Dialect::Gemini => State::Gemini(Box::new(gemini::Decoder::new(id))),
            Dialect::BedrockConverse => State::BedrockConverse(Box::default()),
            Dialect::CohereV2 => State::CohereV2(Box::default()),
            Dialect::Ollama => State::Ollama(Box::new(ollama::Decoder::new(id))),
            Dialect::Other => State::Other,
        };
        Self {
            state,
            hides_reasoning: false,
        }
    }

    /// Leaves reasoning out of the pieces; it is counted all the same. See [`hides_reasoning`].
    #[must_use]
    pub fn hiding_reasoning(mut self, hides: bool) -> Self {
        self.hides_reasoning = hides;
        self
    }

    /// Understands one event and adds what it says to `out`: nothing, one thing, or several in order.
    pub fn event(&mut self, name: Option<&str>, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        let before = out.len();
        self.understand(name, data, out)?;
        self.hide(out, before);
        Ok(())
    }

    /// Understands a body of JSON from a provider that ignored that a stream was wanted, where the dialect has one form
    /// for both.
    pub fn whole(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        match &mut self.state {
            State::OpenaiChat => {
                let before = out.len();
                let decoded = openai::decode(data)?;
                out.push_back(Decoded { whole: true, ..decoded });
                self.hide(out, before);
                Ok(())
            }
            State::Gemini(_) if data.starts_with(b"[") => {
                let chunks: Vec<&serde_json::value::RawValue> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
                let mut chunks = chunks.into_iter().map(|chunk| data.slice_ref(chunk.get().as_bytes()));
                chunks.try_for_each(|chunk| self.event(None, &chunk, out))
            }
            State::Gemini(_) | State::Ollama(_) => self.event(None, data, out),
            State::OpenaiResponses(_)
            | State::AnthropicMessages(_)
            | State::BedrockConverse(_)
            | State::CohereV2(_)
            | State::Other => Err(NotAChunk),
        }
    }

    fn understand(&mut self, name: Option<&str>, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        match &mut self.state {
            State::OpenaiChat => out.push_back(openai_event(name, data)?),
            State::OpenaiResponses(decoder) => decoder.event(data, out)?,
            State::AnthropicMessages(decoder) => decoder.event(data, out)?,
            State::Gemini(decoder) => decoder.event(data, out)?,
            State::BedrockConverse(decoder) => decoder.event(name, data, out)?,
            State::CohereV2(decoder) => decoder.event(data, out)?,
            State::Ollama(decoder) => decoder.event(data, out)?,
            State::Other => return Err(NotAChunk),
        }
        Ok(())
    }

    fn hide(&self, out: &mut VecDeque<Decoded>, before: usize) {
        if self.hides_reasoning {
            let pieces = out.range_mut(before..).flat_map(|decoded| &mut decoded.choices);
            pieces.for_each(hidden::hide);
        }
    }
}

/// Whether the caller wants no reasoning to be shown. Only the chat API has words for that.
#[must_use]
pub fn hides_reasoning(request: &ChatRequest) -> bool {
    #[derive(serde::Deserialize)]
    struct Reasoning {
        #[serde(default)]
        exclude: bool,
    }
    if request.native.is_some() {
        return false;
    }
    let excluded = request
        .field("reasoning")
        .and_then(|raw| serde_json::from_slice::<Reasoning>(raw).ok());
    excluded.is_some_and(|reasoning| reasoning.exclude)
        || request
            .field("include_reasoning")
            .is_some_and(|raw| raw.as_ref() == b"false")
}

/// Vertex has partners' models behind an address that speaks OpenAI's protocol.
fn openai_path(provider: &Provider, endpoint: &Endpoint) -> Cow<'static, str> {
    if gemini::is_vertex(provider, endpoint) {
        let place = gemini::vertex_place(provider, endpoint);
        Cow::Owned(format!("{place}/endpoints/openapi{}", openai::PATH))
    } else {
        Cow::Borrowed(openai::PATH)
    }
}

fn openai_event(name: Option<&str>, data: &Bytes) -> Result<Decoded, NotAChunk> {
    match openai::decode(data) {
        Err(_) if name == Some("error") => Ok(failed(data)),
        decoded => decoded,
    }
}

fn failed(data: &[u8]) -> Decoded {
    Decoded {
        error: Some(upstream_error::from_event(data)),
        ..Decoded::default()
    }
}

fn done() -> Decoded {
    Decoded {
        done: true,
        ..Decoded::default()
    }
}

pub(crate) fn cannot(field: impl Into<String>, why: &'static str) -> Inexpressible {
    Inexpressible {
        field: field.into(),
        why,
    }
}
