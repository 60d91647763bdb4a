//! OpenAI's Responses API, and others that speak it. Nothing is stored there: reasoning travels encrypted.

mod decode;

pub(super) use decode::Decoder;

use super::conversation::{self, Content, Message, Part, Role, Source};
use super::json::Json;
use super::parameters::{Choice, Format, Parameters, Wanted};
use super::reasoning::{self, Detail, Effort};
use super::turns::safe_id;
use super::{Call, Inexpressible, cannot};
use crate::request::ChatRequest;
use domain::catalog::{Endpoint, Provider};
use std::borrow::Cow;

pub(super) const PATH: &str = "/responses";
const TAKEN: &[&str] = &[
    "logprobs",
    "parallel_tool_calls",
    "temperature",
    "top_logprobs",
    "top_p",
];
const ID_CHARS_MAX: usize = 64;

pub(super) fn encode(
    request: &ChatRequest,
    provider: &Provider,
    endpoint: &Endpoint,
    cap: Option<u64>,
    user: Option<&str>,
) -> Result<Call, Inexpressible> {
    let parameters = Parameters::of(request, endpoint, cap, TAKEN)?;
    parameters.only_text()?;
    let messages = conversation::parse(request)?;
    let own = format(provider);
    let logprobs = parameters.truth("logprobs")?;
    let body = Json::object([
        ("model", endpoint.provider_model_id.as_str().into()),
        ("stream", true.into()),
        ("store", false.into()),
        ("input", input(&messages, &own)?),
    ])
    .unless_empty("include", include(&parameters, logprobs))
    .and("max_output_tokens", parameters.limit)
    .and("temperature", parameters.number("temperature")?)
    .and("top_p", parameters.number("top_p")?)
    .and("top_logprobs", parameters.number("top_logprobs")?.filter(|_| logprobs))
    .unless_empty("tools", tools(&parameters))
    .and("tool_choice", tool_choice(&parameters.choice))
    .and("parallel_tool_calls", parameters.parallel)
    .unless_empty("text", text(&parameters)?)
    .and("reasoning", thinking(&parameters))
    .and("service_tier", parameters.raw("service_tier"))
    .and("prompt_cache_key", parameters.raw("prompt_cache_key"))
    .and("prompt_cache_retention", parameters.raw("prompt_cache_retention"))
    .and("metadata", parameters.raw("metadata"))
    .and("user", user);
    Ok(Call::new(PATH, body.to_bytes()))
}

/// How callers see whose reasoning it is: what one provider encrypted, another can't read.
fn format(provider: &Provider) -> String {
    match provider.slug.as_str() {
        "azure" => "azure-openai-responses-v1".to_owned(),
        "amazon-bedrock" => "bedrock-openai-responses-v1".to_owned(),
        slug => format!("{slug}-responses-v1"),
    }
}

fn input<'a>(messages: &[Message<'a>], own: &str) -> Result<Json<'a>, Inexpressible> {
    let mut items = Vec::new();
    for message in messages {
        match message.role {
            Role::System => items.push(said("system", Json::List(parts(message)?))),
            Role::User => items.push(said("user", Json::List(parts(message)?))),
            Role::Assistant => items.extend(answer(message, own)?),
            Role::Tool => items.push(result(message)?),
        }
    }
    Ok(Json::List(items))
}

fn said<'a>(role: &'static str, content: Json<'a>) -> Json<'a> {
    Json::object([("type", "message".into()), ("role", role.into()), ("content", content)])
}

fn parts<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    message.parts.iter().map(|part| one(message, part)).collect()
}

fn one<'a>(message: &Message<'a>, part: &Part<'a>) -> Result<Json<'a>, Inexpressible> {
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    let refuse = |why| Err(cannot(message.part_field(part), why));
    Ok(match (&part.content, message.role) {
        (Content::Text(text), Role::Assistant) => kind("output_text")
            .with("text", Json::Raw(text.clone()))
            .with("annotations", Json::List(Vec::new())),
        (Content::Text(text), _) => kind("input_text").with("text", Json::Raw(text.clone())),
        (Content::Refusal(text), _) => kind("refusal").with("refusal", Json::Raw(text.clone())),
        (Content::Image { .. }, Role::Assistant) => return refuse("is an image, which can't be given back here"),
        (Content::Image { source, detail }, _) => match source {
            Source::Id(id) => kind("input_image").with("file_id", id.clone()),
            source => kind("input_image").with("image_url", url(source)),
        }
        .with("detail", detail.clone().unwrap_or("auto".into())),
        (Content::File { name, source }, _) => {
            let file = kind("input_file").and("filename", name.clone());
            match source {
                Source::Id(id) => file.with("file_id", id.clone()),
                Source::Url(url) => file.with("file_url", url.clone()),
                source @ Source::Data { .. } => file.with("file_data", url(source)),
            }
        }
        (Content::Audio { .. }, _) => return refuse("is audio, which this provider does not take"),
        (Content::Video(_), _) => return refuse("is video, which this provider does not take"),
    })
}

fn url<'a>(source: &Source<'a>) -> Cow<'a, str> {
    match source {
        Source::Url(url) | Source::Id(url) => url.clone(),
        Source::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}").into(),
    }
}

/// An answer of the model is several items there, the reasoning at the places it had.
fn answer<'a>(message: &Message<'a>, own: &str) -> Result<Vec<Json<'a>>, Inexpressible> {
    let mut others = Vec::new();
    match message.parts.as_slice() {
        [] => {}
        [
            Part {
                content: Content::Text(text),
                ..
            },
        ] => others.push(said("assistant", Json::Raw(text.clone()))),
        _ => others.push(said("assistant", Json::List(parts(message)?))),
    }
    others.extend(message.tool_calls.iter().map(|call| {
        Json::object([
            ("type", "function_call".into()),
            ("call_id", safe_id(&call.id, ID_CHARS_MAX).into()),
            ("name", call.name.clone().into()),
            ("arguments", call.arguments.clone().into()),
        ])
    }));
    let own: Vec<&Detail<'a>> = message.reasoning.iter().filter(|detail| detail.is_of(own)).collect();
    let placed = own
        .chunk_by(|one, next| one.index.is_some() && one.index == next.index || one.id.is_some() && one.id == next.id)
        .filter_map(|item| Some((item.first()?.index, thought(item)?)));
    Ok(reasoning::interleaved(placed.collect(), others))
}

/// `None` for what the provider could not find again, since it stores nothing.
fn thought<'a>(details: &[&Detail<'a>]) -> Option<Json<'a>> {
    let list = |name: &'static str, of: fn(&Detail<'a>) -> Option<Cow<'a, str>>| {
        let texts = details.iter().filter_map(|detail| of(detail));
        let items = texts.map(|text| Json::object([("type", name.into()), ("text", text.into())]));
        Json::List(items.collect())
    };
    let encrypted = details.iter().find_map(|detail| detail.data.clone());
    let content = list("reasoning_text", |detail| detail.text.clone());
    if encrypted.is_none() && content.is_empty() {
        return None;
    }
    let id = details.iter().find_map(|detail| detail.id.clone());
    Some(
        Json::object([("type", "reasoning".into())])
            .and("id", id)
            .with("summary", list("summary_text", |detail| detail.summary.clone()))
            .unless_empty("content", content)
            .and("encrypted_content", encrypted),
    )
}

fn result<'a>(message: &Message<'a>) -> Result<Json<'a>, Inexpressible> {
    let output = match message.parts.as_slice() {
        [] => "".into(),
        [
            Part {
                content: Content::Text(text),
                ..
            },
        ] => Json::Raw(text.clone()),
        _ => Json::List(parts(message)?),
    };
    Ok(Json::object([
        ("type", "function_call_output".into()),
        ("call_id", safe_id(&message.tool_call_id, ID_CHARS_MAX).into()),
        ("output", output),
    ]))
}

/// Only models that reason know the first.
fn include<'a>(parameters: &Parameters<'a>, logprobs: bool) -> Json<'a> {
    let reasons = parameters.lists("reasoning") || parameters.reasoning.is_on();
    let wanted = [
        ("reasoning.encrypted_content", reasons),
        ("message.output_text.logprobs", logprobs),
    ];
    let named = wanted.into_iter().filter(|(_, is_wanted)| *is_wanted);
    Json::List(named.map(|(name, _)| name.into()).collect())
}

fn tools<'a>(parameters: &Parameters<'a>) -> Json<'a> {
    let tools = parameters.tools.iter().map(|tool| {
        Json::object([("type", "function".into()), ("name", tool.name.clone().into())])
            .and("description", tool.description.clone())
            .with("parameters", Json::raw(tool.parameters.unwrap_or("null")))
            // Unsaid means strict there, and not strict here.
            .with("strict", tool.strict.unwrap_or(false))
    });
    Json::List(tools.collect())
}

fn tool_choice<'a>(choice: &Choice<'a>) -> Option<Json<'a>> {
    Some(match choice {
        Choice::Unsaid => return None,
        Choice::Auto => "auto".into(),
        Choice::None => "none".into(),
        Choice::Required => "required".into(),
        Choice::Function(name) => Json::object([("type", "function".into()), ("name", name.clone().into())]),
    })
}

fn text<'a>(parameters: &Parameters<'a>) -> Result<Json<'a>, Inexpressible> {
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    let format = match &parameters.format {
        Format::Text => None,
        Format::JsonObject => Some(kind("json_object")),
        Format::JsonSchema(schema) => Some(
            kind("json_schema")
                .with("name", schema.name.clone().unwrap_or("answer".into()))
                .and("description", schema.description.clone())
                .with("schema", Json::raw(schema.schema.get()))
                .and("strict", schema.strict),
        ),
    };
    let verbosity = parameters.text("verbosity")?;
    Ok(Json::Object(Vec::new())
        .and("format", format)
        .and("verbosity", verbosity))
}

fn thinking<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let wanted = &parameters.reasoning;
    let effort = match (&wanted.wanted, wanted.effort(parameters.limit_or_most())) {
        (Wanted::Unsaid, _) => return None,
        (Wanted::Off, _) => Some("none"),
        (Wanted::On, _) => None,
        (_, Some(Effort::Max)) => Some("xhigh"),
        (_, effort) => effort.map(Effort::name),
    };
    let shown = (wanted.is_on() && !wanted.exclude).then(|| wanted.summary.clone().unwrap_or("auto".into()));
    Some(Json::Object(Vec::new()).and("effort", effort).and("summary", shown))
}
