//! OpenAI's Responses, as its callers speak it.

mod answer;
mod items;
mod object;

pub use answer::{Kept, Stream, Whole};
pub use object::Asked;

use super::carry;
use super::chat_form::{ChatForm, raw, read, text};
use crate::dialect::json::Json;
use crate::dialect::{Inexpressible, cannot};
use crate::estimate::Prompt;
use crate::openai::OWN_FIELDS;
use crate::request::{ChatRequest, Field, Native, RequestError, present, top_level, typed, wrong};
use crate::surface::Form;
use bytes::Bytes;
use domain::catalog::Dialect;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// What is ours beside what is ours on every surface: we keep responses, a provider does not.
const OURS: &[&str] = &["previous_response_id", "stop_server_tools_when", "store"];
/// What only steers the vendor's own service, and is dropped for other providers.
const DROPPED: &[&str] = &[
    "background",
    "context_management",
    "include",
    "max_tool_calls",
    "stream_options",
    "truncation",
];
/// What the chat API says otherwise; the rest goes on under its own name.
const TRANSLATED: &[&str] = &[
    "input",
    "instructions",
    "max_output_tokens",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
];
/// Parameters that providers may lack, under the same name in both APIs.
const PARAMETERS: &[&str] = &[
    "frequency_penalty",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
];
const LOGPROBS: &str = "message.output_text.logprobs";

/// A request that was read, before what came earlier in its conversation is known.
#[derive(Debug)]
pub struct Draft {
    fields: Vec<Field>,
    /// Of the response that this one continues.
    pub previous: Option<String>,
    /// Whether the caller says that the response is to be kept, or not.
    pub store: Option<bool>,
}

impl Draft {
    pub fn parse(body: &Bytes) -> Result<Self, RequestError> {
        let fields = top_level(body)?;
        refuse(&fields)?;
        Ok(Self {
            previous: typed(&fields, "previous_response_id", "must be the id of a response")?,
            store: typed(&fields, "store", "must be true or false")?,
            fields,
        })
    }

    /// The request, with the items of earlier responses (JSON texts) before its own. `keeps` says whether the response
    /// is to be kept.
    pub fn request(mut self, earlier: &[String], keeps: bool) -> Result<ChatRequest, RequestError> {
        let own = items::own(present(&self.fields, "input"))?;
        if !earlier.is_empty() {
            let all: Vec<&str> = earlier
                .iter()
                .map(String::as_str)
                .chain(own.iter().map(AsRef::as_ref))
                .collect();
            let input = Bytes::from(format!("[{}]", all.join(",")));
            for field in self.fields.iter_mut().filter(|field| field.name == "input") {
                field.value = input.clone();
            }
        }
        let fields = self.fields;
        let limit: Option<u64> = typed(&fields, "max_output_tokens", "must be a whole number of tokens")?;
        let is_ours = |name: &str| OWN_FIELDS.contains(&name) || OURS.contains(&name);
        let mut forwarded: Vec<Field> = fields.iter().filter(|field| !is_ours(&field.name)).cloned().collect();
        forwarded.push(Field {
            name: "store".to_owned(),
            value: Bytes::from_static(b"false"),
        });
        let native = Native {
            dialect: Dialect::OpenaiResponses,
            says: says(&fields)?,
            fields: forwarded,
            translate,
        };
        let asked = Asked::of(&fields, self.previous, keeps, &own);
        let prompt = prompt(&fields);
        let form = Form::Responses(Arc::new(asked));
        let mut request = ChatRequest::of_native(&fields, native, form, prompt, limit)?;
        request.user = present(&fields, "user").cloned();
        let input = present(&fields, "input").map_or(&b""[..], |input| input);
        if carry::is_in(input) || has_lost_thoughts(input) {
            return request.translated().map_err(RequestError::Unclear);
        }
        Ok(request)
    }
}

/// Thoughts without their encrypted content mean nothing to a provider that keeps none.
fn has_lost_thoughts(input: &[u8]) -> bool {
    let count = |needle: &[u8]| input.windows(needle.len()).filter(|window| *window == needle).count();
    let nulls = count(b"\"encrypted_content\":null") + count(b"\"encrypted_content\": null");
    count(b"\"reasoning\"") > count(b"\"encrypted_content\"") - nulls
}

/// What is not offered here, whatever the provider.
fn refuse(fields: &[Field]) -> Result<(), RequestError> {
    let input = present(fields, "input").ok_or_else(|| wrong("input", "is missing"))?;
    if input.first() != Some(&b'"') && input.first() != Some(&b'[') {
        return Err(wrong("input", "must be text or a list of items"));
    }
    if present(fields, "background").is_some_and(|value| value.as_ref() == b"true") {
        return Err(wrong(
            "background",
            "can't be true: responses are not made in the background here",
        ));
    }
    for (name, problem) in [
        (
            "conversation",
            "can't be used here; continue with `previous_response_id`",
        ),
        (
            "prompt",
            "names a template that only OpenAI has; send its text as `input`",
        ),
    ] {
        if present(fields, name).is_some() {
            return Err(wrong(name, problem));
        }
    }
    tools(fields).map_err(RequestError::Unclear)?;
    Ok(())
}

fn prompt(fields: &[Field]) -> Prompt {
    Prompt::named(fields, &["input", "instructions", "tools"])
}

fn says(fields: &[Field]) -> Result<Vec<&'static str>, RequestError> {
    let mut says: Vec<&'static str> = PARAMETERS
        .iter()
        .copied()
        .filter(|name| present(fields, name).is_some_and(|value| value.as_ref() != b"[]"))
        .collect();
    let text: Option<Text<'_>> = typed(fields, "text", "is not a valid configuration of text")?;
    let format = text.and_then(|text| text.format);
    if format.is_some_and(|format| format.kind != "text") {
        says.push("response_format");
    }
    Ok(says)
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow, default)]
    format: Option<Format<'a>>,
    #[serde(borrow, default)]
    verbosity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow, default)]
    strict: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolChoice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tools: Vec<AllowedTool<'a>>,
}

#[derive(Deserialize)]
struct AllowedTool<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

/// To the words of the chat API.
fn translate(fields: &[Field]) -> Result<Vec<Field>, Inexpressible> {
    let mut chat = ChatForm::with_all_but(fields, &[TRANSLATED, DROPPED, &["store"]]);
    let messages = items::chat_messages(present(fields, "instructions"), present(fields, "input"))?;
    chat.json("messages", &messages);
    chat.renamed(fields, "max_output_tokens", "max_tokens");
    chat.renamed(fields, "reasoning", "reasoning");
    let include: Vec<Cow<'_, str>> = read(fields, "include", "must be a list of names")?.unwrap_or_default();
    if include.iter().any(|name| name == LOGPROBS) || present(fields, "top_logprobs").is_some() {
        chat.json("logprobs", &true.into());
    }
    let tools = tools(fields)?;
    if !tools.is_empty() {
        chat.json("tools", &Json::List(tools));
    }
    if let Some(choice) = tool_choice(fields)? {
        chat.json("tool_choice", &choice);
    }
    format(fields, &mut chat)?;
    Ok(chat.finish())
}

fn tools(fields: &[Field]) -> Result<Vec<Json<'_>>, Inexpressible> {
    let tools: Vec<Tool<'_>> = read(fields, "tools", "is not a list of tools with a `type`")?.unwrap_or_default();
    let functions = tools.into_iter().enumerate().map(|(place, tool)| {
        if tool.kind != "function" {
            return Err(cannot(
                format!("tools[{place}].type"),
                "is not `function`; tools that a provider runs itself are not offered",
            ));
        }
        if tool.name.is_empty() {
            return Err(cannot(format!("tools[{place}].name"), "is missing"));
        }
        let function = Json::object([("name", tool.name.into())])
            .and("description", raw(tool.description))
            .and("parameters", raw(tool.parameters))
            .and("strict", raw(tool.strict));
        Ok(Json::object([("type", "function".into()), ("function", function)]))
    });
    functions.collect()
}

fn tool_choice(fields: &[Field]) -> Result<Option<Json<'_>>, Inexpressible> {
    let Some(value) = present(fields, "tool_choice") else {
        return Ok(None);
    };
    if value.starts_with(b"\"") {
        return Ok(text(fields, "tool_choice")?.map(Json::from));
    }
    let why = "is not `auto`, `none`, `required`, or a function's name";
    let choice: Option<ToolChoice<'_>> = read(fields, "tool_choice", why)?;
    let function = |name: Cow<'_, str>| {
        let function = Json::object([("name", name.into_owned().into())]);
        Json::object([("type", "function".into()), ("function", function)])
    };
    match choice.map(|choice| (choice.kind, choice.name, choice.mode, choice.tools)) {
        Some((kind, Some(name), ..)) if kind == "function" => Ok(Some(function(name))),
        Some((kind, _, mode, tools)) if kind == "allowed_tools" => {
            let tools = tools.into_iter().map(|tool| function(tool.name)).collect();
            let allowed = Json::object([
                ("mode", mode.unwrap_or("auto".into()).into_owned().into()),
                ("tools", Json::List(tools)),
            ]);
            Ok(Some(Json::object([
                ("type", "allowed_tools".into()),
                ("allowed_tools", allowed),
            ])))
        }
        _ => Err(cannot("tool_choice", why)),
    }
}

fn format(fields: &[Field], chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let text: Option<Text<'_>> = read(fields, "text", "is not a valid configuration of text")?;
    let Some(text) = text else { return Ok(()) };
    if let Some(verbosity) = raw(text.verbosity) {
        chat.json("verbosity", &verbosity);
    }
    let Some(format) = text.format else { return Ok(()) };
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    match (format.kind.as_ref(), format.schema) {
        ("text", _) => {}
        ("json_object", _) => chat.json("response_format", &kind("json_object")),
        ("json_schema", Some(schema)) => {
            let schema = Json::object([("name", format.name.unwrap_or("answer".into()).into())])
                .and("description", format.description)
                .with("schema", Json::raw(schema.get()))
                .and("strict", format.strict);
            chat.json("response_format", &kind("json_schema").with("json_schema", schema));
        }
        _ => {
            return Err(cannot(
                "text.format",
                "is not `text`, `json_object`, or `json_schema` with a `schema`",
            ));
        }
    }
    Ok(())
}
