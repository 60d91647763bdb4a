//! Contents and their parts, in the words of the chat API.

use crate::dialect::conversation::unquoted;
use crate::dialect::json::Json;
use crate::dialect::{Inexpressible, cannot};
use crate::surface::carry;
use crate::surface::chat_form::{spoken, text_part};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Whose reasoning it is when nothing else says so.
pub(super) const FORMAT: &str = "google-gemini-v1";

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default, alias = "thought_signature")]
    thought_signature: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "inline_data")]
    inline_data: Option<Inline<'a>>,
    #[serde(borrow, default, alias = "file_data")]
    file_data: Option<File<'a>>,
    #[serde(borrow, default, alias = "function_call")]
    function_call: Option<Call<'a>>,
    #[serde(borrow, default, alias = "function_response")]
    function_response: Option<Answer<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    #[serde(borrow, alias = "mime_type")]
    mime_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(borrow, default, alias = "mime_type")]
    mime_type: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "file_uri")]
    file_uri: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

/// Calls that were made, so that answers without an id find theirs.
#[derive(Default)]
struct Calls<'a> {
    made: u64,
    /// Ids and names of those that are not answered yet.
    open: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// `messages` of a chat request.
pub(super) fn chat_messages<'a>(
    system: Option<&'a Bytes>,
    contents: Option<&'a Bytes>,
) -> Result<Json<'a>, Inexpressible> {
    let mut all = Vec::new();
    if let Some(raw) = system {
        let content = content(raw, "systemInstruction")?;
        let parts = content.parts.into_iter().enumerate();
        let parts = parts.map(|(place, part)| said(part, &format!("systemInstruction.parts[{place}]")));
        all.push(message("system", spoken(parts.collect::<Result<_, _>>()?)));
    }
    let raw = contents.map_or(&b"[]"[..], |raw| raw);
    let contents: Vec<Content<'a>> = if raw.starts_with(b"[") {
        serde_json::from_slice(raw).map_err(|_| cannot("contents", "is not a list of contents with `parts`"))?
    } else {
        vec![content(raw, "contents")?]
    };
    let mut calls = Calls::default();
    for (at, content) in contents.into_iter().enumerate() {
        let field = format!("contents[{at}]");
        match content.role.as_deref().unwrap_or("user") {
            "user" | "function" => user(content.parts, &field, &mut calls, &mut all)?,
            "model" => all.push(model(content.parts, &field, &mut calls)?),
            _ => return Err(cannot(format!("{field}.role"), "is not `user` or `model`")),
        }
    }
    if all.is_empty() {
        return Err(cannot("contents", "is empty"));
    }
    Ok(Json::List(all))
}

/// One content, or text alone.
fn content<'a>(raw: &'a [u8], field: &str) -> Result<Content<'a>, Inexpressible> {
    let wrong = || cannot(field, "is not a content with `parts`");
    if raw.starts_with(b"\"") {
        let text = serde_json::from_slice(raw).map_err(|_| wrong())?;
        let part = Part {
            text: Some(text),
            thought: None,
            thought_signature: None,
            inline_data: None,
            file_data: None,
            function_call: None,
            function_response: None,
        };
        return Ok(Content {
            role: None,
            parts: vec![part],
        });
    }
    serde_json::from_slice(raw).map_err(|_| wrong())
}

/// What functions answered are messages of their own, in their order among what was said.
fn user<'a>(
    parts: Vec<Part<'a>>,
    field: &str,
    calls: &mut Calls<'a>,
    all: &mut Vec<Json<'a>>,
) -> Result<(), Inexpressible> {
    let mut words = Vec::new();
    for (place, part) in parts.into_iter().enumerate() {
        let Some(answer) = part.function_response else {
            words.push(said(part, &format!("{field}.parts[{place}]"))?);
            continue;
        };
        if !words.is_empty() {
            all.push(message("user", spoken(std::mem::take(&mut words))));
        }
        let id = calls.answered(answer.id.as_ref(), &answer.name);
        let id = id.ok_or_else(|| {
            cannot(
                format!("{field}.parts[{place}].functionResponse"),
                "answers no call before it",
            )
        })?;
        let message = message("tool", answered(answer.response));
        all.push(message.with("tool_call_id", id));
    }
    if !words.is_empty() {
        all.push(message("user", spoken(words)));
    }
    Ok(())
}

fn model<'a>(parts: Vec<Part<'a>>, field: &str, calls: &mut Calls<'a>) -> Result<Json<'a>, Inexpressible> {
    let (mut words, mut made, mut details, mut thoughts) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    let mut has_carried = false;
    for (place, part) in parts.into_iter().enumerate() {
        let signature = part.thought_signature.clone().filter(|signature| !signature.is_empty());
        let carried = signature.as_deref().and_then(carry::unpack);
        has_carried |= carried.is_some();
        let own = signature.filter(|_| carried.is_none());
        details.extend(
            carried
                .unwrap_or_default()
                .iter()
                .map(crate::dialect::reasoning::Detail::json),
        );
        let index = details.len() as u64;
        let sign = |id: Cow<'a, str>, signature: Cow<'a, str>| {
            Json::object([
                ("type", "reasoning.encrypted".into()),
                ("data", signature.into()),
                ("id", id.into()),
                ("format", FORMAT.into()),
                ("index", index.into()),
            ])
        };
        if part.thought == Some(true) {
            let text = part.text.map(|text| unquoted(text.get())).unwrap_or_default();
            match own {
                Some(signature) => details.push(Json::object([
                    ("type", "reasoning.text".into()),
                    ("text", text.into()),
                    ("signature", signature.into()),
                    ("format", FORMAT.into()),
                    ("index", index.into()),
                ])),
                None => thoughts.push_str(&text),
            }
            continue;
        }
        if let Some(call) = part.function_call {
            let id = calls.made(call.id, &call.name);
            details.extend(own.map(|signature| sign(id.clone(), signature)));
            let arguments = call.args.map_or("{}", RawValue::get);
            let function = Json::object([("name", call.name.into()), ("arguments", arguments.into())]);
            made.push(Json::object([
                ("id", id.into()),
                ("type", "function".into()),
                ("function", function),
            ]));
            continue;
        }
        details.extend(own.map(|signature| sign("text".into(), signature)));
        let is_empty = part.text.is_some_and(|text| text.get() == "\"\"");
        if !is_empty {
            words.push(said(part, &format!("{field}.parts[{place}]"))?);
        }
    }
    // What is carried says the thoughts, too.
    if has_carried {
        thoughts.clear();
    }
    let content = if words.is_empty() {
        Json::raw("null")
    } else {
        spoken(words)
    };
    Ok(message("assistant", content)
        .unless_empty("tool_calls", Json::List(made))
        .and("reasoning", (!thoughts.is_empty()).then_some(thoughts))
        .unless_empty("reasoning_details", Json::List(details)))
}

impl<'a> Calls<'a> {
    fn made(&mut self, id: Option<Cow<'a, str>>, name: &Cow<'a, str>) -> Cow<'a, str> {
        let id = id.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", self.made).into());
        self.made += 1;
        self.open.push((id.clone(), name.clone()));
        id
    }

    /// The id of the call that is answered: the one that is named, or the first of the function.
    fn answered(&mut self, id: Option<&Cow<'a, str>>, name: &str) -> Option<Cow<'a, str>> {
        let place = match id {
            Some(id) => self.open.iter().position(|(open, _)| open == id),
            None => None,
        };
        let place = place.or_else(|| self.open.iter().position(|(_, open)| open == name))?;
        Some(self.open.remove(place).0)
    }
}

fn message<'a>(role: &'static str, content: Json<'a>) -> Json<'a> {
    Json::object([("role", role.into()), ("content", content)])
}

/// Text alone where a function gave nothing else; otherwise its object as JSON.
fn answered(response: Option<&RawValue>) -> Json<'_> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Only<'a> {
        #[serde(borrow, alias = "result")]
        output: Cow<'a, str>,
    }
    let raw = response.map_or("{}", RawValue::get);
    match serde_json::from_str::<Only<'_>>(raw) {
        Ok(only) => only.output.into(),
        Err(_) => raw.into(),
    }
}

fn said<'a>(part: Part<'a>, field: &str) -> Result<Json<'a>, Inexpressible> {
    if let Some(text) = part.text.filter(|text| text.get().starts_with('"')) {
        return Ok(text_part(text.get()));
    }
    if let Some(Inline { mime_type, data }) = part.inline_data {
        if let Some(format) = mime_type.strip_prefix("audio/") {
            let format = match format {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                format => format,
            };
            let audio = Json::object([("data", data.into()), ("format", format.to_owned().into())]);
            return Ok(Json::object([("type", "input_audio".into()), ("input_audio", audio)]));
        }
        let url = format!("data:{mime_type};base64,{data}");
        return Ok(media(&mime_type, url.into()));
    }
    if let Some(File { mime_type, file_uri }) = part.file_data {
        let mime_type = mime_type.unwrap_or_default();
        if mime_type.starts_with("audio/") {
            return Err(cannot(
                format!("{field}.fileData"),
                "is audio, which must be given inline here",
            ));
        }
        return Ok(media(&mime_type, file_uri));
    }
    Err(cannot(field, "is a kind of part that this provider does not take"))
}

fn media<'a>(mime_type: &str, url: Cow<'a, str>) -> Json<'a> {
    let of_url = |kind: &'static str, url: Cow<'a, str>| {
        let url = Json::object([("url", url.into())]);
        Json::object([("type", kind.into()), (kind, url)])
    };
    if mime_type.starts_with("image/") {
        return of_url("image_url", url);
    }
    if mime_type.starts_with("video/") {
        return of_url("video_url", url);
    }
    let ending = match mime_type {
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "text/csv" => "csv",
        "text/html" => "html",
        "application/json" => "json",
        _ => "bin",
    };
    let file = Json::object([("filename", format!("file.{ending}").into()), ("file_data", url.into())]);
    Json::object([("type", "file".into()), ("file", file)])
}
