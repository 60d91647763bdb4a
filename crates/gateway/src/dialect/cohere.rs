//! Cohere's chat, version 2.

mod decode;

pub(super) use decode::Decoder;

use super::conversation::{self, Content, Message, Part, Role, Source};
use super::json::Json;
use super::parameters::{Choice, Format, Parameters, Wanted};
use super::{Call, Inexpressible, cannot};
use crate::request::ChatRequest;
use domain::catalog::Endpoint;
use std::borrow::Cow;

/// How callers see whose reasoning it is.
const FORMAT: &str = "cohere-v2";
/// Names the plan that the model makes before it calls tools, among its reasoning.
const PLAN: &str = "tool_plan";

const PATH: &str = "/chat";
const TAKEN: &[&str] = &[
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_p",
];

pub(super) fn encode(request: &ChatRequest, endpoint: &Endpoint, cap: Option<u64>) -> Result<Call, Inexpressible> {
    let parameters = Parameters::of(request, endpoint, cap, TAKEN)?;
    parameters.only_text()?;
    let messages = conversation::parse(request)?;
    let messages = messages.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let stop: Vec<Json<'_>> = parameters.stop.iter().cloned().map(Json::from).collect();
    let body = Json::object([
        ("model", endpoint.provider_model_id.as_str().into()),
        ("stream", true.into()),
        ("messages", Json::List(messages)),
    ])
    .and("max_tokens", parameters.limit)
    .and("temperature", parameters.number("temperature")?)
    .and("p", parameters.number("top_p")?)
    .and("k", parameters.number("top_k")?)
    .and("seed", parameters.number("seed")?)
    .and("frequency_penalty", parameters.number("frequency_penalty")?)
    .and("presence_penalty", parameters.number("presence_penalty")?)
    .unless_empty("stop_sequences", Json::List(stop))
    .and("response_format", response_format(&parameters))
    .and("thinking", thinking(&parameters));
    Ok(Call::new(PATH, tools(body, &parameters).to_bytes()))
}

fn message<'a>(message: &Message<'a>) -> Result<Json<'a>, Inexpressible> {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let json = Json::object([("role", role.into())]);
    Ok(match message.role {
        Role::Assistant => answer(json, message)?,
        Role::Tool => json
            .with("tool_call_id", message.tool_call_id.clone())
            .and("content", content(message, Vec::new())?.or(Some("".into()))),
        Role::System | Role::User => json.and("content", content(message, Vec::new())?),
    })
}

fn answer<'a>(json: Json<'a>, message: &Message<'a>) -> Result<Json<'a>, Inexpressible> {
    let own = message.reasoning.iter().filter(|detail| detail.is_of(FORMAT));
    let (plans, thoughts): (Vec<_>, Vec<_>) = own.partition(|detail| detail.id.as_deref() == Some(PLAN));
    let thoughts = thoughts.into_iter().filter_map(|detail| detail.text.clone());
    let thoughts = thoughts.map(|text| Json::object([("type", "thinking".into()), ("thinking", text.into())]));
    let plan: String = plans.iter().filter_map(|detail| detail.text.as_deref()).collect();
    let calls = message.tool_calls.iter().map(|call| {
        let function = Json::object([
            ("name", call.name.clone().into()),
            ("arguments", call.arguments.clone().into()),
        ]);
        Json::object([
            ("id", call.id.clone().into()),
            ("type", "function".into()),
            ("function", function),
        ])
    });
    Ok(json
        .and("content", content(message, thoughts.collect())?)
        .and("tool_plan", (!plan.is_empty()).then_some(plan))
        .unless_empty("tool_calls", Json::List(calls.collect())))
}

/// Plain text where there is nothing else.
fn content<'a>(message: &Message<'a>, before: Vec<Json<'a>>) -> Result<Option<Json<'a>>, Inexpressible> {
    if let ([part], true) = (message.parts.as_slice(), before.is_empty())
        && let Content::Text(text) = &part.content
    {
        return Ok(Some(Json::Raw(text.clone())));
    }
    let mut parts = before;
    for part in &message.parts {
        parts.push(one(message, part)?);
    }
    Ok((!parts.is_empty()).then_some(Json::List(parts)))
}

fn one<'a>(message: &Message<'a>, part: &Part<'a>) -> Result<Json<'a>, Inexpressible> {
    let why = match &part.content {
        Content::Text(text) | Content::Refusal(text) => {
            return Ok(Json::object([
                ("type", "text".into()),
                ("text", Json::Raw(text.clone())),
            ]));
        }
        Content::Image { source, detail } if message.role == Role::User => {
            let url: Cow<'a, str> = match source {
                Source::Url(url) | Source::Id(url) => url.clone(),
                Source::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}").into(),
            };
            let image = Json::object([("url", url.into())]).and("detail", detail.clone());
            return Ok(Json::object([("type", "image_url".into()), ("image_url", image)]));
        }
        Content::Image { .. } => "is an image outside of a user's message, which this provider does not take",
        Content::Audio { .. } => "is audio, which this provider does not take",
        Content::File { .. } => "is a file, which this provider does not take",
        Content::Video(_) => "is video, which this provider does not take",
    };
    Err(cannot(message.part_field(part), why))
}

/// One function is forced by offering no other.
fn tools<'a>(body: Json<'a>, parameters: &Parameters<'a>) -> Json<'a> {
    let forced = match &parameters.choice {
        Choice::Function(name) => Some(name),
        _ => None,
    };
    let offered = parameters
        .tools
        .iter()
        .filter(|tool| forced.is_none_or(|name| *name == tool.name));
    let is_strict = parameters.tools.iter().any(|tool| tool.strict == Some(true));
    let offered = offered.map(|tool| {
        let function = Json::object([("name", tool.name.clone().into())])
            .and("description", tool.description.clone())
            .with(
                "parameters",
                Json::raw(tool.parameters.unwrap_or(r#"{"type":"object","properties":{}}"#)),
            );
        Json::object([("type", "function".into()), ("function", function)])
    });
    let choice = match &parameters.choice {
        Choice::Unsaid | Choice::Auto => None,
        Choice::None => Some("NONE"),
        Choice::Required | Choice::Function(_) => Some("REQUIRED"),
    };
    body.unless_empty("tools", Json::List(offered.collect()))
        .and("tool_choice", choice)
        .and("strict_tools", is_strict.then_some(true))
}

fn response_format<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let object = Json::object([("type", "json_object".into())]);
    match &parameters.format {
        Format::Text => None,
        Format::JsonObject => Some(object),
        Format::JsonSchema(schema) => Some(object.with("json_schema", Json::raw(schema.schema.get()))),
    }
}

fn thinking<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    let reasoning = &parameters.reasoning;
    match &reasoning.wanted {
        Wanted::Unsaid => None,
        Wanted::Off => Some(kind("disabled")),
        Wanted::On => Some(kind("enabled")),
        Wanted::Effort(_) | Wanted::Tokens(_) => {
            let budget = reasoning.budget(parameters.limit_or_most());
            Some(kind("enabled").and("token_budget", budget))
        }
    }
}
