//! What a chat request asks for beside its messages, read for dialects that say it in other words.

use super::json::Json;
use super::reasoning::Effort;
use super::{Inexpressible, cannot};
use crate::openai::OWN_FIELDS;
use crate::request::ChatRequest;
use domain::catalog::Endpoint;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The request beside its messages.
pub(super) struct Parameters<'a> {
    request: &'a ChatRequest,
    endpoint: &'a Endpoint,
    pub tools: Vec<Tool<'a>>,
    pub choice: Choice<'a>,
    /// Whether several tools may be called at once, if the caller says so.
    pub parallel: Option<bool>,
    pub format: Format<'a>,
    pub stop: Vec<Cow<'a, str>>,
    pub reasoning: Reasoning,
    /// Most tokens of the answer, if the caller or its credits limit them.
    pub limit: Option<u64>,
    pub modalities: Vec<Cow<'a, str>>,
}

pub(super) struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// JSON schema as written.
    pub parameters: Option<&'a str>,
    pub strict: Option<bool>,
    pub cache: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice<'a> {
    Unsaid,
    Auto,
    None,
    Required,
    Function(Cow<'a, str>),
}

pub(super) enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema(Schema<'a>),
}

#[derive(Deserialize)]
pub(super) struct Schema<'a> {
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub schema: &'a RawValue,
    #[serde(default)]
    pub strict: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// Nothing was said.
    Unsaid,
    Off,
    /// Not how much.
    On,
    Effort(Effort),
    Tokens(u64),
}

pub(super) struct Reasoning {
    pub wanted: Wanted,
    /// Not to be shown to the caller.
    pub exclude: bool,
    /// `auto`, `concise`, `detailed`: how the provider sums it up.
    pub summary: Option<String>,
}

/// Without these the answer would be another one than was asked for, so a dialect takes them or refuses.
const ESSENTIAL: &[&str] = &[
    "function_call",
    "functions",
    "n",
    "response_format",
    "tool_choice",
    "tools",
    "web_search_options",
];
/// What every dialect has, and hints that change no answer.
const COMMON: &[&str] = &[
    "cache_control",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
    "user",
    "verbosity",
];
/// Longest answer asked for where a provider insists on a limit and none is known.
const LIMIT_TOKENS: u64 = 8_192;

impl<'a> Parameters<'a> {
    /// `taken` names what the dialect takes beside the common ones. What it does not take is dropped, as the API
    /// documents, unless the caller requires it or the answer would not be what was asked for.
    pub fn of(
        request: &'a ChatRequest,
        endpoint: &'a Endpoint,
        cap: Option<u64>,
        taken: &[&str],
    ) -> Result<Self, Inexpressible> {
        refuse_untaken(request, taken)?;
        let mut tools = tools(request)?;
        let choice = choice(request, &mut tools)?;
        Ok(Self {
            tools,
            choice,
            parallel: read(request, "parallel_tool_calls", "must be true or false")?,
            format: format(request)?,
            stop: stop(request)?,
            reasoning: reasoning(request)?,
            limit: cap.or(request.max_tokens),
            modalities: read(request, "modalities", "must be a list of names")?.unwrap_or_default(),
            request,
            endpoint,
        })
    }

    /// A number as the caller wrote it, if the endpoint takes it.
    pub fn number(&self, name: &'static str) -> Result<Option<Json<'a>>, Inexpressible> {
        let Some(raw) = self.request.field(name).filter(|_| self.takes(name)) else {
            return Ok(None);
        };
        match std::str::from_utf8(raw) {
            Ok(text) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Ok(Some(Json::raw(text))),
            _ => Err(cannot(name, "must be a number")),
        }
    }

    /// A field as the caller wrote it.
    pub fn raw(&self, name: &str) -> Option<Json<'a>> {
        let raw = self.request.field(name)?;
        std::str::from_utf8(raw).ok().map(Json::raw)
    }

    pub fn text(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Inexpressible> {
        Ok(read::<Text<'a>>(self.request, name, "must be text")?.map(|text| text.0))
    }

    pub fn read<T: Deserialize<'a>>(&self, name: &'static str, why: &'static str) -> Result<Option<T>, Inexpressible> {
        read(self.request, name, why)
    }

    pub fn truth(&self, name: &'static str) -> Result<bool, Inexpressible> {
        Ok(read(self.request, name, "must be true or false")?.unwrap_or(false))
    }

    /// Whether the endpoint takes a parameter; all of them when it is not known which.
    pub fn takes(&self, name: &str) -> bool {
        let known = &self.endpoint.supported_parameters;
        known.is_empty() || known.iter().any(|known| known == name) || self.request.preferences.require_parameters
    }

    /// Whether the endpoint is known to take a parameter.
    pub fn lists(&self, name: &str) -> bool {
        self.endpoint.supported_parameters.iter().any(|known| known == name)
    }

    /// Whether the endpoint has structured output of its own.
    pub fn has_schemas(&self) -> bool {
        let known = &self.endpoint.supported_parameters;
        known.is_empty() || known.iter().any(|known| known == "structured_outputs")
    }

    /// What the provider calls the model.
    pub fn model(&self) -> &'a str {
        &self.endpoint.provider_model_id
    }

    /// Refuses other kinds of answers.
    pub fn only_text(&self) -> Result<(), Inexpressible> {
        let others = self.modalities.iter().any(|modality| modality != "text");
        if others {
            return Err(cannot(
                "modalities",
                "asks for more than text, which is all that this provider's API gives",
            ));
        }
        Ok(())
    }

    fn requires(&self) -> bool {
        self.request.preferences.require_parameters
    }

    pub fn says(&self, name: &str) -> bool {
        self.request.field(name).is_some()
    }

    /// The limit, or the most that the endpoint gives, for providers that insist on one.
    pub fn limit_or_most(&self) -> u64 {
        self.limit
            .or(self.endpoint.max_completion_tokens)
            .unwrap_or(LIMIT_TOKENS)
    }

    /// Names the first of `names` that the caller set, unless unrequired parameters may be dropped.
    pub fn refuse_required(&self, names: &[&'static str], why: &'static str) -> Result<(), Inexpressible> {
        let set = names.iter().find(|name| self.says(name)).filter(|_| self.requires());
        set.map_or(Ok(()), |name| Err(cannot(*name, why)))
    }
}

impl Reasoning {
    /// Tokens to think with in an answer of at most `limit` tokens; `None` when that is up to the provider.
    pub fn budget(&self, limit: u64) -> Option<u64> {
        match &self.wanted {
            Wanted::Unsaid | Wanted::Off => None,
            Wanted::On => Some(Effort::Medium.budget(limit)),
            Wanted::Effort(effort) => Some(effort.budget(limit)),
            Wanted::Tokens(tokens) => Some(*tokens),
        }
    }

    pub fn effort(&self, limit: u64) -> Option<Effort> {
        match &self.wanted {
            Wanted::Unsaid | Wanted::Off => None,
            Wanted::On => Some(Effort::Medium),
            Wanted::Effort(effort) => Some(*effort),
            Wanted::Tokens(tokens) => Some(Effort::of(*tokens, limit)),
        }
    }

    pub fn is_on(&self) -> bool {
        !matches!(self.wanted, Wanted::Unsaid | Wanted::Off)
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn read<'a, T: Deserialize<'a>>(
    request: &'a ChatRequest,
    name: &'static str,
    why: &'static str,
) -> Result<Option<T>, Inexpressible> {
    let Some(raw) = request.field(name) else {
        return Ok(None);
    };
    serde_json::from_slice(raw).map(Some).map_err(|_| cannot(name, why))
}

fn refuse_untaken(request: &ChatRequest, taken: &[&str]) -> Result<(), Inexpressible> {
    let is_required = request.preferences.require_parameters;
    for name in request.fields().iter().map(|field| field.name.as_str()) {
        let Some(value) = request.field(name) else { continue };
        let is_plain = name == "n" && value.as_ref() == b"1";
        let is_known = taken.contains(&name) || COMMON.contains(&name) || OWN_FIELDS.contains(&name);
        if !is_plain && !is_known && (is_required || ESSENTIAL.contains(&name)) {
            return Err(cannot(name, "is not something that this provider's API can say"));
        }
    }
    Ok(())
}

fn tools(request: &ChatRequest) -> Result<Vec<Tool<'_>>, Inexpressible> {
    #[derive(Deserialize)]
    struct RawTool<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        function: Option<RawFunction<'a>>,
        #[serde(borrow, default)]
        cache_control: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct RawFunction<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow, default)]
        description: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        parameters: Option<&'a RawValue>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let tools: Vec<RawTool<'_>> = read(request, "tools", "is not a list of tools")?.unwrap_or_default();
    let understood = tools.into_iter().enumerate().map(|(place, tool)| {
        let is_function = tool.kind.as_deref().unwrap_or("function") == "function";
        let function = tool.function.filter(|_| is_function).ok_or_else(|| {
            cannot(
                format!("tools[{place}]"),
                "is not a function, and this provider takes no other tools",
            )
        })?;
        Ok(Tool {
            name: function.name,
            description: function.description,
            parameters: function.parameters.map(RawValue::get),
            strict: function.strict,
            cache: tool.cache_control.map(RawValue::get),
        })
    });
    understood.collect()
}

/// Choosing among some of the tools is the same as having only these.
fn choice<'a>(request: &'a ChatRequest, tools: &mut Vec<Tool<'a>>) -> Result<Choice<'a>, Inexpressible> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Allowed<'a> {
        #[serde(borrow)]
        mode: Cow<'a, str>,
        #[serde(borrow)]
        tools: Vec<Object<'a>>,
    }
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow, default)]
        function: Option<Named<'a>>,
        #[serde(borrow, default)]
        allowed_tools: Option<Allowed<'a>>,
    }
    let Some(raw) = request.field("tool_choice") else {
        return Ok(Choice::Unsaid);
    };
    let wrong = || cannot("tool_choice", "is not `auto`, `none`, `required`, or a function's name");
    if raw.starts_with(b"\"") {
        return mode(raw).ok_or_else(wrong);
    }
    let object: Object<'a> = serde_json::from_slice(raw).map_err(|_| wrong())?;
    if let Some(function) = object.function {
        return Ok(Choice::Function(function.name));
    }
    let allowed = object.allowed_tools.ok_or_else(wrong)?;
    let is_allowed = |name: &str| {
        let mut named = allowed.tools.iter().filter_map(|tool| tool.function.as_ref());
        named.any(|function| function.name == name)
    };
    tools.retain(|tool| is_allowed(&tool.name));
    match allowed.mode.as_ref() {
        "auto" => Ok(Choice::Auto),
        "required" => Ok(Choice::Required),
        _ => Err(wrong()),
    }
}

fn mode(raw: &[u8]) -> Option<Choice<'static>> {
    match raw {
        b"\"auto\"" => Some(Choice::Auto),
        b"\"none\"" => Some(Choice::None),
        b"\"required\"" | b"\"any\"" => Some(Choice::Required),
        _ => None,
    }
}

fn format(request: &ChatRequest) -> Result<Format<'_>, Inexpressible> {
    #[derive(Deserialize)]
    struct RawFormat<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        json_schema: Option<Schema<'a>>,
    }
    let format: Option<RawFormat<'_>> = read(request, "response_format", "is not a response format with a `type`")?;
    let Some(format) = format else {
        return Ok(Format::Text);
    };
    match (format.kind.as_ref(), format.json_schema) {
        ("text", _) => Ok(Format::Text),
        ("json_object", _) => Ok(Format::JsonObject),
        ("json_schema", Some(schema)) => Ok(Format::JsonSchema(schema)),
        ("json_schema", None) => Err(cannot("response_format.json_schema", "is missing")),
        _ => Err(cannot(
            "response_format.type",
            "is a format that this provider can't be held to",
        )),
    }
}

/// One text or a list of them.
fn stop(request: &ChatRequest) -> Result<Vec<Cow<'_, str>>, Inexpressible> {
    match request.field("stop") {
        Some(raw) if raw.starts_with(b"\"") => {
            let one: Option<Text<'_>> = read(request, "stop", "must be text or a list of texts")?;
            Ok(one.into_iter().map(|text| text.0).collect())
        }
        _ => {
            let many: Option<Vec<Text<'_>>> = read(request, "stop", "must be text or a list of texts")?;
            Ok(many.unwrap_or_default().into_iter().map(|text| text.0).collect())
        }
    }
}

fn reasoning(request: &ChatRequest) -> Result<Reasoning, Inexpressible> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct RawReasoning {
        effort: Option<String>,
        max_tokens: Option<u64>,
        exclude: bool,
        enabled: Option<bool>,
        summary: Option<String>,
    }
    let raw: Option<RawReasoning> = read(request, "reasoning", "is not a valid set of wishes for reasoning")?;
    let raw = raw.unwrap_or_default();
    let alone: Option<String> = read(request, "reasoning_effort", "must be text")?;
    if alone.is_some() && raw.effort.is_some() && alone != raw.effort {
        return Err(cannot("reasoning_effort", "contradicts `reasoning.effort`"));
    }
    let include: Option<bool> = read(request, "include_reasoning", "must be true or false")?;
    let wanted = match (raw.effort.or(alone).as_deref(), raw.max_tokens, raw.enabled) {
        (_, _, Some(false)) | (Some("none"), _, _) | (None, Some(0), _) => Wanted::Off,
        (Some(effort), _, _) => {
            let effort = Effort::named(effort);
            Wanted::Effort(effort.ok_or_else(|| cannot("reasoning.effort", "is not a known effort"))?)
        }
        (None, Some(tokens), _) => Wanted::Tokens(tokens),
        (None, None, Some(true)) => Wanted::On,
        (None, None, None) => Wanted::Unsaid,
    };
    Ok(Reasoning {
        wanted,
        exclude: raw.exclude || include == Some(false),
        summary: raw.summary,
    })
}
