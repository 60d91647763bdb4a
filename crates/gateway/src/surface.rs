//! The APIs that callers speak: a body in any of their words becomes a chat request, and the pieces of an answer become
//! that API's stream or whole answer again. Text in, text out.

pub mod failure;

use crate::chunk::{self, Emitter, Envelope};
use crate::completion::Completion;
use crate::openai::Piece;
use domain::price::Cost;
use domain::usage::Usage;
use failure::Failure;

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
}

/// Writes the events of one stream, each once and in its API's order.
#[derive(Debug)]
pub enum Stream {
    Chat(Emitter),
}

/// An answer in the making, for callers who did not ask for a stream.
#[derive(Debug)]
pub enum Whole {
    Chat(Completion),
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
        }
    }

    /// What a stream is sent as.
    #[must_use]
    pub const fn stream_content_type(&self) -> &'static str {
        match self {
            Self::Chat => "text/event-stream",
        }
    }

    /// Keeps proxies and clients from giving up while the provider is silent.
    #[must_use]
    pub const fn keep_alive(&self) -> &'static [u8] {
        match self {
            Self::Chat => chunk::KEEP_ALIVE,
        }
    }
}

impl Stream {
    #[must_use]
    pub fn new(form: &Form, envelope: &Envelope) -> Self {
        match form {
            Form::Chat => Self::Chat(Emitter::new(envelope)),
        }
    }

    /// What one event of the provider adds. Writes nothing when that is nothing.
    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        if pieces.is_empty() {
            return;
        }
        match self {
            Self::Chat(emitter) => emitter.chunk(out, pieces),
        }
    }

    /// The last events, with usage and cost.
    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) {
        match self {
            Self::Chat(emitter) => {
                emitter.usage(out, usage, cost);
                out.extend_from_slice(chunk::DONE);
            }
        }
    }

    /// The last events of a stream that broke off.
    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        match self {
            Self::Chat(emitter) => emitter.error(out, &failure.body(Surface::Chat, None)["error"]),
        }
    }
}

impl Whole {
    #[must_use]
    pub fn new(form: &Form) -> Self {
        match form {
            Form::Chat => Self::Chat(Completion::default()),
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        match self {
            Self::Chat(completion) => completion.absorb(pieces),
        }
    }

    /// The answer as JSON text.
    #[must_use]
    pub fn finish(self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> String {
        match self {
            Self::Chat(completion) => completion.finish(envelope, usage, cost, None),
        }
    }
}
