//! Anthropic's Messages, as its callers speak it.

mod answer;
mod turns;

pub(super) use answer::{Stream, Whole};

use super::carry;
use super::chat_form::{ChatForm, read, text};
use crate::dialect::json::Json;
use crate::dialect::{Inexpressible, cannot};
use crate::estimate::{self, Prompt};
use crate::openai::OWN_FIELDS;
use crate::request::{ChatRequest, Field, MODELS_MAX, Native, RequestError, present, top_level, typed, wrong};
use crate::surface::Form;
use bytes::Bytes;
use domain::catalog::Dialect;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is ours beside what is ours on every surface.
const OURS: &[&str] = &["fallbacks", "stop_server_tools_when"];
/// What only steers the vendor's own service, and is dropped for other providers.
const DROPPED: &[&str] = &[
    "betas",
    "context_management",
    "diagnostics",
    "inference_geo",
    "stream_options",
];
/// What the chat API calls otherwise; the rest goes on under its own name.
const TRANSLATED: &[&str] = &[
    "messages",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
/// The caller's names of what providers may lack, and the chat API's.
const PARAMETERS: &[(&str, &str)] = &[
    ("output_format", "response_format"),
    ("stop_sequences", "stop"),
    ("temperature", "temperature"),
    ("thinking", "reasoning"),
    ("tool_choice", "tool_choice"),
    ("tools", "tools"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
];

/// A request in the words of this API.
pub fn parse(body: &Bytes) -> Result<ChatRequest, RequestError> {
    let mut fields = top_level(body)?;
    check_messages(&fields)?;
    let limit: Option<u64> = typed(&fields, "max_tokens", "must be a whole number of tokens")?;
    let limit = limit.ok_or_else(|| wrong("max_tokens", "is missing; say how long the answer may be, in tokens"))?;
    add_fallbacks(&mut fields)?;
    refuse_hosted(&fields)?;
    let is_ours = |name: &str| OWN_FIELDS.contains(&name) || OURS.contains(&name);
    let native = Native {
        dialect: Dialect::AnthropicMessages,
        says: says(&fields)?,
        fields: fields.iter().filter(|field| !is_ours(&field.name)).cloned().collect(),
        translate,
    };
    let omits_thinking = thinking(&fields)
        .ok()
        .flatten()
        .is_some_and(|thinking| thinking.display.as_deref() == Some("omitted"));
    let form = Form::Messages { omits_thinking };
    let mut request = ChatRequest::of_native(&fields, native, form, prompt(&fields), Some(limit))?;
    request.user = user(&fields)?;
    if fields.iter().any(|field| carry::is_in(&field.value)) {
        return request.translated().map_err(RequestError::Unclear);
    }
    Ok(request)
}

/// Tokens of the prompt in the body of a `count_tokens` request, and the model it names. Counts all of the text, which
/// takes milliseconds for a long one.
pub fn count_tokens(body: &Bytes) -> Result<(ChatRequest, u64), RequestError> {
    let mut fields = top_level(body)?;
    check_messages(&fields)?;
    fields.retain(|field| field.name != "max_tokens");
    fields.push(Field {
        name: "max_tokens".to_owned(),
        value: Bytes::from_static(b"1"),
    });
    let counted = ["system", "messages", "tools"]
        .iter()
        .filter_map(|name| present(&fields, name))
        .map(|value| estimate::json_tokens(value));
    let tokens = counted.sum();
    let native = Native {
        dialect: Dialect::AnthropicMessages,
        says: Vec::new(),
        fields: Vec::new(),
        translate,
    };
    let form = Form::Messages { omits_thinking: false };
    let request = ChatRequest::of_native(&fields, native, form, prompt(&fields), Some(1))?;
    Ok((request, tokens))
}

fn check_messages(fields: &[Field]) -> Result<(), RequestError> {
    let messages = present(fields, "messages").ok_or_else(|| wrong("messages", "is missing"))?;
    if messages.first() != Some(&b'[') || messages[1..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b']') {
        return Err(wrong("messages", "must be an array with at least one message"));
    }
    Ok(())
}

/// `fallbacks` is `models` in other words.
fn add_fallbacks(fields: &mut Vec<Field>) -> Result<(), RequestError> {
    #[derive(Deserialize)]
    struct Fallback {
        model: String,
    }
    let fallbacks: Option<Vec<Fallback>> = typed(fields, "fallbacks", "must be a list of objects with a `model`")?;
    let Some(fallbacks) = fallbacks else { return Ok(()) };
    if present(fields, "models").is_some() {
        return Err(wrong(
            "fallbacks",
            "can't be given beside `models`, which means the same",
        ));
    }
    let names: Vec<String> = fallbacks
        .into_iter()
        .map(|fallback| fallback.model)
        .take(MODELS_MAX + 1)
        .collect();
    fields.retain(|field| field.name != "models");
    fields.push(Field {
        name: "models".to_owned(),
        value: Bytes::from(serde_json::Value::from(names).to_string()),
    });
    Ok(())
}

/// Tools that the vendor runs have prices of their own and answer in blocks that no other API has.
fn refuse_hosted(fields: &[Field]) -> Result<(), RequestError> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
    }
    const HOSTED: &[&str] = &[
        "advisor",
        "code_execution",
        "mcp",
        "tool_search",
        "web_fetch",
        "web_search",
    ];
    let tools: Option<Vec<Kind<'_>>> = typed(fields, "tools", "is not a list of tools")?;
    for (place, tool) in tools.unwrap_or_default().into_iter().enumerate() {
        let kind = tool.kind.unwrap_or_default();
        if HOSTED.iter().any(|hosted| kind.starts_with(hosted)) {
            return Err(RequestError::Unclear(cannot(
                format!("tools[{place}].type"),
                "is a tool that Anthropic runs itself, and those are not offered",
            )));
        }
    }
    Ok(())
}

fn prompt(fields: &[Field]) -> Prompt {
    Prompt::named(fields, &["messages", "system", "tools"])
}

fn says(fields: &[Field]) -> Result<Vec<&'static str>, RequestError> {
    let set = PARAMETERS.iter().filter(|(own, _)| present(fields, own).is_some());
    let mut says: Vec<&'static str> = set.map(|(_, chat)| *chat).collect();
    let config: Option<OutputConfig<'_>> =
        typed(fields, "output_config", "is not a valid configuration of the output")?;
    if config.is_some_and(|config| config.format.is_some()) {
        says.push("response_format");
    }
    Ok(says)
}

/// The caller's end user, as raw JSON.
fn user(fields: &[Field]) -> Result<Option<Bytes>, RequestError> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, default)]
        user_id: Option<&'a RawValue>,
    }
    if let Some(user) = present(fields, "user") {
        return Ok(Some(user.clone()));
    }
    let Some(raw) = present(fields, "metadata") else {
        return Ok(None);
    };
    let metadata: Metadata<'_> = serde_json::from_slice(raw).map_err(|_| wrong("metadata", "must be an object"))?;
    let user = metadata.user_id.filter(|user| user.get() != "null");
    Ok(user.map(|user| raw.slice_ref(user.get().as_bytes())))
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow, default)]
    effort: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    format: Option<Format<'a>>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    budget_tokens: Option<u64>,
    #[serde(borrow, default)]
    display: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolChoice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    disable_parallel_tool_use: bool,
}

/// To the words of the chat API.
fn translate(fields: &[Field]) -> Result<Vec<Field>, Inexpressible> {
    let mut chat = ChatForm::with_all_but(fields, &[TRANSLATED, DROPPED]);
    for vendors in ["mcp_servers", "container"] {
        let value = present(fields, vendors).filter(|value| value.as_ref() != b"[]");
        if value.is_some() {
            return Err(cannot(vendors, "is a service of Anthropic's own API"));
        }
    }
    chat.json(
        "messages",
        &turns::chat_messages(present(fields, "system"), present(fields, "messages"))?,
    );
    chat.renamed(fields, "stop_sequences", "stop");
    if let Some(user) = user(fields).map_err(|_| cannot("metadata", "must be an object"))? {
        chat.raw("user", user);
    }
    tools(fields, &mut chat)?;
    tool_choice(fields, &mut chat)?;
    output(fields, &mut chat)?;
    match (
        text(fields, "service_tier")?.as_deref(),
        text(fields, "speed")?.as_deref(),
    ) {
        (_, Some("fast")) => chat.json("service_tier", &"priority".into()),
        (Some("standard_only" | "standard"), _) => chat.json("service_tier", &"default".into()),
        (Some(tier), _) => chat.json("service_tier", &tier.into()),
        (None, _) => {}
    }
    Ok(chat.finish())
}

fn tools(fields: &[Field], chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let tools: Vec<&RawValue> = read(fields, "tools", "is not a list of tools")?.unwrap_or_default();
    let mut functions = Vec::with_capacity(tools.len());
    for (place, raw) in tools.into_iter().enumerate() {
        let tool: Tool<'_> = serde_json::from_str(raw.get()).map_err(|_| {
            cannot(
                format!("tools[{place}]"),
                "is not a tool with a `name` and an `input_schema`",
            )
        })?;
        functions.push(match tool.kind.as_deref() {
            None | Some("custom" | "function") => function(place, tool)?,
            // Ours, which every surface knows by the same name.
            Some(kind) if kind.contains(':') => Json::raw(raw.get()),
            Some(_) => {
                return Err(cannot(
                    format!("tools[{place}].type"),
                    "is a tool of Anthropic's own API, and this provider takes functions only",
                ));
            }
        });
    }
    if !functions.is_empty() {
        chat.json("tools", &Json::List(functions));
    }
    Ok(())
}

fn function<'a>(place: usize, tool: Tool<'a>) -> Result<Json<'a>, Inexpressible> {
    if tool.name.is_empty() {
        return Err(cannot(format!("tools[{place}].name"), "is missing"));
    }
    let function = Json::object([("name", tool.name.into())])
        .and("description", tool.description)
        .and("parameters", tool.input_schema.map(|schema| Json::raw(schema.get())))
        .and("strict", tool.strict);
    Ok(Json::object([("type", "function".into()), ("function", function)])
        .and("cache_control", tool.cache_control.map(|cache| Json::raw(cache.get()))))
}

fn tool_choice(fields: &[Field], chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let choice: Option<ToolChoice<'_>> = read(fields, "tool_choice", "is not a choice of tools with a `type`")?;
    let Some(choice) = choice else { return Ok(()) };
    let json = match (choice.kind.as_ref(), choice.name) {
        ("auto", _) => "auto".into(),
        ("none", _) => "none".into(),
        ("any", _) => "required".into(),
        ("tool", Some(name)) => {
            let function = Json::object([("name", name.into())]);
            Json::object([("type", "function".into()), ("function", function)])
        }
        _ => {
            return Err(cannot(
                "tool_choice",
                "is not `auto`, `any`, `none`, or `tool` with a `name`",
            ));
        }
    };
    chat.json("tool_choice", &json);
    if choice.disable_parallel_tool_use {
        chat.json("parallel_tool_calls", &false.into());
    }
    Ok(())
}

fn thinking(fields: &[Field]) -> Result<Option<Thinking<'_>>, Inexpressible> {
    read(fields, "thinking", "is not a way to think with a `type`")
}

/// How to think, and the form of the answer.
fn output(fields: &[Field], chat: &mut ChatForm) -> Result<(), Inexpressible> {
    let config: Option<OutputConfig<'_>> = read(fields, "output_config", "is not a valid configuration of the output")?;
    let (effort, format) = config.map_or((None, None), |config| (config.effort, config.format));
    let older: Option<Format<'_>> = read(fields, "output_format", "is not a format with a `type`")?;
    let reasoning = Json::Object(Vec::new());
    let reasoning = match thinking(fields)? {
        Some(Thinking { kind, .. }) if kind == "disabled" => reasoning.with("enabled", false),
        Some(Thinking {
            kind,
            budget_tokens: Some(budget),
            ..
        }) if kind == "enabled" => reasoning.with("max_tokens", budget),
        Some(Thinking { kind, .. }) if matches!(kind.as_ref(), "enabled" | "adaptive") => match effort {
            Some(effort) => reasoning.with("effort", effort),
            None => reasoning.with("enabled", true),
        },
        Some(_) => return Err(cannot("thinking.type", "is not `enabled`, `adaptive` or `disabled`")),
        None => reasoning.and("effort", effort),
    };
    if !reasoning.is_empty() {
        chat.json("reasoning", &reasoning);
    }
    let Some(format) = format.or(older) else { return Ok(()) };
    match (format.kind.as_ref(), format.schema) {
        ("json_schema", Some(schema)) => {
            let schema = Json::object([
                ("name", "answer".into()),
                ("schema", Json::raw(schema.get())),
                ("strict", true.into()),
            ]);
            let format = Json::object([("type", "json_schema".into()), ("json_schema", schema)]);
            chat.json("response_format", &format);
            Ok(())
        }
        ("text", _) => Ok(()),
        _ => Err(cannot("output_config.format", "is not `json_schema` with a `schema`")),
    }
}
