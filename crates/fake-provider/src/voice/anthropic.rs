//! Anthropic Messages.

use super::{Context, Event, Fragment, Voice, Whole, object};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Anthropic {
    blocks: u64,
    open: Option<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Call(u64),
}

impl Anthropic {
    fn block(&mut self, block: Block, start: &Value, out: &mut Vec<Event>) -> u64 {
        if self.open != Some(block) {
            self.close(out);
            self.open = Some(block);
            out.push(event(
                "content_block_start",
                &json!({"index": self.blocks, "content_block": start}),
            ));
        }
        self.blocks
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(event("content_block_stop", &json!({"index": self.blocks})));
            self.blocks = self.blocks.saturating_add(1);
        }
    }
}

impl Voice for Anthropic {
    fn open(&mut self, context: &Context, out: &mut Vec<Event>) {
        let message = json!({"id": context.id, "type": "message", "role": "assistant", "model": context.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(context, 1)});
        out.push(event("message_start", &json!({"message": message})));
        out.push(event("ping", &json!({})));
    }

    fn reasoning(&mut self, _: &Context, text: &str, signature: Option<&str>, out: &mut Vec<Event>) {
        let start = json!({"type": "thinking", "thinking": "", "signature": ""});
        let index = self.block(Block::Thinking, &start, out);
        let mut delta = |delta: Value| out.push(event("content_block_delta", &json!({"index": index, "delta": delta})));
        delta(json!({"type": "thinking_delta", "thinking": text}));
        if let Some(signature) = signature {
            delta(json!({"type": "signature_delta", "signature": signature}));
        }
    }

    fn text(&mut self, _: &Context, text: &str, out: &mut Vec<Event>) {
        let index = self.block(Block::Text, &json!({"type": "text", "text": ""}), out);
        let delta = json!({"type": "text_delta", "text": text});
        out.push(event("content_block_delta", &json!({"index": index, "delta": delta})));
    }

    fn call(&mut self, _: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        let start = json!({"type": "tool_use", "id": fragment.id, "name": fragment.name, "input": {}});
        let index = self.block(Block::Call(fragment.index), &start, out);
        let delta = json!({"type": "input_json_delta", "partial_json": fragment.arguments});
        out.push(event("content_block_delta", &json!({"index": index, "delta": delta})));
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.close(out);
        let delta = json!({"stop_reason": stop_reason(reason), "stop_sequence": null});
        let mut last = json!({"delta": delta});
        if context.reports {
            last["usage"] = usage(context, context.used.completion);
        }
        out.push(event("message_delta", &last));
        out.push(event("message_stop", &json!({})));
    }

    fn fail(&mut self, _: &Context, error: &Value) -> Event {
        let error = json!({"type": "overloaded_error", "message": error["message"]});
        event("error", &json!({"error": error}))
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut content = Vec::new();
        if !whole.reasoning.is_empty() {
            content.push(json!({"type": "thinking", "thinking": whole.reasoning, "signature": whole.signature}));
        }
        if !whole.text.is_empty() {
            content.push(json!({"type": "text", "text": whole.text}));
        }
        content.extend(whole.calls.iter().map(
            |call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": object(&call.arguments)}),
        ));
        json!({"id": context.id, "type": "message", "role": "assistant", "model": context.model, "content": content,
            "stop_reason": stop_reason(&whole.reason), "stop_sequence": null,
            "usage": usage(context, context.used.completion)})
    }
}

fn usage(context: &Context, output: u64) -> Value {
    let used = context.used;
    json!({"input_tokens": used.prompt.saturating_sub(used.cached), "cache_read_input_tokens": used.cached,
        "cache_creation_input_tokens": 0, "output_tokens": output})
}

fn stop_reason(reason: &str) -> &str {
    match reason {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        other => other,
    }
}

fn event(name: &'static str, rest: &Value) -> Event {
    let mut data = json!({"type": name});
    if let (Some(data), Some(rest)) = (data.as_object_mut(), rest.as_object()) {
        data.extend(rest.clone());
    }
    Event { name, data }
}
