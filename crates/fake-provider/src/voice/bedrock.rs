//! Bedrock Converse.

use super::{Context, Event, Fragment, Voice, Whole, object};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Bedrock {
    blocks: u64,
    open: Option<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Reasoning,
    Text,
    Call(u64),
}

impl Bedrock {
    fn block(&mut self, block: Block, out: &mut Vec<Event>) -> bool {
        let is_new = self.open != Some(block);
        if is_new {
            self.close(out);
            self.open = Some(block);
        }
        is_new
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(event("contentBlockStop", json!({"contentBlockIndex": self.blocks})));
            self.blocks = self.blocks.saturating_add(1);
        }
    }

    fn delta(&self, delta: &Value, out: &mut Vec<Event>) {
        let data = json!({"contentBlockIndex": self.blocks, "delta": delta});
        out.push(event("contentBlockDelta", data));
    }
}

impl Voice for Bedrock {
    fn open(&mut self, _: &Context, out: &mut Vec<Event>) {
        out.push(event("messageStart", json!({"role": "assistant"})));
    }

    fn reasoning(&mut self, _: &Context, text: &str, signature: Option<&str>, out: &mut Vec<Event>) {
        self.block(Block::Reasoning, out);
        self.delta(&json!({"reasoningContent": {"text": text}}), out);
        if let Some(signature) = signature {
            self.delta(&json!({"reasoningContent": {"signature": signature}}), out);
        }
    }

    fn text(&mut self, _: &Context, text: &str, out: &mut Vec<Event>) {
        self.block(Block::Text, out);
        self.delta(&json!({"text": text}), out);
    }

    fn call(&mut self, _: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        if self.block(Block::Call(fragment.index), out) {
            let start = json!({"toolUse": {"toolUseId": fragment.id, "name": fragment.name}});
            let data = json!({"contentBlockIndex": self.blocks, "start": start});
            out.push(event("contentBlockStart", data));
        }
        self.delta(&json!({"toolUse": {"input": fragment.arguments}}), out);
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.close(out);
        out.push(event("messageStop", json!({"stopReason": stop_reason(reason)})));
        if context.reports {
            out.push(event(
                "metadata",
                json!({"usage": usage(context), "metrics": {"latencyMs": 1}}),
            ));
        }
    }

    fn fail(&mut self, _: &Context, error: &Value) -> Event {
        event("serviceUnavailableException", json!({"message": error["message"]}))
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut content = Vec::new();
        if !whole.reasoning.is_empty() {
            let text = json!({"text": whole.reasoning, "signature": whole.signature});
            content.push(json!({"reasoningContent": {"reasoningText": text}}));
        }
        if !whole.text.is_empty() {
            content.push(json!({"text": whole.text}));
        }
        content.extend(whole.calls.iter().map(
            |call| json!({"toolUse": {"toolUseId": call.id, "name": call.name, "input": object(&call.arguments)}}),
        ));
        json!({"output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop_reason(&whole.reason), "usage": usage(context), "metrics": {"latencyMs": 1}})
    }
}

fn usage(context: &Context) -> Value {
    let used = context.used;
    json!({"inputTokens": used.prompt.saturating_sub(used.cached), "outputTokens": used.completion,
        "cacheReadInputTokens": used.cached, "cacheWriteInputTokens": 0,
        "totalTokens": used.prompt.saturating_add(used.completion)})
}

fn stop_reason(reason: &str) -> &str {
    match reason {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        other => other,
    }
}

fn event(name: &'static str, data: Value) -> Event {
    Event { name, data }
}
