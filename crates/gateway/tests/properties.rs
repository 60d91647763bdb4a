//! What holds for every request and every stream in every dialect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use gateway::dialect::{self, Decoder};
use gateway::openai::Decoded;
use gateway::request::ChatRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::VecDeque;

const DIALECTS: [Dialect; 7] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::CohereV2,
    Dialect::Ollama,
];

fn provider() -> Provider {
    let provider = json!({"slug": "p", "name": "P", "base_url": "http://x", "dialect": "other", "auth": "none"});
    serde_json::from_value(provider).unwrap()
}

fn endpoint() -> Endpoint {
    let endpoint = json!({"id": "a/b|p", "model": "a/b", "provider": "p", "provider_model_id": "claude-sonnet-4-5",
        "context_length": 10, "prices": {"prompt": 1, "completion": 1}});
    serde_json::from_value(endpoint).unwrap()
}

fn encoded(dialect: Dialect, body: &str) -> Option<String> {
    let request = ChatRequest::parse(&Bytes::from(body.to_owned())).ok()?;
    let call = dialect::encode(dialect, &request, &provider(), &endpoint(), None, None).ok()?;
    Some(String::from_utf8(call.body).unwrap())
}

fn decoded(dialect: Dialect, events: &[(&str, Value)]) -> Vec<Decoded> {
    let mut decoder = Decoder::new(dialect, &provider(), "gen-1");
    let mut out = VecDeque::new();
    for (name, data) in events {
        let data = Bytes::from(data.to_string());
        decoder.event(Some(name), &data, &mut out).unwrap();
    }
    out.into()
}

/// What callers would put together.
fn arguments(all: &[Decoded]) -> String {
    let pieces = all.iter().flat_map(|decoded| &decoded.choices);
    let deltas = pieces.map(|piece| serde_json::from_slice::<Value>(&piece.delta).unwrap());
    let parts = deltas.filter_map(|delta| {
        let part = delta["tool_calls"][0]["function"]["arguments"].as_str()?;
        Some(part.to_owned())
    });
    parts.collect()
}

/// A stream that calls a tool with arguments in these fragments.
fn calling(dialect: Dialect, parts: &[String]) -> Vec<(&'static str, Value)> {
    let each = |event: &dyn Fn(&str) -> (&'static str, Value)| parts.iter().map(|part| event(part)).collect::<Vec<_>>();
    match dialect {
        Dialect::AnthropicMessages => {
            let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
            let start = json!({"type": "content_block_start", "index": 0, "content_block": block});
            let delta = |part: &str| {
                let delta = json!({"type": "input_json_delta", "partial_json": part});
                ("", json!({"type": "content_block_delta", "index": 0, "delta": delta}))
            };
            [vec![("", start)], each(&delta)].concat()
        }
        Dialect::OpenaiResponses => {
            let item = json!({"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""});
            let start = json!({"type": "response.output_item.added", "output_index": 0, "item": item});
            let delta = |part: &str| {
                let event = json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": part});
                ("", event)
            };
            [vec![("", start)], each(&delta)].concat()
        }
        Dialect::CohereV2 => {
            let call = |call: Value| json!({"message": {"tool_calls": call}});
            let start = call(json!({"id": "c", "function": {"name": "f", "arguments": ""}}));
            let delta = |part: &str| {
                let delta = call(json!({"function": {"arguments": part}}));
                ("", json!({"type": "tool-call-delta", "index": 0, "delta": delta}))
            };
            let start = json!({"type": "tool-call-start", "index": 0, "delta": start});
            [vec![("", start)], each(&delta)].concat()
        }
        Dialect::BedrockConverse => {
            let start = json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}});
            let delta = |part: &str| {
                let delta = json!({"toolUse": {"input": part}});
                ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": delta}))
            };
            [vec![("contentBlockStart", start)], each(&delta)].concat()
        }
        Dialect::OpenaiChat => {
            let delta = |part: &str| {
                let call = json!([{"index": 0, "function": {"arguments": part}}]);
                ("", json!({"choices": [{"index": 0, "delta": {"tool_calls": call}}]}))
            };
            each(&delta)
        }
        // These tell arguments whole.
        Dialect::Gemini | Dialect::Ollama | Dialect::Other => Vec::new(),
    }
}

/// JSON of any shape, with the words that dialects know in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("type"),
        Just("text"),
        Just("delta"),
        Just("index"),
        Just("message"),
        Just("content"),
        Just("content_block_start"),
        Just("content_block_delta"),
        Just("content_block"),
        Just("tool_use"),
        Just("toolUse"),
        Just("candidates"),
        Just("parts"),
        Just("functionCall"),
        Just("response.output_text.delta"),
        Just("response.completed"),
        Just("response"),
        Just("usage"),
        Just("input_tokens"),
        Just("output_index"),
        Just("content-delta"),
        Just("message-end"),
        Just("done"),
        Just("role"),
        Just("user"),
        Just("assistant"),
        Just("image_url"),
        Just("file"),
        Just("tool_calls"),
        Just("function"),
        Just("reasoning_details"),
        Just("data:image/png;base64,AA"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let member = (word.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            vec(member, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_event_makes_a_decoder_panic_or_write_what_is_no_json(events in vec(any_json(), 1..6), named in any::<bool>()) {
        for dialect in DIALECTS {
            let mut decoder = Decoder::new(dialect, &provider(), "gen-1").hiding_reasoning(named);
            let mut out = VecDeque::new();
            for event in &events {
                let data = Bytes::from(event.to_string());
                let name = named.then_some("contentBlockDelta");
                let _ = decoder.event(name, &data, &mut out);
                let _ = decoder.whole(&data, &mut out);
            }
            for piece in out.iter().flat_map(|decoded| &decoded.choices) {
                prop_assert!(serde_json::from_slice::<Value>(&piece.delta).is_ok());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..200)) {
        for dialect in DIALECTS {
            let mut decoder = Decoder::new(dialect, &provider(), "gen-1");
            let _ = decoder.event(Some("x"), &Bytes::from(bytes.clone()), &mut VecDeque::new());
        }
    }

    #[test]
    fn no_request_makes_an_encoder_panic_or_write_what_is_no_json(
        messages in vec(any_json(), 1..4), tools in any_json(), reasoning in any_json(), format in any_json()
    ) {
        let messages: Vec<Value> = messages.into_iter().map(|content| json!({"role": "user", "content": content})).collect();
        let body = json!({"model": "a/b", "messages": messages, "tools": tools, "reasoning": reasoning, "response_format": format});
        for dialect in DIALECTS {
            if let Some(body) = encoded(dialect, &body.to_string()) {
                prop_assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
            }
        }
    }

    #[test]
    fn arguments_in_a_stream_stay_as_they_are_however_they_are_cut(parts in vec("[^\u{0}]{1,12}", 1..6)) {
        for dialect in DIALECTS {
            let events = calling(dialect, &parts);
            if !events.is_empty() {
                prop_assert_eq!(arguments(&decoded(dialect, &events)), parts.concat(), "{:?}", dialect);
            }
        }
    }

    #[test]
    fn arguments_in_a_request_stay_as_they_are(spaces in "[ \t]{0,3}", text in any::<String>(), number in "[1-9][0-9]{0,3}[.][0-9]{1,4}") {
        let arguments = format!("{{{spaces}\"z\":{spaces}{},\"a\" :{number}{spaces}}}", json!(text));
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let messages = json!([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "y"}]);
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        let body = json!({"model": "a/b", "messages": messages, "tools": tools}).to_string();
        let as_text = json!(arguments).to_string();
        for dialect in DIALECTS {
            let sent = encoded(dialect, &body).unwrap();
            prop_assert!(sent.contains(&arguments) || sent.contains(&as_text), "{:?} {}", dialect, sent);
        }
    }

    #[test]
    fn text_in_a_request_stays_as_it_is(text in any::<String>()) {
        let body = json!({"model": "a/b", "messages": [{"role": "user", "content": text}]}).to_string();
        for dialect in DIALECTS {
            let sent: Value = serde_json::from_str(&encoded(dialect, &body).unwrap()).unwrap();
            let said = sent.to_string();
            prop_assert!(text.is_empty() || said.contains(&json!(text).to_string()), "{:?} {}", dialect, said);
        }
    }
}
