//! OpenAI Responses.

use super::{Context, Event, Fragment, Voice, Whole};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(super) struct Responses {
    sequence: u64,
    /// Items that are over, as they stand in the whole response.
    output: Vec<Value>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    /// What it says so far.
    text: String,
    item: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Message,
    Call(u64),
}

impl Responses {
    fn say(&mut self, name: &'static str, rest: &Value, out: &mut Vec<Event>) {
        let mut data = json!({"type": name, "sequence_number": self.sequence});
        self.sequence = self.sequence.saturating_add(1);
        if let (Some(data), Some(rest)) = (data.as_object_mut(), rest.as_object()) {
            data.extend(rest.clone());
        }
        out.push(Event { name, data });
    }

    fn index(&self) -> usize {
        self.output.len()
    }

    fn item(&mut self, kind: Kind, item: Value, out: &mut Vec<Event>) {
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.close(out);
        let index = self.index();
        self.say(
            "response.output_item.added",
            &json!({"output_index": index, "item": item}),
            out,
        );
        if kind == Kind::Message {
            let part = json!({"type": "output_text", "text": "", "annotations": []});
            let id = item["id"].clone();
            self.say(
                "response.content_part.added",
                &json!({"output_index": index, "item_id": id, "content_index": 0, "part": part}),
                out,
            );
        }
        self.open = Some(Open {
            kind,
            text: String::new(),
            item,
        });
    }

    /// Adds to the open item; gives its id.
    fn add(&mut self, text: &str) -> Value {
        let Some(open) = &mut self.open else { return Value::Null };
        open.text.push_str(text);
        open.item["id"].clone()
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some(mut open) = self.open.take() else { return };
        let (index, id) = (self.index(), open.item["id"].clone());
        match open.kind {
            Kind::Reasoning => {
                let part = json!({"type": "summary_text", "text": open.text});
                let done = json!({"output_index": index, "item_id": id, "summary_index": 0, "text": open.text});
                self.say("response.reasoning_summary_text.done", &done, out);
                open.item["summary"] = json!([part]);
            }
            Kind::Message => {
                let part = json!({"type": "output_text", "text": open.text, "annotations": []});
                let done = json!({"output_index": index, "item_id": id, "content_index": 0, "text": open.text});
                self.say("response.output_text.done", &done, out);
                let done = json!({"output_index": index, "item_id": id, "content_index": 0, "part": part});
                self.say("response.content_part.done", &done, out);
                open.item["content"] = json!([part]);
            }
            Kind::Call(_) => {
                let done = json!({"output_index": index, "item_id": id, "arguments": open.text});
                self.say("response.function_call_arguments.done", &done, out);
                open.item["arguments"] = json!(open.text);
            }
        }
        open.item["status"] = json!("completed");
        let done = json!({"output_index": index, "item": open.item});
        self.say("response.output_item.done", &done, out);
        self.output.push(open.item);
    }
}

impl Voice for Responses {
    fn open(&mut self, context: &Context, out: &mut Vec<Event>) {
        let response = response(context, "in_progress", &[]);
        self.say("response.created", &json!({"response": response}), out);
        self.say("response.in_progress", &json!({"response": response}), out);
    }

    fn reasoning(&mut self, _: &Context, text: &str, signature: Option<&str>, out: &mut Vec<Event>) {
        let id = format!("rs_{}", self.index());
        self.item(
            Kind::Reasoning,
            json!({"type": "reasoning", "id": id, "summary": []}),
            out,
        );
        let id = self.add(text);
        if let (Some(signature), Some(open)) = (signature, &mut self.open) {
            open.item["encrypted_content"] = json!(signature);
        }
        let delta = json!({"output_index": self.index(), "item_id": id, "summary_index": 0, "delta": text});
        self.say("response.reasoning_summary_text.delta", &delta, out);
    }

    fn text(&mut self, _: &Context, text: &str, out: &mut Vec<Event>) {
        let id = format!("msg_{}", self.index());
        let item = json!({"type": "message", "id": id, "role": "assistant", "status": "in_progress", "content": []});
        self.item(Kind::Message, item, out);
        let id = self.add(text);
        let delta = json!({"output_index": self.index(), "item_id": id, "content_index": 0, "delta": text});
        self.say("response.output_text.delta", &delta, out);
    }

    fn call(&mut self, _: &Context, fragment: Fragment<'_>, out: &mut Vec<Event>) {
        let id = format!("fc_{}", fragment.index);
        let item = json!({"type": "function_call", "id": id, "call_id": fragment.id, "name": fragment.name,
            "arguments": "", "status": "in_progress"});
        self.item(Kind::Call(fragment.index), item, out);
        let id = self.add(fragment.arguments);
        let delta = json!({"output_index": self.index(), "item_id": id, "delta": fragment.arguments});
        self.say("response.function_call_arguments.delta", &delta, out);
    }

    fn finish(&mut self, context: &Context, reason: &str, out: &mut Vec<Event>) {
        self.close(out);
        let response = ended(context, reason, &self.output);
        let name = if reason == "length" {
            "response.incomplete"
        } else {
            "response.completed"
        };
        self.say(name, &json!({"response": response}), out);
    }

    fn fail(&mut self, context: &Context, error: &Value) -> Event {
        let mut response = response(context, "failed", &self.output);
        response["error"] = json!({"code": "server_error", "message": error["message"]});
        let data = json!({"type": "response.failed", "sequence_number": self.sequence, "response": response});
        Event {
            name: "response.failed",
            data,
        }
    }

    fn whole(&self, context: &Context, whole: &Whole) -> Value {
        let mut output = Vec::new();
        if !whole.reasoning.is_empty() {
            output.push(
                json!({"type": "reasoning", "id": "rs_0", "encrypted_content": whole.signature,
                "summary": [{"type": "summary_text", "text": whole.reasoning}]}),
            );
        }
        if !whole.text.is_empty() {
            let part = json!({"type": "output_text", "text": whole.text, "annotations": []});
            output.push(
                json!({"type": "message", "id": "msg_0", "role": "assistant", "status": "completed",
                "content": [part]}),
            );
        }
        output.extend(whole.calls.iter().enumerate().map(|(n, call)| {
            json!({"type": "function_call", "id": format!("fc_{n}"), "call_id": call.id, "name": call.name,
                "arguments": call.arguments, "status": "completed"})
        }));
        ended(context, &whole.reason, &output)
    }
}

fn ended(context: &Context, reason: &str, output: &[Value]) -> Value {
    let mut response = response(context, "completed", output);
    if reason == "length" {
        response["status"] = json!("incomplete");
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    if context.reports {
        let used = context.used;
        response["usage"] = json!({"input_tokens": used.prompt, "input_tokens_details": {"cached_tokens": used.cached},
            "output_tokens": used.completion, "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.prompt.saturating_add(used.completion)});
    }
    response
}

fn response(context: &Context, status: &str, output: &[Value]) -> Value {
    json!({"id": context.id, "object": "response", "created_at": 1_700_000_000, "status": status,
        "model": context.model, "output": output, "usage": null, "error": null, "incomplete_details": null,
        "instructions": null, "metadata": {}, "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto",
        "tools": [], "top_p": null})
}
