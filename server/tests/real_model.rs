//! The path of a request with a real model at its end: llama.cpp with SmolLM2-135M-Instruct on loopback.
//!
//! `cargo xtask test` starts the model and names it in `TOLLWAY_TEST_MODEL_URL`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(dead_code, unused_imports, reason = "shares the support of the API tests")]

#[macro_use]
#[path = "api/support/mod.rs"]
mod support;

#[path = "clients/mod.rs"]
mod clients;

use clients::Place;
use domain::generation::{Generation, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use support::http::text_of;
use support::{Db, Event, Reply, TestApp, eventually};

on_both_databases!(
    an_answer_is_charged_exactly,
    a_stream_is_charged_exactly,
    a_hang_up_stops_the_model
);

const MODEL: &str = "local/smollm2-135m-instruct";
/// Of the local model, in nano-dollars per thousand tokens.
const PROMPT_NANO_PER_THOUSAND: u64 = 50_000;
const COMPLETION_NANO_PER_THOUSAND: u64 = 200_000;

fn model_url() -> String {
    std::env::var("TOLLWAY_TEST_MODEL_URL").expect(
        "TOLLWAY_TEST_MODEL_URL is not set: run this test with `cargo xtask test`, which starts the local model",
    )
}

async fn start(db: Db) -> TestApp {
    TestApp::start_with(db, &[("TOLLWAY_LOCAL_MODEL_URL", &model_url())]).await
}

fn ask(text: &str, max_tokens: u64) -> Value {
    json!({"model": MODEL, "max_tokens": max_tokens, "temperature": 0, "seed": 1,
        "messages": [{"role": "user", "content": text}]})
}

fn ask_stream(text: &str, max_tokens: u64) -> Value {
    let mut body = ask(text, max_tokens);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

fn assert_exact(generation: &Generation) {
    let usage = generation.usage;
    let thousandths = usage.prompt * PROMPT_NANO_PER_THOUSAND + usage.completion * COMPLETION_NANO_PER_THOUSAND;
    assert_eq!(
        u64::try_from(generation.cost.get()).unwrap(),
        thousandths.div_ceil(1_000),
        "{generation:?}"
    );
    assert!(usage.prompt > 0, "{generation:?}");
}

async fn an_answer_is_charged_exactly(db: Db) {
    let app = start(db).await;
    let customer = app.customer("1").await;
    let reply = app
        .chat(&customer.key, &ask("What is the capital of France?", 24))
        .await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    let text = reply.body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("Paris"), "{text}");
    let generation = app.generation(&reply.generation_id()).await;
    assert_exact(&generation);
    assert_eq!((generation.outcome, generation.estimated), (Outcome::Completed, false));
    assert_eq!(reply.body["usage"]["completion_tokens"], generation.usage.completion);
    app.finish().await;
}

async fn a_stream_is_charged_exactly(db: Db) {
    let app = start(db).await;
    let customer = app.customer("1").await;
    let stream = app
        .stream(&customer.key, &ask_stream("Count from one to twenty.", 40))
        .await;
    let id = stream.generation_id();
    let events = stream.rest().await;
    assert_eq!(events.last(), Some(&Event::Done));
    let usage = events
        .iter()
        .rev()
        .find_map(|event| event.data()?.get("usage"))
        .unwrap();
    let generation = app.generation(&id).await;
    assert_exact(&generation);
    assert_eq!(usage["completion_tokens"], generation.usage.completion);
    // Every token came in a chunk of its own, but for the one that ends the answer and characters of several tokens.
    let pieces = events.iter().filter_map(text_of).count();
    assert!(
        u64::try_from(pieces).unwrap() <= generation.usage.completion,
        "{pieces}"
    );
    app.finish().await;
}

async fn a_hang_up_stops_the_model(db: Db) {
    let app = start(db).await;
    let customer = app.customer("1").await;
    let mut stream = app
        .stream(
            &customer.key,
            &ask_stream("Write a very long story about the sea.", 2_000),
        )
        .await;
    let id = stream.generation_id();
    let received = stream.read_text(10).await.len();
    drop(stream);
    let generation = app.generation(&id).await;
    assert_eq!(generation.outcome, Outcome::Cancelled);
    assert_exact(&generation);
    let charged = usize::try_from(generation.usage.completion).unwrap();
    assert!(
        (received..1_000).contains(&charged),
        "{received} received, {charged} charged"
    );
    eventually("the model is idle again", async || (!is_busy(&app).await).then_some(())).await;
    app.finish().await;
}

/// Below the server's address, which surface a client's program speaks there.
async fn a_client_works(program: &str, path: &str, settings: &[(&str, &str)]) {
    let app = start(Db::Sqlite).await;
    let customer = app.customer("1").await;
    let place = Place {
        base_url: app.url(path),
        key: &customer.key,
        model: MODEL,
        settings,
    };
    clients::run(program, place).await;
    app.finish().await;
}

/// The vendors' own clients over the surfaces that speak their API.
mod clients_work {
    use super::a_client_works;

    macro_rules! clients {
        ($($name:ident: $program:literal at $path:literal $settings:expr;)*) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { a_client_works($program, $path, &$settings).await; })*
        };
    }

    clients! {
        python_chat: "openai_chat.py" at "/api/v1" [];
        python_completions: "openai_completions.py" at "/api/v1" [];
        python_responses: "openai_responses.py" at "/api/v1" [("CLIENT_STORES", "1")];
        python_messages: "anthropic_messages.py" at "/api" [("CLIENT_OURS", "1")];
        python_gemini: "google_genai.py" at "/api" [("CLIENT_VERSION", "v1beta")];
        javascript_chat: "openai_chat.mjs" at "/api/v1" [];
        javascript_responses: "openai_responses.mjs" at "/api/v1" [("CLIENT_STORES", "1")];
        javascript_messages: "anthropic_messages.mjs" at "/api" [("CLIENT_OURS", "1")];
        javascript_gemini: "google_genai.mjs" at "/api" [("CLIENT_VERSION", "v1beta")];
    }
}

/// Whether any slot of llama.cpp works.
async fn is_busy(app: &TestApp) -> bool {
    let url = model_url();
    let root = url.trim_end_matches('/').trim_end_matches("/v1");
    let request = app.http.get(format!("{root}/slots")).timeout(Duration::from_secs(5));
    let reply = Reply::read(request.send().await.unwrap()).await;
    let slots = reply
        .body
        .as_array()
        .cloned()
        .unwrap_or_else(|| panic!("no slots: {}", reply.text));
    slots.iter().any(|slot| slot["is_processing"] == true)
}
