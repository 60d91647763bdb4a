//! Gemini's `generateContent`, at AI Studio and on Vertex.

mod config;
mod decode;

pub(super) use decode::Decoder;

use super::conversation::{self, Content, Message, Part, Role, Source, unquoted};
use super::json::Json;
use super::parameters::{Choice, Parameters};
use super::reasoning::Detail;
use super::turns::{Turns, media_type_of, path_segment};
use super::{Call, Inexpressible, cannot};
use crate::request::ChatRequest;
use domain::catalog::{Auth, Endpoint, Provider};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How callers see whose reasoning it is.
const FORMAT: &str = "google-gemini-v1";
/// Which part of an answer a signature belongs to, where it is no call.
const TEXT_SIGNATURE: &str = "text";
const IMAGE_SIGNATURE: &str = "image:";
/// Documented by the vendor for conversations that began with another model.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

const TAKEN: &[&str] = &[
    "frequency_penalty",
    "image_config",
    "logprobs",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
];

/// What the two places understand differently.
struct Place {
    is_vertex: bool,
    /// Signatures of thoughts are demanded back.
    wants_signatures: bool,
}

pub(super) fn encode(
    request: &ChatRequest,
    provider: &Provider,
    endpoint: &Endpoint,
    cap: Option<u64>,
) -> Result<Call, Inexpressible> {
    let parameters = Parameters::of(request, endpoint, cap, TAKEN)?;
    let messages = conversation::parse(request)?;
    let place = Place {
        is_vertex: is_vertex(provider, endpoint),
        wants_signatures: config::is_by_level(&endpoint.provider_model_id),
    };
    let body = Json::Object(Vec::new())
        .and("systemInstruction", system(&messages)?)
        .with("contents", contents(&messages, &place)?)
        .and("tools", tools(&parameters))
        .and("toolConfig", tool_config(&parameters))
        .unless_empty("generationConfig", config::write(&parameters)?);
    Ok(call(provider, endpoint, body.to_bytes()))
}

/// Where a body of this dialect goes.
pub(super) fn call(provider: &Provider, endpoint: &Endpoint, body: Vec<u8>) -> Call {
    let model = path_segment(&endpoint.provider_model_id);
    let path = if is_vertex(provider, endpoint) {
        let place = vertex_place(provider, endpoint);
        format!("{place}/publishers/google/models/{model}:streamGenerateContent?alt=sse")
    } else {
        format!("/models/{model}:streamGenerateContent?alt=sse")
    };
    Call::new(path, body)
}

pub(super) fn is_vertex(provider: &Provider, endpoint: &Endpoint) -> bool {
    provider.auth == Auth::GoogleOauth2 || base_url(provider, endpoint).contains("aiplatform.googleapis.com")
}

/// What stands between Vertex' host and the publisher, unless the base URL has it.
pub(super) fn vertex_place(provider: &Provider, endpoint: &Endpoint) -> &'static str {
    if base_url(provider, endpoint).contains("/projects/") {
        ""
    } else {
        "/v1/projects/{project}/locations/{location}"
    }
}

fn base_url<'a>(provider: &'a Provider, endpoint: &'a Endpoint) -> &'a str {
    endpoint.base_url.as_deref().unwrap_or(&provider.base_url)
}

fn system<'a>(messages: &[Message<'a>]) -> Result<Option<Json<'a>>, Inexpressible> {
    let mut parts = Vec::new();
    for message in messages.iter().filter(|message| message.role == Role::System) {
        for part in &message.parts {
            let Content::Text(text) = &part.content else {
                return Err(cannot(
                    message.part_field(part),
                    "is not text, and instructions are text here",
                ));
            };
            parts.push(Json::object([("text", Json::Raw(text.clone()))]));
        }
    }
    Ok((!parts.is_empty()).then(|| Json::object([("parts", Json::List(parts))])))
}

fn contents<'a>(messages: &[Message<'a>], place: &Place) -> Result<Json<'a>, Inexpressible> {
    let mut turns = Turns::default();
    let mut names: BTreeMap<Cow<'a, str>, Cow<'a, str>> = BTreeMap::new();
    for message in messages {
        match message.role {
            Role::System => {}
            Role::User => turns.say("user", parts(message, place)?),
            Role::Assistant => {
                let calls = message.tool_calls.iter();
                names.extend(calls.map(|call| (call.id.clone(), call.name.clone())));
                turns.say("model", answer(message, place)?);
            }
            Role::Tool => {
                let name = names.get(&message.tool_call_id).cloned();
                let name = name.ok_or_else(|| cannot(message.field(".tool_call_id"), "answers no call before it"))?;
                turns.say("user", result(message, name, place)?);
            }
        }
    }
    Ok(turns.finish("parts"))
}

fn parts<'a>(message: &Message<'a>, place: &Place) -> Result<Vec<Json<'a>>, Inexpressible> {
    let parts = message.parts.iter().filter(|part| !part.content.is_empty_text());
    parts.map(|part| one(message, part, place)).collect()
}

fn one<'a>(message: &Message<'a>, part: &Part<'a>, place: &Place) -> Result<Json<'a>, Inexpressible> {
    let media = |source, fallback| {
        media(source, fallback, place).ok_or_else(|| {
            cannot(
                message.part_field(part),
                "does not tell its media type, which this provider must know: give a `data:` URL or a name that ends in it",
            )
        })
    };
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => Ok(Json::object([("text", Json::Raw(text.clone()))])),
        Content::Image { source, .. } => media(source, None),
        Content::Video(source) => media(source, Some("video/mp4")),
        Content::File { name, source } => media(source, name.as_deref().and_then(media_type_of)),
        Content::Audio { data, format } => {
            let media_type = format!("audio/{format}");
            Ok(inline(media_type.into(), data.clone()))
        }
    }
}

/// `None` when the media type must be known and is not.
fn media<'a>(source: &Source<'a>, fallback: Option<&'static str>, place: &Place) -> Option<Json<'a>> {
    let uri = match source {
        Source::Data { media_type, base64 } => return Some(inline(media_type.clone().into(), base64.clone())),
        Source::Url(uri) | Source::Id(uri) => uri,
    };
    let media_type = media_type_of(uri).or(fallback);
    if media_type.is_none() && place.is_vertex {
        return None;
    }
    let file = Json::Object(Vec::new())
        .and("mimeType", media_type)
        .with("fileUri", uri.clone());
    Some(Json::object([("fileData", file)]))
}

fn inline<'a>(media_type: Cow<'a, str>, base64: Cow<'a, str>) -> Json<'a> {
    let data = Json::object([("mimeType", media_type.into()), ("data", base64.into())]);
    Json::object([("inlineData", data)])
}

/// An answer of the model, each part with the signature that came with it.
fn answer<'a>(message: &Message<'a>, place: &Place) -> Result<Vec<Json<'a>>, Inexpressible> {
    let own: Vec<&Detail<'a>> = message.reasoning.iter().filter(|detail| detail.is_of(FORMAT)).collect();
    let signature = |id: &str| {
        let mut signed = own.iter().filter(|detail| detail.id.as_deref() == Some(id));
        signed.find_map(|detail| detail.data.clone())
    };
    let thoughts = own.iter().filter_map(|detail| {
        let signature = detail.signature.clone()?;
        Some(
            Json::object([("text", detail.text.clone().unwrap_or_default().into())])
                .with("thought", true)
                .with("thoughtSignature", signature),
        )
    });
    let mut said: Vec<Json<'a>> = thoughts.collect();
    let mut images = 0_u64;
    let last_text = message
        .parts
        .iter()
        .rposition(|part| matches!(part.content, Content::Text(_)));
    for (place_in, part) in message.parts.iter().enumerate() {
        let of_text = (Some(place_in) == last_text)
            .then(|| signature(TEXT_SIGNATURE))
            .flatten();
        if part.content.is_empty_text() && of_text.is_none() {
            continue;
        }
        let is_image = matches!(part.content, Content::Image { .. });
        let of_image = is_image
            .then(|| signature(&format!("{IMAGE_SIGNATURE}{images}")))
            .flatten();
        images += u64::from(is_image);
        let json = one(message, part, place)?;
        said.push(json.and("thoughtSignature", of_text.or(of_image)));
    }
    if last_text.is_none()
        && let Some(signature) = signature(TEXT_SIGNATURE)
    {
        said.push(Json::object([
            ("text", "".into()),
            ("thoughtSignature", signature.into()),
        ]));
    }
    let is_unsigned = !message.tool_calls.iter().any(|call| signature(&call.id).is_some());
    for (index, call) in message.tool_calls.iter().enumerate() {
        let stand_in = (index == 0 && is_unsigned && place.wants_signatures).then_some(Cow::Borrowed(NO_SIGNATURE));
        let function = Json::Object(Vec::new())
            .and("id", (!place.is_vertex).then(|| call.id.clone()))
            .with("name", call.name.clone())
            .with("args", Json::Raw(call.arguments.clone()));
        said.push(Json::object([("functionCall", function)]).and("thoughtSignature", signature(&call.id).or(stand_in)));
    }
    Ok(said)
}

/// A tool's answer is an object there: the caller's own, or one around its text.
fn result<'a>(message: &Message<'a>, name: Cow<'a, str>, place: &Place) -> Result<Vec<Json<'a>>, Inexpressible> {
    let texts = message.parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) => Some(unquoted(text).into_owned()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().concat();
    let is_object = text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
    let response = if is_object {
        Json::raw(text)
    } else {
        Json::object([("output", text.into())])
    };
    let function = Json::Object(Vec::new())
        .and("id", (!place.is_vertex).then(|| message.tool_call_id.clone()))
        .with("name", name)
        .with("response", response);
    let mut said = vec![Json::object([("functionResponse", function)])];
    let media = message
        .parts
        .iter()
        .filter(|part| !matches!(part.content, Content::Text(_)));
    for part in media {
        said.push(one(message, part, place)?);
    }
    Ok(said)
}

fn tools<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let declared = parameters.tools.iter().map(|tool| {
        Json::object([("name", tool.name.clone().into())])
            .and("description", tool.description.clone())
            .and("parametersJsonSchema", tool.parameters.map(Json::raw))
    });
    let declared: Vec<Json<'a>> = declared.collect();
    let tool = |declared| Json::object([("functionDeclarations", Json::List(declared))]);
    (!declared.is_empty()).then(|| Json::List(vec![tool(declared)]))
}

fn tool_config<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let (mode, only) = match &parameters.choice {
        _ if parameters.tools.is_empty() => return None,
        Choice::Unsaid => return None,
        Choice::Auto => ("AUTO", None),
        Choice::None => ("NONE", None),
        Choice::Required => ("ANY", None),
        Choice::Function(name) => ("ANY", Some(Json::List(vec![name.clone().into()]))),
    };
    let calling = Json::object([("mode", mode.into())]).and("allowedFunctionNames", only);
    Some(Json::object([("functionCallingConfig", calling)]))
}
