//! OpenAI's older completions of a text. Towards providers they are chats of one message.

use super::chat_form::{ChatForm, read};
use super::failure::Failure;
use super::said::{Said, said};
use super::{Form, Surface, events};
use crate::chunk::{DONE, Envelope, usage_json};
use crate::dialect::conversation::unquoted;
use crate::dialect::json::Json;
use crate::dialect::{Inexpressible, cannot};
use crate::openai::Piece;
use crate::request::{ChatRequest, Field, RequestError, present, top_level, typed, wrong};
use bytes::Bytes;
use domain::price::Cost;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What the chat API says otherwise; the rest goes on under its own name.
const TRANSLATED: &[&str] = &["best_of", "echo", "logprobs", "prompt", "suffix"];

/// A request in the words of this API.
pub fn parse(body: &Bytes) -> Result<ChatRequest, RequestError> {
    let fields = top_level(body)?;
    let prompt = prompt(&fields)?;
    let echo = typed::<bool>(&fields, "echo", "must be true or false")?.unwrap_or(false);
    let form = Form::Completions {
        echo: echo.then(|| unquoted(&prompt).into_owned()),
    };
    let chat = translate(&fields, &prompt, echo).map_err(RequestError::Unclear)?;
    ChatRequest::of_chat(chat, form)
}

/// A JSON string.
fn prompt(fields: &[Field]) -> Result<String, RequestError> {
    let raw = present(fields, "prompt").ok_or_else(|| wrong("prompt", "is missing"))?;
    if raw.starts_with(b"\"") {
        return Ok(String::from_utf8_lossy(raw).into_owned());
    }
    let all: Result<[&RawValue; 1], _> = serde_json::from_slice(raw);
    let one = all.ok().map(|[one]| one.get()).filter(|one| one.starts_with('"'));
    let problem = "must be text, or a list of one text; send a request for each of several prompts";
    one.map(str::to_owned).ok_or_else(|| wrong("prompt", problem))
}

fn translate(fields: &[Field], prompt: &str, echo: bool) -> Result<Vec<Field>, Inexpressible> {
    if present(fields, "suffix").is_some_and(|suffix| suffix.as_ref() != b"\"\"") {
        return Err(cannot(
            "suffix",
            "can't be said to models that are talked to, which all are here",
        ));
    }
    if present(fields, "best_of").is_some_and(|best| best.as_ref() != b"1") {
        return Err(cannot("best_of", "is not offered: ask for `n` and choose"));
    }
    let mut chat = ChatForm::with_all_but(fields, &[TRANSLATED]);
    let message = Json::object([("role", "user".into()), ("content", Json::raw(prompt))]);
    chat.json("messages", &Json::List(vec![message]));
    if let Some(count) = read::<u64>(fields, "logprobs", "must be a whole number")? {
        if echo {
            return Err(cannot("logprobs", "can't be told of a prompt, so not beside `echo`"));
        }
        chat.json("logprobs", &true.into());
        chat.json("top_logprobs", &count.into());
    }
    Ok(chat.finish())
}

#[derive(Debug)]
pub struct Stream {
    envelope: Envelope,
    echo: Option<String>,
    /// Choices that have begun, with the echo where there is one.
    begun: BTreeSet<u64>,
}

#[derive(Debug)]
pub struct Whole {
    echo: Option<String>,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    text: String,
    reasoning: String,
    finish: Option<(String, &'static str)>,
    logprobs: Logprobs,
}

/// Raw JSON of each list's entries.
#[derive(Debug, Default)]
struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<String>,
    top_logprobs: Vec<String>,
    text_offset: Vec<u64>,
    characters: u64,
}

impl Stream {
    pub fn new(envelope: &Envelope, echo: Option<&str>) -> Self {
        Self {
            envelope: envelope.clone(),
            echo: echo.map(str::to_owned),
            begun: BTreeSet::new(),
        }
    }

    pub fn pieces(&mut self, out: &mut Vec<u8>, pieces: &[Piece]) {
        let choices = pieces.iter().map(|piece| {
            let mut choice = Choice::default();
            if self.begun.insert(piece.index) {
                choice.text.push_str(self.echo.as_deref().unwrap_or_default());
            }
            choice.absorb(piece);
            choice.json(piece.index)
        });
        let choices = choices.collect();
        events::event(out, None, &completion(&self.envelope, choices));
    }

    pub fn end(&mut self, out: &mut Vec<u8>, usage: &Usage, cost: &Cost) {
        let last = completion(&self.envelope, Vec::new()).with("usage", Json::raw(usage_json(usage, cost)));
        events::event(out, None, &last);
        out.extend_from_slice(DONE);
    }

    pub fn fail(&mut self, out: &mut Vec<u8>, failure: &Failure<'_>) {
        let error = failure.body(Surface::Completions, None)["error"].to_string();
        let choice = Json::object([
            ("text", "".into()),
            ("index", 0.into()),
            ("finish_reason", "error".into()),
            ("native_finish_reason", "error".into()),
            ("logprobs", Json::raw("null")),
        ]);
        let last = completion(&self.envelope, vec![choice]).with("error", Json::raw(error));
        events::event(out, None, &last);
    }
}

impl Whole {
    pub fn new(echo: Option<&str>) -> Self {
        Self {
            echo: echo.map(str::to_owned),
            choices: BTreeMap::new(),
        }
    }

    pub fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            let choice = self.choices.entry(piece.index).or_insert_with(|| Choice {
                text: self.echo.clone().unwrap_or_default(),
                ..Choice::default()
            });
            choice.absorb(piece);
        }
    }

    pub fn finish(self, envelope: &Envelope, usage: &Usage, cost: &Cost) -> String {
        let choices = self.choices.iter().map(|(index, choice)| choice.json(*index));
        let answer = completion(envelope, choices.collect());
        answer.with("usage", Json::raw(usage_json(usage, cost))).into_text()
    }
}

impl Choice {
    fn absorb(&mut self, piece: &Piece) {
        for said in said(piece) {
            match said {
                Said::Text(raw) | Said::Refusal(raw) => self.text.push_str(&unquoted(raw)),
                Said::Reasoning(raw) => self.reasoning.push_str(&unquoted(raw)),
                Said::Detail(detail) => {
                    let text = detail.text.or(detail.summary);
                    self.reasoning.push_str(text.as_deref().unwrap_or_default());
                }
                // What no completion of a text has.
                Said::Image { .. } | Said::Call { .. } | Said::Annotation(_) => {}
            }
        }
        if let Some(logprobs) = &piece.logprobs {
            self.logprobs.absorb(logprobs);
        }
        if let (Some(native), Some(reason)) = (&piece.native_finish_reason, piece.finish_reason()) {
            self.finish = Some((native.clone(), reason));
        }
    }

    fn json(&self, index: u64) -> Json<'static> {
        let null = || Json::raw("null");
        let (native, reason) = match &self.finish {
            Some((native, reason)) => (native.clone().into(), (*reason).into()),
            None => (null(), null()),
        };
        let reasoning = (!self.reasoning.is_empty()).then(|| self.reasoning.clone());
        Json::object([
            ("text", self.text.clone().into()),
            ("index", index.into()),
            ("finish_reason", reason),
            ("native_finish_reason", native),
            ("logprobs", self.logprobs.json()),
        ])
        .and("reasoning", reasoning)
    }
}

impl Logprobs {
    /// The chat API tells the same, token by token.
    fn absorb(&mut self, raw: &[u8]) {
        #[derive(Deserialize)]
        struct Chat<'a> {
            #[serde(borrow, default)]
            content: Option<Vec<Token<'a>>>,
        }
        #[derive(Deserialize)]
        struct Token<'a> {
            #[serde(borrow, default)]
            token: Cow<'a, str>,
            #[serde(borrow, default)]
            logprob: Option<&'a RawValue>,
            #[serde(borrow, default)]
            top_logprobs: Vec<Token<'a>>,
        }
        let chat: Option<Chat<'_>> = serde_json::from_slice(raw).ok();
        for token in chat.and_then(|chat| chat.content).unwrap_or_default() {
            let number = |token: &Token<'_>| token.logprob.map_or("null", RawValue::get).to_owned();
            let quoted = |token: &Token<'_>| crate::dialect::json::quoted(&token.token);
            let top = token
                .top_logprobs
                .iter()
                .map(|top| format!("{}:{}", quoted(top), number(top)));
            self.top_logprobs
                .push(format!("{{{}}}", top.collect::<Vec<_>>().join(",")));
            self.tokens.push(quoted(&token));
            self.token_logprobs.push(number(&token));
            self.text_offset.push(self.characters);
            self.characters += token.token.chars().count() as u64;
        }
    }

    fn json(&self) -> Json<'static> {
        if self.tokens.is_empty() {
            return Json::raw("null");
        }
        let list = |entries: &[String]| Json::raw(format!("[{}]", entries.join(",")));
        Json::object([
            ("tokens", list(&self.tokens)),
            ("token_logprobs", list(&self.token_logprobs)),
            ("top_logprobs", list(&self.top_logprobs)),
            (
                "text_offset",
                Json::List(self.text_offset.iter().map(|offset| (*offset).into()).collect()),
            ),
        ])
    }
}

fn completion<'a>(envelope: &'a Envelope, choices: Vec<Json<'a>>) -> Json<'a> {
    Json::object([
        ("id", envelope.id.as_str().into()),
        ("object", "text_completion".into()),
        ("created", Json::raw(envelope.created.to_string())),
        ("model", envelope.model.as_str().into()),
        ("provider", envelope.provider.as_str().into()),
        ("choices", Json::List(choices)),
    ])
}
