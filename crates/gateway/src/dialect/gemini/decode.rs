//! Gemini's stream, understood.

use super::{FORMAT, IMAGE_SIGNATURE, TEXT_SIGNATURE};
use crate::dialect::conversation::unquoted;
use crate::dialect::delta::{Delta, url_citation};
use crate::dialect::json::Json;
use crate::dialect::{failed, reasoning};
use crate::openai::{self, Decoded, NotAChunk};
use bytes::Bytes;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(in crate::dialect) struct Decoder {
    /// Of the generation; ids of calls begin with it.
    id: String,
    candidates: BTreeMap<u64, Candidate>,
    calls: u64,
    images: u64,
}

#[derive(Debug, Default)]
struct Candidate {
    begun: bool,
    text: String,
    calls: u64,
    images: u64,
    /// Of the next entry of `reasoning_details`.
    detail: u64,
    /// The last part was a thought, which the next may continue.
    is_thinking: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Vec<RawCandidate<'a>>,
    #[serde(borrow, default)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(default)]
    usage_metadata: Option<NativeUsage>,
    #[serde(borrow, default)]
    response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCandidate<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    content: Option<RawContent<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    grounding_metadata: Option<Grounding<'a>>,
    #[serde(borrow, default)]
    logprobs_result: Option<Logprobs<'a>>,
}

#[derive(Deserialize)]
struct RawContent<'a> {
    #[serde(borrow, default)]
    parts: Vec<RawPart<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    thought: bool,
    #[serde(borrow, default)]
    thought_signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, default)]
    inline_data: Option<InlineData<'a>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    #[serde(borrow)]
    mime_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding<'a> {
    #[serde(borrow, default)]
    grounding_chunks: Vec<GroundingChunk<'a>>,
    #[serde(borrow, default)]
    grounding_supports: Vec<Support<'a>>,
}

#[derive(Deserialize)]
struct GroundingChunk<'a> {
    #[serde(borrow, default)]
    web: Option<Web<'a>>,
}

#[derive(Deserialize)]
struct Web<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support<'a> {
    #[serde(borrow)]
    segment: Segment<'a>,
    #[serde(default)]
    grounding_chunk_indices: Vec<usize>,
}

/// Places are counted in bytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment<'a> {
    #[serde(default)]
    start_index: usize,
    #[serde(default)]
    end_index: usize,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logprobs<'a> {
    #[serde(borrow, default)]
    chosen_candidates: Vec<Token<'a>>,
    #[serde(borrow, default)]
    top_candidates: Vec<TopTokens<'a>>,
}

#[derive(Deserialize)]
struct TopTokens<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    log_probability: &'a RawValue,
}

/// Cumulative. Thoughts are counted beside the candidates, the cache within the prompt.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NativeUsage {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    tool_use_prompt_token_count: u64,
    cached_content_token_count: u64,
    prompt_tokens_details: Vec<Modality>,
    cache_tokens_details: Vec<Modality>,
    candidates_tokens_details: Vec<Modality>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Modality {
    modality: String,
    token_count: u64,
}

impl NativeUsage {
    fn normalised(&self, images: u64) -> Usage {
        let prompt = self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count);
        Usage {
            prompt,
            completion: self.candidates_token_count.saturating_add(self.thoughts_token_count),
            reasoning: self.thoughts_token_count,
            cache_read: self.cached_content_token_count.min(prompt),
            images,
            audio_in: self.fresh("AUDIO"),
            image_in: self.fresh("IMAGE"),
            audio_out: of(&self.candidates_tokens_details, "AUDIO"),
            image_out: of(&self.candidates_tokens_details, "IMAGE"),
            ..Usage::default()
        }
    }

    /// Of the prompt, and not from the cache.
    fn fresh(&self, modality: &str) -> u64 {
        of(&self.prompt_tokens_details, modality).saturating_sub(of(&self.cache_tokens_details, modality))
    }
}

fn of(details: &[Modality], modality: &str) -> u64 {
    let tokens = details.iter().filter(|detail| detail.modality == modality);
    tokens.fold(0, |sum, detail| sum.saturating_add(detail.token_count))
}

impl Decoder {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            candidates: BTreeMap::new(),
            calls: 0,
            images: 0,
        }
    }

    pub fn event(&mut self, data: &Bytes, out: &mut VecDeque<Decoded>) -> Result<(), NotAChunk> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| NotAChunk)?;
        if chunk.error.is_some() {
            out.push_back(failed(data));
            return Ok(());
        }
        let before = out.len();
        let mut has_finished = false;
        for candidate in chunk.candidates {
            has_finished |= candidate.finish_reason.is_some();
            self.candidate(candidate, out);
        }
        let blocked = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let Some(reason) = blocked.filter(|reason| reason != "BLOCK_REASON_UNSPECIFIED") {
            has_finished = true;
            out.push_back(Delta::new(0).role(true).finished(&reason, "content_filter"));
        }
        if out.len() == before {
            out.push_back(Decoded::default());
        }
        if let Some(last) = out.back_mut() {
            let usage = chunk.usage_metadata.map(|usage| usage.normalised(self.images));
            last.upstream_id = chunk.response_id.map(Cow::into_owned);
            (last.usage, last.progress) = if has_finished { (usage, None) } else { (None, usage) };
        }
        Ok(())
    }

    fn candidate(&mut self, raw: RawCandidate<'_>, out: &mut VecDeque<Decoded>) {
        let index = raw.index;
        let mut logprobs = raw.logprobs_result.as_ref().map(logprobs);
        for part in raw.content.map_or(Vec::new(), |content| content.parts) {
            let logprobs = if part.text.is_some() && !part.thought {
                logprobs.take()
            } else {
                None
            };
            self.part(index, &part, logprobs, out);
        }
        let candidate = self.candidates.entry(index).or_default();
        if let Some(grounding) = &raw.grounding_metadata {
            for annotation in annotations(grounding, &candidate.text) {
                out.push_back(candidate.delta(index).annotation(annotation).decoded());
            }
        }
        if let Some(native) = raw.finish_reason {
            let reason = match native.as_ref() {
                "STOP" if candidate.calls > 0 => "tool_calls",
                native => openai::finish_reason(native),
            };
            out.push_back(candidate.delta(index).logprobs(logprobs).finished(&native, reason));
        }
    }

    fn part(&mut self, index: u64, part: &RawPart<'_>, logprobs: Option<Json<'_>>, out: &mut VecDeque<Decoded>) {
        let signature = part.thought_signature.map(RawValue::get).filter(|raw| raw.len() > 2);
        let candidate = self.candidates.entry(index).or_default();
        let text = part.text.map(RawValue::get).filter(|raw| raw.starts_with('"'));
        if part.thought {
            if let Some(text) = text {
                out.push_back(candidate.thought(index, text, signature));
            }
            return;
        }
        candidate.end_thought();
        let mut signed = String::new();
        if let Some(text) = text.filter(|text| text.len() > 2) {
            candidate.text.push_str(&unquoted(text));
            out.push_back(candidate.delta(index).content(text).logprobs(logprobs).decoded());
        }
        if let Some(call) = &part.function_call {
            let own = || format!("call_{}_{}", self.id, self.calls);
            let id = call
                .id
                .as_deref()
                .filter(|id| !id.is_empty())
                .map_or_else(own, str::to_owned);
            let arguments = call.args.map_or("{}", RawValue::get);
            let place = candidate.calls;
            candidate.calls += 1;
            self.calls += 1;
            out.push_back(
                candidate
                    .delta(index)
                    .whole_call(place, &id, &call.name, arguments)
                    .decoded(),
            );
            signed = id;
        }
        if let Some(data) = &part.inline_data {
            let place = candidate.images;
            candidate.images += 1;
            self.images += 1;
            let after = candidate.text.chars().count() as u64;
            out.push_back(
                candidate
                    .delta(index)
                    .image(&data.mime_type, &data.data, place, after)
                    .decoded(),
            );
            signed = format!("{IMAGE_SIGNATURE}{place}");
        }
        if let Some(signature) = signature {
            let id = if signed.is_empty() { TEXT_SIGNATURE } else { &signed };
            out.push_back(candidate.signature(index, signature, id));
        }
    }
}

impl Candidate {
    fn delta(&mut self, index: u64) -> Delta {
        Delta::new(index).role(!std::mem::replace(&mut self.begun, true))
    }

    fn thought(&mut self, index: u64, text: &str, signature: Option<&str>) -> Decoded {
        self.is_thinking = true;
        let detail = reasoning::entry("text", text, FORMAT, self.detail);
        let detail = detail.and("signature", signature.map(Json::raw));
        self.delta(index).reasoning(text, detail).decoded()
    }

    fn end_thought(&mut self) {
        if std::mem::take(&mut self.is_thinking) {
            self.detail += 1;
        }
    }

    fn signature(&mut self, index: u64, raw: &str, id: &str) -> Decoded {
        let detail = reasoning::entry("data", raw, FORMAT, self.detail).with("id", id);
        self.detail += 1;
        self.delta(index).details(detail).decoded()
    }
}

/// What in `text` rests on which page.
fn annotations<'a>(grounding: &'a Grounding<'_>, text: &str) -> Vec<Json<'a>> {
    let characters = |bytes: usize| text.get(..bytes).map_or(0, |head| head.chars().count() as u64);
    let mut all = Vec::new();
    for Support {
        segment,
        grounding_chunk_indices,
    } in &grounding.grounding_supports
    {
        let at = characters(segment.start_index)..characters(segment.end_index);
        let chunks = grounding_chunk_indices
            .iter()
            .filter_map(|index| grounding.grounding_chunks.get(*index));
        for web in chunks.filter_map(|chunk| chunk.web.as_ref()) {
            let quote = segment.text.as_deref();
            all.push(url_citation(&web.uri, web.title.as_deref(), quote, at.clone()));
        }
    }
    all
}

fn logprobs(raw: &Logprobs<'_>) -> Json<'static> {
    let token = |token: &Token<'_>| {
        Json::object([
            ("token", token.token.clone().into_owned().into()),
            ("logprob", Json::raw(token.log_probability.get().to_owned())),
            ("bytes", Json::raw("null")),
        ])
    };
    let content = raw.chosen_candidates.iter().enumerate().map(|(place, chosen)| {
        let others = raw.top_candidates.get(place).map_or(&[][..], |top| &top.candidates);
        token(chosen).with("top_logprobs", Json::List(others.iter().map(token).collect()))
    });
    Json::object([
        ("content", Json::List(content.collect())),
        ("refusal", Json::raw("null")),
    ])
}
