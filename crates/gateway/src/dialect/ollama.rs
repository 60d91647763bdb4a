//! Ollama's own chat, for what its OpenAI-compatible one leaves out: `think`, `min_p`, and the like.

mod decode;

pub(super) use decode::Decoder;

use super::conversation::{self, Content, Message, Part, Role, Source, unquoted};
use super::json::Json;
use super::parameters::{Choice, Format, Parameters, Wanted};
use super::reasoning::Effort;
use super::{Call, Inexpressible, cannot};
use crate::request::ChatRequest;
use domain::catalog::Endpoint;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Below a base URL that ends in `/api`.
const PATH: &str = "/chat";
/// The chat API's names of what goes into `options`, and the names there.
const OPTIONS: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("repetition_penalty", "repeat_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
];
const TAKEN: &[&str] = &[
    "frequency_penalty",
    "logprobs",
    "min_p",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
];

pub(super) fn encode(request: &ChatRequest, endpoint: &Endpoint, cap: Option<u64>) -> Result<Call, Inexpressible> {
    let parameters = Parameters::of(request, endpoint, cap, TAKEN)?;
    parameters.only_text()?;
    let messages = conversation::parse(request)?;
    let logprobs = parameters.truth("logprobs")?;
    let body = Json::object([
        ("model", endpoint.provider_model_id.as_str().into()),
        ("stream", true.into()),
        ("messages", said(&messages)?),
    ])
    .unless_empty("tools", tools(&parameters)?)
    .and("format", format(&parameters))
    .and("think", think(&parameters, &endpoint.provider_model_id))
    .and("logprobs", logprobs.then_some(true))
    .and("top_logprobs", parameters.number("top_logprobs")?.filter(|_| logprobs))
    .unless_empty("options", options(&parameters)?);
    Ok(Call::new(PATH, body.to_bytes()))
}

fn said<'a>(messages: &[Message<'a>]) -> Result<Json<'a>, Inexpressible> {
    let mut names: BTreeMap<Cow<'a, str>, Cow<'a, str>> = BTreeMap::new();
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        names.extend(
            message
                .tool_calls
                .iter()
                .map(|call| (call.id.clone(), call.name.clone())),
        );
        let (text, images) = content(message)?;
        let calls = message.tool_calls.iter().map(|call| {
            let function = Json::object([
                ("name", call.name.clone().into()),
                ("arguments", Json::Raw(call.arguments.clone())),
            ]);
            Json::object([("id", call.id.clone().into()), ("function", function)])
        });
        let thinking = message.thinking().filter(|_| message.role == Role::Assistant);
        let answered = Some(message.tool_call_id.clone()).filter(|id| !id.is_empty());
        said.push(
            Json::object([("role", role.into()), ("content", text)])
                .unless_empty("images", Json::List(images))
                .and("thinking", thinking)
                .unless_empty("tool_calls", Json::List(calls.collect()))
                .and("tool_name", names.get(&message.tool_call_id).cloned())
                .and("tool_call_id", answered),
        );
    }
    Ok(Json::List(said))
}

/// Text as one, images beside it.
fn content<'a>(message: &Message<'a>) -> Result<(Json<'a>, Vec<Json<'a>>), Inexpressible> {
    let mut texts: Vec<&Cow<'a, str>> = Vec::new();
    let mut images = Vec::new();
    for part in &message.parts {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => texts.push(text),
            Content::Image { source, .. } => images.push(image(message, part, source)?),
            Content::Audio { .. } => return refuse(message, part, "is audio, which this provider does not take"),
            Content::File { .. } => return refuse(message, part, "is a file, which this provider does not take"),
            Content::Video(_) => return refuse(message, part, "is video, which this provider does not take"),
        }
    }
    let text = match texts.as_slice() {
        [] => "".into(),
        [text] => Json::Raw((*text).clone()),
        texts => {
            let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| unquoted(text)).collect();
            texts.join("\n\n").into()
        }
    };
    Ok((text, images))
}

fn refuse<T>(message: &Message<'_>, part: &Part<'_>, why: &'static str) -> Result<T, Inexpressible> {
    Err(cannot(message.part_field(part), why))
}

fn image<'a>(message: &Message<'a>, part: &Part<'a>, source: &Source<'a>) -> Result<Json<'a>, Inexpressible> {
    match source {
        Source::Data { base64, .. } => Ok(base64.clone().into()),
        Source::Url(_) | Source::Id(_) => refuse(
            message,
            part,
            "names an image, and this provider wants the image itself: give a `data:` URL",
        ),
    }
}

/// A choice can't be forced there: only having tools or none.
fn tools<'a>(parameters: &Parameters<'a>) -> Result<Json<'a>, Inexpressible> {
    match &parameters.choice {
        Choice::Unsaid | Choice::Auto => {}
        Choice::None => return Ok(Json::List(Vec::new())),
        Choice::Required | Choice::Function(_) => {
            return Err(cannot("tool_choice", "can't be forced at this provider"));
        }
    }
    let tools = parameters.tools.iter().map(|tool| {
        let function = Json::object([("name", tool.name.clone().into())])
            .and("description", tool.description.clone())
            .with(
                "parameters",
                Json::raw(tool.parameters.unwrap_or(r#"{"type":"object","properties":{}}"#)),
            );
        Json::object([("type", "function".into()), ("function", function)])
    });
    Ok(Json::List(tools.collect()))
}

fn format<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    match &parameters.format {
        Format::Text => None,
        Format::JsonObject => Some("json".into()),
        Format::JsonSchema(schema) => Some(Json::raw(schema.schema.get())),
    }
}

/// Some models are told a level, the others whether to.
fn think<'a>(parameters: &Parameters<'a>, model: &str) -> Option<Json<'a>> {
    let reasoning = &parameters.reasoning;
    let is_by_level = model.contains("gpt-oss");
    match (&reasoning.wanted, reasoning.effort(parameters.limit_or_most())) {
        (Wanted::Unsaid, _) => None,
        (Wanted::Off, _) => Some(false.into()),
        (_, Some(Effort::Minimal | Effort::Low)) if is_by_level => Some("low".into()),
        (_, Some(Effort::Medium)) if is_by_level => Some("medium".into()),
        (_, Some(_)) if is_by_level => Some("high".into()),
        _ => Some(true.into()),
    }
}

fn options<'a>(parameters: &Parameters<'a>) -> Result<Json<'a>, Inexpressible> {
    let mut options = Json::Object(Vec::new()).and("num_predict", parameters.limit);
    for (name, theirs) in OPTIONS {
        options = options.and(theirs, parameters.number(name)?);
    }
    let stop: Vec<Json<'a>> = parameters.stop.iter().cloned().map(Json::from).collect();
    Ok(options.unless_empty("stop", Json::List(stop)))
}
