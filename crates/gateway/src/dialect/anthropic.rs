//! Anthropic Messages: the vendor's own API, compatible ones, and Claude on Vertex.

mod decode;
mod thinking;

pub(super) use decode::Decoder;

use super::conversation::{self, Content, Message, Part, Role, Source};
use super::json::Json;
use super::parameters::{Choice, Format, Parameters, Tool};
use super::reasoning;
use super::turns::{Turns, path_segment, safe_id};
use super::{Call, Inexpressible, answer_tool, cannot};
use crate::request::ChatRequest;
use base64::Engine;
use domain::catalog::{Endpoint, Provider};
pub(super) use thinking::Thinking;

/// How callers see whose reasoning it is.
pub(super) const FORMAT: &str = "anthropic-claude-v1";

const VERSION: &str = "2023-06-01";
pub(super) const VERTEX_VERSION: &str = "vertex-2023-10-16";
const FILES_BETA: &str = "files-api-2025-04-14";
const TAKEN: &[&str] = &["parallel_tool_calls", "stop", "temperature", "top_k", "top_p"];
const ID_CHARS_MAX: usize = 128;

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
    let is_vertex = super::gemini::is_vertex(provider, endpoint);
    let thinking = Thinking::of(&parameters, &endpoint.provider_model_id)?;
    let head = if is_vertex {
        Json::object([("anthropic_version", VERTEX_VERSION.into())])
    } else {
        Json::object([("model", endpoint.provider_model_id.as_str().into())])
    };
    let body = head
        .with("max_tokens", parameters.limit_or_most())
        .with("stream", true)
        .unless_empty("system", system(&messages)?)
        .with("messages", turns(&messages)?)
        .and("stop_sequences", stop(&parameters))
        .and("cache_control", parameters.raw("cache_control"))
        .and("service_tier", service_tier(&parameters)?)
        .and("metadata", user.map(|user| Json::object([("user_id", user.into())])));
    let body = tools(body, &parameters, thinking)?;
    let body = thinking.sampling(body, &parameters)?;
    let body = thinking.write(body, schema(&parameters), parameters.reasoning.exclude);
    let uses_files = messages.iter().flat_map(|message| &message.parts).any(is_uploaded);
    let call = call(provider, endpoint, body.to_bytes());
    Ok(if uses_files {
        call.header("anthropic-beta", FILES_BETA)
    } else {
        call
    })
}

/// Where a body of this dialect goes.
pub(super) fn call(provider: &Provider, endpoint: &Endpoint, body: Vec<u8>) -> Call {
    if super::gemini::is_vertex(provider, endpoint) {
        let model = path_segment(&endpoint.provider_model_id);
        let place = super::gemini::vertex_place(provider, endpoint);
        let path = format!("{place}/publishers/anthropic/models/{model}:streamRawPredict");
        Call::new(path, body)
    } else {
        Call::new("/messages", body).header("anthropic-version", VERSION)
    }
}

/// All instructions, wherever they stand: the dialect has one place for them.
fn system<'a>(messages: &[Message<'a>]) -> Result<Json<'a>, Inexpressible> {
    let mut blocks = Vec::new();
    for message in messages.iter().filter(|message| message.role == Role::System) {
        for part in said(message) {
            match &part.content {
                Content::Text(_) => blocks.push(block(message, part)?),
                _ => {
                    return Err(cannot(
                        message.part_field(part),
                        "is not text, and instructions are text here",
                    ));
                }
            }
        }
    }
    Ok(Json::List(blocks))
}

fn turns<'a>(messages: &[Message<'a>]) -> Result<Json<'a>, Inexpressible> {
    let mut turns = Turns::default();
    for message in messages {
        match message.role {
            Role::System => {}
            Role::User => turns.say("user", blocks(message)?),
            Role::Tool => turns.say("user", vec![result(message)?]),
            Role::Assistant => turns.say("assistant", answer(message)?),
        }
    }
    Ok(turns.finish("content"))
}

fn said<'m, 'a>(message: &'m Message<'a>) -> impl Iterator<Item = &'m Part<'a>> {
    // An empty block is an error there.
    message.parts.iter().filter(|part| !part.content.is_empty_text())
}

fn blocks<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    said(message).map(|part| block(message, part)).collect()
}

fn block<'a>(message: &Message<'a>, part: &Part<'a>) -> Result<Json<'a>, Inexpressible> {
    let refuse = |why| Err(cannot(message.part_field(part), why));
    let block = match &part.content {
        Content::Text(text) | Content::Refusal(text) => {
            Json::object([("type", "text".into()), ("text", Json::raw(text.clone()))])
        }
        Content::Image { .. } if message.role == Role::Assistant => {
            return refuse("is an image, which can't be given back here");
        }
        Content::Image { source, .. } => Json::object([("type", "image".into()), ("source", source_of(source))]),
        Content::File { name, source } => {
            let source = document(source).ok_or_else(|| {
                cannot(
                    message.part_field(part),
                    "is neither a PDF nor plain text, which is all this provider reads",
                )
            })?;
            Json::object([("type", "document".into()), ("source", source)]).and("title", name.clone())
        }
        Content::Audio { .. } => return refuse("is audio, which this provider does not take"),
        Content::Video(_) => return refuse("is video, which this provider does not take"),
    };
    Ok(block.and("cache_control", part.cache.clone().map(Json::Raw)))
}

fn source_of<'a>(source: &Source<'a>) -> Json<'a> {
    match source {
        Source::Url(url) => Json::object([("type", "url".into()), ("url", url.clone().into())]),
        Source::Id(id) => Json::object([("type", "file".into()), ("file_id", id.clone().into())]),
        Source::Data { media_type, base64 } => Json::object([
            ("type", "base64".into()),
            ("media_type", media_type.clone().into()),
            ("data", base64.clone().into()),
        ]),
    }
}

/// `None` for what is neither PDF nor text.
fn document<'a>(source: &Source<'a>) -> Option<Json<'a>> {
    match source {
        Source::Data { media_type, base64 } if media_type != "application/pdf" => {
            let is_text = media_type.starts_with("text/") || media_type == "application/json";
            let bytes = base64::engine::general_purpose::STANDARD.decode(base64.as_bytes()).ok();
            let text = String::from_utf8(bytes.filter(|_| is_text)?).ok()?;
            Some(Json::object([
                ("type", "text".into()),
                ("media_type", "text/plain".into()),
                ("data", text.into()),
            ]))
        }
        source => Some(source_of(source)),
    }
}

fn is_uploaded(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Image { source, .. } | Content::File { source, .. } => matches!(source, Source::Id(_)),
        _ => false,
    }
}

/// An answer of the model: its reasoning goes back unchanged to where it stood between text and calls.
fn answer<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    let mut others = blocks(message)?;
    others.extend(message.tool_calls.iter().map(|call| {
        Json::object([
            ("type", "tool_use".into()),
            ("id", safe_id(&call.id, ID_CHARS_MAX).into()),
            ("name", call.name.clone().into()),
            ("input", Json::Raw(call.arguments.clone())),
        ])
    }));
    let own = message.reasoning.iter().filter(|detail| detail.is_of(FORMAT));
    let placed = own.filter_map(|detail| {
        let block = match (&detail.data, &detail.signature) {
            (Some(data), _) => Json::object([("type", "redacted_thinking".into()), ("data", data.clone().into())]),
            (None, Some(signature)) => Json::object([
                ("type", "thinking".into()),
                ("thinking", detail.text.clone().unwrap_or_default().into()),
                ("signature", signature.clone().into()),
            ]),
            // Without its signature it would be refused.
            (None, None) => return None,
        };
        Some((detail.index, block))
    });
    Ok(reasoning::interleaved(placed.collect(), others))
}

fn result<'a>(message: &Message<'a>) -> Result<Json<'a>, Inexpressible> {
    if message.tool_call_id.is_empty() {
        return Err(cannot(message.field(".tool_call_id"), "is missing"));
    }
    Ok(Json::object([
        ("type", "tool_result".into()),
        ("tool_use_id", safe_id(&message.tool_call_id, ID_CHARS_MAX).into()),
    ])
    .unless_empty("content", Json::List(blocks(message)?)))
}

fn stop<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let texts: Vec<Json<'a>> = parameters.stop.iter().cloned().map(Json::from).collect();
    (!texts.is_empty()).then_some(Json::List(texts))
}

fn service_tier<'a>(parameters: &Parameters<'a>) -> Result<Option<Json<'a>>, Inexpressible> {
    Ok(match parameters.text("service_tier")?.as_deref() {
        Some("auto" | "priority") => Some("auto".into()),
        Some("default" | "standard" | "standard_only") => Some("standard_only".into()),
        _ => None,
    })
}

/// The schema to hold the answer to by the dialect's own means.
fn schema<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    match &parameters.format {
        Format::JsonSchema(schema) if parameters.has_schemas() => Some(Json::object([
            ("type", "json_schema".into()),
            ("schema", Json::raw(schema.schema.get())),
        ])),
        _ => None,
    }
}

/// The caller's tools, and one to answer with where JSON is wanted and the endpoint knows no other way.
fn tools<'a>(body: Json<'a>, parameters: &Parameters<'a>, thinking: Thinking) -> Result<Json<'a>, Inexpressible> {
    let offer = answer_tool::offer(parameters, thinking.is_on())?;
    let own = parameters.tools.iter().filter(|_| offer.has_own);
    let mut tools: Vec<Json<'a>> = own.map(|tool| described(tool, parameters.has_schemas())).collect();
    tools.extend(offer.answer.map(|schema| {
        Json::object([
            ("name", answer_tool::NAME.into()),
            ("description", answer_tool::DESCRIPTION.into()),
            ("input_schema", schema),
        ])
    }));
    if tools.is_empty() {
        return Ok(body);
    }
    Ok(body
        .with("tools", Json::List(tools))
        .and("tool_choice", tool_choice(&offer.choice, parameters.parallel)))
}

fn described<'a>(tool: &Tool<'a>, has_schemas: bool) -> Json<'a> {
    Json::object([("name", tool.name.clone().into())])
        .and("description", tool.description.clone())
        .with(
            "input_schema",
            Json::raw(tool.parameters.unwrap_or(r#"{"type":"object","properties":{}}"#)),
        )
        .and("strict", tool.strict.filter(|_| has_schemas))
        .and("cache_control", tool.cache.map(Json::raw))
}

fn tool_choice<'a>(choice: &Choice<'a>, parallel: Option<bool>) -> Option<Json<'a>> {
    let alone = parallel == Some(false);
    let kind = |kind: &'static str| Json::object([("type", kind.into())]);
    let choice = match choice {
        Choice::Unsaid if !alone => return None,
        Choice::None => return Some(kind("none")),
        Choice::Unsaid | Choice::Auto => kind("auto"),
        Choice::Required => kind("any"),
        Choice::Function(name) => kind("tool").with("name", name.clone()),
    };
    Some(choice.and("disable_parallel_tool_use", alone.then_some(true)))
}
