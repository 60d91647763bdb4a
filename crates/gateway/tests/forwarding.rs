//! A long request that its endpoint takes as it is costs one copy of its bytes and no tree of its parts: allocations and
//! bytes are counted, and the same however many messages there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use domain::catalog::{Dialect, Endpoint, Provider};
use gateway::dialect;
use gateway::request::ChatRequest;
use gateway::surface::messages;
use serde_json::{Value, json};
use std::hint::black_box;

/// About 200,000 tokens.
const TEXT_BYTES: usize = 800_000;
/// What may be allocated besides the body that leaves: names of fields, the sample for the tokenizer, the call.
const BESIDES_BYTES_MAX: u64 = 64 * 1024;
const ALLOCATIONS_MAX: u64 = 120;

fn provider(dialect: Dialect) -> Provider {
    let provider = json!({"slug": "p", "name": "P", "base_url": "http://x", "dialect": dialect, "auth": "none"});
    serde_json::from_value(provider).unwrap()
}

fn endpoint() -> Endpoint {
    let endpoint = json!({"id": "a/b|p", "model": "a/b", "provider": "p", "provider_model_id": "claude-sonnet-4-5",
        "context_length": 300_000, "prices": {"prompt": 1, "completion": 1}});
    serde_json::from_value(endpoint).unwrap()
}

/// The same text in so many messages, with tools.
fn body(messages: usize) -> Bytes {
    let text = "the sea has two old red oak ".repeat(TEXT_BYTES / messages / 28);
    let message = |place: usize| {
        let role = ["user", "assistant"][place % 2];
        json!({"role": role, "content": [{"type": "text", "text": text}]})
    };
    let messages: Vec<Value> = (0..messages).map(message).collect();
    let body = json!({"model": "a/b", "max_tokens": 100, "stream": true, "messages": messages,
        "temperature": 0.5, "metadata": {"user_id": "u"}});
    Bytes::from(body.to_string())
}

/// From the caller's bytes to the provider's, and the length of these.
fn forward(dialect: Dialect, parse: fn(&Bytes) -> ChatRequest, body: &Bytes) -> (AllocationInfo, u64) {
    let (provider, endpoint) = (provider(dialect), endpoint());
    let mut sent = 0;
    let info = measure(|| {
        let request = parse(body);
        let call = dialect::encode(dialect, &request, &provider, &endpoint, None, None).unwrap();
        sent = black_box(call.body.len()) as u64;
    });
    (info, sent)
}

fn check(name: &str, dialect: Dialect, parse: fn(&Bytes) -> ChatRequest) {
    // What is made once for the whole process is not counted.
    forward(dialect, parse, &body(1));
    let mut counts = Vec::new();
    for messages in [1, 100, 10_000] {
        let body = body(messages);
        let (info, sent) = forward(dialect, parse, &body);
        eprintln!(
            "{name}: {} bytes in {messages} messages: {} allocations of {} bytes, {sent} bytes sent",
            body.len(),
            info.count_total,
            info.bytes_total
        );
        assert!(sent + 1_000 > body.len() as u64, "everything is forwarded");
        let besides = info.bytes_total.saturating_sub(sent);
        assert!(besides < BESIDES_BYTES_MAX, "{besides} bytes besides the body");
        assert!(info.count_total < ALLOCATIONS_MAX, "{} allocations", info.count_total);
        counts.push(info.count_total);
    }
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 4, "the number of messages does not matter: {counts:?}");
}

#[test]
fn chat_to_a_chat_endpoint_is_one_copy() {
    check("chat", Dialect::OpenaiChat, |body| ChatRequest::parse(body).unwrap());
}

#[test]
fn messages_to_an_endpoint_of_the_same_dialect_are_one_copy() {
    check("messages", Dialect::AnthropicMessages, |body| {
        messages::parse(body).unwrap()
    });
}
