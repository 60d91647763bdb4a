//! A plan and a request, turned into the bytes of an answer and when each of them is sent.

use crate::script::{Plan, UsageReport};
use crate::tokens::{pieces, word};
use crate::voice::{Protocol, Voice};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;

mod spoken;

/// One thing to do while answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    /// Bytes of the body, with the tokens they bring.
    Send {
        bytes: Bytes,
        tokens: u64,
    },
    /// Nothing more comes, and the connection stays open.
    Hang,
    /// The connection is closed.
    Cut,
    /// What follows is an error, not an answer.
    Fail,
}

/// What the request asked for, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) model: String,
    pub(crate) streamed: bool,
    pub(crate) include_usage: bool,
    pub(crate) continuous_usage: bool,
    pub(crate) timings: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) prompt_tokens: u64,
}

/// One answer, before it becomes bytes.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    plan: &'a Plan,
    asked: &'a Asked,
    id: &'a str,
    deltas: Vec<Value>,
    limited: bool,
}

impl Asked {
    pub(crate) fn read(protocol: Protocol, path: &str, body: &Value, prompt_tokens: u64) -> Self {
        let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        let options = body.get("stream_options");
        let option = |name: &str| flag(options.and_then(|options| options.get(name)));
        Self {
            protocol,
            model: protocol.model(path, body),
            streamed: protocol.is_streamed(path, body),
            include_usage: option("include_usage"),
            continuous_usage: option("continuous_usage_stats"),
            timings: flag(body.get("timings_per_token")),
            max_tokens: protocol.limit(body),
            prompt_tokens,
        }
    }
}

impl<'a> Answer<'a> {
    pub(crate) fn new(plan: &'a Plan, asked: &'a Asked, id: &'a str) -> Self {
        let mut deltas = all_deltas(plan);
        let limit = usize::try_from(asked.max_tokens.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let limited = deltas.len() > limit;
        deltas.truncate(limit);
        Self {
            plan,
            asked,
            id,
            deltas,
            limited,
        }
    }

    /// Tokens of the whole answer, whether or not the plan lets it come to its end.
    pub(crate) fn planned_tokens(&self) -> u64 {
        count(self.deltas.len())
    }

    /// Steps of a streamed answer.
    pub(crate) fn stream(&self) -> Vec<Step> {
        let mut steps = self.first_wait();
        let mut voice = self.asked.protocol.voice();
        match &mut voice {
            Some(voice) => self.open_in(&mut **voice, &mut steps),
            None => self.push(&mut steps, &self.chunk(&self.opening(), None, 0), 0),
        }
        let mut sent: u64 = 0;
        let per_chunk = usize::try_from(self.plan.tokens_per_chunk.max(1)).unwrap_or(1);
        for group in grouped(&self.deltas, per_chunk) {
            self.pause(&mut steps, sent);
            if let Some(step) = self.ends_after(sent) {
                return self.cut_short(steps, step, voice, sent);
            }
            let tokens = count(group.len());
            if sent > 0 {
                steps.push(Step::Wait(Duration::from_millis(
                    self.plan.token_ms.saturating_mul(tokens),
                )));
            }
            sent = sent.saturating_add(tokens);
            match &mut voice {
                Some(voice) => self.speak(&mut **voice, &merged(group), tokens, sent, &mut steps),
                None => self.push(&mut steps, &self.chunk(&merged(group), None, sent), tokens),
            }
        }
        self.pause(&mut steps, sent);
        if let Some(step) = self.ends_after(sent) {
            return self.cut_short(steps, step, voice, sent);
        }
        match &mut voice {
            Some(voice) => self.finish_in(&mut **voice, sent, &mut steps),
            None => self.finish(&mut steps, sent),
        }
        self.on_the_wire(steps)
    }

    /// Steps of an answer in one piece, and how long it takes to produce.
    pub(crate) fn whole(&self) -> (Duration, Vec<Step>) {
        let tokens = self.planned_tokens();
        let gaps = tokens.saturating_sub(1).saturating_mul(self.plan.token_ms);
        let time = Duration::from_millis(self.plan.first_token_ms.saturating_add(gaps));
        let answer = match self.asked.protocol.voice() {
            Some(voice) => self.whole_in(&*voice),
            None => self.completion(),
        };
        let bytes = Bytes::from(answer.to_string());
        (time, self.on_the_wire(vec![Step::Send { bytes, tokens }]))
    }

    fn completion(&self) -> Value {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        for delta in &self.deltas {
            append(&mut message, delta);
        }
        message.entry("content").or_insert(Value::Null);
        let mut completion = json!({
            "id": self.id, "object": "chat.completion", "created": CREATED, "model": self.asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason()}],
        });
        if self.plan.usage != UsageReport::Omit {
            completion["usage"] = self.usage(self.planned_tokens());
        }
        completion
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>, sent: u64) -> Value {
        let mut chunk = self.envelope(&json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]));
        if self.plan.continuous_usage && self.asked.continuous_usage {
            chunk["usage"] = self.usage(sent);
        }
        if self.plan.timings && self.asked.timings {
            let prompt = self.asked.prompt_tokens.saturating_sub(self.plan.cached_tokens);
            chunk["timings"] = json!({"prompt_n": prompt, "cache_n": self.plan.cached_tokens, "predicted_n": sent});
        }
        chunk
    }

    fn envelope(&self, choices: &Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": CREATED, "model": self.asked.model,
            "choices": choices,
        })
    }

    fn usage(&self, completion: u64) -> Value {
        let prompt = self.asked.prompt_tokens;
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt.saturating_add(completion),
            "prompt_tokens_details": {"cached_tokens": self.plan.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": completion.min(self.plan.reasoning_tokens)},
        })
    }

    fn finish(&self, steps: &mut Vec<Step>, sent: u64) {
        let report = if self.asked.include_usage {
            self.plan.usage
        } else {
            UsageReport::Omit
        };
        if let Some(reason) = self.finish_reason() {
            let mut last = self.chunk(&json!({}), Some(reason), sent);
            if matches!(report, UsageReport::WithFinish | UsageReport::Duplicated) {
                last["usage"] = self.usage(sent);
            }
            self.push(steps, &last, 0);
        }
        if report == UsageReport::Late {
            steps.push(Step::Wait(Duration::from_millis(self.plan.usage_delay_ms)));
        }
        if matches!(
            report,
            UsageReport::Normal | UsageReport::Late | UsageReport::Duplicated
        ) {
            let mut usage = self.envelope(&json!([]));
            usage["usage"] = self.usage(sent);
            self.push(steps, &usage, 0);
        }
        if self.plan.done {
            self.push_text(steps, "[DONE]", 0);
        }
    }

    fn finish_reason(&self) -> Option<&str> {
        if self.limited {
            return Some("length");
        }
        Some(self.plan.finish_reason.as_str()).filter(|reason| !reason.is_empty())
    }

    fn pause(&self, steps: &mut Vec<Step>, sent: u64) {
        if self.plan.pause_after_tokens == Some(sent) {
            steps.push(Step::Wait(Duration::from_millis(self.plan.pause_ms)));
        }
    }

    /// What ends the answer early once `sent` tokens are out.
    fn ends_after(&self, sent: u64) -> Option<Step> {
        let reached = |limit: Option<u64>| limit.is_some_and(|limit| sent >= limit);
        if reached(self.plan.error_after_tokens) {
            return Some(Step::Fail);
        }
        if reached(self.plan.cut_after_tokens) {
            return Some(Step::Cut);
        }
        reached(self.plan.hang_after_tokens).then_some(Step::Hang)
    }

    fn cut_short(
        &self,
        mut steps: Vec<Step>,
        step: Step,
        voice: Option<Box<dyn Voice + Send>>,
        sent: u64,
    ) -> Vec<Step> {
        let fails = step == Step::Fail;
        steps.push(step);
        match voice {
            Some(mut voice) if fails => self.fail_in(&mut *voice, sent, &mut steps),
            None if fails => self.push(&mut steps, &json!({"error": self.plan.error_event}), 0),
            _ => {}
        }
        self.on_the_wire(steps)
    }

    /// The delta with the role; `content` is `null` when only a tool is called.
    fn opening(&self) -> Value {
        let only_calls = self.plan.tool_call.is_some() && self.plan.text.is_none() && self.plan.tokens == 0;
        json!({"role": "assistant", "content": if only_calls { Value::Null } else { json!("") }})
    }

    fn first_wait(&self) -> Vec<Step> {
        let wait = self.plan.first_token_ms;
        let has_comments = self.asked.protocol.content_type() == "text/event-stream";
        let alive = std::num::NonZeroU64::new(self.plan.keep_alive_ms).filter(|_| has_comments);
        let Some(alive) = alive else {
            return vec![Step::Wait(Duration::from_millis(wait))];
        };
        let mut steps = Vec::new();
        for _ in 0..wait / alive {
            steps.push(Step::Wait(Duration::from_millis(alive.get())));
            steps.push(self.comment());
        }
        steps.push(Step::Wait(Duration::from_millis(wait % alive)));
        steps
    }

    fn comment(&self) -> Step {
        let end = self.line_end();
        Step::Send {
            bytes: Bytes::from(format!(": keep-alive{end}{end}")),
            tokens: 0,
        }
    }

    fn push(&self, steps: &mut Vec<Step>, event: &Value, tokens: u64) {
        self.push_text(steps, &event.to_string(), tokens);
    }

    fn push_text(&self, steps: &mut Vec<Step>, data: &str, tokens: u64) {
        let events = count(steps.iter().filter(|step| matches!(step, Step::Send { .. })).count());
        if self.plan.comment_every > 0 && events.is_multiple_of(self.plan.comment_every) {
            steps.push(self.comment());
        }
        let end = self.line_end();
        let bytes = Bytes::from(format!("data: {data}{end}{end}"));
        steps.push(Step::Send { bytes, tokens });
    }

    const fn line_end(&self) -> &'static str {
        if self.plan.crlf { "\r\n" } else { "\n" }
    }

    /// Cuts at a byte and trickles, if the plan says so.
    fn on_the_wire(&self, steps: Vec<Step>) -> Vec<Step> {
        let steps = match self.plan.cut_after_bytes {
            Some(bytes) => cut_at(steps, bytes),
            None => steps,
        };
        match self.plan.trickle_ms {
            0 => steps,
            pace => trickled(steps, Duration::from_millis(pace)),
        }
    }
}

/// 2023-11-14, so that answers are the same every time.
const CREATED: u64 = 1_700_000_000;

fn all_deltas(plan: &Plan) -> Vec<Value> {
    let reasoning = (0..plan.reasoning_tokens).map(|n| {
        let mut delta = json!({&plan.reasoning_field: word(n)});
        if let Some(signature) = plan
            .signature
            .as_ref()
            .filter(|_| n.saturating_add(1) == plan.reasoning_tokens)
        {
            let detail =
                json!({"type": "reasoning.text", "text": "", "signature": signature, "format": "unknown", "index": 0});
            delta["reasoning_details"] = json!([detail]);
        }
        delta
    });
    let text: Vec<Value> = match &plan.text {
        Some(text) => pieces(text)
            .into_iter()
            .map(|piece| json!({"content": piece}))
            .collect(),
        None => (0..plan.tokens).map(|n| json!({"content": word(n)})).collect(),
    };
    let calls = plan.tool_call.iter().chain(&plan.more_tool_calls).enumerate();
    let call = calls.flat_map(|(index, call)| {
        call.arguments.iter().enumerate().map(move |(n, fragment)| {
            let mut part = json!({"index": index, "function": {"arguments": fragment}});
            if n == 0 {
                part["id"] = json!(call.id);
                part["type"] = json!("function");
                part["function"]["name"] = json!(call.name);
            }
            json!({"tool_calls": [part]})
        })
    });
    reasoning.chain(text).chain(call).collect()
}

/// Groups of up to `size` deltas of the same field; a tool call's fragments stay apart.
fn grouped(deltas: &[Value], size: usize) -> Vec<&[Value]> {
    let kind = |delta: &Value| delta.as_object().and_then(|delta| delta.keys().next().cloned());
    deltas
        .chunk_by(|a, b| kind(a) == kind(b) && a.get("tool_calls").is_none())
        .flat_map(|run| run.chunks(size))
        .collect()
}

fn merged(group: &[Value]) -> Value {
    if let [one] = group {
        return one.clone();
    }
    let mut message = Map::new();
    for delta in group {
        append(&mut message, delta);
    }
    Value::Object(message)
}

/// Adds a delta to the message it is a part of.
fn append(message: &mut Map<String, Value>, delta: &Value) {
    for (field, value) in delta.as_object().into_iter().flatten() {
        match (message.get_mut(field), value) {
            (Some(Value::String(so_far)), Value::String(more)) => so_far.push_str(more),
            (Some(Value::Array(calls)), Value::Array(more)) if field == "tool_calls" => extend_call(calls, more),
            _ => {
                message.insert(field.clone(), without_index(value));
            }
        }
    }
}

fn extend_call(calls: &mut Vec<Value>, more: &[Value]) {
    let Some(part) = more.first() else { return };
    let index = part["index"].as_u64().and_then(|index| usize::try_from(index).ok());
    let Some(call) = calls.get_mut(index.unwrap_or(0)) else {
        calls.extend(without_index(&json!([part])).as_array().cloned().unwrap_or_default());
        return;
    };
    let fragment = part["function"]["arguments"].as_str();
    if let (Some(fragment), Some(Value::String(so_far))) = (fragment, call.pointer_mut("/function/arguments")) {
        so_far.push_str(fragment);
    }
}

fn without_index(value: &Value) -> Value {
    let mut value = value.clone();
    for call in value.as_array_mut().into_iter().flatten() {
        if let Some(call) = call.as_object_mut() {
            call.remove("index");
        }
    }
    value
}

fn cut_at(steps: Vec<Step>, limit: u64) -> Vec<Step> {
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut cut = Vec::new();
    for step in steps {
        match step {
            Step::Send { bytes, .. } if bytes.len() > left => {
                // An event that does not arrive whole brings no token anybody could use, and none is billed.
                let bytes = bytes.slice(..left);
                cut.extend([Step::Send { bytes, tokens: 0 }, Step::Cut]);
                return cut;
            }
            Step::Send { bytes, tokens } => {
                left = left.saturating_sub(bytes.len());
                cut.push(Step::Send { bytes, tokens });
            }
            other => cut.push(other),
        }
    }
    cut
}

fn trickled(steps: Vec<Step>, pace: Duration) -> Vec<Step> {
    let mut slow = Vec::new();
    for step in steps {
        let Step::Send { bytes, tokens } = step else {
            slow.push(step);
            continue;
        };
        let last = bytes.len().saturating_sub(1);
        for at in 0..bytes.len() {
            let byte = bytes.slice(at..=at);
            let tokens = if at == last { tokens } else { 0 };
            slow.extend([Step::Send { bytes: byte, tokens }, Step::Wait(pace)]);
        }
    }
    slow
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
