//! What callers say and are told on every surface, as files.
//!
//! `body.json` is a caller's request, for Gemini with the model in `model.txt`. `chat.json` is the same in the words of the
//! chat API, or `refused.txt` why that has none. `chunks.jsonl` is what a model answers, as chunks of the chat API;
//! `stream.txt` what the caller gets of it event by event, `answer.json` at once. `GOLDEN=write` writes the expected files
//! for review.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use domain::error_type::ErrorType;
use domain::money::PicoUsd;
use domain::price::Prices;
use domain::usage::Usage;
use gateway::chunk::Envelope;
use gateway::openai::{self, Decoded};
use gateway::request::{ChatRequest, RequestError};
use gateway::surface::failure::Failure;
use gateway::surface::gemini::Sending;
use gateway::surface::{Stream, Surface, Whole, completions, gemini, messages, responses};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

struct Case {
    folder: PathBuf,
    surface: Surface,
    body: Bytes,
}

#[test]
fn requests_become_chat_requests() {
    for case in cases() {
        let (file, text) = match case.request().map_err(|error| error.to_string()) {
            Ok(request) => match request.chat_form() {
                Ok(_) => ("chat.json", chat(&request)),
                Err(error) => ("refused.txt", format!("{error}\n")),
            },
            Err(error) => ("refused.txt", format!("{error}\n")),
        };
        compare(&case.folder.join(file), &text);
        let other = if file == "chat.json" {
            "refused.txt"
        } else {
            "chat.json"
        };
        assert!(!case.folder.join(other).exists(), "{:?} has both", case.folder);
    }
}

#[test]
fn answers_are_told_in_the_callers_words() {
    for case in cases() {
        let Some(chunks) = case.chunks() else { continue };
        let request = case.request().unwrap();
        let stream = streamed(&request, &chunks);
        well_formed(case.surface, &stream, &case.folder);
        compare(&case.folder.join("stream.txt"), &stream);
        let mut whole = Whole::new(&request.form, &envelope().id);
        chunks.iter().for_each(|decoded| whole.pieces(&decoded.choices));
        let (usage, prices) = (usage(&chunks), prices());
        let (answer, _) = whole.finish(&envelope(), &usage, &prices.cost(&usage));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        compare(&case.folder.join("answer.json"), &format!("{answer:#}\n"));
    }
}

#[test]
fn geminis_lists_hold_what_its_events_do() {
    for case in cases().into_iter().filter(|case| case.surface == Surface::Gemini) {
        let Some(chunks) = case.chunks() else { continue };
        let model = fs::read_to_string(case.folder.join("model.txt")).unwrap();
        let listed = gemini::parse(&case.body, model.trim(), Sending::List).unwrap();
        let told = events(&streamed(&case.request().unwrap(), &chunks));
        assert_eq!(events(&streamed(&listed, &chunks)), told, "{:?}", case.folder);
    }
}

/// Cut anywhere, a stream is still one that its readers understand, and says what happened.
#[test]
fn a_stream_that_breaks_off_says_so() {
    for case in cases() {
        let Some(chunks) = case.chunks() else { continue };
        let request = case.request().unwrap();
        for end in 0..=chunks.len() {
            let mut out = Vec::new();
            let mut stream = Stream::new(&request.form, &envelope());
            chunks[..end]
                .iter()
                .for_each(|decoded| stream.pieces(&mut out, &decoded.choices));
            let metadata = Map::new();
            let failure = Failure {
                status: 502,
                kind: ErrorType::ProviderUnavailable,
                message: "it broke",
                metadata: &metadata,
            };
            stream.fail(&mut out, &failure);
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.contains("it broke") && text.contains("provider_unavailable"),
                "{text}"
            );
            events(&text);
        }
    }
}

/// Chunks that are missing, doubled or out of order make no panic and no event that is not JSON.
#[test]
fn odd_answers_do_no_harm() {
    for case in cases() {
        let Some(chunks) = case.chunks() else { continue };
        let request = case.request().unwrap();
        let all: Vec<&Decoded> = chunks.iter().collect();
        for at in 0..all.len() {
            let mut odd = all.clone();
            let taken = odd.remove(at);
            events(&streamed_of(&request, &odd));
            for other in 0..=odd.len() {
                let mut moved = odd.clone();
                moved.insert(other, taken);
                moved.push(taken);
                let text = streamed_of(&request, &moved);
                well_formed(case.surface, &text, &case.folder);
            }
        }
    }
}

impl Case {
    fn request(&self) -> Result<ChatRequest, RequestError> {
        match self.surface {
            Surface::Chat => ChatRequest::parse(&self.body),
            Surface::Completions => completions::parse(&self.body),
            Surface::Gemini => {
                let model = fs::read_to_string(self.folder.join("model.txt")).unwrap();
                gemini::parse(&self.body, model.trim(), Sending::Events)
            }
            Surface::Messages => messages::parse(&self.body),
            Surface::Responses => {
                let earlier = fs::read_to_string(self.folder.join("earlier.jsonl")).unwrap_or_default();
                let earlier: Vec<String> = earlier.lines().map(str::to_owned).collect();
                let draft = responses::Draft::parse(&self.body)?;
                let keeps = draft.store.unwrap_or(true);
                draft.request(&earlier, keeps)
            }
        }
    }

    fn chunks(&self) -> Option<Vec<Decoded>> {
        let text = fs::read_to_string(self.folder.join("chunks.jsonl")).ok()?;
        let lines = text
            .lines()
            .map(|line| openai::decode(&Bytes::from(line.to_owned())).expect(line));
        Some(lines.collect())
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surfaces");
    let folders = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let mut cases = Vec::new();
    for of_surface in folders(&root) {
        let name = of_surface.file_name().unwrap().to_str().unwrap().to_owned();
        let all = [
            Surface::Chat,
            Surface::Completions,
            Surface::Responses,
            Surface::Messages,
            Surface::Gemini,
        ];
        let surface = all.into_iter().find(|surface| surface.name() == name).expect(&name);
        cases.extend(folders(&of_surface).into_iter().map(|folder| Case {
            body: Bytes::from(fs::read(folder.join("body.json")).unwrap()),
            surface,
            folder,
        }));
    }
    assert!(cases.len() > 5);
    cases
}

/// What is known of the request, a field in each line.
fn chat(request: &ChatRequest) -> String {
    let models: Vec<String> = request.models.iter().map(|model| model.slug.to_string()).collect();
    let mut text = format!("{{\"#models\":{:?},\n\"#stream\":{}", models, request.stream);
    write!(text, ",\n\"#limit\":{}", serde_json::json!(request.max_tokens)).unwrap();
    if let Some(native) = &request.native {
        let names: Vec<&str> = native.fields.iter().map(|field| field.name.as_str()).collect();
        write!(text, ",\n\"#native\":{names:?}").unwrap();
    }
    if let Some(user) = &request.user {
        write!(text, ",\n\"#user\":{}", str::from_utf8(user).unwrap()).unwrap();
    }
    for field in request.fields() {
        let value = str::from_utf8(&field.value).unwrap();
        serde_json::from_str::<Value>(value).unwrap_or_else(|error| panic!("{}: {error}: {value}", field.name));
        write!(text, ",\n\"{}\":{value}", field.name).unwrap();
    }
    text + "}\n"
}

fn envelope() -> Envelope {
    Envelope {
        id: "gen-1700000000-abcdefghijklmnopqrst".into(),
        created: 1_700_000_000,
        model: "a/b".into(),
        provider: "P".into(),
    }
}

fn prices() -> Prices {
    Prices {
        prompt: PicoUsd::new(1_000_000),
        completion: PicoUsd::new(2_000_000),
        ..Prices::default()
    }
}

fn usage(chunks: &[Decoded]) -> Usage {
    chunks
        .iter()
        .filter_map(|decoded| decoded.usage)
        .next_back()
        .unwrap_or_default()
}

fn streamed(request: &ChatRequest, chunks: &[Decoded]) -> String {
    streamed_of(request, &chunks.iter().collect::<Vec<_>>())
}

fn streamed_of(request: &ChatRequest, chunks: &[&Decoded]) -> String {
    let mut out = Vec::new();
    let mut stream = Stream::new(&request.form, &envelope());
    for decoded in chunks {
        stream.pieces(&mut out, &decoded.choices);
    }
    let usage = chunks
        .iter()
        .filter_map(|decoded| decoded.usage)
        .next_back()
        .unwrap_or_default();
    stream.end(&mut out, &usage, &prices().cost(&usage));
    String::from_utf8(out).unwrap()
}

/// The data of its events.
fn events(text: &str) -> Vec<Value> {
    if text.starts_with('[') {
        return serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let mut all = Vec::new();
    for event in text.split("\n\n").filter(|event| !event.trim().is_empty()) {
        let name = event.lines().find_map(|line| line.strip_prefix("event: "));
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect(event);
        if data == "[DONE]" {
            continue;
        }
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        assert!(name.is_none_or(|name| data["type"] == name), "{event}");
        all.push(data);
    }
    all
}

/// What readers of each API rely on.
fn well_formed(surface: Surface, text: &str, folder: &Path) {
    let events = events(text);
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    match surface {
        Surface::Messages => {
            assert_eq!(events[0]["type"], "message_start", "{folder:?}");
            assert_eq!(events.last().unwrap()["type"], "message_stop", "{folder:?}");
            assert_eq!((count("message_start"), count("message_delta")), (1, 1), "{folder:?}");
            blocks_follow_each_other(&events, folder);
        }
        Surface::Responses => {
            let numbers: Vec<_> = events
                .iter()
                .map(|event| event["sequence_number"].as_u64().unwrap())
                .collect();
            assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{folder:?}");
            assert_eq!(events[0]["type"], "response.created", "{folder:?}");
            assert_eq!(
                count("response.completed") + count("response.incomplete"),
                1,
                "{folder:?}"
            );
            let last = &events.last().unwrap()["response"];
            assert!(last["usage"]["total_tokens"].is_u64(), "{folder:?}");
            items_follow_each_other(&events, &last["output"], folder);
        }
        Surface::Chat | Surface::Completions => {
            assert!(text.ends_with("data: [DONE]\n\n"), "{folder:?}");
            let reports = events.iter().filter(|event| event["usage"].is_object());
            assert_eq!(reports.count(), 1, "{folder:?}");
            assert!(events.last().unwrap()["usage"].is_object(), "{folder:?}");
        }
        Surface::Gemini => {
            let reports = events.iter().filter(|event| event["usageMetadata"].is_object());
            assert_eq!(reports.count(), 1, "{folder:?}");
            let last = events.last().unwrap();
            assert!(
                last["usageMetadata"].is_object() && last["candidates"][0]["finishReason"].is_string(),
                "{folder:?}"
            );
        }
    }
}

fn items_follow_each_other(events: &[Value], output: &Value, folder: &Path) {
    let (mut open, mut done) = (None, Vec::new());
    for event in events {
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(
                    (open, &event["output_index"]),
                    (None, &Value::from(done.len())),
                    "{folder:?}: {event}"
                );
                open = Some(&event["item"]["id"]);
            }
            "response.output_item.done" => {
                assert_eq!(open.take(), Some(&event["item"]["id"]), "{folder:?}");
                done.push(event["item"].clone());
            }
            _ if event.get("item_id").is_some() => {
                assert_eq!(open, Some(&event["item_id"]), "{folder:?}: {event}");
            }
            _ => {}
        }
    }
    assert_eq!((open, &Value::from(done)), (None, output), "{folder:?}");
}

fn blocks_follow_each_other(events: &[Value], folder: &Path) {
    let (mut open, mut next) = (None, 0);
    for event in events {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(next)), "{folder:?}: {event}");
                (open, next) = (index, next + 1);
            }
            "content_block_delta" => assert_eq!(open, index, "{folder:?}: {event}"),
            "content_block_stop" => assert_eq!(open.take(), index, "{folder:?}: {event}"),
            "message_delta" => assert_eq!(open, None, "{folder:?}"),
            _ => {}
        }
    }
}

fn compare(path: &Path, actual: &str) {
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{path:?}");
}
