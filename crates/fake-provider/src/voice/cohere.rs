//! Cohere v2.

use super::{Context, Event, Fragment, Voice, Whole};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Cohere {
    contents: u64,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Thinking,
    Text,
    Call(u64),
}

impl Cohere {
    fn turn_to(&mut self, open: Open, start: impl FnOnce(u64) -> Event, out: &mut Vec<Event>) {
        if self.open == Some(open) {
            return;
        }
        self.close(out);
        self.open = Some(open);
        out.push(start(self.contents));
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        match self.open.take() {
            None => {}
            Some(Open::Call(index)) => out.push(event("tool-call-end", json!({"index": index}))),
            Some(Open::Thinking | Open::Text) => {
                out.push(event("content-end", json!({"index": self.contents})));
                self.contents = self.contents.saturating_add(1);
            }
        }
    }

    fn content(&mut self, open: Open, kind: &str, text: &str, out: &mut Vec<Event>) {
        let of = |value: Value| json!({"message": {"content": value}});
        self.turn_to(
            open,
            |index| {
                let start = of(json!({"type": kind, (kind): ""}));
                event("content-start", json!({"index": index, "delta": start}))
            },
            out,
        );
        let delta = of(json!({(kind): text}));
        out.push(event("content-delta", json!({"index": self.contents, "delta": delta})));
    }
}

impl Voice for Cohere {
    fn open(&mut self, context: &Context, out: &mut Vec<Event>) {
        let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
        out.push(event(
            "message-start",
            json!({"id": context.id, "delta": {"message": message}}),
        ));
    }

    fn reasoning(&mut self, _: &Context, text: &str, _: Option<&str>, out: &mut Vec<Event>) {
        self.content(Open::Thinking, "thinking", text, out);
    }

    fn text(&mut self, _: &Context, text: &str, out: &mut Vec<Event>) {
        self.content(Open::Text, "text", text, out);
    }

    fn call(&mut self, _: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        let of = |call: Value| json!({"message": {"tool_calls": call}});
        let index = fragment.index;
        self.turn_to(
            Open::Call(index),
            |_| {
                let function = json!({"name": fragment.name, "arguments": ""});
                let call = json!({"id": fragment.id, "type": "function", "function": function});
                event("tool-call-start", json!({"index": index, "delta": of(call)}))
            },
            out,
        );
        let delta = of(json!({"function": {"arguments": fragment.arguments}}));
        out.push(event("tool-call-delta", json!({"index": index, "delta": delta})));
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.close(out);
        let mut delta = json!({"finish_reason": finish_reason(reason)});
        if context.reports {
            delta["usage"] = usage(context);
        }
        out.push(event("message-end", json!({"delta": delta})));
    }

    fn fail(&mut self, _: &Context, error: &Value) -> Event {
        event(
            "message-end",
            json!({"delta": {"finish_reason": "ERROR", "error": error["message"]}}),
        )
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut content = Vec::new();
        if !whole.reasoning.is_empty() {
            content.push(json!({"type": "thinking", "thinking": whole.reasoning}));
        }
        if !whole.text.is_empty() {
            content.push(json!({"type": "text", "text": whole.text}));
        }
        let calls = whole.calls.iter().map(|call| {
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
        });
        let calls: Vec<Value> = calls.collect();
        json!({"id": context.id, "finish_reason": finish_reason(&whole.reason), "usage": usage(context),
            "message": {"role": "assistant", "content": content, "tool_calls": calls}})
    }
}

/// What is billed is the smaller count: the provider adds its own instructions to a prompt.
fn usage(context: &Context) -> Value {
    let used = context.used;
    json!({"billed_units": {"input_tokens": used.prompt, "output_tokens": used.completion},
        "tokens": {"input_tokens": used.prompt.saturating_add(500), "output_tokens": used.completion},
        "cached_tokens": used.cached})
}

fn finish_reason(reason: &str) -> &str {
    match reason {
        "stop" => "COMPLETE",
        "length" => "MAX_TOKENS",
        "tool_calls" => "TOOL_CALL",
        other => other,
    }
}

fn event(name: &'static str, rest: Value) -> Event {
    let mut data = rest;
    data["type"] = json!(name);
    Event { name, data }
}
