//! Builds the pieces of a chat stream from what providers of other dialects send.

use super::json::{Json, quote, quoted};
use crate::openai::{Decoded, Piece};
use bytes::Bytes;
use serde::Serializer as _;
use serde_json::value::RawValue;
use std::ops::Range;

/// One piece in the making. Texts are JSON strings with their quotes, taken over byte for byte.
#[derive(Debug, Default)]
pub(super) struct Delta {
    index: u64,
    body: Vec<u8>,
    text: Option<Range<usize>>,
    text_bytes: usize,
    is_reasoning: bool,
    logprobs: Option<Bytes>,
}

impl Delta {
    pub fn new(index: u64) -> Self {
        Self {
            index,
            ..Self::default()
        }
    }

    /// The first piece of a choice says who speaks.
    pub fn role(mut self, is_first: bool) -> Self {
        if is_first {
            self.member("role", b"\"assistant\"");
        }
        self
    }

    pub fn content(mut self, raw: &str) -> Self {
        self.spoken("content", raw);
        self
    }

    pub fn refusal(mut self, raw: &str) -> Self {
        self.spoken("refusal", raw);
        self
    }

    pub fn reasoning(mut self, raw: &str, detail: Json<'_>) -> Self {
        self.spoken("reasoning", raw);
        self.is_reasoning = true;
        self.details(detail)
    }

    /// Entries of `reasoning_details` without text to show.
    pub fn details(mut self, detail: Json<'_>) -> Self {
        self.member("reasoning_details", &Json::List(vec![detail]).to_bytes());
        self
    }

    /// A call begins; its arguments follow.
    pub fn call(mut self, index: u64, id: &str, name: &str) -> Self {
        let call = Json::object([
            ("index", index.into()),
            ("id", id.into()),
            ("type", "function".into()),
            (
                "function",
                Json::object([("name", name.into()), ("arguments", "".into())]),
            ),
        ]);
        self.text_bytes += name.len();
        self.member("tool_calls", &Json::List(vec![call]).to_bytes());
        self
    }

    /// A call with all its arguments, a JSON text.
    pub fn whole_call(mut self, index: u64, id: &str, name: &str, arguments: &str) -> Self {
        let head = Json::object([("index", index.into()), ("id", id.into()), ("type", "function".into())]);
        let mut head = head.into_text();
        head.pop();
        self.open("tool_calls");
        self.body.push(b'[');
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(br#","function":{"name":"#);
        quote(&mut self.body, name);
        self.text_bytes += name.len();
        self.body.extend_from_slice(br#","arguments":"#);
        self.heard(&quoted(arguments));
        self.body.extend_from_slice(b"}}]");
        self
    }

    /// A fragment of a call's arguments.
    pub fn arguments(mut self, index: u64, raw: &str) -> Self {
        self.open("tool_calls");
        self.body
            .extend_from_slice(format!(r#"[{{"index":{index},"function":{{"arguments":"#).as_bytes());
        self.heard(raw);
        self.body.extend_from_slice(b"}}]");
        self
    }

    /// `after` is how many characters of text came before it.
    pub fn image(mut self, media_type: &str, base64: &str, index: u64, after: u64) -> Self {
        self.open("images");
        self.body
            .extend_from_slice(br#"[{"type":"image_url","image_url":{"url":"#);
        let url = format_args!("data:{media_type};base64,{base64}");
        // Writing text to memory can't fail.
        let _ = serde_json::Serializer::new(&mut self.body).collect_str(&url);
        self.body
            .extend_from_slice(format!(r#"}},"index":{index},"text_offset":{after}}}]"#).as_bytes());
        self
    }

    pub fn annotation(mut self, annotation: Json<'_>) -> Self {
        self.member("annotations", &Json::List(vec![annotation]).to_bytes());
        self
    }

    pub fn logprobs(mut self, logprobs: Option<Json<'_>>) -> Self {
        self.logprobs = logprobs.map(|logprobs| Bytes::from(logprobs.to_bytes()));
        self
    }

    pub fn piece(mut self) -> Piece {
        if self.body.is_empty() {
            self.body.push(b'{');
        }
        self.body.push(b'}');
        let delta = Bytes::from(self.body);
        Piece {
            index: self.index,
            text: self.text.map_or(Bytes::new(), |text| delta.slice(text)),
            delta,
            reasoning_alias: None,
            logprobs: self.logprobs,
            native_finish_reason: None,
            finish_reason: None,
            text_bytes: self.text_bytes,
            is_reasoning: self.is_reasoning,
        }
    }

    pub fn decoded(self) -> Decoded {
        Decoded {
            choices: vec![self.piece()],
            ..Decoded::default()
        }
    }

    /// The last piece of a choice: the provider's word for why it ended, and the API's.
    pub fn finished(self, native: &str, normalised: &'static str) -> Decoded {
        let piece = Piece {
            native_finish_reason: Some(native.to_owned()),
            finish_reason: Some(normalised),
            ..self.piece()
        };
        Decoded {
            choices: vec![piece],
            ..Decoded::default()
        }
    }

    fn spoken(&mut self, name: &str, raw: &str) {
        self.open(name);
        self.heard(raw);
    }

    fn heard(&mut self, raw: &str) {
        let begin = self.body.len() + 1;
        self.body.extend_from_slice(raw.as_bytes());
        let text = begin..self.body.len() - 1;
        self.text_bytes += text.len();
        if self.text.is_none() && !text.is_empty() {
            self.text = Some(text);
        }
    }

    fn member(&mut self, name: &str, value: &[u8]) {
        self.open(name);
        self.body.extend_from_slice(value);
    }

    fn open(&mut self, name: &str) {
        self.body.push(if self.body.is_empty() { b'{' } else { b',' });
        quote(&mut self.body, name);
        self.body.push(b':');
    }
}

/// A source on the web that a part of the text rests on; the places are counted in characters.
pub(super) fn url_citation<'a>(
    url: &'a str,
    title: Option<&'a str>,
    quote: Option<&'a str>,
    at: Range<u64>,
) -> Json<'a> {
    let citation = Json::object([("url", url.into())])
        .and("title", title)
        .and("content", quote)
        .with("start_index", at.start)
        .with("end_index", at.end);
    Json::object([("type", "url_citation".into()), ("url_citation", citation)])
}

/// A JSON string that is not empty.
pub(super) fn filled(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get)
        .filter(|raw| raw.starts_with('"') && raw.len() > 2)
}
