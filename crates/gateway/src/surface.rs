//! The APIs that callers speak: a body in any of their words becomes a chat request, and the pieces of an answer become
//! that API's stream or whole answer again. Text in, text out.

pub mod completions;
pub mod failure;
pub mod gemini;
pub mod messages;
pub mod responses;

mod blocks;
mod carry;
mod chat_form;
mod events;
mod said;

use crate::chunk::{self, Emitter, Envelope};
use crate::completion::Completion;
use crate::openai::Piece;
use domain::price::Cost;
use domain::usage::Usage;
use failure::Failure;
pub use responses::Kept;
use std::sync::Arc;

/// An API that callers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// OpenAI's chat completions, as extended by OpenRouter.
    Chat,
    /// OpenAI's older completions of a text.
    Completions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Gemini's `generateContent`.
    Gemini,
}

/// In which words one request is to be answered.
#[derive(Debug, Clone)]
pub enum Form {
    Chat,
    Completions {
        /// The prompt, where the answer is to begin with it.
        echo: Option<String>,
    },
    Gemini {
        /// A stream is a JSON list instead of events.
        is_list: bool,
        shows_thoughts: bool,
    },
    Messages {
        /// The caller wants the signatures of thoughts without the thoughts.
        omits_thinking: bool,
    },
    Responses(Arc<responses::Asked>),
}

/// Writes the events of one stream, each once and in its API's order.
#[derive(Debug)]
pub enum Stream {
    Chat(Emitter),
    Completions(completions::Stream),
    Gemini(Box<gemini::Stream>),
    Messages(Box<messages::Stream>),
    Responses(Box<responses::Stream>),
}

/// An answer in the making, for callers who did not ask for a stream.
#[derive(Debug)]
pub enum Whole {
    Chat(Completion),
    Completions(completions::Whole),
    Gemini(gemini::Whole),
    Messages(messages::Whole),
    Responses(responses::Whole),
}

impl Surface {
    /// As generations are labelled.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
        }
    }
}

impl Form {
    #[must_use]
    pub const fn surface(&self) -> Surface {
        match self {
            Self::Chat => Surface::Chat,
            Self::Completions { .. } => Surface::Completions,
            Self::Gemini { .. } => Surface::Gemini,
            Self::Messages { .. } => Surface::Messages,
            Self::Responses(_) => Surface::Responses,
        }
    }

    /// What a stream is sent as.
    #[must_use]
    pub const fn stream_content_type(&self) -> &'static str {
        match self {
            Self::Gemini { is_list: true, .. } => "application/json",
            Self::Chat
            | Self::Completions { .. }
            | Self::Gemini { .. }
            | Self::Messages { .. }
            | Self::Responses(_) => "text/event-stream",
        }
    }

    /// Keeps proxies and clients from giving up while the provider is silent.
    #[must_use]
    pub const fn keep_alive(&self) -> &'static [u8] {
        match self {
            Self::Chat | Self::Completions { .. } | Self::Responses(_) => chunk::KEEP_ALIVE,
            // Google's clients know no comments; an empty line is nothing between events, and in a list.
            Self::Gemini { .. } => b"\n",
            Self::Messages { .. } => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
        }
    }
}

impl Stream {
    #[must_use]
    pub fn new(form: &Form, envelope: &Envelope) -> Self {
        match form {
            Form::Chat => Self::Chat(Emitter::new(envelope)),
            Form::Completions { echo } => Self::Completions(completions::Stream::new(envelope, echo.as_deref())),
            Form::Gemini {
                is_list,
                shows_thoughts,
            } => Self::Gemini(Box::new(gemini::Stream::new(envelope, *is_list, *shows_thoughts))),
            Form::Messages { omits_thinking } => {
                Self::Messages(Box::new(messages::Stream::new(envelope, *omits_thinking)))
            }
            Form::Responses(asked) => Self::Responses(Box::new(responses::Stream::new(envelope, asked))),
        }
    }

    /// What one event of the provider adds. Writes nothing when that is nothing.
    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        if pieces.is_empty() {
            return;
        }
        match self {
            Self::Chat(emitter) => emitter.chunk(out, pieces),
            Self::Completions(stream) => stream.pieces(out, pieces),
            Self::Gemini(stream) => stream.pieces(out, pieces),
            Self::Messages(stream) => stream.pieces(out, pieces),
            Self::Responses(stream) => stream.pieces(out, pieces),
        }
    }

    /// The last events, with usage and cost. Gives what is to be kept of it before they are sent.
    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) -> Option<Kept> {
        match self {
            Self::Chat(emitter) => {
                emitter.usage(out, usage, cost);
                out.extend_from_slice(chunk::DONE);
            }
            Self::Completions(stream) => stream.end(out, usage, cost),
            Self::Gemini(stream) => stream.end(out, usage, cost),
            Self::Messages(stream) => stream.end(out, usage, cost),
            Self::Responses(stream) => return stream.end(out, usage, cost),
        }
        None
    }

    /// The last events of a stream that broke off.
    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        match self {
            Self::Chat(emitter) => emitter.error(out, &failure.body(Surface::Chat, None)["error"]),
            Self::Completions(stream) => stream.fail(out, failure),
            Self::Gemini(stream) => stream.fail(out, failure),
            Self::Messages(stream) => stream.fail(out, failure),
            Self::Responses(stream) => stream.fail(out, failure),
        }
    }
}

impl Whole {
    /// `id` is the generation's.
    #[must_use]
    pub fn new(form: &Form, id: &str) -> Self {
        match form {
            Form::Chat => Self::Chat(Completion::default()),
            Form::Completions { echo } => Self::Completions(completions::Whole::new(echo.as_deref())),
            Form::Gemini { shows_thoughts, .. } => Self::Gemini(gemini::Whole::new(id, *shows_thoughts)),
            Form::Messages { omits_thinking } => Self::Messages(messages::Whole::new(id, *omits_thinking)),
            Form::Responses(asked) => Self::Responses(responses::Whole::new(id, asked)),
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        match self {
            Self::Chat(completion) => completion.absorb(pieces),
            Self::Completions(whole) => whole.pieces(pieces),
            Self::Gemini(whole) => whole.pieces(pieces),
            Self::Messages(whole) => whole.pieces(pieces),
            Self::Responses(whole) => whole.pieces(pieces),
        }
    }

    /// The answer as JSON text, and what is to be kept of it before it is sent.
    #[must_use]
    pub fn finish(self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> (String, Option<Kept>) {
        match self {
            Self::Chat(completion) => (completion.finish(envelope, usage, cost, None), None),
            Self::Completions(whole) => (whole.finish(envelope, usage, cost), None),
            Self::Gemini(whole) => (whole.finish(envelope, usage, cost), None),
            Self::Messages(whole) => (whole.finish(envelope, usage, cost), None),
            Self::Responses(whole) => whole.finish(envelope, usage, cost),
        }
    }
}
