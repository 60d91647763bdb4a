//! Ollama's own chat: a JSON object in each line, calls whole.

use super::{Call, Context, Event, Fragment, Voice, Whole, object};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Ollama {
    call: Option<(u64, Call)>,
}

impl Ollama {
    fn flush(&mut self, context: &Context, out: &mut Vec<Event>) {
        if let Some((_, call)) = self.call.take() {
            let message = json!({"role": "assistant", "content": "", "tool_calls": [call_of(&call)]});
            out.push(line(context, &message));
        }
    }
}

impl Voice for Ollama {
    fn open(&mut self, _: &Context, _: &mut Vec<Event>) {}

    fn reasoning(&mut self, context: &Context, text: &str, _: Option<&str>, out: &mut Vec<Event>) {
        let message = json!({"role": "assistant", "content": "", "thinking": text});
        out.push(line(context, &message));
    }

    fn text(&mut self, context: &Context, text: &str, out: &mut Vec<Event>) {
        out.push(line(context, &json!({"role": "assistant", "content": text})));
    }

    fn call(&mut self, context: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        if self.call.as_ref().is_none_or(|(index, _)| *index != fragment.index) {
            self.flush(context, out);
            let call = Call {
                name: fragment.name.unwrap_or_default().to_owned(),
                ..Call::default()
            };
            self.call = Some((fragment.index, call));
        }
        if let Some((_, call)) = &mut self.call {
            call.arguments.push_str(fragment.arguments);
        }
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.flush(context, out);
        let message = json!({"role": "assistant", "content": ""});
        out.push(Event {
            name: "",
            data: ended(context, &message, reason),
        });
    }

    fn fail(&mut self, _: &Context, error: &Value) -> Event {
        Event {
            name: "",
            data: json!({"error": error["message"]}),
        }
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut message = json!({"role": "assistant", "content": whole.text});
        if !whole.reasoning.is_empty() {
            message["thinking"] = json!(whole.reasoning);
        }
        if !whole.calls.is_empty() {
            message["tool_calls"] = whole.calls.iter().map(call_of).collect();
        }
        ended(context, &message, &whole.reason)
    }
}

fn call_of(call: &Call) -> Value {
    json!({"function": {"name": call.name, "arguments": object(&call.arguments)}})
}

fn line(context: &Context, message: &Value) -> Event {
    Event {
        name: "",
        data: json!({"model": context.model, "created_at": "2026-11-23T00:00:00Z", "message": message, "done": false}),
    }
}

fn ended(context: &Context, message: &Value, reason: &str) -> Value {
    let reason = if reason == "length" { "length" } else { "stop" };
    let mut data = json!({"model": context.model, "created_at": "2026-11-23T00:00:00Z", "message": message,
        "done": true, "done_reason": reason, "total_duration": 1});
    if context.reports {
        data["prompt_eval_count"] = json!(context.used.prompt);
        data["eval_count"] = json!(context.used.completion);
    }
    data
}
