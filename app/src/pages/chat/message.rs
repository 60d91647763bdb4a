//! What goes to the chat API and what comes back, as far as the playground shows it.

use domain::money::NanoUsd;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

#[derive(Serialize)]
pub struct Request<'a> {
    pub model: &'a str,
    pub messages: Vec<Message>,
    pub stream: bool,
    pub stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

#[derive(Serialize)]
pub struct StreamOptions {
    pub include_usage: bool,
}

/// What one event of the stream adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    pub text: String,
    pub provider: Option<String>,
    pub finish: Option<String>,
    pub usage: Option<Spent>,
    /// The message of an error in the middle of the stream.
    pub error: Option<String>,
}

/// What the answer took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub prompt: u64,
    pub completion: u64,
    pub cost: Option<NanoUsd>,
}

/// Reads the data of one event; `None` for something else than a chunk.
#[must_use]
pub fn read(data: &str) -> Option<Update> {
    let chunk: Chunk = serde_json::from_slice(data.as_bytes()).ok()?;
    let choice = chunk.choices.into_iter().next().unwrap_or_default();
    Some(Update {
        text: choice.delta.content.unwrap_or_default(),
        provider: chunk.provider,
        finish: choice.finish_reason,
        usage: chunk.usage.map(|usage| Spent {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens,
            cost: usage.cost.and_then(|cost| NanoUsd::parse_usd(cost.get()).ok()),
        }),
        error: chunk.error.map(|error| error.message),
    })
}

/// The sentence of an error reply, or one made from its status.
#[must_use]
pub fn error_text(status: u16, body: &str) -> String {
    let reply: Option<ErrorReply> = serde_json::from_slice(body.as_bytes()).ok();
    reply.map_or_else(
        || format!("The server answered with status {status}."),
        |reply| reply.error.message,
    )
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    usage: Option<UsageReply>,
    #[serde(default)]
    error: Option<ErrorBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct UsageReply {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    /// Kept as text: money never becomes a float.
    #[serde(default)]
    cost: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ErrorReply {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_adds_text_and_the_last_one_its_cost() {
        let update =
            read(r#"{"id":"gen-1","choices":[{"index":0,"delta":{"content":"Hi"}}],"provider":"Local"}"#).unwrap();
        assert_eq!(
            (update.text.as_str(), update.provider.as_deref()),
            ("Hi", Some("Local"))
        );
        let last =
            read(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.00001275}}"#).unwrap();
        let spent = Spent {
            prompt: 3,
            completion: 4,
            cost: Some(NanoUsd::new(12_750)),
        };
        assert_eq!(last.usage, Some(spent));
    }

    #[test]
    fn errors_are_shown_in_the_servers_words() {
        let update = read(r#"{"error":{"code":502,"message":"The provider broke off."},"choices":[]}"#).unwrap();
        assert_eq!(update.error.as_deref(), Some("The provider broke off."));
        assert_eq!(error_text(402, r#"{"error":{"message":"No credits."}}"#), "No credits.");
        assert_eq!(error_text(502, "<html>"), "The server answered with status 502.");
        assert_eq!(read("not json"), None);
    }
}
