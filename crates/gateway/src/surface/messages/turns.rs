//! Turns of a conversation and their blocks, in the words of the chat API.

use crate::dialect::json::{Json, quoted};
use crate::dialect::{Inexpressible, cannot};
use crate::surface::carry;
use crate::surface::chat_form::{raw, spoken, text_part};
use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    context: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use_id: Option<Cow<'a, str>>,
    #[serde(default)]
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// How callers of the chat API see whose reasoning it is.
const FORMAT: &str = "anthropic-claude-v1";

/// `messages` of a chat request.
pub(super) fn chat_messages<'a>(
    system: Option<&'a Bytes>,
    messages: Option<&'a Bytes>,
) -> Result<Json<'a>, Inexpressible> {
    let mut all = Vec::new();
    if let Some(system) = system {
        let raw: &RawValue = serde_json::from_slice(system).map_err(|_| cannot("system", "is not valid JSON"))?;
        let parts = parts(&blocks(raw, "system")?, "system")?;
        all.extend((!parts.is_empty()).then(|| said("system", parts)));
    }
    let raw = messages.map_or(&b"[]"[..], |raw| raw);
    let turns: Vec<Turn<'a>> = serde_json::from_slice(raw)
        .map_err(|_| cannot("messages", "is not a list of messages with `role` and `content`"))?;
    for (at, turn) in turns.into_iter().enumerate() {
        let field = format!("messages[{at}].content");
        let blocks = blocks(turn.content, &field)?;
        match turn.role.as_ref() {
            "user" => user(blocks, &field, &mut all)?,
            "assistant" => all.push(assistant(blocks, &field)?),
            "system" => all.push(said("system", parts(&blocks, &field)?)),
            _ => return Err(cannot(format!("messages[{at}].role"), "is not `user` or `assistant`")),
        }
    }
    Ok(Json::List(all))
}

/// Text alone is one block.
fn blocks<'a>(raw: &'a RawValue, field: &str) -> Result<Vec<Block<'a>>, Inexpressible> {
    if raw.get().starts_with('"') {
        return Ok(vec![Block {
            kind: "text".into(),
            text: Some(raw),
            cache_control: None,
            source: None,
            title: None,
            context: None,
            content: None,
            thinking: None,
            signature: None,
            data: None,
            id: None,
            name: None,
            input: None,
            tool_use_id: None,
            is_error: None,
        }]);
    }
    serde_json::from_str(raw.get()).map_err(|_| cannot(field, "is neither text nor a list of blocks with a `type`"))
}

/// What tools gave back are messages of their own, in their order among what was said.
fn user<'a>(blocks: Vec<Block<'a>>, field: &str, all: &mut Vec<Json<'a>>) -> Result<(), Inexpressible> {
    let mut words = Vec::new();
    for (place, block) in blocks.into_iter().enumerate() {
        let field = format!("{field}[{place}]");
        if block.kind != "tool_result" {
            part(&block, &field, &mut words)?;
            continue;
        }
        if !words.is_empty() {
            all.push(said("user", std::mem::take(&mut words)));
        }
        all.push(result(&block, &field)?);
    }
    if !words.is_empty() {
        all.push(said("user", words));
    }
    Ok(())
}

fn result<'a>(block: &Block<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let id = block.tool_use_id.clone();
    let id = id.ok_or_else(|| cannot(format!("{field}.tool_use_id"), "is missing"))?;
    let mut content = match block.content {
        Some(raw) => parts(
            &self::blocks(raw, &format!("{field}.content"))?,
            &format!("{field}.content"),
        )?,
        None => Vec::new(),
    };
    if block.is_error == Some(true) {
        // The chat API has no mark for it, and the model must know.
        content.insert(0, text_part("\"Error:\""));
    }
    let message = Json::object([("role", "tool".into()), ("tool_call_id", id.into())]);
    let content = if content.is_empty() { "".into() } else { spoken(content) };
    Ok(message
        .with("content", content)
        .and("cache_control", raw(block.cache_control)))
}

fn assistant<'a>(blocks: Vec<Block<'a>>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let (mut words, mut calls, mut details, mut thoughts) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    for (place, block) in (0_u64..).zip(blocks) {
        let field = format!("{field}[{place}]");
        match block.kind.as_ref() {
            "thinking" => thought(&block, place, &mut details, &mut thoughts),
            "redacted_thinking" => {
                let data = block.data.unwrap_or_default();
                match carry::unpack(&data) {
                    Some(carried) => details.extend(carried.iter().map(crate::dialect::reasoning::Detail::json)),
                    None => details.push(Json::object([
                        ("type", "reasoning.encrypted".into()),
                        ("data", data.into()),
                        ("format", FORMAT.into()),
                        ("index", place.into()),
                    ])),
                }
            }
            "tool_use" => calls.push(call(&block, &field)?),
            _ => part(&block, &field, &mut words)?,
        }
    }
    let message = Json::object([("role", "assistant".into())]);
    let content = if words.is_empty() {
        Json::raw("null")
    } else {
        spoken(words)
    };
    Ok(message
        .with("content", content)
        .unless_empty("tool_calls", Json::List(calls))
        .and("reasoning", (!thoughts.is_empty()).then_some(thoughts))
        .unless_empty("reasoning_details", Json::List(details)))
}

/// A thought goes back to who had it: to Anthropic with its signature, to others as what the signature carries.
fn thought<'a>(block: &Block<'a>, place: u64, details: &mut Vec<Json<'a>>, thoughts: &mut String) {
    let text = block.thinking.clone().unwrap_or_default();
    let signature = block.signature.clone().unwrap_or_default();
    if let Some(carried) = carry::unpack(&signature) {
        for (number, mut detail) in carried.into_iter().enumerate() {
            let told = (number == 0 && !text.is_empty()).then(|| Cow::Owned(text.clone().into_owned()));
            match detail.kind.as_ref() {
                "reasoning.summary" => detail.summary = detail.summary.or(told),
                "reasoning.text" => detail.text = detail.text.or(told),
                _ => {}
            }
            details.push(detail.json());
        }
        return;
    }
    if signature.is_empty() {
        thoughts.push_str(&text);
        return;
    }
    details.push(Json::object([
        ("type", "reasoning.text".into()),
        ("text", text.into()),
        ("signature", signature.into()),
        ("format", FORMAT.into()),
        ("index", place.into()),
    ]));
}

fn call<'a>(block: &Block<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let (Some(id), Some(name)) = (block.id.clone(), block.name.clone()) else {
        return Err(cannot(field, "is a `tool_use` without `id` or `name`"));
    };
    let arguments = block.input.map_or("{}", RawValue::get);
    let function = Json::object([("name", name.into()), ("arguments", arguments.into())]);
    Ok(
        Json::object([("id", id.into()), ("type", "function".into()), ("function", function)])
            .and("cache_control", raw(block.cache_control)),
    )
}

fn said<'a>(role: &'static str, parts: Vec<Json<'a>>) -> Json<'a> {
    Json::object([("role", role.into()), ("content", spoken(parts))])
}

fn parts<'a>(blocks: &[Block<'a>], field: &str) -> Result<Vec<Json<'a>>, Inexpressible> {
    let mut all = Vec::with_capacity(blocks.len());
    for (place, block) in blocks.iter().enumerate() {
        part(block, &format!("{field}[{place}]"), &mut all)?;
    }
    Ok(all)
}

fn part<'a>(block: &Block<'a>, field: &str, all: &mut Vec<Json<'a>>) -> Result<(), Inexpressible> {
    let part = match block.kind.as_ref() {
        "text" => text_part(text_of(block.text, field)?),
        "image" => {
            let url = Json::object([("url", url(&source(block, field)?, field)?.into())]);
            Json::object([("type", "image_url".into()), ("image_url", url)])
        }
        "document" => document(block, field)?,
        "search_result" => {
            let mut found = vec![text_part(quoted(&block.title.clone().unwrap_or_default()))];
            if let Some(content) = block.content {
                found.extend(parts(
                    &blocks(content, &format!("{field}.content"))?,
                    &format!("{field}.content"),
                )?);
            }
            all.extend(found);
            return Ok(());
        }
        _ => {
            return Err(cannot(
                format!("{field}.type"),
                "is a kind of block that only Anthropic's own API understands",
            ));
        }
    };
    all.push(part.and("cache_control", raw(block.cache_control)));
    Ok(())
}

/// A text is told as text, with its title; anything else as a file.
fn document<'a>(block: &Block<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let source = source(block, field)?;
    let head = [block.title.as_deref(), block.context.as_deref()];
    let head: String = head.into_iter().flatten().flat_map(|line| [line, "\n"]).collect();
    match (source.kind.as_ref(), &source.data, source.content) {
        ("text", Some(text), _) => Ok(text_part(quoted(&format!("{head}{text}")))),
        ("content", _, Some(content)) => {
            let field = format!("{field}.source.content");
            let mut text = head;
            for part in blocks(content, &field)? {
                let raw = text_of(part.text, &field)?;
                text.push_str(&crate::dialect::conversation::unquoted(raw));
                text.push('\n');
            }
            Ok(text_part(quoted(&text)))
        }
        _ => {
            let (name, data) = match &source.file_id {
                Some(id) => ("file_id", id.clone()),
                None => ("file_data", url(&source, field)?),
            };
            let file = Json::object([("filename", block.title.clone().unwrap_or("document.pdf".into()).into())]);
            Ok(Json::object([("type", "file".into()), ("file", file.with(name, data))]))
        }
    }
}

fn source<'a>(block: &Block<'a>, field: &str) -> Result<Source<'a>, Inexpressible> {
    let source = block.source.and_then(|raw| serde_json::from_str(raw.get()).ok());
    source.ok_or_else(|| cannot(format!("{field}.source"), "is missing or has no `type`"))
}

fn url<'a>(source: &Source<'a>, field: &str) -> Result<Cow<'a, str>, Inexpressible> {
    match (source.kind.as_ref(), &source.data, &source.url) {
        ("base64", Some(data), _) => {
            let media_type = source.media_type.as_deref().unwrap_or("application/octet-stream");
            Ok(format!("data:{media_type};base64,{data}").into())
        }
        ("text", Some(text), _) => {
            let data = base64::engine::general_purpose::STANDARD.encode(text.as_bytes());
            Ok(format!("data:text/plain;base64,{data}").into())
        }
        ("url", _, Some(url)) => Ok(url.clone()),
        _ => Err(cannot(
            format!("{field}.source"),
            "is neither base64 nor a URL, which is what this provider takes",
        )),
    }
}

fn text_of<'a>(raw: Option<&'a RawValue>, field: &str) -> Result<&'a str, Inexpressible> {
    raw.map(RawValue::get)
        .filter(|raw| raw.starts_with('"'))
        .ok_or_else(|| cannot(format!("{field}.text"), "is missing or not text"))
}
