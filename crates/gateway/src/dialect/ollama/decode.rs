//! Ollama's stream, understood: one JSON object in each line.

use crate::dialect::delta::{Delta, filled};
use crate::dialect::json::Json;
use crate::dialect::{done, failed};
use crate::openai::{self, Decoded, NotAChunk};
use bytes::Bytes;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;

#[derive(Debug)]
pub(in crate::dialect) struct Decoder {
    /// Of the generation; ids of calls begin with it.
    id: String,
    begun: bool,
    calls: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    #[serde(default)]
    done: bool,
    #[serde(borrow, default)]
    done_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    prompt_eval_count: u64,
    #[serde(default)]
    eval_count: u64,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl Decoder {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            begun: false,
            calls: 0,
        }
    }

    pub fn event(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        let line: Line<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        if line.error.is_some() {
            out.push_back(failed(data));
            return Ok(());
        }
        if line.message.is_none() && !line.done {
            return Err(NotAChunk);
        }
        if let Some(message) = &line.message {
            self.message(message, line.logprobs, out);
        }
        if line.done {
            out.push_back(self.end(&line));
            out.push_back(done());
        }
        Ok(())
    }

    fn message(&mut self, message: &Message<'_>, logprobs: Option<&RawValue>, out: &mut VecDeque<Decoded>) {
        if let Some(thinking) = filled(message.thinking) {
            let detail = Json::object([
                ("type", "reasoning.text".into()),
                ("text", Json::raw(thinking)),
                ("format", "unknown".into()),
                ("index", 0.into()),
            ]);
            out.push_back(self.delta().reasoning(thinking, detail).decoded());
        }
        if let Some(text) = filled(message.content) {
            let logprobs = logprobs.map(RawValue::get).filter(|raw| raw.starts_with("[{"));
            let logprobs = logprobs.map(|raw| Json::object([("content", Json::raw(raw))]));
            out.push_back(self.delta().content(text).logprobs(logprobs).decoded());
        }
        for call in message.tool_calls.iter().flatten() {
            let index = self.calls;
            self.calls += 1;
            let own = || format!("call_{}_{index}", self.id);
            let id = call
                .id
                .as_deref()
                .filter(|id| !id.is_empty())
                .map_or_else(own, str::to_owned);
            let arguments = call.function.arguments.map_or("{}", RawValue::get);
            out.push_back(
                self.delta()
                    .whole_call(index, &id, &call.function.name, arguments)
                    .decoded(),
            );
        }
    }

    fn end(&mut self, line: &Line<'_>) -> Decoded {
        let native = line.done_reason.as_deref().unwrap_or("stop");
        let reason = match openai::finish_reason(native) {
            "stop" if self.calls > 0 => "tool_calls",
            reason => reason,
        };
        Decoded {
            usage: Some(Usage {
                prompt: line.prompt_eval_count,
                completion: line.eval_count,
                ..Usage::default()
            }),
            ..self.delta().finished(native, reason)
        }
    }

    fn delta(&mut self) -> Delta {
        Delta::new(0).role(!std::mem::replace(&mut self.begun, true))
    }
}
