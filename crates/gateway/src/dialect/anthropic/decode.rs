//! Anthropic's stream, understood.

use super::FORMAT;
use crate::dialect::conversation::unquoted;
use crate::dialect::delta::{Delta, filled, url_citation};
use crate::dialect::json::{Json, quoted};
use crate::dialect::{answer_tool, done, failed, reasoning};
use crate::openai::{self, Decoded, NotAChunk};
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
    usage: NativeUsage,
}

#[derive(Debug)]
enum Block {
    Text {
        begin: u64,
        /// Told at the block's end, when it is known what they cover.
        citations: Vec<String>,
    },
    Thinking,
    Call {
        index: u64,
        /// As it stood at the block's beginning.
        input: String,
        has_arguments: bool,
    },
    /// The call whose arguments are the answer.
    Answer,
    Other,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    message: Option<Start<'a>>,
    #[serde(borrow, default)]
    content_block: Option<ContentBlock<'a>>,
    #[serde(borrow, default)]
    delta: Option<Change<'a>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<NativeUsage>,
}

#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Citation<'a> {
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cited_text: Option<Cow<'a, str>>,
}

/// Cumulative. The input is what was neither read from nor written to the cache.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct NativeUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    server_tool_use: Option<ServerToolUse>,
    output_tokens_details: Option<OutputDetails>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl NativeUsage {
    /// Later reports may leave out what earlier ones had.
    fn merge(&mut self, later: Self) {
        self.input_tokens = self.input_tokens.max(later.input_tokens);
        self.output_tokens = self.output_tokens.max(later.output_tokens);
        self.cache_read_input_tokens = self.cache_read_input_tokens.max(later.cache_read_input_tokens);
        self.cache_creation_input_tokens = self.cache_creation_input_tokens.max(later.cache_creation_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.server_tool_use = later.server_tool_use.or(self.server_tool_use);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    fn normalised(self) -> Usage {
        let cache_read = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let completion = self.output_tokens.unwrap_or(0);
        let hour = self.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens;
        let searches = self.server_tool_use.unwrap_or_default().web_search_requests;
        let thinking = self.output_tokens_details.unwrap_or_default().thinking_tokens;
        Usage {
            prompt: self
                .input_tokens
                .unwrap_or(0)
                .saturating_add(cache_read)
                .saturating_add(cache_write),
            completion,
            reasoning: thinking.unwrap_or(0).min(completion),
            cache_read,
            cache_write,
            cache_write_1h: hour.unwrap_or(0).min(cache_write),
            web_searches: searches.unwrap_or(0),
            ..Usage::default()
        }
    }
}

impl Decoder {
    pub fn event(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        let event: Event<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        if let Some(usage) = event.usage {
            self.usage.merge(usage);
        }
        match event.kind.as_ref() {
            "message_start" => out.extend(event.message.map(|message| self.start(message))),
            "content_block_start" => out.extend(event.content_block.and_then(|block| self.open(event.index, &block))),
            "content_block_delta" => out.extend(event.delta.and_then(|delta| self.change(event.index, &delta))),
            "content_block_stop" => self.close(event.index, out),
            "message_delta" => out.extend(self.end(event.delta.and_then(|delta| delta.stop_reason))),
            "message_stop" => out.push_back(done()),
            "error" => out.push_back(failed(data)),
            // `ping`, and whatever comes to be.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: Start<'_>) -> Decoded {
        self.usage.merge(message.usage.unwrap_or_default());
        Decoded {
            upstream_id: message.id.map(Cow::into_owned),
            // The output so far is a placeholder: taken for a count, it would stand against our own if the stream is cut.
            progress: Some(Usage {
                completion: 0,
                ..self.usage.normalised()
            }),
            ..Decoded::default()
        }
    }

    fn open(&mut self, at: u64, block: &ContentBlock<'_>) -> Option<Decoded> {
        let (kind, told) = match block.kind.as_ref() {
            "text" => {
                let begin = self.characters;
                let citations = Vec::new();
                let told = filled(block.text).map(|text| self.text(text));
                (Block::Text { begin, citations }, told)
            }
            "thinking" => (
                Block::Thinking,
                filled(block.thinking).map(|text| self.thinking(at, text)),
            ),
            "redacted_thinking" => {
                let detail = filled(block.data).map(|data| reasoning::entry("data", data, FORMAT, at));
                (
                    Block::Other,
                    detail.map(|detail| self.delta().details(detail).decoded()),
                )
            }
            "tool_use" if block.name == answer_tool::NAME => (Block::Answer, None),
            "tool_use" => {
                let index = self.calls;
                self.calls += 1;
                let input = block.input.map_or("{}", RawValue::get).to_owned();
                let has_arguments = false;
                let told = self.delta().call(index, &block.id, &block.name).decoded();
                let call = Block::Call {
                    index,
                    input,
                    has_arguments,
                };
                (call, Some(told))
            }
            _ => (Block::Other, None),
        };
        self.blocks.insert(at, kind);
        told
    }

    fn change(&mut self, at: u64, change: &Change<'_>) -> Option<Decoded> {
        if let Some(text) = filled(change.text) {
            return Some(self.text(text));
        }
        if let Some(text) = filled(change.thinking) {
            return Some(self.thinking(at, text));
        }
        if let Some(signature) = filled(change.signature) {
            let detail = Json::object([
                ("type", "reasoning.text".into()),
                ("signature", Json::raw(signature)),
                ("format", FORMAT.into()),
                ("index", at.into()),
            ]);
            return Some(self.delta().details(detail).decoded());
        }
        if let (Some(citation), Some(Block::Text { citations, .. })) = (change.citation, self.blocks.get_mut(&at)) {
            citations.push(citation.get().to_owned());
            return None;
        }
        let part = filled(change.partial_json)?;
        match self.blocks.get_mut(&at)? {
            Block::Call {
                index, has_arguments, ..
            } => {
                *has_arguments = true;
                let index = *index;
                Some(self.delta().arguments(index, part).decoded())
            }
            Block::Answer => Some(self.text(part)),
            Block::Text { .. } | Block::Thinking | Block::Other => None,
        }
    }

    fn close(&mut self, at: u64, out: &mut VecDeque<Decoded>) {
        match self.blocks.remove(&at) {
            // A call without arguments still has an empty object of them.
            Some(Block::Call {
                index,
                input,
                has_arguments: false,
            }) => out.push_back(self.delta().arguments(index, &quoted(&input)).decoded()),
            Some(Block::Text { begin, citations }) => {
                let end = self.characters;
                for raw in &citations {
                    let annotation = annotation(raw, begin, end);
                    out.push_back(self.delta().annotation(annotation).decoded());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, stop_reason: Option<Cow<'_, str>>) -> Option<Decoded> {
        let usage = Some(self.usage.normalised());
        let Some(native) = stop_reason else {
            return Some(Decoded {
                progress: usage,
                ..Decoded::default()
            });
        };
        let reason = match openai::finish_reason(&native) {
            // The only call was the answer.
            "tool_calls" if self.calls == 0 => "stop",
            reason => reason,
        };
        Some(Decoded {
            usage,
            ..self.delta().finished(&native, reason)
        })
    }

    fn text(&mut self, raw: &str) -> Decoded {
        self.characters += unquoted(raw).chars().count() as u64;
        self.delta().content(raw).decoded()
    }

    fn thinking(&mut self, at: u64, raw: &str) -> Decoded {
        let detail = reasoning::entry("text", raw, FORMAT, at);
        self.delta().reasoning(raw, detail).decoded()
    }

    fn delta(&mut self) -> Delta {
        Delta::new(0).role(!std::mem::replace(&mut self.begun, true))
    }
}

fn annotation(raw: &str, begin: u64, end: u64) -> Json<'_> {
    let citation: Option<Citation<'_>> = serde_json::from_str(raw).ok();
    let web = citation.filter(|citation| citation.url.is_some());
    match web {
        Some(citation) => Json::raw(
            url_citation(
                citation.url.as_deref().unwrap_or_default(),
                citation.title.as_deref(),
                citation.cited_text.as_deref(),
                begin..end,
            )
            .into_text(),
        ),
        None => Json::object([
            ("type", "file_citation".into()),
            ("start_index", begin.into()),
            ("end_index", end.into()),
            ("file_citation", Json::raw(raw)),
        ]),
    }
}
