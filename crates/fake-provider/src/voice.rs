//! The wire protocols besides OpenAI chat: what is asked in them, and an answer in their events.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod responses;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is spoken on a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    #[default]
    OpenaiChat,
    OpenaiResponses,
    AnthropicMessages,
    Gemini,
    BedrockConverse,
    CohereV2,
    Ollama,
}

/// What an answer is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) used: Used,
    /// Usage is reported.
    pub(crate) reports: bool,
}

/// Tokens so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) prompt: u64,
    /// Part of the prompt.
    pub(crate) cached: u64,
    pub(crate) completion: u64,
    /// Part of the completion.
    pub(crate) reasoning: u64,
}

/// A piece of a call of a tool; the first has its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) index: u64,
    pub(crate) id: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) arguments: &'a str,
}

/// An answer in one piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) reasoning: String,
    pub(crate) signature: Option<String>,
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    /// In OpenAI's words.
    pub(crate) reason: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// An event before it is framed.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) data: Value,
}

/// Writes one answer in a protocol's events.
pub(crate) trait Voice {
    fn open(&mut self, context: &Context, out: &mut Vec<Event>);
    fn reasoning(&mut self, context: &Context, text: &str, signature: Option<&str>, out: &mut Vec<Event>);
    fn text(&mut self, context: &Context, text: &str, out: &mut Vec<Event>);
    fn call(&mut self, context: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>);
    /// `reason` is OpenAI's word for it.
    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>);
    fn fail(&mut self, context: &Context, error: &Value) -> Event;
    fn whole(&self, context: &Context, whole: &Whole) -> Value;
}

impl Protocol {
    /// What is spoken on `path`.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let ends = |end: &str| path.ends_with(end);
        Some(match () {
            () if ends("/chat/completions") => Self::OpenaiChat,
            () if ends("/responses") => Self::OpenaiResponses,
            () if ends("/messages") || ends("awPredict") => Self::AnthropicMessages,
            () if ends("enerateContent") => Self::Gemini,
            () if ends("/converse") || ends("/converse-stream") => Self::BedrockConverse,
            () if ends("/api/chat") => Self::Ollama,
            () if ends("/v2/chat") => Self::CohereV2,
            () => return None,
        })
    }

    pub(crate) fn voice(self) -> Option<Box<dyn Voice + Send>> {
        Some(match self {
            Self::OpenaiChat => return None,
            Self::OpenaiResponses => Box::new(responses::Responses::default()),
            Self::AnthropicMessages => Box::new(anthropic::Anthropic::default()),
            Self::Gemini => Box::new(gemini::Gemini::default()),
            Self::BedrockConverse => Box::new(bedrock::Bedrock::default()),
            Self::CohereV2 => Box::new(cohere::Cohere::default()),
            Self::Ollama => Box::new(ollama::Ollama::default()),
        })
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ollama => "application/x-ndjson",
            Self::BedrockConverse => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    /// An event as it stands on the wire, with lines that end in `end`.
    pub(crate) fn framed(self, event: &Event, end: &str) -> Bytes {
        let Event { name, data } = event;
        match self {
            Self::Ollama => Bytes::from(format!("{data}\n")),
            Self::BedrockConverse => aws_frame(name, data),
            Self::Gemini | Self::OpenaiChat => Bytes::from(format!("data: {data}{end}{end}")),
            _ => Bytes::from(format!("event: {name}{end}data: {data}{end}{end}")),
        }
    }

    /// The body of a refusal.
    pub(crate) fn error(self, message: &str, status: u16) -> Value {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => {
                json!({"error": {"message": message, "type": "fake_error", "param": null, "code": status}})
            }
            Self::AnthropicMessages => {
                let kind = match status {
                    429 => "rate_limit_error",
                    401 => "authentication_error",
                    529 => "overloaded_error",
                    400..500 => "invalid_request_error",
                    _ => "api_error",
                };
                json!({"type": "error", "error": {"type": kind, "message": message}})
            }
            Self::Gemini => {
                let name = match status {
                    429 => "RESOURCE_EXHAUSTED",
                    503 => "UNAVAILABLE",
                    400..500 => "INVALID_ARGUMENT",
                    _ => "INTERNAL",
                };
                json!({"error": {"code": status, "message": message, "status": name}})
            }
            Self::BedrockConverse | Self::CohereV2 => json!({"message": message}),
            Self::Ollama => json!({"error": message}),
        }
    }

    /// The limit on the answer's tokens.
    pub(crate) fn limit(self, body: &Value) -> Option<u64> {
        let places: &[&str] = match self {
            Self::OpenaiChat => &["/max_completion_tokens", "/max_tokens"],
            Self::OpenaiResponses => &["/max_output_tokens"],
            Self::AnthropicMessages | Self::CohereV2 => &["/max_tokens"],
            Self::Gemini => &["/generationConfig/maxOutputTokens"],
            Self::BedrockConverse => &["/inferenceConfig/maxTokens"],
            Self::Ollama => &["/options/num_predict"],
        };
        places.iter().find_map(|place| body.pointer(place)?.as_u64())
    }

    /// The model, from the body or the path.
    pub(crate) fn model(self, path: &str, body: &Value) -> String {
        let in_path = |before: &str, after: char| {
            let (_, rest) = path.split_once(before)?;
            Some(decoded(rest.split(after).next()?))
        };
        let named = match self {
            Self::Gemini => in_path("/models/", ':'),
            Self::BedrockConverse => in_path("/model/", '/'),
            Self::AnthropicMessages if path.contains("/models/") => in_path("/models/", ':'),
            _ => None,
        };
        named.unwrap_or_else(|| body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    pub(crate) fn is_streamed(self, path: &str, body: &Value) -> bool {
        match self {
            Self::Gemini => path.contains(":stream"),
            Self::BedrockConverse => path.ends_with("-stream"),
            // Streams unless told otherwise.
            Self::Ollama => body.get("stream") != Some(&Value::Bool(false)),
            _ => body.get("stream") == Some(&Value::Bool(true)),
        }
    }

    /// A tool that must be called, where providers are known to keep to it.
    pub(crate) fn forced_tool(self, body: &Value) -> Option<&str> {
        let place = match self {
            Self::AnthropicMessages => "/tool_choice/name",
            Self::BedrockConverse => "/toolConfig/toolChoice/tool/name",
            _ => return None,
        };
        body.pointer(place)?.as_str()
    }
}

/// The arguments of a call as an object.
fn object(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| json!({}))
}

fn aws_frame(name: &str, data: &Value) -> Bytes {
    let header = |name: &'static str, value: String| Header::new(name, HeaderValue::String(value.into()));
    let (kind, told) = if name.ends_with("Exception") {
        ("exception", ":exception-type")
    } else {
        ("event", ":event-type")
    };
    let message = Message::new(Bytes::from(data.to_string()))
        .add_header(header(told, name.to_owned()))
        .add_header(header(":content-type", "application/json".to_owned()))
        .add_header(header(":message-type", kind.to_owned()));
    let mut out = Vec::new();
    // Fails only for headers longer than these.
    drop(write_message_to(&message, &mut out));
    out.into()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
        let digits = String::from_utf8_lossy(&digits).into_owned();
        out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&out).into_owned()
}
