//! An answer in the words of another protocol than OpenAI chat.

use super::{Answer, Step, count, grouped, merged};
use crate::script::UsageReport;
use crate::voice::{Call, Context, Event, Fragment, Used, Voice, Whole};
use bytes::Bytes;
use serde_json::Value;

impl Answer<'_> {
    pub(super) fn open_in(&self, voice: &mut dyn Voice, steps: &mut Vec<Step>) {
        let mut events = Vec::new();
        voice.open(&self.context(0), &mut events);
        self.frame(steps, &events, 0);
    }

    /// The events of some deltas that were merged to one, after which `sent` tokens are out.
    pub(super) fn speak(&self, voice: &mut dyn Voice, delta: &Value, tokens: u64, sent: u64, steps: &mut Vec<Step>) {
        let context = self.context(sent);
        let mut events = Vec::new();
        let text = |name: &str| delta.get(name).and_then(Value::as_str);
        if let Some(reasoning) = text(&self.plan.reasoning_field) {
            let signature = delta.pointer("/reasoning_details/0/signature").and_then(Value::as_str);
            voice.reasoning(&context, reasoning, signature, &mut events);
        }
        if let Some(content) = text("content") {
            voice.text(&context, content, &mut events);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            voice.call(&context, fragment(call), &mut events);
        }
        self.frame(steps, &events, tokens);
    }

    pub(super) fn finish_in(&self, voice: &mut dyn Voice, sent: u64, steps: &mut Vec<Step>) {
        let mut events = Vec::new();
        voice.finish(
            &self.context(sent),
            self.finish_reason().unwrap_or_default(),
            &mut events,
        );
        self.frame(steps, &events, 0);
    }

    pub(super) fn fail_in(&self, voice: &mut dyn Voice, sent: u64, steps: &mut Vec<Step>) {
        let event = voice.fail(&self.context(sent), &self.plan.error_event);
        self.frame(steps, &[event], 0);
    }

    /// The answer in one piece.
    pub(super) fn whole_in(&self, voice: &dyn Voice) -> Value {
        let mut whole = Whole {
            reason: self.finish_reason().unwrap_or_default().to_owned(),
            signature: self.plan.signature.clone(),
            ..Whole::default()
        };
        let everything = grouped(&self.deltas, usize::MAX);
        for delta in everything.into_iter().map(merged) {
            let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
            whole.reasoning.push_str(text(&self.plan.reasoning_field));
            whole.text.push_str(text("content"));
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                add(&mut whole.calls, fragment(call));
            }
        }
        voice.whole(&self.context(self.planned_tokens()), &whole)
    }

    fn context(&self, sent: u64) -> Context {
        Context {
            id: self.id.to_owned(),
            model: self.asked.model.clone(),
            used: Used {
                prompt: self.asked.prompt_tokens,
                cached: self.plan.cached_tokens,
                completion: sent,
                reasoning: sent.min(self.plan.reasoning_tokens),
            },
            reports: self.plan.usage != UsageReport::Omit,
        }
    }

    /// The tokens arrive with the last event that brings them; where none does yet, with the next one that comes.
    fn frame(&self, steps: &mut Vec<Step>, events: &[Event], tokens: u64) {
        for (n, event) in events.iter().enumerate() {
            let is_last = count(n).saturating_add(1) == count(events.len());
            steps.push(Step::Send {
                bytes: self.asked.protocol.framed(event, self.line_end()),
                tokens: if is_last { tokens } else { 0 },
            });
        }
        if events.is_empty() && tokens > 0 {
            steps.push(Step::Send {
                bytes: Bytes::new(),
                tokens,
            });
        }
    }
}

fn fragment(call: &Value) -> Fragment<'_> {
    Fragment {
        index: call["index"].as_u64().unwrap_or(0),
        id: call["id"].as_str(),
        name: call["function"]["name"].as_str(),
        arguments: call["function"]["arguments"].as_str().unwrap_or_default(),
    }
}

fn add(calls: &mut Vec<Call>, fragment: Fragment<'_>) {
    if let Some(name) = fragment.name {
        calls.push(Call {
            id: fragment.id.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        });
    }
    if let Some(call) = calls.last_mut() {
        call.arguments.push_str(fragment.arguments);
    }
}
