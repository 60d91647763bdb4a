//! What the provider does with a request.

use crate::tokens::pieces;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Plans for the requests to come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Each serves one request, first come first served.
    pub queue: VecDeque<Plan>,
    /// By the model id in the request.
    pub models: BTreeMap<String, Plan>,
    /// For everything else.
    pub default: Plan,
}

/// How one request is answered. The default is an immediate, well-formed answer of 16 tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Milliseconds until the response head.
    pub headers_ms: u64,
    /// Milliseconds from there to the first token.
    pub first_token_ms: u64,
    /// Milliseconds between tokens.
    pub token_ms: u64,
    /// After this many tokens nothing comes for `pause_ms`.
    pub pause_after_tokens: Option<u64>,
    pub pause_ms: u64,
    /// Tokens of text, if the request's own limit is not lower. Each is four bytes long and comes in a chunk of its own.
    pub tokens: u64,
    /// Text to answer with instead; `tokens` is then how many pieces of at most four bytes it has.
    pub text: Option<String>,
    /// Tokens in one chunk.
    pub tokens_per_chunk: u64,
    /// Tokens of reasoning before the text.
    pub reasoning_tokens: u64,
    /// The delta's field for reasoning.
    pub reasoning_field: String,
    /// Comes after the text; every fragment counts as one token.
    pub tool_call: Option<ToolCall>,
    /// Further calls beside that one, in order.
    pub more_tool_calls: Vec<ToolCall>,
    /// Comes with the last token of reasoning, in the protocols that sign it.
    pub signature: Option<String>,
    /// `length` when the request's limit cut the answer, else this. Empty: none is ever sent.
    pub finish_reason: String,
    pub usage: UsageReport,
    /// Milliseconds from the finish reason to a late usage report.
    pub usage_delay_ms: u64,
    /// Part of the prompt reported as read from the cache.
    pub cached_tokens: u64,
    /// Instead of a quarter of the messages' bytes.
    pub prompt_tokens: Option<u64>,
    /// Answers `timings_per_token` as llama.cpp does.
    pub timings: bool,
    /// Answers `stream_options.continuous_usage_stats` as vLLM does.
    pub continuous_usage: bool,
    /// Sends `[DONE]`.
    pub done: bool,
    /// Refuses instead of answering.
    pub refusal: Option<Refusal>,
    /// After this many tokens an error event comes, and then the end.
    pub error_after_tokens: Option<u64>,
    /// The error event's object.
    pub error_event: Value,
    /// After this many tokens the connection is closed.
    pub cut_after_tokens: Option<u64>,
    /// After this many bytes of the body the connection is closed.
    pub cut_after_bytes: Option<u64>,
    /// After this many tokens nothing comes any more, and the connection stays open.
    pub hang_after_tokens: Option<u64>,
    /// A comment line before every n-th event; 0 for none.
    pub comment_every: u64,
    /// A comment line at this interval while the first token is awaited; 0 for none.
    pub keep_alive_ms: u64,
    /// Ends lines with CR LF.
    pub crlf: bool,
    /// Sends the body byte by byte at this interval of milliseconds; 0 for whole events.
    pub trickle_ms: u64,
    /// What a hang-up does to the bill.
    pub cancel: Cancel,
}

/// A call of one function, with its arguments in pieces that are sent exactly as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Vec<String>,
}

/// Where the stream says what was used, when the request asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// In a chunk of its own, with empty `choices`, after the finish reason.
    #[default]
    Normal,
    Omit,
    /// As normal, and `usage_delay_ms` after the finish reason.
    Late,
    /// Beside the finish reason.
    WithFinish,
    /// Beside the finish reason, and again in a chunk of its own.
    Duplicated,
}

/// An error before any answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refusal {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    /// An error object in OpenAI's shape when missing.
    pub body: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// Works and bills until the caller hangs up.
    #[default]
    Stops,
    /// Bills the whole answer whether or not the caller is still there.
    BillsToEnd,
}

impl Script {
    /// Every request gets `plan`.
    #[must_use]
    pub fn always(plan: Plan) -> Self {
        Self {
            default: plan,
            ..Self::default()
        }
    }

    /// The plan for a request: from the queue, by model, or the default.
    pub(crate) fn next(&mut self, model: &str) -> Plan {
        self.queue
            .pop_front()
            .or_else(|| self.models.get(model).cloned())
            .unwrap_or_else(|| self.default.clone())
    }
}

impl Plan {
    /// This plan with the fields of `change`, an object, replaced.
    pub(crate) fn with(&self, change: &Value) -> Result<Self, serde_json::Error> {
        let mut plan = serde_json::to_value(self)?;
        if let (Value::Object(plan), Value::Object(change)) = (&mut plan, change) {
            plan.extend(change.clone());
        }
        serde_json::from_value(plan)
    }
}

impl Plan {
    /// The same answer as the arguments of a tool that must be called.
    pub(crate) fn by_tool(self, name: &str) -> Self {
        if self.tool_call.is_some() {
            return self;
        }
        let text = self.text.unwrap_or_else(|| "{}".to_owned());
        Self {
            tool_call: Some(ToolCall {
                id: "call_forced".to_owned(),
                name: name.to_owned(),
                arguments: pieces(&text),
            }),
            text: None,
            tokens: 0,
            finish_reason: "tool_calls".to_owned(),
            ..self
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            headers_ms: 0,
            first_token_ms: 0,
            token_ms: 0,
            pause_after_tokens: None,
            pause_ms: 0,
            tokens: 16,
            text: None,
            tokens_per_chunk: 1,
            reasoning_tokens: 0,
            reasoning_field: "reasoning_content".to_owned(),
            tool_call: None,
            more_tool_calls: Vec::new(),
            signature: None,
            finish_reason: "stop".to_owned(),
            usage: UsageReport::Normal,
            usage_delay_ms: 50,
            cached_tokens: 0,
            prompt_tokens: None,
            timings: false,
            continuous_usage: false,
            done: true,
            refusal: None,
            error_after_tokens: None,
            error_event: serde_json::json!({"message": "the fake provider fails as scripted", "type": "server_error", "code": 500}),
            cut_after_tokens: None,
            cut_after_bytes: None,
            hang_after_tokens: None,
            comment_every: 0,
            keep_alive_ms: 0,
            crlf: false,
            trickle_ms: 0,
            cancel: Cancel::Stops,
        }
    }
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            status: 500,
            headers: BTreeMap::new(),
            body: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_served_by_the_queue_then_its_model_then_the_default() {
        let plan = |tokens| Plan {
            tokens,
            ..Plan::default()
        };
        let mut script = Script {
            queue: [plan(1)].into(),
            models: [("m".to_owned(), plan(2))].into(),
            default: plan(3),
        };
        assert_eq!(
            [
                script.next("m").tokens,
                script.next("m").tokens,
                script.next("n").tokens
            ],
            [1, 2, 3]
        );
    }

    #[test]
    fn a_request_changes_single_fields_and_misspelt_ones_are_refused() {
        let plan = Plan {
            tokens: 5,
            ..Plan::default()
        };
        let changed = plan.with(&json!({"token_ms": 7})).unwrap();
        assert_eq!((changed.tokens, changed.token_ms), (5, 7));
        assert!(plan.with(&json!({"tokken_ms": 7})).is_err());
    }
}
