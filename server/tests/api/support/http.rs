//! Requests and replies.

use super::{PATIENCE, openapi};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

pub fn client() -> reqwest::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(PATIENCE * 4)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// A reply in one piece.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` when it was not JSON.
    pub body: Value,
}

impl Reply {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let path = response.url().path().to_owned();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        if is_json(&headers) {
            openapi::check_reply(&path, status.as_u16(), &body);
        }
        Self {
            status,
            headers,
            text,
            body,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// The generation's id, from the header.
    pub fn generation_id(&self) -> String {
        assert!(self.header("x-generation-id").starts_with("gen-"), "{self:?}");
        self.header("x-generation-id").to_owned()
    }

    pub fn expect_ok(self) -> Self {
        assert_eq!(self.status.as_u16(), 200, "{}", self.text);
        self
    }

    /// Asserts the published error envelope and gives the message.
    pub fn error(&self, status: u16, error_type: &str) -> &str {
        let error = &self.body["error"];
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(error["code"], status, "{}", self.text);
        assert_eq!(error["metadata"]["error_type"], error_type, "{}", self.text);
        error["message"].as_str().expect("an error has a message")
    }
}

/// Server-sent events, as they arrive.
#[derive(Debug)]
pub struct EventStream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    response: reqwest::Response,
    buffer: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Data(Value),
    Done,
    Comment(String),
}

impl EventStream {
    pub fn new(response: reqwest::Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            response,
            buffer: Vec::new(),
        }
    }

    pub fn generation_id(&self) -> String {
        let id = self.headers.get("x-generation-id");
        let id = id.unwrap_or_else(|| panic!("answered {} without a generation", self.status));
        id.to_str().unwrap().to_owned()
    }

    /// The next event; `None` when the connection ends, properly or not.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let parsed = parse(&event);
                if let Event::Data(data) = &parsed {
                    openapi::check_event(self.response.url().path(), name_of(&event), data);
                }
                return Some(parsed);
            }
            let chunk: Option<Bytes> = self.response.chunk().await.ok().flatten();
            self.buffer.extend_from_slice(&chunk?);
        }
    }

    /// Reads on until `count` pieces of text have arrived, and gives them.
    pub async fn read_text(&mut self, count: usize) -> Vec<String> {
        let mut pieces = Vec::new();
        while pieces.len() < count {
            let event = self.next().await.expect("more text comes");
            pieces.extend(text_of(&event).map(str::to_owned));
        }
        pieces
    }

    /// Everything that is left.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

impl Event {
    pub fn data(&self) -> Option<&Value> {
        match self {
            Self::Data(value) => Some(value),
            Self::Done | Self::Comment(_) => None,
        }
    }
}

/// The piece of text in an event, unless empty.
pub fn text_of(event: &Event) -> Option<&str> {
    let text = event.data()?.pointer("/choices/0/delta/content")?.as_str()?;
    Some(text).filter(|text| !text.is_empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

fn name_of(event: &str) -> Option<&str> {
    event.lines().find_map(|line| line.strip_prefix("event: "))
}

fn parse(event: &str) -> Event {
    let line = event.trim_end();
    match line.strip_prefix("data: ") {
        Some("[DONE]") => Event::Done,
        Some(data) => Event::Data(serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))),
        None => Event::Comment(line.to_owned()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
