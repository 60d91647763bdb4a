//! Items of a conversation, in the words of the chat API.

use crate::dialect::conversation::unquoted;
use crate::dialect::json::Json;
use crate::dialect::reasoning::Detail;
use crate::dialect::{Inexpressible, cannot};
use crate::request::{RequestError, wrong};
use crate::surface::carry;
use crate::surface::chat_form::{spoken, text_part};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Whose reasoning it is when nothing else says so.
pub(super) const FORMAT: &str = "openai-responses-v1";

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<Vec<TextPart<'a>>>,
    #[serde(borrow, default)]
    encrypted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TextPart<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    filename: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input_audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

/// An answer of the model in the making: several items in a row are one message of the chat API.
#[derive(Default)]
struct Turn<'a> {
    /// Items so far; details of reasoning say at which place they stood.
    items: u64,
    words: Vec<Json<'a>>,
    calls: Vec<Json<'a>>,
    details: Vec<Json<'a>>,
    thoughts: String,
}

/// The caller's own items, each as JSON text.
pub(super) fn own(input: Option<&Bytes>) -> Result<Vec<String>, RequestError> {
    let raw = input.map_or(&b"[]"[..], |input| input);
    if raw.starts_with(b"\"") {
        let text = String::from_utf8_lossy(raw);
        return Ok(vec![format!(r#"{{"type":"message","role":"user","content":{text}}}"#)]);
    }
    let items: Vec<&RawValue> = serde_json::from_slice(raw).map_err(|_| wrong("input", "is not a list of items"))?;
    Ok(items.into_iter().map(|item| item.get().to_owned()).collect())
}

/// `messages` of a chat request.
pub(super) fn chat_messages<'a>(
    instructions: Option<&'a Bytes>,
    input: Option<&'a Bytes>,
) -> Result<Json<'a>, Inexpressible> {
    let mut all = Vec::new();
    if let Some(text) = instructions {
        let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with('"'));
        let text = text.ok_or_else(|| cannot("instructions", "must be text"))?;
        all.push(message("system", Json::raw(text)));
    }
    let raw = input.map_or("[]", |input| std::str::from_utf8(input).unwrap_or("[]"));
    if raw.starts_with('"') {
        all.push(message("user", Json::raw(raw)));
        return Ok(Json::List(all));
    }
    let items: Vec<Item<'a>> =
        serde_json::from_str(raw).map_err(|_| cannot("input", "is neither text nor a list of items"))?;
    let mut turn = Turn::default();
    for (at, item) in items.into_iter().enumerate() {
        let field = format!("input[{at}]");
        let is_message = item.kind.as_deref().is_none_or(|kind| kind == "message");
        let is_answer = match item.kind.as_deref() {
            Some("function_call" | "reasoning") => true,
            _ => is_message && item.role.as_deref() == Some("assistant"),
        };
        if is_answer {
            turn.add(&item, &field)?;
            continue;
        }
        all.extend(std::mem::take(&mut turn).finish());
        all.push(match (item.kind.as_deref(), item.role.as_deref()) {
            (None | Some("message"), Some("user")) => message("user", content(item.content, &field)?),
            (None | Some("message"), Some("system" | "developer")) => message("system", content(item.content, &field)?),
            (Some("function_call_output"), _) => result(&item, &field)?,
            (None | Some("message"), _) => {
                return Err(cannot(
                    format!("{field}.role"),
                    "is not `user`, `assistant`, `system` or `developer`",
                ));
            }
            (Some("item_reference"), _) => {
                return Err(cannot(
                    format!("{field}.type"),
                    "refers to an item kept elsewhere; send the item, or `previous_response_id`",
                ));
            }
            (Some(_), _) => {
                return Err(cannot(
                    format!("{field}.type"),
                    "is a kind of item that this provider does not take",
                ));
            }
        });
    }
    all.extend(turn.finish());
    Ok(Json::List(all))
}

impl<'a> Turn<'a> {
    fn add(&mut self, item: &Item<'a>, field: &str) -> Result<(), Inexpressible> {
        let place = self.items;
        self.items += 1;
        match item.kind.as_deref() {
            Some("function_call") => self.calls.push(call(item, field)?),
            Some("reasoning") => self.thought(item, place),
            _ => self.words.extend(parts(item.content, field)?),
        }
        Ok(())
    }

    fn thought(&mut self, item: &Item<'a>, place: u64) {
        let summary = item.summary.as_deref().unwrap_or_default();
        let content: Vec<TextPart<'a>> = item
            .content
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let joined = |parts: &[TextPart<'a>]| {
            let texts: Vec<&str> = parts.iter().map(|part| part.text.as_ref()).collect();
            texts.join("\n\n")
        };
        let (summary, content) = (joined(summary), joined(&content));
        let encrypted = item.encrypted_content.clone().unwrap_or_default();
        if let Some(carried) = carry::unpack(&encrypted) {
            for (number, mut detail) in carried.into_iter().enumerate() {
                let told = |text: &String| (number == 0 && !text.is_empty()).then(|| Cow::Owned(text.clone()));
                match detail.kind.as_ref() {
                    "reasoning.summary" => detail.summary = detail.summary.or(told(&summary)),
                    "reasoning.text" => detail.text = detail.text.or(told(&content)),
                    _ => {}
                }
                self.details.push(detail.json());
            }
            return;
        }
        if encrypted.is_empty() {
            // Nobody asks to have it back, but some models want to read it.
            let text = if content.is_empty() { summary } else { content };
            self.thoughts.push_str(&text);
            return;
        }
        let detail = Detail {
            kind: "reasoning.encrypted".into(),
            text: None,
            summary: None,
            data: Some(encrypted),
            signature: None,
            id: item.id.clone(),
            format: Some(FORMAT.into()),
            index: Some(place),
        };
        if !summary.is_empty() {
            let told = Detail {
                kind: "reasoning.summary".into(),
                summary: Some(summary.into()),
                data: None,
                ..detail.clone()
            };
            self.details.push(told.json());
        }
        self.details.push(detail.json());
    }

    fn finish(self) -> Option<Json<'a>> {
        if self.items == 0 {
            return None;
        }
        let content = if self.words.is_empty() {
            Json::raw("null")
        } else {
            spoken(self.words)
        };
        Some(
            message("assistant", content)
                .unless_empty("tool_calls", Json::List(self.calls))
                .and("reasoning", (!self.thoughts.is_empty()).then_some(self.thoughts))
                .unless_empty("reasoning_details", Json::List(self.details)),
        )
    }
}

fn message<'a>(role: &'static str, content: Json<'a>) -> Json<'a> {
    Json::object([("role", role.into()), ("content", content)])
}

fn call<'a>(item: &Item<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let (Some(id), Some(name)) = (item.call_id.clone(), item.name.clone()) else {
        return Err(cannot(field, "is a call without `call_id` or `name`"));
    };
    let arguments = item.arguments.map_or("\"{}\"", RawValue::get);
    let function = Json::object([("name", name.into()), ("arguments", Json::raw(arguments))]);
    Ok(Json::object([
        ("id", id.into()),
        ("type", "function".into()),
        ("function", function),
    ]))
}

fn result<'a>(item: &Item<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let id = item.call_id.clone();
    let id = id.ok_or_else(|| cannot(format!("{field}.call_id"), "is missing"))?;
    let output = parts_of(item.output, &format!("{field}.output"))?;
    let output = if output.is_empty() { "".into() } else { spoken(output) };
    Ok(Json::object([
        ("role", "tool".into()),
        ("tool_call_id", id.into()),
        ("content", output),
    ]))
}

fn content<'a>(raw: Option<&'a RawValue>, field: &str) -> Result<Json<'a>, Inexpressible> {
    Ok(spoken(parts(raw, field)?))
}

fn parts<'a>(raw: Option<&'a RawValue>, field: &str) -> Result<Vec<Json<'a>>, Inexpressible> {
    parts_of(raw, &format!("{field}.content"))
}

fn parts_of<'a>(raw: Option<&'a RawValue>, field: &str) -> Result<Vec<Json<'a>>, Inexpressible> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Ok(Vec::new());
    };
    if raw.starts_with('"') {
        return Ok(vec![text_part(raw)]);
    }
    let parts: Vec<Part<'a>> =
        serde_json::from_str(raw).map_err(|_| cannot(field, "is neither text nor a list of parts with a `type`"))?;
    let understood = parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| one(part, &format!("{field}[{place}]")));
    understood.collect()
}

fn one<'a>(part: Part<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    let missing = |what: &str| cannot(format!("{field}.{what}"), "is missing");
    let cache = part.cache_control.map(|raw| Json::raw(raw.get()));
    let told = match part.kind.as_ref() {
        "input_text" | "output_text" | "text" => text_part(part.text.ok_or_else(|| missing("text"))?.get()),
        "refusal" => {
            let refusal = part.refusal.ok_or_else(|| missing("refusal"))?.get();
            // What was refused is said; only an empty one is nothing.
            text_part(if unquoted(refusal).is_empty() { "\"\"" } else { refusal })
        }
        "input_image" => {
            let url = part.image_url.ok_or_else(|| {
                cannot(
                    format!("{field}.image_url"),
                    "is missing, and files that were uploaded elsewhere can't be seen",
                )
            })?;
            let image = Json::object([("url", url.into())]).and("detail", part.detail);
            Json::object([("type", "image_url".into()), ("image_url", image)])
        }
        "input_file" => {
            let file = Json::Object(Vec::new())
                .and("filename", part.filename)
                .and("file_data", part.file_data.or(part.file_url))
                .and("file_id", part.file_id);
            Json::object([("type", "file".into()), ("file", file)])
        }
        "input_audio" => {
            let audio = part.input_audio.ok_or_else(|| missing("input_audio"))?;
            Json::object([("type", "input_audio".into()), ("input_audio", Json::raw(audio.get()))])
        }
        _ => {
            return Err(cannot(
                format!("{field}.type"),
                "is a kind of content that this provider does not take",
            ));
        }
    };
    Ok(told.and("cache_control", cache))
}
