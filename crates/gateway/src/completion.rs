//! Puts the pieces of a stream together into one answer, for callers who did not ask for a stream.

use crate::chunk::{Envelope, usage_json};
use crate::openai::Piece;
use domain::price::Cost;
use domain::usage::Usage;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An answer in the making.
#[derive(Debug, Default)]
pub struct Completion {
    choices: BTreeMap<u64, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    message: Map<String, Value>,
    tool_calls: BTreeMap<u64, Map<String, Value>>,
    native_finish_reason: Option<String>,
    finish_reason: Option<&'static str>,
    logprobs: Option<Map<String, Value>>,
}

impl Completion {
    pub fn absorb(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.choices.entry(piece.index).or_default().absorb(piece);
        }
    }

    /// The `chat.completion` object as JSON text. `error` marks an answer that broke off: each choice says so.
    #[must_use]
    pub fn finish(self, envelope: &Envelope, usage: &Usage, cost: &Cost, error: Option<&Value>) -> String {
        let choices: Vec<Value> = self
            .choices
            .into_iter()
            .map(|(index, choice)| choice.finish(index, error))
            .collect();
        let Envelope {
            id,
            created,
            model,
            provider,
        } = envelope;
        let head = json!({"id": id, "object": "chat.completion", "created": created, "model": model, "provider": provider,
            "system_fingerprint": null, "choices": choices});
        let mut text = head.to_string();
        text.pop();
        // The usage is added as text so that the cost stays an exact decimal.
        text.push_str(",\"usage\":");
        text.push_str(&usage_json(usage, cost));
        text.push('}');
        text
    }
}

impl Choice {
    fn absorb(&mut self, piece: &Piece) {
        if let Ok(Value::Object(delta)) = serde_json::from_slice(&piece.delta) {
            for (name, value) in delta {
                match (name.as_str(), value) {
                    ("tool_calls", Value::Array(calls)) => calls.into_iter().for_each(|call| self.tool_call(call)),
                    ("reasoning_content", value) if piece.reasoning_alias.is_some() => {
                        append(&mut self.message, "reasoning", value);
                    }
                    ("reasoning_content", _) => {}
                    ("reasoning_details", Value::Array(details)) => {
                        details.into_iter().for_each(|detail| self.detail(detail));
                    }
                    (_, value) => append(&mut self.message, &name, value),
                }
            }
        }
        if let Some(Value::Object(logprobs)) = piece.logprobs.as_ref().and_then(|raw| serde_json::from_slice(raw).ok())
        {
            let all = self.logprobs.get_or_insert_default();
            logprobs.into_iter().for_each(|(name, value)| append(all, &name, value));
        }
        if piece.native_finish_reason.is_some() {
            self.native_finish_reason.clone_from(&piece.native_finish_reason);
            self.finish_reason = piece.finish_reason();
        }
    }

    /// Fragments of one call share an `index`; a call without one is whole and stands for itself.
    fn tool_call(&mut self, call: Value) {
        let Value::Object(mut call) = call else { return };
        let next = self.tool_calls.len() as u64;
        let index = call.remove("index").and_then(|index| index.as_u64()).unwrap_or(next);
        let whole = self.tool_calls.entry(index).or_default();
        let function = call.remove("function");
        for (name, value) in call {
            if !value.is_null() {
                whole.insert(name, value);
            }
        }
        if let Some(Value::Object(fragment)) = function {
            let function = whole.entry("function").or_insert_with(|| json!({}));
            let Some(function) = function.as_object_mut() else {
                return;
            };
            fragment
                .into_iter()
                .for_each(|(name, value)| append(function, &name, value));
        }
    }

    /// Fragments of one text share kind and `index`, and become one entry again; what is encrypted comes whole.
    fn detail(&mut self, detail: Value) {
        let all = self.message.entry("reasoning_details").or_insert_with(|| json!([]));
        let Value::Array(all) = all else { return };
        let is_same = |last: &&mut Value| {
            detail["type"] != "reasoning.encrypted"
                && detail["index"].is_u64()
                && last["index"] == detail["index"]
                && last["type"] == detail["type"]
        };
        match (all.last_mut().filter(is_same), detail) {
            (Some(Value::Object(last)), Value::Object(fragment)) => fragment
                .into_iter()
                .filter(|(name, _)| !matches!(name.as_str(), "format" | "index"))
                .for_each(|(name, value)| append(last, &name, value)),
            (_, detail) => all.push(detail),
        }
    }

    fn finish(self, index: u64, error: Option<&Value>) -> Value {
        let mut message = self.message;
        message.insert("role".to_owned(), "assistant".into());
        for name in ["content", "refusal", "reasoning"] {
            message.entry(name).or_insert(Value::Null);
        }
        if !self.tool_calls.is_empty() {
            let calls = self.tool_calls.into_values().map(|mut call| {
                call.entry("type").or_insert_with(|| "function".into());
                Value::Object(call)
            });
            message.insert("tool_calls".to_owned(), calls.collect());
        }
        let (reason, native) = match error {
            Some(_) => (Some("error"), Some("error".to_owned())),
            None => (self.finish_reason, self.native_finish_reason),
        };
        let mut choice = json!({
            "index": index,
            "message": message,
            "finish_reason": reason,
            "native_finish_reason": native,
            "logprobs": self.logprobs,
        });
        if let (Some(error), Some(choice)) = (error, choice.as_object_mut()) {
            choice.insert("error".to_owned(), error.clone());
        }
        choice
    }
}

/// Text grows, lists grow, anything else is replaced; `null` changes nothing.
fn append(object: &mut Map<String, Value>, name: &str, value: Value) {
    match (object.get_mut(name), value) {
        (Some(_), Value::Null) => {}
        // `role` comes with every piece from some providers.
        (Some(Value::String(_)), Value::String(_)) if matches!(name, "role" | "id" | "type") => {}
        (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
        (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
        (_, value) => {
            object.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai;
    use bytes::Bytes;

    fn completed(chunks: &[&str]) -> Value {
        let mut completion = Completion::default();
        for chunk in chunks {
            let decoded = openai::decode(&Bytes::copy_from_slice(chunk.as_bytes())).unwrap();
            completion.absorb(&decoded.choices);
        }
        let envelope = Envelope {
            id: "gen-1".into(),
            created: 7,
            model: "a/b".into(),
            provider: "P".into(),
        };
        let text = completion.finish(&envelope, &Usage::default(), &Cost::default(), None);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn text_is_joined_and_the_last_reason_stands() {
        let whole = completed(&[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ]);
        let choice = &whole["choices"][0];
        assert_eq!(
            choice["message"],
            json!({"role": "assistant", "content": "Hello", "refusal": null, "reasoning": null})
        );
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(whole["object"], "chat.completion");
    }

    #[test]
    fn parallel_tool_calls_are_put_together_by_index_with_their_arguments_as_written() {
        let whole = completed(&[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"c1","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\" :"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":" 1.0}"}}]},"finish_reason":"tool_calls"}]}"#,
        ]);
        assert_eq!(
            whole["choices"][0]["message"]["tool_calls"],
            json!([
                {"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{\"x\" : 1.0}"}},
                {"id": "c1", "type": "function", "function": {"name": "g", "arguments": "{}"}}
            ])
        );
    }

    #[test]
    fn fragments_of_reasoning_details_become_one() {
        let whole = completed(&[
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","text":"b","format":"f","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"f","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"x","format":"f","index":1}]}}]}"#,
        ]);
        assert_eq!(
            whole["choices"][0]["message"]["reasoning_details"],
            json!([
                {"type": "reasoning.text", "text": "ab", "signature": "s", "format": "f", "index": 0},
                {"type": "reasoning.encrypted", "data": "x", "format": "f", "index": 1}
            ])
        );
    }

    #[test]
    fn reasoning_and_log_probabilities_are_joined() {
        let whole = completed(&[
            r#"{"choices":[{"delta":{"reasoning_content":"a"},"logprobs":{"content":[{"token":"x"}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"b"},"logprobs":{"content":[{"token":"y"}]}}]}"#,
        ]);
        assert_eq!(whole["choices"][0]["message"]["reasoning"], "ab");
        assert_eq!(whole["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), 2);
    }
}
