//! Gemini's `generateContent`: calls come whole, and usage grows with every chunk.

use super::{Call, Context, Event, Fragment, Voice, Whole, object};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Gemini {
    call: Option<(u64, Call)>,
    /// Goes to the first call, or to the end of the text.
    signature: Option<String>,
}

impl Gemini {
    fn flush(&mut self, context: &Context, out: &mut Vec<Event>) {
        if let Some((_, call)) = self.call.take() {
            let mut part = call_part(&call);
            if let Some(signature) = self.signature.take() {
                part["thoughtSignature"] = json!(signature);
            }
            out.push(chunk(context, &[part], None));
        }
    }
}

impl Voice for Gemini {
    fn open(&mut self, _: &Context, _: &mut Vec<Event>) {}

    fn reasoning(&mut self, context: &Context, text: &str, signature: Option<&str>, out: &mut Vec<Event>) {
        self.signature = signature.map(str::to_owned).or(self.signature.take());
        out.push(chunk(context, &[json!({"text": text, "thought": true})], None));
    }

    fn text(&mut self, context: &Context, text: &str, out: &mut Vec<Event>) {
        out.push(chunk(context, &[json!({"text": text})], None));
    }

    fn call(&mut self, context: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        if self.call.as_ref().is_none_or(|(index, _)| *index != fragment.index) {
            self.flush(context, out);
            let call = Call {
                id: fragment.id.unwrap_or_default().to_owned(),
                name: fragment.name.unwrap_or_default().to_owned(),
                arguments: String::new(),
            };
            self.call = Some((fragment.index, call));
        }
        if let Some((_, call)) = &mut self.call {
            call.arguments.push_str(fragment.arguments);
        }
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.flush(context, out);
        let mut part = json!({"text": ""});
        if let Some(signature) = self.signature.take() {
            part["thoughtSignature"] = json!(signature);
        }
        out.push(chunk(context, &[part], Some(finish_reason(reason))));
    }

    fn fail(&mut self, _: &Context, error: &Value) -> Event {
        let data = json!({"error": {"code": 503, "message": error["message"], "status": "UNAVAILABLE"}});
        Event { name: "", data }
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut parts = Vec::new();
        if !whole.reasoning.is_empty() {
            parts.push(json!({"text": whole.reasoning, "thought": true}));
        }
        if !whole.text.is_empty() {
            parts.push(json!({"text": whole.text}));
        }
        parts.extend(whole.calls.iter().map(call_part));
        if let (Some(signature), Some(last)) = (&whole.signature, parts.last_mut()) {
            last["thoughtSignature"] = json!(signature);
        }
        chunk(context, &parts, Some(finish_reason(&whole.reason))).data
    }
}

fn call_part(call: &Call) -> Value {
    json!({"functionCall": {"name": call.name, "args": object(&call.arguments)}})
}

fn chunk(context: &Context, parts: &[Value], finish_reason: Option<&str>) -> Event {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if let Some(reason) = finish_reason {
        candidate["finishReason"] = json!(reason);
    }
    let mut data = json!({"candidates": [candidate], "modelVersion": context.model, "responseId": context.id});
    if context.reports {
        let used = context.used;
        data["usageMetadata"] = json!({"promptTokenCount": used.prompt,
            "candidatesTokenCount": used.completion.saturating_sub(used.reasoning),
            "thoughtsTokenCount": used.reasoning, "cachedContentTokenCount": used.cached,
            "totalTokenCount": used.prompt.saturating_add(used.completion)});
    }
    Event { name: "", data }
}

fn finish_reason(reason: &str) -> &str {
    match reason {
        "length" => "MAX_TOKENS",
        "stop" | "tool_calls" => "STOP",
        other => other,
    }
}
