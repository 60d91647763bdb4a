//! The events of Converse, understood: the event's type is its name, the payload its data.

use super::FORMAT;
use crate::dialect::conversation::unquoted;
use crate::dialect::delta::{Delta, filled, url_citation};
use crate::dialect::json::Json;
use crate::dialect::{answer_tool, done, reasoning};
use crate::openai::{self, Decoded, NotAChunk};
use crate::upstream_error;
use bytes::Bytes;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(in crate::dialect) struct Decoder {
    begun: bool,
    blocks: BTreeMap<u64, Block>,
    calls: u64,
    /// Characters of text so far.
    characters: u64,
}

#[derive(Debug)]
enum Block {
    Call {
        index: u64,
        has_arguments: bool,
    },
    /// The call whose arguments are the answer.
    Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(default)]
    content_block_index: u64,
    #[serde(borrow, default)]
    start: Option<Start<'a>>,
    #[serde(borrow, default)]
    delta: Option<Change<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow, default)]
    tool_use: Option<ToolUse<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use: Option<Input<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Thought<'a>>,
    #[serde(borrow, default)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    redacted_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Citation<'a> {
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    location: Option<Location<'a>>,
}

#[derive(Deserialize)]
struct Location<'a> {
    #[serde(borrow, default)]
    web: Option<Web<'a>>,
}

#[derive(Deserialize)]
struct Web<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// The input is what was neither read from nor written to the cache.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NativeUsage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_write_input_tokens: u64,
}

impl NativeUsage {
    fn normalised(&self) -> Usage {
        let cached = self
            .cache_read_input_tokens
            .saturating_add(self.cache_write_input_tokens);
        Usage {
            prompt: self.input_tokens.saturating_add(cached),
            completion: self.output_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_write_input_tokens,
            ..Usage::default()
        }
    }
}

impl Decoder {
    pub fn event(&mut self, name: Option<&str>, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        let name = name.ok_or(NotAChunk)?;
        if name.ends_with("Exception") {
            out.push_back(Decoded {
                error: Some(upstream_error::from_named_event(name, data)),
                ..Decoded::default()
            });
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        let at = event.content_block_index;
        match name {
            "contentBlockStart" => {
                let call = event.start.and_then(|start| start.tool_use);
                out.extend(call.and_then(|call| self.open(at, &call)));
            }
            "contentBlockDelta" => out.extend(event.delta.and_then(|delta| self.change(at, &delta))),
            "contentBlockStop" => out.extend(self.close(at)),
            "messageStop" => out.extend(event.stop_reason.map(|reason| self.end(&reason))),
            "metadata" => {
                out.push_back(Decoded {
                    usage: event.usage.map(|usage| usage.normalised()),
                    ..Decoded::default()
                });
                out.push_back(done());
            }
            // `messageStart`, and whatever comes to be.
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, at: u64, call: &ToolUse<'_>) -> Option<Decoded> {
        if call.name == answer_tool::NAME {
            self.blocks.insert(at, Block::Answer);
            return None;
        }
        let index = self.calls;
        self.calls += 1;
        let has_arguments = false;
        self.blocks.insert(at, Block::Call { index, has_arguments });
        Some(self.delta().call(index, &call.tool_use_id, &call.name).decoded())
    }

    fn change(&mut self, at: u64, change: &Change<'_>) -> Option<Decoded> {
        if let Some(text) = filled(change.text) {
            return Some(self.text(text));
        }
        if let Some(thought) = &change.reasoning_content {
            return self.thought(at, thought);
        }
        if let Some(raw) = change.citation {
            let annotation = annotation(raw.get(), self.characters);
            return Some(self.delta().annotation(annotation).decoded());
        }
        let part = filled(change.tool_use.as_ref()?.input)?;
        match self.blocks.get_mut(&at)? {
            Block::Answer => Some(self.text(part)),
            Block::Call { index, has_arguments } => {
                *has_arguments = true;
                let index = *index;
                Some(self.delta().arguments(index, part).decoded())
            }
        }
    }

    fn thought(&mut self, at: u64, thought: &Thought<'_>) -> Option<Decoded> {
        if let Some(text) = filled(thought.text) {
            let detail = reasoning::entry("text", text, FORMAT, at);
            return Some(self.delta().reasoning(text, detail).decoded());
        }
        if let Some(data) = filled(thought.redacted_content) {
            let detail = reasoning::entry("data", data, FORMAT, at);
            return Some(self.delta().details(detail).decoded());
        }
        let detail = Json::object([
            ("type", "reasoning.text".into()),
            ("signature", Json::raw(filled(thought.signature)?)),
            ("format", FORMAT.into()),
            ("index", at.into()),
        ]);
        Some(self.delta().details(detail).decoded())
    }

    fn close(&mut self, at: u64) -> Option<Decoded> {
        match self.blocks.remove(&at)? {
            // A call without arguments still has an empty object of them.
            Block::Call {
                index,
                has_arguments: false,
            } => Some(self.delta().arguments(index, "\"{}\"").decoded()),
            Block::Call { .. } | Block::Answer => None,
        }
    }

    fn end(&mut self, native: &str) -> Decoded {
        let reason = match openai::finish_reason(native) {
            // The only call was the answer.
            "tool_calls" if self.calls == 0 => "stop",
            reason => reason,
        };
        self.delta().finished(native, reason)
    }

    fn text(&mut self, raw: &str) -> Decoded {
        self.characters += unquoted(raw).chars().count() as u64;
        self.delta().content(raw).decoded()
    }

    fn delta(&mut self) -> Delta {
        Delta::new(0).role(!std::mem::replace(&mut self.begun, true))
    }
}

fn annotation(raw: &str, end: u64) -> Json<'_> {
    let citation: Option<Citation<'_>> = serde_json::from_str(raw).ok();
    let web = citation.and_then(|citation| Some((citation.location?.web?.url, citation.title)));
    match web {
        Some((url, title)) => Json::raw(url_citation(&url, title.as_deref(), None, end..end).into_text()),
        None => Json::object([("type", "file_citation".into()), ("file_citation", Json::raw(raw))]),
    }
}
