//! Amazon Bedrock's Converse: the JSON of it. Signing and the event stream's frames are the connection's business.

mod decode;

pub(super) use decode::Decoder;

use super::anthropic::Thinking;
use super::conversation::{self, Content, Message, Part, Role, Source};
use super::json::Json;
use super::parameters::{Choice, Format, Parameters, Tool};
use super::reasoning;
use super::turns::{Turns, media_type_of, path_segment, safe_id};
use super::{Call, Inexpressible, answer_tool, cannot};
use crate::request::ChatRequest;
use domain::catalog::Endpoint;
use std::borrow::Cow;

/// How callers see whose reasoning it is. Claude's signatures hold wherever it runs.
const FORMAT: &str = super::anthropic::FORMAT;

const TAKEN: &[&str] = &["stop", "temperature", "top_k", "top_p"];
const ID_CHARS_MAX: usize = 64;
/// Families that take marks of what to cache; others refuse them.
const CACHING: &[&str] = &["claude", "nova"];

pub(super) fn encode(request: &ChatRequest, endpoint: &Endpoint, cap: Option<u64>) -> Result<Call, Inexpressible> {
    let parameters = Parameters::of(request, endpoint, cap, TAKEN)?;
    parameters.only_text()?;
    let mut messages = conversation::parse(request)?;
    let model = endpoint.provider_model_id.as_str();
    let caches = CACHING.iter().any(|family| model.contains(family));
    if !caches {
        let parts = messages.iter_mut().flat_map(|message| &mut message.parts);
        parts.for_each(|part| part.cache = None);
    }
    let thinking = if model.contains("claude") {
        Thinking::of(&parameters, model)?
    } else {
        parameters.refuse_required(
            &["reasoning", "reasoning_effort"],
            "can't be set for this model at this provider",
        )?;
        Thinking::Unsaid
    };
    let has_calls = messages
        .iter()
        .any(|message| message.role == Role::Tool || !message.tool_calls.is_empty());
    if has_calls && parameters.tools.is_empty() {
        return Err(cannot(
            "tools",
            "must be given again beside earlier calls of tools at this provider",
        ));
    }
    let body = Json::object([(
        "messages",
        turns(&messages, caches && parameters.says("cache_control"))?,
    )])
    .unless_empty("system", system(&messages)?)
    .unless_empty("inferenceConfig", inference(&parameters, &thinking)?)
    .unless_empty("toolConfig", tools(&parameters, &thinking, caches)?)
    .unless_empty(
        "additionalModelRequestFields",
        additional(&parameters, &thinking, model)?,
    )
    .and("outputConfig", output(&parameters))
    .and("serviceTier", service_tier(&parameters)?);
    let path = format!("/model/{}/converse-stream", path_segment(model));
    Ok(Call::new(path, body.to_bytes()))
}

fn system<'a>(messages: &[Message<'a>]) -> Result<Json<'a>, Inexpressible> {
    let mut blocks = Vec::new();
    for message in messages.iter().filter(|message| message.role == Role::System) {
        for part in said(message) {
            if !matches!(part.content, Content::Text(_)) {
                return Err(cannot(
                    message.part_field(part),
                    "is not text, and instructions are text here",
                ));
            }
            blocks.extend(block(message, part)?);
        }
    }
    Ok(Json::List(blocks))
}

fn turns<'a>(messages: &[Message<'a>], caches_all: bool) -> Result<Json<'a>, Inexpressible> {
    let mut turns = Turns::default();
    for message in messages {
        match message.role {
            Role::System => {}
            Role::User => turns.say("user", blocks(message)?),
            Role::Tool => turns.say("user", result(message)?),
            Role::Assistant => turns.say("assistant", answer(message)?),
        }
    }
    if let (true, Some(last)) = (caches_all, turns.last_mut()) {
        last.push(cache_point(None));
    }
    Ok(turns.finish("content"))
}

fn said<'m, 'a>(message: &'m Message<'a>) -> impl Iterator<Item = &'m Part<'a>> {
    // An empty block is an error there.
    message.parts.iter().filter(|part| !part.content.is_empty_text())
}

fn blocks<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    let blocks = said(message).map(|part| block(message, part));
    Ok(blocks.collect::<Result<Vec<_>, _>>()?.concat())
}

/// A block, and a point up to which to cache where the caller marked one.
fn block<'a>(message: &Message<'a>, part: &Part<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    let block = match &part.content {
        Content::Image { .. } if message.role == Role::Assistant => {
            return Err(cannot(
                message.part_field(part),
                "is an image, which can't be given back here",
            ));
        }
        Content::Text(text) | Content::Refusal(text) => Json::object([("text", Json::Raw(text.clone()))]),
        Content::Image { source, .. } => media("image", message, part, source, None)?,
        Content::Video(source) => media("video", message, part, source, None)?,
        Content::File { name, source } => media("document", message, part, source, Some(name.as_deref()))?,
        Content::Audio { data, format } => {
            let source = Json::object([("bytes", data.clone().into())]);
            Json::object([(
                "audio",
                Json::object([("format", format.clone().into()), ("source", source)]),
            )])
        }
    };
    let point = part.cache.as_deref().map(|cache| cache_point(Some(cache)));
    Ok(std::iter::once(block).chain(point).collect())
}

fn cache_point<'a>(cache: Option<&str>) -> Json<'a> {
    let is_long = cache.is_some_and(|cache| cache.contains("\"1h\""));
    let point = Json::object([("type", "default".into())]).and("ttl", is_long.then_some("1h"));
    Json::object([("cachePoint", point)])
}

/// Bytes, or a place in S3; a document has a name too.
fn media<'a>(
    kind: &'static str,
    message: &Message<'a>,
    part: &Part<'a>,
    source: &Source<'a>,
    document: Option<Option<&str>>,
) -> Result<Json<'a>, Inexpressible> {
    let refuse = |why| cannot(message.part_field(part), why);
    let (media_type, from): (Option<Cow<'_, str>>, Json<'a>) = match source {
        Source::Data { media_type, base64 } => (
            Some(media_type.as_str().into()),
            Json::object([("bytes", base64.clone().into())]),
        ),
        Source::Url(uri) if uri.starts_with("s3://") => (
            media_type_of(uri).map(Cow::Borrowed),
            Json::object([("s3Location", Json::object([("uri", uri.clone().into())]))]),
        ),
        Source::Url(_) | Source::Id(_) => {
            return Err(refuse(
                "is only named, and this provider wants the data itself: give a `data:` URL",
            ));
        }
    };
    let format = media_type
        .as_deref()
        .and_then(format_of)
        .ok_or_else(|| refuse("is of a type that this provider does not take"))?;
    let block = Json::object([("format", format.into())])
        .and("name", document.map(|name| safe_name(name.unwrap_or("document"))))
        .with("source", from);
    Ok(Json::object([(kind, block)]))
}

fn format_of(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "video/mpeg" => "mpeg",
        _ => return None,
    })
}

/// Names as Bedrock insists on them: letters, digits, single spaces, `-`, `(`, `)`, `[`, `]`.
fn safe_name(name: &str) -> String {
    let safe = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') => c,
        _ => ' ',
    });
    let safe: String = safe.collect();
    safe.split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// An answer of the model: its reasoning goes back unchanged to where it stood between text and calls.
fn answer<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    let mut others = blocks(message)?;
    others.extend(message.tool_calls.iter().map(|call| {
        let call = Json::object([
            ("toolUseId", safe_id(&call.id, ID_CHARS_MAX).into()),
            ("name", call.name.clone().into()),
            ("input", Json::Raw(call.arguments.clone())),
        ]);
        Json::object([("toolUse", call)])
    }));
    let own = message.reasoning.iter().filter(|detail| detail.is_of(FORMAT));
    let placed = own.filter_map(|detail| {
        let thought = match (&detail.data, &detail.signature) {
            (Some(data), _) => Json::object([("redactedContent", data.clone().into())]),
            (None, Some(signature)) => Json::object([(
                "reasoningText",
                Json::object([
                    ("text", detail.text.clone().unwrap_or_default().into()),
                    ("signature", signature.clone().into()),
                ]),
            )]),
            // Without its signature it would be refused.
            (None, None) => return None,
        };
        Some((detail.index, Json::object([("reasoningContent", thought)])))
    });
    Ok(reasoning::interleaved(placed.collect(), others))
}

fn result<'a>(message: &Message<'a>) -> Result<Vec<Json<'a>>, Inexpressible> {
    let (content, points): (Vec<_>, Vec<_>) = blocks(message)?.into_iter().partition(|block| !is_cache_point(block));
    let content = if content.is_empty() {
        vec![Json::object([("text", "".into())])]
    } else {
        content
    };
    let result = Json::object([
        ("toolUseId", safe_id(&message.tool_call_id, ID_CHARS_MAX).into()),
        ("content", Json::List(content)),
    ]);
    Ok(std::iter::once(Json::object([("toolResult", result)]))
        .chain(points)
        .collect())
}

fn is_cache_point(block: &Json<'_>) -> bool {
    matches!(block, Json::Object(members) if members.iter().any(|(name, _)| *name == "cachePoint"))
}

fn inference<'a>(parameters: &Parameters<'a>, thinking: &Thinking) -> Result<Json<'a>, Inexpressible> {
    let stop: Vec<Json<'a>> = parameters.stop.iter().cloned().map(Json::from).collect();
    // Thinking needs a limit to fit into.
    let limit = parameters
        .limit
        .or_else(|| thinking.is_on().then(|| parameters.limit_or_most()));
    let config = Json::Object(Vec::new()).and("maxTokens", limit);
    let config = if thinking.is_on() {
        parameters.refuse_required(
            &["temperature", "top_p", "top_k"],
            "can't be set while the model reasons",
        )?;
        config
    } else {
        config
            .and("temperature", parameters.number("temperature")?)
            .and("topP", parameters.number("top_p")?)
    };
    Ok(config.unless_empty("stopSequences", Json::List(stop)))
}

/// What only some models know, under their own names.
fn additional<'a>(parameters: &Parameters<'a>, thinking: &Thinking, model: &str) -> Result<Json<'a>, Inexpressible> {
    let fields = Json::Object(Vec::new());
    let top_k = parameters.number("top_k")?.filter(|_| !thinking.is_on());
    let fields = match top_k {
        Some(top_k) if model.contains("nova") => fields.with("inferenceConfig", Json::object([("topK", top_k)])),
        top_k => fields.and("top_k", top_k),
    };
    Ok(thinking.write(fields, None, parameters.reasoning.exclude))
}

fn tools<'a>(parameters: &Parameters<'a>, thinking: &Thinking, caches: bool) -> Result<Json<'a>, Inexpressible> {
    let offer = answer_tool::offer(parameters, thinking.is_on())?;
    let own = parameters.tools.iter().filter(|_| offer.has_own);
    let mut tools: Vec<Json<'a>> = own.flat_map(|tool| described(tool, caches)).collect();
    tools.extend(offer.answer.map(|schema| {
        let description = Some(answer_tool::DESCRIPTION.into());
        specified(answer_tool::NAME.into(), description, schema, None)
    }));
    let choice = match &offer.choice {
        Choice::Unsaid => None,
        Choice::Auto => Some(Json::object([("auto", Json::Object(Vec::new()))])),
        // There is no such choice; without tools, earlier calls could not be told.
        Choice::None if tools.is_empty() => None,
        Choice::None => return Err(cannot("tool_choice", "can't be `none` beside tools at this provider")),
        Choice::Required => Some(Json::object([("any", Json::Object(Vec::new()))])),
        Choice::Function(name) => Some(Json::object([("tool", Json::object([("name", name.clone().into())]))])),
    };
    if tools.is_empty() {
        return Ok(Json::Object(Vec::new()));
    }
    Ok(Json::object([("tools", Json::List(tools))]).and("toolChoice", choice))
}

fn described<'a>(tool: &Tool<'a>, caches: bool) -> Vec<Json<'a>> {
    let schema = Json::raw(tool.parameters.unwrap_or(r#"{"type":"object","properties":{}}"#));
    let specified = specified(tool.name.clone(), tool.description.clone(), schema, tool.strict);
    let point = tool.cache.filter(|_| caches).map(|cache| cache_point(Some(cache)));
    std::iter::once(specified).chain(point).collect()
}

fn specified<'a>(
    name: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    schema: Json<'a>,
    strict: Option<bool>,
) -> Json<'a> {
    let tool = Json::object([("name", name.into())])
        .and("description", description)
        .with("inputSchema", Json::object([("json", schema)]))
        .and("strict", strict.filter(|strict| *strict));
    Json::object([("toolSpec", tool)])
}

/// The schema travels as text.
fn output<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let Format::JsonSchema(schema) = &parameters.format else {
        return None;
    };
    if !parameters.has_schemas() {
        return None;
    }
    let described = Json::object([("schema", schema.schema.get().into())])
        .and("name", schema.name.clone())
        .and("description", schema.description.clone());
    let format = Json::object([
        ("type", "json_schema".into()),
        ("structure", Json::object([("jsonSchema", described)])),
    ]);
    Some(Json::object([("textFormat", format)]))
}

fn service_tier<'a>(parameters: &Parameters<'a>) -> Result<Option<Json<'a>>, Inexpressible> {
    let tier = match parameters.text("service_tier")?.as_deref() {
        Some("flex") => "flex",
        Some("priority") => "priority",
        Some("default") => "default",
        _ => return Ok(None),
    };
    Ok(Some(Json::object([("type", tier.into())])))
}
