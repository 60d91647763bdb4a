//! Gemini's `generateContent`, as its callers speak it.

mod answer;
mod contents;
mod schema;

pub use answer::{Stream, Whole};

use super::carry;
use super::chat_form::{ChatForm, read};
use crate::dialect::json::{Json, quoted};
use crate::dialect::{Inexpressible, cannot};
use crate::estimate::{self, Prompt};
use crate::openai::OWN_FIELDS;
use crate::request::{ChatRequest, Field, Native, RequestError, present, top_level, wrong};
use crate::surface::Form;
use bytes::Bytes;
use domain::catalog::Dialect;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    AtOnce,
    /// Server-sent events.
    Events,
    /// A JSON list that grows.
    List,
}

/// What the chat API says otherwise, or what only steers the vendor's own service; the rest goes on under its own name.
const TRANSLATED: &[&str] = &[
    "contents",
    "generationConfig",
    "labels",
    "safetySettings",
    "systemInstruction",
    "toolConfig",
    "tools",
];
/// Both ways to write a name are taken.
const SNAKES: &[(&str, &str)] = &[
    ("cached_content", "cachedContent"),
    ("generation_config", "generationConfig"),
    ("safety_settings", "safetySettings"),
    ("system_instruction", "systemInstruction"),
    ("tool_config", "toolConfig"),
];

/// A request in the words of this API. Its model and whether it streams stand in the address.
pub fn parse(body: &Bytes, model: &str, sending: Sending) -> Result<ChatRequest, RequestError> {
    let mut fields = top_level(body)?;
    for field in &mut fields {
        if let Some((_, camel)) = SNAKES.iter().find(|(snake, _)| *snake == field.name) {
            (*camel).clone_into(&mut field.name);
        }
    }
    if let Some(twice) = fields
        .iter()
        .enumerate()
        .find_map(|(at, field)| fields[..at].iter().find(|earlier| earlier.name == field.name))
    {
        return Err(RequestError::Duplicate(twice.name.clone()));
    }
    if present(&fields, "contents").is_none() {
        return Err(wrong("contents", "is missing"));
    }
    if present(&fields, "cachedContent").is_some() {
        return Err(wrong(
            "cachedContent",
            "is kept at Google, where requests from here can't find it",
        ));
    }
    fields.retain(|field| !matches!(field.name.as_str(), "model" | "stream"));
    let config = config(&fields).map_err(RequestError::Unclear)?;
    declared(&fields).map_err(RequestError::Unclear)?;
    let is_ours = |name: &str| OWN_FIELDS.contains(&name);
    let native = Native {
        dialect: Dialect::Gemini,
        says: says(&fields, &config),
        fields: fields.iter().filter(|field| !is_ours(&field.name)).cloned().collect(),
        translate,
    };
    let thinking = config.thinking_config.as_ref();
    let form = Form::Gemini {
        is_list: sending == Sending::List,
        shows_thoughts: thinking.and_then(|thinking| thinking.include_thoughts).unwrap_or(false),
    };
    let (choices, limit) = (config.candidate_count.unwrap_or(1), config.max_output_tokens);
    if !(1..=8).contains(&choices) {
        return Err(wrong(
            "generationConfig",
            "has a candidateCount that is not between 1 and 8",
        ));
    }
    let user = present(&fields, "user").cloned();
    let prompt = prompt(&fields);
    let mut named = fields.clone();
    named.push(Field {
        name: "model".to_owned(),
        value: Bytes::from(quoted(model)),
    });
    let mut request = ChatRequest::of_native(&named, native, form, prompt, limit)?;
    request.stream = sending != Sending::AtOnce;
    request.choices = choices;
    request.user = user;
    if fields.iter().any(|field| carry::is_in(&field.value)) {
        return request.translated().map_err(RequestError::Unclear);
    }
    Ok(request)
}

/// Tokens of the contents in the body of a `countTokens` request. Counts all of the text, which takes milliseconds for a
/// long one.
pub fn count_tokens(body: &Bytes) -> Result<u64, RequestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner<'a> {
        #[serde(borrow, default, alias = "generate_content_request")]
        generate_content_request: Option<&'a RawValue>,
    }
    let inner: Option<Inner<'_>> = serde_json::from_slice(body).ok();
    let inner = inner.and_then(|inner| inner.generate_content_request);
    let fields = match inner {
        Some(inner) => top_level(&body.slice_ref(inner.get().as_bytes()))?,
        None => top_level(body)?,
    };
    let counted: Vec<u64> = ["contents", "systemInstruction", "system_instruction", "tools"]
        .iter()
        .filter_map(|name| present(&fields, name))
        .map(|value| estimate::json_tokens(value))
        .collect();
    if present(&fields, "contents").is_none() {
        return Err(wrong("contents", "is missing"));
    }
    Ok(counted.into_iter().sum())
}

fn prompt(fields: &[Field]) -> Prompt {
    Prompt::named(fields, &["contents", "systemInstruction", "tools"])
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config<'a> {
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, alias = "top_p")]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, alias = "top_k")]
    top_k: Option<&'a RawValue>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<u64>,
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<u64>,
    #[serde(borrow, alias = "stop_sequences")]
    stop_sequences: Option<&'a RawValue>,
    #[serde(borrow, alias = "presence_penalty")]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow, alias = "frequency_penalty")]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(alias = "response_logprobs")]
    response_logprobs: Option<bool>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_mime_type")]
    response_mime_type: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "response_schema")]
    response_schema: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_json_schema", alias = "_responseJsonSchema")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_modalities")]
    response_modalities: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, alias = "speech_config")]
    speech_config: Option<&'a RawValue>,
    #[serde(borrow, alias = "image_config")]
    image_config: Option<ImageConfig<'a>>,
    #[serde(borrow, alias = "thinking_config")]
    thinking_config: Option<ThinkingConfig<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageConfig<'a> {
    #[serde(borrow, default, alias = "aspect_ratio")]
    aspect_ratio: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "image_size")]
    image_size: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig<'a> {
    #[serde(default, alias = "include_thoughts")]
    include_thoughts: Option<bool>,
    #[serde(default, alias = "thinking_budget")]
    thinking_budget: Option<i64>,
    #[serde(borrow, default, alias = "thinking_level")]
    thinking_level: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "parameters_json_schema")]
    parameters_json_schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    #[serde(borrow, default, alias = "function_calling_config")]
    function_calling_config: Option<Calling<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    #[serde(borrow, default)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "allowed_function_names")]
    allowed_function_names: Vec<Cow<'a, str>>,
}

fn config(fields: &[Field]) -> Result<Config<'_>, Inexpressible> {
    let config = read(fields, "generationConfig", "is not a valid configuration of the answer")?;
    Ok(config.unwrap_or_default())
}

fn says(fields: &[Field], config: &Config<'_>) -> Vec<&'static str> {
    let is_json = config
        .response_mime_type
        .as_deref()
        .is_some_and(|kind| kind != "text/plain");
    let set = [
        ("temperature", config.temperature.is_some()),
        ("top_p", config.top_p.is_some()),
        ("top_k", config.top_k.is_some()),
        ("stop", config.stop_sequences.is_some()),
        ("presence_penalty", config.presence_penalty.is_some()),
        ("frequency_penalty", config.frequency_penalty.is_some()),
        ("seed", config.seed.is_some()),
        ("logprobs", config.response_logprobs == Some(true)),
        ("response_format", is_json),
        ("reasoning", config.thinking_config.is_some()),
        (
            "tools",
            present(fields, "tools").is_some_and(|tools| tools.as_ref() != b"[]"),
        ),
        ("tool_choice", present(fields, "toolConfig").is_some()),
    ];
    set.into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| name)
        .collect()
}

/// To the words of the chat API.
fn translate(fields: &[Field]) -> Result<Vec<Field>, Inexpressible> {
    let mut chat = ChatForm::with_all_but(fields, &[TRANSLATED]);
    let system = present(fields, "systemInstruction");
    let messages = contents::chat_messages(system, present(fields, "contents"))?;
    chat.json("messages", &messages);
    configure(&config(fields)?, &mut chat)?;
    let tools = declared(fields)?;
    if !tools.is_empty() {
        chat.json("tools", &Json::List(tools));
    }
    tool_choice(fields, &mut chat)?;
    Ok(chat.finish())
}

fn configure(config: &Config<'_>, chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let same = [
        ("temperature", config.temperature),
        ("top_p", config.top_p),
        ("top_k", config.top_k),
        ("stop", config.stop_sequences),
        ("presence_penalty", config.presence_penalty),
        ("frequency_penalty", config.frequency_penalty),
        ("seed", config.seed),
        ("top_logprobs", config.logprobs),
    ];
    for (name, raw) in same {
        if let Some(raw) = raw.filter(|raw| raw.get() != "null") {
            chat.json(name, &Json::raw(raw.get()));
        }
    }
    if let Some(limit) = config.max_output_tokens {
        chat.json("max_tokens", &limit.into());
    }
    if let Some(count) = config.candidate_count.filter(|count| *count != 1) {
        chat.json("n", &count.into());
    }
    if config.response_logprobs == Some(true) {
        chat.json("logprobs", &true.into());
    }
    if config.speech_config.is_some() {
        return Err(cannot(
            "generationConfig.speechConfig",
            "asks for speech, which this provider's API can't give",
        ));
    }
    if let Some(modalities) = config
        .response_modalities
        .as_ref()
        .filter(|modalities| !modalities.is_empty())
    {
        let names = modalities.iter().map(|name| name.to_ascii_lowercase().into());
        chat.json("modalities", &Json::List(names.collect()));
    }
    if let Some(image) = &config.image_config {
        let image = Json::Object(Vec::new())
            .and("aspect_ratio", image.aspect_ratio.clone())
            .and("image_size", image.image_size.clone());
        chat.json("image_config", &image);
    }
    if let Some(thinking) = &config.thinking_config {
        chat.json("reasoning", &reasoning(thinking));
    }
    format(config, chat)
}

fn reasoning(thinking: &ThinkingConfig<'_>) -> Json<'static> {
    let reasoning = Json::Object(Vec::new());
    match (thinking.thinking_budget, &thinking.thinking_level) {
        (_, Some(level)) => reasoning.with("effort", level.to_ascii_lowercase()),
        (Some(0), None) => reasoning.with("enabled", false),
        (Some(budget), None) => match u64::try_from(budget) {
            Ok(tokens) => reasoning.with("max_tokens", tokens),
            // The model is to decide.
            Err(_) => reasoning.with("enabled", true),
        },
        (None, None) => reasoning.with("enabled", true),
    }
}

fn format(config: &Config<'_>, chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    let schema = match (config.response_json_schema, config.response_schema) {
        (Some(schema), _) => Some(schema.get().to_owned()),
        (None, Some(schema)) => Some(schema::json_schema(schema.get())),
        (None, None) => None,
    };
    let format = match (config.response_mime_type.as_deref(), schema) {
        (None | Some("text/plain"), _) => return Ok(()),
        (Some("application/json"), None) => kind("json_object"),
        (Some("application/json" | "text/x.enum"), Some(schema)) => {
            let schema = Json::object([("name", "answer".into()), ("schema", Json::raw(schema))]);
            kind("json_schema").with("json_schema", schema)
        }
        (Some(_), _) => {
            return Err(cannot(
                "generationConfig.responseMimeType",
                "is a kind of answer that this provider can't be held to",
            ));
        }
    };
    chat.json("response_format", &format);
    Ok(())
}

/// Functions; what a provider runs itself is not offered.
fn declared(fields: &[Field]) -> Result<Vec<Json<'_>>, Inexpressible> {
    let Some(raw) = present(fields, "tools") else {
        return Ok(Vec::new());
    };
    // A single one is taken, too.
    let tools: Vec<Members<'_>> = if raw.starts_with(b"[") {
        read(fields, "tools", "is not a list of tools")?.unwrap_or_default()
    } else {
        read(fields, "tools", "is not a list of tools")?.into_iter().collect()
    };
    let mut functions = Vec::new();
    for (place, tool) in tools.into_iter().enumerate() {
        for (name, value) in tool {
            if !matches!(name.as_ref(), "functionDeclarations" | "function_declarations") {
                return Err(cannot(
                    format!("tools[{place}].{name}"),
                    "is a tool that Google runs itself, and those are not offered",
                ));
            }
            let declarations: Vec<Declaration<'_>> = serde_json::from_str(value.get()).map_err(|_| {
                cannot(
                    format!("tools[{place}].{name}"),
                    "is not a list of functions with a `name`",
                )
            })?;
            functions.extend(declarations.into_iter().map(function));
        }
    }
    Ok(functions)
}

type Members<'a> = std::collections::BTreeMap<Cow<'a, str>, &'a RawValue>;

fn function(declaration: Declaration<'_>) -> Json<'_> {
    let parameters = match (declaration.parameters_json_schema, declaration.parameters) {
        (Some(schema), _) => Some(Json::raw(schema.get())),
        (None, Some(schema)) => Some(Json::raw(schema::json_schema(schema.get()))),
        (None, None) => None,
    };
    let function = Json::object([("name", declaration.name.into())])
        .and("description", declaration.description)
        .and("parameters", parameters);
    Json::object([("type", "function".into()), ("function", function)])
}

fn tool_choice(fields: &[Field], chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let config: Option<ToolConfig<'_>> = read(fields, "toolConfig", "is not a valid configuration of tools")?;
    let Some(calling) = config.and_then(|config| config.function_calling_config) else {
        return Ok(());
    };
    let function = |name: &Cow<'_, str>| {
        let function = Json::object([("name", name.clone().into_owned().into())]);
        Json::object([("type", "function".into()), ("function", function)])
    };
    let mode = match calling.mode.as_deref().unwrap_or("AUTO") {
        "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" => "auto",
        "ANY" => "required",
        "NONE" => "none",
        _ => {
            return Err(cannot(
                "toolConfig.functionCallingConfig.mode",
                "is not `AUTO`, `ANY` or `NONE`",
            ));
        }
    };
    let choice = match calling.allowed_function_names.as_slice() {
        [] => mode.into(),
        [name] if mode == "required" => function(name),
        names => {
            let tools = Json::List(names.iter().map(function).collect());
            let allowed = Json::object([("mode", mode.into()), ("tools", tools)]);
            Json::object([("type", "allowed_tools".into()), ("allowed_tools", allowed)])
        }
    };
    chat.json("tool_choice", &choice);
    Ok(())
}
