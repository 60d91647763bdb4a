//! The messages of a chat request, parsed for dialects that want them in another shape. Text stays as written.

use super::reasoning::Detail;
use super::{Inexpressible, cannot};
use crate::request::ChatRequest;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `developer` too.
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Debug)]
pub(super) struct Message<'a> {
    /// Place in the caller's `messages`.
    pub at: usize,
    pub role: Role,
    pub parts: Vec<Part<'a>>,
    pub tool_calls: Vec<ToolCall<'a>>,
    /// Of a tool's answer: which call it answers.
    pub tool_call_id: Cow<'a, str>,
    /// In order, fragments of one joined.
    pub reasoning: Vec<Detail<'a>>,
    /// Reasoning as plain text, without details.
    pub reasoning_text: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    /// Place in the caller's `content`; `None` when that is plain text.
    pub at: Option<usize>,
    pub content: Content<'a>,
    /// The `cache_control` object as written.
    pub cache: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone)]
pub(super) enum Content<'a> {
    /// A JSON string with its quotes.
    Text(Cow<'a, str>),
    /// A JSON string with its quotes.
    Refusal(Cow<'a, str>),
    Image {
        source: Source<'a>,
        detail: Option<Cow<'a, str>>,
    },
    Audio {
        /// Base64.
        data: Cow<'a, str>,
        /// `wav`, `mp3` …
        format: Cow<'a, str>,
    },
    File {
        name: Option<Cow<'a, str>>,
        source: Source<'a>,
    },
    Video(Source<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source<'a> {
    Url(Cow<'a, str>),
    Data {
        media_type: String,
        base64: Cow<'a, str>,
    },
    /// What the provider calls an uploaded file.
    Id(Cow<'a, str>),
}

#[derive(Debug, Clone)]
pub(super) struct ToolCall<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    /// The arguments, JSON text of an object, byte for byte.
    pub arguments: Cow<'a, str>,
}

pub(super) fn parse(request: &ChatRequest) -> Result<Vec<Message<'_>>, Inexpressible> {
    let raw = request.field("messages").map_or(&b"[]"[..], |raw| raw);
    let messages: Vec<RawMessage<'_>> =
        serde_json::from_slice(raw).map_err(|_| cannot("messages", "is not a list of messages with a `role`"))?;
    messages
        .into_iter()
        .enumerate()
        .map(|(at, message)| message.understood(at))
        .collect()
}

impl<'a> Message<'a> {
    /// The name of a member of this message in the request, for errors.
    pub fn field(&self, rest: &str) -> String {
        format!("messages[{}]{rest}", self.at)
    }

    /// All that was thought, as far as it can be read.
    pub fn thinking(&self) -> Option<Cow<'a, str>> {
        if self.reasoning_text.is_some() {
            return self.reasoning_text.clone();
        }
        let texts = self.reasoning.iter().filter_map(|detail| detail.text.as_deref());
        let all: String = texts.collect();
        (!all.is_empty()).then(|| all.into())
    }

    pub fn part_field(&self, part: &Part<'_>) -> String {
        match part.at {
            Some(at) => self.field(&format!(".content[{at}]")),
            None => self.field(".content"),
        }
    }
}

impl Content<'_> {
    pub fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text == "\"\"")
    }
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<RawToolCall<'a>>>,
    #[serde(borrow, default)]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_details: Option<Vec<Detail<'a>>>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<Vec<RawPart<'a>>>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawToolCall<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<RawFunction<'a>>,
}

#[derive(Deserialize)]
struct RawFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    video_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_audio: Option<RawAudio<'a>>,
    #[serde(borrow, default)]
    file: Option<RawFile<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_cache_breakpoint: Option<&'a RawValue>,
    #[serde(default)]
    text_offset: Option<usize>,
}

#[derive(Deserialize)]
struct RawUrl<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawAudio<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    format: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawFile<'a> {
    #[serde(borrow, default)]
    filename: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_url: Option<Cow<'a, str>>,
}

impl<'a> RawMessage<'a> {
    fn understood(self, at: usize) -> Result<Message<'a>, Inexpressible> {
        let field = |rest: &str| format!("messages[{at}]{rest}");
        let role = match self.role.as_ref() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => return Err(cannot(field(".role"), "is not `system`, `user`, `assistant` or `tool`")),
        };
        if self.audio.is_some() {
            return Err(cannot(field(".audio"), "can't be given back to this provider"));
        }
        let mut parts = content(self.content, at)?;
        if let (Some(part), Some(cache)) = (parts.last_mut(), self.cache_control) {
            part.cache.get_or_insert(cache.get().into());
        }
        if let (Some(name), Role::User | Role::Assistant) = (&self.name, role) {
            prefix(&mut parts, name);
        }
        if let Some(refusal) = self.refusal.filter(|refusal| refusal.get() != "\"\"") {
            parts.push(Part::new(None, Content::Refusal(refusal.get().into())));
        }
        for image in self.images.unwrap_or_default() {
            let after = image.text_offset;
            let image = image.understood(None, &field(".images"))?;
            insert(&mut parts, image, after);
        }
        let calls = self.tool_calls.unwrap_or_default().into_iter().enumerate();
        let tool_calls = calls.map(|(place, call)| call.understood(&field(&format!(".tool_calls[{place}]"))));
        Ok(Message {
            at,
            role,
            parts,
            tool_calls: tool_calls.collect::<Result<_, _>>()?,
            tool_call_id: self.tool_call_id.unwrap_or_default(),
            reasoning: super::reasoning::joined(self.reasoning_details.unwrap_or_default()),
            reasoning_text: self
                .reasoning
                .or(self.reasoning_content)
                .filter(|text| !text.is_empty()),
        })
    }
}

impl<'a> RawToolCall<'a> {
    fn understood(self, field: &str) -> Result<ToolCall<'a>, Inexpressible> {
        let function = self
            .function
            .ok_or_else(|| cannot(field.to_owned(), "is not a call of a function"))?;
        let arguments = function.arguments.unwrap_or_default();
        let arguments = if arguments.trim().is_empty() {
            "{}".into()
        } else {
            arguments
        };
        let is_object = arguments.trim_start().starts_with('{')
            && serde_json::from_str::<serde::de::IgnoredAny>(&arguments).is_ok();
        if !is_object {
            return Err(cannot(
                format!("{field}.function.arguments"),
                "is not the JSON text of an object",
            ));
        }
        Ok(ToolCall {
            id: self.id.unwrap_or_default(),
            name: function.name,
            arguments,
        })
    }
}

impl<'a> Part<'a> {
    pub fn new(at: Option<usize>, content: Content<'a>) -> Self {
        Self {
            at,
            content,
            cache: None,
        }
    }
}

impl<'a> RawPart<'a> {
    fn understood(self, at: Option<usize>, field: &str) -> Result<Part<'a>, Inexpressible> {
        let missing = |what: &str| cannot(format!("{field}.{what}"), "is missing or of the wrong type");
        let text = |raw: Option<&'a RawValue>, what: &str| {
            let is_text = |raw: &&RawValue| raw.get().starts_with('"');
            raw.filter(is_text)
                .map(|raw| Cow::Borrowed(raw.get()))
                .ok_or_else(|| missing(what))
        };
        let content = match self.kind.as_ref() {
            "text" | "input_text" | "output_text" => Content::Text(text(self.text, "text")?),
            "refusal" => Content::Refusal(text(self.refusal, "refusal")?),
            "image_url" | "input_image" => {
                let image = url(self.image_url).ok_or_else(|| missing("image_url"))?;
                Content::Image {
                    source: Source::of_url(image.url),
                    detail: image.detail,
                }
            }
            "video_url" | "input_video" => {
                let video = url(self.video_url).ok_or_else(|| missing("video_url"))?;
                Content::Video(Source::of_url(video.url))
            }
            "input_audio" => {
                let audio = self.input_audio.ok_or_else(|| missing("input_audio"))?;
                Content::Audio {
                    data: audio.data,
                    format: audio.format,
                }
            }
            "file" | "input_file" => {
                let file = self.file.ok_or_else(|| missing("file"))?;
                let source = match (file.file_data, file.file_url, file.file_id) {
                    (Some(data), _, _) | (_, Some(data), _) => Source::of_url(data),
                    (None, None, Some(id)) => Source::Id(id),
                    (None, None, None) => return Err(missing("file.file_data")),
                };
                Content::File {
                    name: file.filename,
                    source,
                }
            }
            _ => {
                return Err(cannot(
                    format!("{field}.type"),
                    "is a kind of content that this provider does not take",
                ));
            }
        };
        let marked = self
            .prompt_cache_breakpoint
            .map(|_| Cow::Borrowed(r#"{"type":"ephemeral"}"#));
        Ok(Part {
            at,
            content,
            cache: self.cache_control.map(|raw| raw.get().into()).or(marked),
        })
    }
}

impl<'a> Source<'a> {
    /// A `data:` URL is its data, any other is a URL.
    fn of_url(url: Cow<'a, str>) -> Self {
        let split = url
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(','))
            .and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
        let Some((head, data)) = split else {
            return Self::Url(url);
        };
        let media_type = head.split(';').next().unwrap_or("").to_ascii_lowercase();
        let begin = url.len() - data.len();
        let base64 = match url {
            Cow::Borrowed(url) => Cow::Borrowed(&url[begin..]),
            Cow::Owned(url) => Cow::Owned(url[begin..].to_owned()),
        };
        Self::Data { media_type, base64 }
    }
}

fn content<'a>(raw: Option<&'a RawValue>, at: usize) -> Result<Vec<Part<'a>>, Inexpressible> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Ok(Vec::new());
    };
    if raw.starts_with('"') {
        return Ok(vec![Part::new(None, Content::Text(raw.into()))]);
    }
    let parts: Vec<RawPart<'a>> = serde_json::from_str(raw)
        .map_err(|_| cannot(format!("messages[{at}].content"), "is neither text nor a list of parts"))?;
    parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| part.understood(Some(place), &format!("messages[{at}].content[{place}]")))
        .collect()
}

/// `{"url": …}` or the URL alone.
fn url<'a>(raw: Option<&'a RawValue>) -> Option<RawUrl<'a>> {
    let raw = raw?.get();
    if raw.starts_with('"') {
        let url = serde_json::from_str::<Borrowed<'a>>(raw).ok()?.0;
        return Some(RawUrl { url, detail: None });
    }
    serde_json::from_str(raw).ok()
}

/// Text that is only copied where it has escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a raw JSON string.
pub(crate) fn unquoted(raw: &str) -> Cow<'_, str> {
    serde_json::from_str::<Borrowed<'_>>(raw).map_or(Cow::Borrowed(""), |text| text.0)
}

/// Puts an image after so many characters of text, where the model had put it; at the end when that is not known.
fn insert<'a>(parts: &mut Vec<Part<'a>>, image: Part<'a>, after: Option<usize>) {
    let mut left = after.unwrap_or(usize::MAX);
    for place in 0..parts.len() {
        let Content::Text(text) = &parts[place].content else {
            continue;
        };
        let text = unquoted(text);
        let characters = text.chars().count();
        if left < characters {
            let (head, tail): (String, String) = (text.chars().take(left).collect(), text.chars().skip(left).collect());
            let tail = Part::new(None, Content::Text(super::json::quoted(&tail).into()));
            parts[place].content = Content::Text(super::json::quoted(&head).into());
            parts.insert(place + 1, tail);
            parts.insert(place + 1, image);
            return;
        }
        left -= characters;
    }
    parts.push(image);
}

/// Who speaks, for providers that have no field for it: `{name}: {text}`.
fn prefix(parts: &mut [Part<'_>], name: &str) {
    let first = parts.iter_mut().find_map(|part| match &mut part.content {
        Content::Text(text) => Some(text),
        _ => None,
    });
    if let Some(text) = first {
        let mut named = super::json::quoted(&format!("{name}: "));
        named.pop();
        named.push_str(&text[1..]);
        *text = named.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(messages: &str) -> ChatRequest {
        ChatRequest::parse(&Bytes::from(format!(r#"{{"model":"a/b","messages":{messages}}}"#))).unwrap()
    }

    #[test]
    fn text_stays_as_written_and_names_are_put_before_it() {
        let request = request(r#"[{"role":"user","name":"Ada","content":"h\u00e9"}]"#);
        let messages = parse(&request).unwrap();
        let Content::Text(text) = &messages[0].parts[0].content else {
            panic!()
        };
        assert_eq!(text, r#""Ada: h\u00e9""#);
    }

    #[test]
    fn images_go_back_to_where_they_stood() {
        let request = request(
            r#"[{"role":"assistant","content":"é and more","images":[
                {"type":"image_url","image_url":{"url":"https://x/1"},"text_offset":2},
                {"type":"image_url","image_url":{"url":"https://x/2"},"text_offset":10},
                {"type":"image_url","image_url":{"url":"https://x/3"}}]}]"#,
        );
        let messages = parse(&request).unwrap();
        let parts = messages[0].parts.iter().map(|part| match &part.content {
            Content::Text(text) => text.to_string(),
            Content::Image {
                source: Source::Url(url),
                ..
            } => url.to_string(),
            other => panic!("{other:?}"),
        });
        let parts: Vec<String> = parts.collect();
        assert_eq!(
            parts,
            ["\"é \"", "https://x/1", "\"and more\"", "https://x/2", "https://x/3"]
        );
    }

    #[test]
    fn data_urls_are_taken_apart() {
        let source = Source::of_url("data:image/png;name=x;base64,AAAA".into());
        assert_eq!(
            source,
            Source::Data {
                media_type: "image/png".into(),
                base64: "AAAA".into()
            }
        );
        assert_eq!(
            Source::of_url("https://x/a,b".into()),
            Source::Url("https://x/a,b".into())
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let refused = |messages: &str| parse(&request(messages)).unwrap_err().field;
        assert_eq!(refused(r#"[{"role":"function","content":""}]"#), "messages[0].role");
        assert_eq!(
            refused(r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"hologram"}]}]"#),
            "messages[0].content[1].type"
        );
        assert_eq!(
            refused(r#"[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"[1"}}]}]"#),
            "messages[0].tool_calls[0].function.arguments"
        );
    }
}
