//! Wire formats of every dialect as files: what is sent for a chat request, and what is made of the answer.
//!
//! `case.json` holds provider, endpoint and request. `call.json` is what must be sent, or `refused.txt` why nothing can be.
//! `stream.sse`, `stream.ndjson` or `stream.events` is what the provider answers, `deltas.jsonl` what callers get of it
//! piece by piece, `answer.json` what they get at once. `GOLDEN=write` writes the expected files for review.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use domain::price::Cost;
use domain::usage::Usage;
use gateway::chunk::Envelope;
use gateway::completion::Completion;
use gateway::dialect::{self, Decoder};
use gateway::lines::LineDecoder;
use gateway::openai::Decoded;
use gateway::request::ChatRequest;
use gateway::sse::SseDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

struct Case {
    folder: PathBuf,
    provider: Provider,
    endpoint: Endpoint,
    request: ChatRequest,
    cap: Option<u64>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct CaseFile<'a> {
    #[serde(default)]
    provider: Value,
    #[serde(default)]
    endpoint: Value,
    cap: Option<u64>,
    user: Option<String>,
    #[serde(borrow)]
    request: &'a RawValue,
}

/// A stream's bytes and how they are cut into events.
enum Stream {
    Events(Vec<u8>),
    Lines(Vec<u8>),
    /// Names and payloads, a pair in each line.
    Named(Vec<(String, Bytes)>),
}

#[test]
fn requests_become_calls() {
    for case in cases() {
        let (file, text) = match encode(&case) {
            Ok(call) => {
                let body: Box<RawValue> = serde_json::from_slice(&call.body).expect("a body of JSON");
                let headers: Vec<_> = call.headers.iter().map(|(name, value)| json!([name, value])).collect();
                let text = format!(
                    "{{\"path\":{},\n\"headers\":{},\n\"body\":{}}}\n",
                    json!(call.path),
                    json!(headers),
                    body.get()
                );
                ("call.json", text)
            }
            Err(error) => ("refused.txt", format!("{error}\n")),
        };
        compare(&case.folder.join(file), &text);
        let other = if file == "call.json" {
            "refused.txt"
        } else {
            "call.json"
        };
        assert!(!case.folder.join(other).exists(), "{:?} has both", case.folder);
    }
}

#[test]
fn streams_become_pieces() {
    for case in cases() {
        if let Some(stream) = Stream::read(&case.folder) {
            let all = decoded(&case, &stream.events(&[]));
            compare(&case.folder.join("deltas.jsonl"), &told(&all));
            compare(&case.folder.join("answer.json"), &answer(&all));
        }
    }
}

#[test]
fn streams_are_the_same_events_however_they_are_cut() {
    for case in cases() {
        let Some(stream) = Stream::read(&case.folder) else {
            continue;
        };
        let whole = stream.events(&[]);
        assert!(!whole.is_empty());
        for cut in 0..stream.len() {
            assert_eq!(stream.events(&[cut]), whole, "{:?} cut at {cut}", case.folder);
        }
        let all: Vec<usize> = (1..stream.len()).collect();
        assert_eq!(stream.events(&all), whole, "{:?} byte by byte", case.folder);
    }
}

/// A provider that ignored that a stream was wanted says the same.
#[test]
fn a_list_of_geminis_chunks_is_as_good_as_a_stream() {
    for case in cases().into_iter().filter(|case| case.dialect() == Dialect::Gemini) {
        let Some(stream) = Stream::read(&case.folder) else {
            continue;
        };
        let events = stream.events(&[]);
        let chunks: Vec<&str> = events.iter().map(|(_, data)| str::from_utf8(data).unwrap()).collect();
        let list = Bytes::from(format!("[{}]", chunks.join(",\n")));
        let mut out = VecDeque::new();
        Decoder::new(case.dialect(), &case.provider, "gen-1")
            .whole(&list, &mut out)
            .unwrap();
        let all: Vec<Decoded> = out.into();
        assert_eq!(told(&all), told(&understood(&case, &events)), "{:?}", case.folder);
    }
}

/// Events that are missing, doubled, out of order or cut short make no panic and no piece that is not JSON.
#[test]
fn damaged_streams_do_no_harm() {
    for case in cases() {
        let Some(stream) = Stream::read(&case.folder) else {
            continue;
        };
        let whole = stream.events(&[]);
        for at in 0..whole.len() {
            let mut missing = whole.clone();
            let event = missing.remove(at);
            told(&understood(&case, &missing));
            for other in 0..=missing.len() {
                let mut moved = missing.clone();
                moved.insert(other, event.clone());
                told(&understood(&case, &moved));
            }
            let mut doubled = whole.clone();
            doubled.insert(at, event.clone());
            told(&understood(&case, &doubled));
            for end in (0..event.1.len()).step_by(7) {
                let mut short = whole.clone();
                short[at].1.truncate(end);
                told(&understood(&case, &short));
            }
        }
    }
}

/// What is known at any moment is never more than what is billed in the end, and a doubled report bills nothing twice.
#[test]
fn usage_only_grows_towards_the_bill() {
    for case in cases() {
        let Some(stream) = Stream::read(&case.folder) else {
            continue;
        };
        let events = stream.events(&[]);
        let bill = usage(&understood(&case, &events));
        for end in 0..events.len() {
            let so_far = usage(&understood(&case, &events[..end]));
            assert_eq!(so_far.merged(bill), bill, "{:?} after {end} events", case.folder);
        }
        let doubled: Vec<_> = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
        let twice = usage(&understood(&case, &doubled));
        assert_eq!(
            Usage {
                images: bill.images,
                ..twice
            },
            bill,
            "{:?}",
            case.folder
        );
    }
}

/// Nobody may take over once something of the answer was told, and anybody may before.
#[test]
fn an_answer_begins_with_its_first_piece() {
    for case in cases() {
        let Some(stream) = Stream::read(&case.folder) else {
            continue;
        };
        let all = decoded(&case, &stream.events(&[]));
        let first = all.iter().find(|decoded| !decoded.is_preamble()).unwrap();
        assert!(!first.choices.is_empty() || first.error.is_some(), "{:?}", case.folder);
        assert!(
            all.iter()
                .any(|decoded| decoded.error.is_some() || decoded.usage.is_some())
                || case.dialect() == Dialect::OpenaiChat
        );
    }
}

/// An answer with reasoning and calls of tools goes back to the model in the blocks it came in.
#[test]
fn answers_go_back_as_they_came() {
    for case in cases() {
        let expected = case.folder.join("again.json");
        let Some(stream) = Stream::read(&case.folder).filter(|_| expected.exists() || is_writing()) else {
            continue;
        };
        let all = decoded(&case, &stream.events(&[]));
        let answer: Value = serde_json::from_str(&answer(&all)).unwrap();
        let message = &answer["choices"][0]["message"];
        if message["reasoning_details"].is_null() {
            continue;
        }
        let mut messages = vec![json!({"role": "user", "content": "Go on."}), message.clone()];
        let mut tools = Vec::new();
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            tools.push(json!({"type": "function", "function": {"name": call["function"]["name"]}}));
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "{\"done\": true}"}));
        }
        let body = json!({"model": "a/b", "messages": messages, "tools": tools});
        let request = ChatRequest::parse(&Bytes::from(body.to_string())).unwrap();
        let call = encode(&Case { request, ..case }).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let sent = ["messages", "contents", "input"].iter().find_map(|name| body.get(name));
        compare(&expected, &format!("{:#}\n", sent.unwrap()));
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folders = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let all = folders(&root).into_iter().flat_map(|dialect| folders(&dialect));
    let cases: Vec<Case> = all.map(Case::read).collect();
    assert!(cases.len() > 20);
    cases
}

fn encode(case: &Case) -> Result<dialect::Call, dialect::Inexpressible> {
    dialect::encode(
        case.dialect(),
        &case.request,
        &case.provider,
        &case.endpoint,
        case.cap,
        case.user.as_deref(),
    )
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("case.json")).unwrap();
        let file: CaseFile<'_> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let dialect = folder.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let provider = json!({"slug": "p", "name": "P", "base_url": "http://x", "dialect": dialect, "auth": "none"});
        let endpoint = json!({"id": "a/b|p", "model": "a/b", "provider": "p", "provider_model_id": "real-b",
            "context_length": 100_000, "prices": {"prompt": 1, "completion": 1}});
        Self {
            provider: serde_json::from_value(merged(provider, file.provider)).unwrap(),
            endpoint: serde_json::from_value(merged(endpoint, file.endpoint)).unwrap(),
            request: ChatRequest::parse(&Bytes::from(file.request.get().to_owned())).unwrap(),
            cap: file.cap,
            user: file.user,
            folder,
        }
    }

    fn dialect(&self) -> Dialect {
        dialect::of(&self.provider, &self.endpoint)
    }
}

fn merged(mut base: Value, more: Value) -> Value {
    if let Value::Object(more) = more {
        for (name, value) in more {
            base[name] = value;
        }
    }
    base
}

impl Stream {
    fn read(folder: &Path) -> Option<Self> {
        if let Ok(bytes) = fs::read(folder.join("stream.sse")) {
            return Some(Self::Events(bytes));
        }
        if let Ok(bytes) = fs::read(folder.join("stream.ndjson")) {
            return Some(Self::Lines(bytes));
        }
        let text = fs::read_to_string(folder.join("stream.events")).ok()?;
        let pair = |line: &str| {
            let (name, data) = line.split_once(' ').unwrap();
            (name.to_owned(), Bytes::from(data.to_owned()))
        };
        Some(Self::Named(text.lines().map(pair).collect()))
    }

    fn len(&self) -> usize {
        match self {
            Self::Events(bytes) | Self::Lines(bytes) => bytes.len(),
            Self::Named(_) => 0,
        }
    }

    /// Names and data of its events, when it arrives in the pieces that `cuts` make.
    fn events(&self, cuts: &[usize]) -> Vec<(Option<String>, Bytes)> {
        let mut all = Vec::new();
        match self {
            Self::Events(bytes) => {
                let mut events = SseDecoder::default();
                for piece in pieces(bytes, cuts) {
                    events.push(piece);
                    while let Some(event) = events.next_event().unwrap() {
                        all.push((event.name, event.data));
                    }
                }
            }
            Self::Lines(bytes) => {
                let mut lines = LineDecoder::default();
                for piece in pieces(bytes, cuts) {
                    lines.push(piece);
                    while let Some(line) = lines.next_line().unwrap() {
                        all.push((None, line));
                    }
                }
            }
            Self::Named(events) => {
                let named = events.iter().cloned();
                all.extend(named.map(|(name, data)| (Some(name), data)));
            }
        }
        all
    }
}

/// As [`decoded`], without what is not understood.
fn understood(case: &Case, events: &[(Option<String>, Bytes)]) -> Vec<Decoded> {
    let mut decoder = Decoder::new(case.dialect(), &case.provider, "gen-1");
    let mut out = VecDeque::new();
    for (name, data) in events {
        let _ = decoder.event(name.as_deref(), data, &mut out);
    }
    out.into()
}

fn usage(all: &[Decoded]) -> Usage {
    let reports = all.iter().flat_map(|decoded| [decoded.progress, decoded.usage]);
    reports.flatten().fold(Usage::default(), Usage::merged)
}

/// Everything the events say.
fn decoded(case: &Case, events: &[(Option<String>, Bytes)]) -> Vec<Decoded> {
    let mut decoder =
        Decoder::new(case.dialect(), &case.provider, "gen-1").hiding_reasoning(dialect::hides_reasoning(&case.request));
    let mut out = VecDeque::new();
    for (name, data) in events {
        decoder.event(name.as_deref(), data, &mut out).unwrap();
    }
    out.into()
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    let mut begin = 0;
    for &cut in cuts {
        pieces.push(&bytes[begin..cut]);
        begin = cut;
    }
    pieces.push(&bytes[begin..]);
    pieces
}

/// A line for each thing said, the deltas byte for byte.
fn told(all: &[Decoded]) -> String {
    let mut lines = String::new();
    for decoded in all {
        if let Some(id) = &decoded.upstream_id {
            writeln!(lines, "{{\"id\":{}}}", json!(id)).unwrap();
        }
        for piece in &decoded.choices {
            let delta = String::from_utf8(piece.delta.to_vec()).unwrap();
            assert!(serde_json::from_str::<Value>(&delta).unwrap().is_object(), "{delta}");
            write!(lines, "{{\"index\":{},\"delta\":{delta}", piece.index).unwrap();
            if piece.text_bytes > 0 {
                write!(lines, ",\"bytes\":{}", piece.text_bytes).unwrap();
            }
            if piece.is_reasoning {
                lines.push_str(",\"is_reasoning\":true");
            }
            if let (Some(native), Some(reason)) = (&piece.native_finish_reason, piece.finish_reason()) {
                write!(lines, ",\"finish\":[\"{reason}\",{}]", json!(native)).unwrap();
            }
            if let Some(logprobs) = &piece.logprobs {
                write!(lines, ",\"logprobs\":{}", String::from_utf8_lossy(logprobs)).unwrap();
            }
            lines.push_str("}\n");
        }
        for (name, usage) in [("progress", decoded.progress), ("usage", decoded.usage)] {
            if let Some(usage) = usage {
                writeln!(lines, "{{\"{name}\":{}}}", json!(usage)).unwrap();
            }
        }
        if let Some(error) = &decoded.error {
            let error = json!([error.kind.name(), error.status, error.message, error.provider_code]);
            writeln!(lines, "{{\"error\":{error}}}").unwrap();
        }
        if decoded.done {
            lines.push_str("{\"done\":true}\n");
        }
    }
    lines
}

/// The `chat.completion` of it all, with the usage as it would be settled.
fn answer(all: &[Decoded]) -> String {
    let mut completion = Completion::default();
    all.iter().for_each(|decoded| completion.absorb(&decoded.choices));
    let usage = usage(all);
    let envelope = Envelope {
        id: "gen-1".into(),
        created: 7,
        model: "a/b".into(),
        provider: "P".into(),
    };
    let text = completion.finish(&envelope, &usage, &Cost::default(), None);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["usage"] = json!(usage);
    format!("{value:#}\n")
}

fn is_writing() -> bool {
    std::env::var("GOLDEN").is_ok_and(|mode| mode == "write")
}

fn compare(path: &Path, actual: &str) {
    if is_writing() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, actual, "{}", path.display());
}
