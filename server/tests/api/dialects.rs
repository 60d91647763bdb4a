//! The chat API over every protocol that providers speak, with the provider's own bill beside each charge.

pub mod cases;

use crate::support::http::text_of;
use crate::support::providers::{COMPLETION_NANO, PROMPT_NANO};
use crate::support::{Customer, Db, Event, TestApp};
use base64::Engine;
use cases::{CASES, Case, Cell, Expected, PNG, SIGNATURE, UPSTREAMS, Upstream};
use domain::generation::{Generation, Outcome};
use fake_provider::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, Bill, FakeProvider, Plan, Script};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

on_both_databases!(
    every_case_over_every_protocol,
    what_nobody_can_express_is_named_and_costs_nothing,
    another_provider_is_asked_when_the_first_cannot_express_it,
    a_bedrock_key_goes_as_it_is,
    a_linked_image_is_fetched_for_providers_that_take_no_links,
    a_link_into_the_operators_network_is_not_followed,
);

/// A server before one provider of each protocol.
struct World {
    app: TestApp,
    customer: Customer,
    providers: BTreeMap<&'static str, FakeProvider>,
    _dir: TempDir,
}

/// What one request led to.
struct Answered {
    text: String,
    calls: Vec<Value>,
    message: Value,
    usage: Value,
    error: Value,
    finish_reason: Value,
    generation: Generation,
}

impl World {
    async fn start(db: Db, settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let providers: BTreeMap<&str, FakeProvider> = UPSTREAMS
            .iter()
            .map(|upstream| (upstream.slug, FakeProvider::start(Script::default()).unwrap()))
            .collect();
        let catalog = dir.path().join("dialects.json");
        std::fs::write(&catalog, catalog_of(&providers).to_string()).unwrap();
        let account = fake_provider::service_account(&format!("http://{}", providers["vertex"].address()));
        let mut all = vec![
            ("TOLLWAY_CATALOG", catalog.to_str().unwrap()),
            ("FAKE_API_KEY", "fake-secret"),
            ("VERTEX_SERVICE_ACCOUNT", account.as_str()),
            ("VERTEX_LOCATION", "europe-west1"),
            ("BEDROCK_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID),
            ("BEDROCK_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY),
            ("BEDROCK_REGION", "eu-central-1"),
        ];
        all.extend(settings);
        let app = TestApp::start_with(db, &all).await;
        let customer = app.customer("10").await;
        Self {
            app,
            customer,
            providers,
            _dir: dir,
        }
    }

    async fn ask(&self, model: &str, body: &Value) -> Answered {
        let mut body = body.clone();
        body["model"] = json!(model);
        if body["stream"] == true {
            let stream = self.app.stream(&self.customer.key, &body).await;
            let id = stream.generation_id();
            if stream.status != 200 {
                return Answered::told(
                    &json!({"error": {"code": stream.status.as_u16()}}),
                    self.app.generation(&id).await,
                );
            }
            return Answered::streamed(&stream.rest().await, self.app.generation(&id).await);
        }
        let reply = self.app.chat(&self.customer.key, &body).await;
        let generation = self.app.generation(&reply.generation_id()).await;
        Answered::told(&reply.body, generation)
    }
}

impl Answered {
    fn told(body: &Value, generation: Generation) -> Self {
        let message = body["choices"][0]["message"].clone();
        Self {
            text: message["content"].as_str().unwrap_or_default().to_owned(),
            calls: message["tool_calls"].as_array().cloned().unwrap_or_default(),
            message,
            usage: body["usage"].clone(),
            error: body["error"].clone(),
            finish_reason: body["choices"][0]["finish_reason"].clone(),
            generation,
        }
    }

    fn streamed(events: &[Event], generation: Generation) -> Self {
        let data: Vec<&Value> = events.iter().filter_map(Event::data).collect();
        let mut calls: Vec<Value> = Vec::new();
        for part in data
            .iter()
            .filter_map(|event| event.pointer("/choices/0/delta/tool_calls")?.as_array())
            .flatten()
        {
            let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                calls.push(json!({"id": part["id"], "function": {"name": part["function"]["name"], "arguments": ""}}));
            }
            let more = part["function"]["arguments"].as_str().unwrap_or_default();
            let so_far = calls[index]["function"]["arguments"].as_str().unwrap().to_owned();
            calls[index]["function"]["arguments"] = json!(so_far + more);
        }
        let last = |pointer: &str| {
            let found = data
                .iter()
                .rev()
                .find_map(|event| event.pointer(pointer).filter(|value| !value.is_null()));
            found.cloned().unwrap_or_default()
        };
        Self {
            text: events.iter().filter_map(text_of).collect(),
            calls,
            message: Value::Null,
            usage: last("/usage"),
            error: last("/error"),
            finish_reason: last("/choices/0/finish_reason"),
            generation,
        }
    }

    fn check_calls(&self, upstream: &Upstream, case: &Case, expected: &[(&str, &str)]) {
        let place = format!("{} at {}", case.name, upstream.slug);
        let called: Vec<&str> = self
            .calls
            .iter()
            .map(|call| call["function"]["name"].as_str().unwrap())
            .collect();
        let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
        assert_eq!(called, names, "{place}");
        for (call, (_, expected)) in self.calls.iter().zip(expected) {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            let is_exact = upstream.cell(case) == Cell::Works;
            if is_exact {
                assert_eq!(arguments, *expected, "{place}");
            }
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(parsed(arguments), parsed(expected), "{place}");
            assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()), "{place}");
        }
        assert_eq!(self.finish_reason, "tool_calls", "{place}");
    }
}

async fn every_case_over_every_protocol(db: Db) {
    let world = World::start(db, &[]).await;
    let each = UPSTREAMS.iter().map(|upstream| async {
        for case in CASES {
            check(&world, upstream, case).await;
        }
    });
    futures_util::future::join_all(each).await;
    world.app.finish().await;
}

async fn check(world: &World, upstream: &Upstream, case: &Case) {
    let place = format!("{} at {}", case.name, upstream.slug);
    let provider = &world.providers[upstream.slug];
    provider.set_script(Script::always((case.plan)()));
    let body = (case.body)();
    let answered = world.ask(&upstream.model(), &body).await;
    let bill = provider.tally().bills.last().unwrap().clone();
    let sent = provider.requests().last().unwrap().clone();
    match case.expected {
        Expected::Text(text) => assert_eq!(answered.text, text, "{place}: {:?}", answered.error),
        Expected::Calls(calls) => answered.check_calls(upstream, case, calls),
        Expected::ReasonedCall(name, arguments) => {
            answered.check_calls(upstream, case, &[(name, arguments)]);
            goes_on(world, upstream, case, &body, &answered).await;
            return;
        }
        Expected::Cached(text, cached) => {
            assert_eq!(answered.text, text, "{place}");
            let tells = upstream.dialect != "ollama";
            let told = &answered.usage["prompt_tokens_details"]["cached_tokens"];
            assert_eq!(told.as_u64(), Some(if tells { cached } else { 0 }), "{place}");
            let marks = ["cache_control", "cachePoint"]
                .iter()
                .any(|mark| sent.body.to_string().contains(mark));
            assert_eq!(marks, upstream.cell(case) == Cell::Works, "{place}: {}", sent.body);
        }
        Expected::Refused(status, error_type) => {
            assert_eq!(answered.error["code"], status, "{place}: {:?}", answered.error);
            let attempt = &answered.generation.attempts[0];
            assert_eq!(
                (attempt.status, attempt.error_type.as_deref()),
                (Some(status), Some(error_type)),
                "{place}"
            );
        }
        Expected::BrokenOff => {
            assert_eq!(answered.finish_reason, "error", "{place}");
            assert!(
                answered.text.starts_with(" the sea has"),
                "{place}: {:?}",
                answered.text
            );
            assert!(
                answered.error["metadata"]["provider_name"] == upstream.slug,
                "{place}: {:?}",
                answered.error
            );
        }
    }
    if case.name == "image input" {
        assert!(sent.body.to_string().contains(PNG), "{place}: {}", sent.body);
    }
    check_charge(upstream, case, &answered.generation, &bill);
}

/// The second turn: what the model thought, and called, comes back to it with the tool's result.
async fn goes_on(world: &World, upstream: &Upstream, case: &Case, first: &Value, answered: &Answered) {
    let place = format!("{} at {}", case.name, upstream.slug);
    let reasoning = answered.message["reasoning"].as_str().unwrap_or_default();
    assert_eq!(reasoning, " the sea has two old red", "{place}: {}", answered.message);
    let mut body = first.clone();
    let said = json!({"role": "assistant", "content": answered.message["content"], "tool_calls": answered.calls,
        "reasoning_details": answered.message["reasoning_details"]});
    let result = json!({"role": "tool", "tool_call_id": answered.calls[0]["id"], "content": "Rain."});
    body["messages"].as_array_mut().unwrap().extend([said, result]);
    let provider = &world.providers[upstream.slug];
    provider.set_script(Script::always(Plan {
        text: Some("It rains.".to_owned()),
        ..Plan::default()
    }));
    let answered = world.ask(&upstream.model(), &body).await;
    assert_eq!(answered.text, "It rains.", "{place}: {:?}", answered.error);
    let sent = provider.requests().last().unwrap().body.to_string();
    let wanted = match upstream.cell(case) {
        Cell::Works => SIGNATURE,
        Cell::Differs(_) => " the sea has two old red",
    };
    assert!(sent.contains(wanted), "{place}: {sent}");
    check_charge(
        upstream,
        case,
        &answered.generation,
        provider.tally().bills.last().unwrap(),
    );
}

/// The customer pays what the provider bills, and nothing for what failed.
fn check_charge(upstream: &Upstream, case: &Case, generation: &Generation, bill: &Bill) {
    let place = format!("{} at {}: {generation:?} {bill:?}", case.name, upstream.slug);
    if matches!(case.expected, Expected::BrokenOff | Expected::Refused(..)) {
        assert_eq!(
            (generation.outcome, generation.cost.get()),
            (Outcome::Failed, 0),
            "{place}"
        );
        return;
    }
    let tokens = |count: u64| i64::try_from(count).unwrap();
    assert_eq!(generation.outcome, Outcome::Completed, "{place}");
    assert!(!generation.estimated, "{place}");
    assert_eq!(generation.usage.prompt, bill.billed_prompt_tokens, "{place}");
    assert_eq!(generation.usage.completion, bill.billed_completion_tokens, "{place}");
    let charge =
        tokens(bill.billed_prompt_tokens) * PROMPT_NANO + tokens(bill.billed_completion_tokens) * COMPLETION_NANO;
    assert_eq!(generation.cost.get(), charge, "{place}");
}

fn audio() -> Value {
    let part = json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}});
    json!({"messages": [{"role": "user", "content": [part]}]})
}

async fn what_nobody_can_express_is_named_and_costs_nothing(db: Db) {
    let world = World::start(db, &[]).await;
    let answered = world.ask("test/messages", &audio()).await;
    assert_eq!(answered.error["code"], 400, "{:?}", answered.error);
    let metadata = &answered.error["metadata"];
    assert_eq!(metadata["error_type"], "invalid_request");
    assert_eq!(metadata["field"], "messages[0].content[0]", "{metadata}");
    assert_eq!(metadata["skipped"][0]["provider"], "messages");
    assert_eq!(answered.generation.cost.get(), 0);
    assert!(answered.generation.attempts.is_empty());
    assert!(world.providers["messages"].requests().is_empty(), "nothing was sent");
    world.app.finish().await;
}

async fn another_provider_is_asked_when_the_first_cannot_express_it(db: Db) {
    let world = World::start(db, &[]).await;
    let mut body = audio();
    body["provider"] = json!({"order": ["messages", "gemini"]});
    let answered = world.ask("test/either", &body).await;
    assert_eq!(answered.generation.provider, "gemini", "{:?}", answered.error);
    assert_eq!(answered.generation.attempts.len(), 1);
    world.app.finish().await;
}

async fn a_bedrock_key_goes_as_it_is(db: Db) {
    let world = World::start(db, &[("BEDROCK_BEARER_TOKEN_BEDROCK", "bedrock-api-key")]).await;
    let answered = world.ask("test/bedrock", &(CASES[0].body)()).await;
    assert_eq!(answered.generation.outcome, Outcome::Completed);
    let sent = world.providers["bedrock"].requests().remove(0);
    assert_eq!(sent.header("authorization"), Some("Bearer bedrock-api-key"));
    assert_eq!(
        sent.path, "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
        "a model's id stays one segment"
    );
    world.app.finish().await;
}

/// A request that links an image, and where it lies: at a server that counts who asks.
async fn linked() -> (Value, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let image = base64::engine::general_purpose::STANDARD.decode(PNG).unwrap();
    let router = axum::Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let image = image.clone();
        async move { image }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/dot.png", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let part = json!({"type": "image_url", "image_url": {"url": url}});
    (json!({"messages": [{"role": "user", "content": [part]}]}), asked)
}

async fn a_linked_image_is_fetched_for_providers_that_take_no_links(db: Db) {
    let world = World::start(db, &[("TOLLWAY_FETCH_PRIVATE", "1")]).await;
    let (body, asked) = linked().await;
    for (slug, fetches) in [("bedrock", 1), ("ollama", 2), ("messages", 2)] {
        let answered = world.ask(&format!("test/{slug}"), &body).await;
        assert_eq!(
            answered.generation.outcome,
            Outcome::Completed,
            "{slug}: {:?}",
            answered.error
        );
        assert_eq!(asked.load(Ordering::SeqCst), fetches, "{slug}");
        let sent = world.providers[slug].requests().remove(0).body.to_string();
        assert_eq!(sent.contains(PNG), slug != "messages", "{slug}: {sent}");
    }
    world.app.finish().await;
}

async fn a_link_into_the_operators_network_is_not_followed(db: Db) {
    let world = World::start(db, &[]).await;
    let (body, asked) = linked().await;
    let answered = world.ask("test/bedrock", &body).await;
    assert_eq!(answered.error["code"], 400, "{:?}", answered.error);
    assert_eq!(answered.error["metadata"]["field"], "messages[0].content[0].image_url");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(world.providers["bedrock"].requests().is_empty());
    world.app.finish().await;
}

fn catalog_of(providers: &BTreeMap<&'static str, FakeProvider>) -> Value {
    let model = |slug: &str| {
        json!({"slug": format!("test/{slug}"), "name": slug, "kind": "chat", "context_length": 131_072,
            "input_modalities": ["text"], "output_modalities": ["text"]})
    };
    let endpoint = |slug: &str, upstream: &Upstream| {
        let mut parameters = vec![
            "max_tokens",
            "temperature",
            "tools",
            "tool_choice",
            "response_format",
            "reasoning",
        ];
        if upstream.slug != "bedrock" {
            parameters.push("structured_outputs");
        }
        json!({"id": format!("test/{slug}|{}", upstream.slug), "model": format!("test/{slug}"),
            "provider": upstream.slug, "provider_model_id": upstream.model_id, "context_length": 131_072,
            "max_completion_tokens": 32_768, "supported_parameters": parameters,
            "prices": {"prompt": PROMPT_NANO * 1_000, "completion": COMPLETION_NANO * 1_000,
                "cache_read": PROMPT_NANO * 1_000}})
    };
    let either = UPSTREAMS
        .iter()
        .filter(|upstream| matches!(upstream.slug, "messages" | "gemini"));
    let mut models: Vec<Value> = UPSTREAMS.iter().map(|upstream| model(upstream.slug)).collect();
    models.push(model("either"));
    let mut endpoints: Vec<Value> = UPSTREAMS
        .iter()
        .map(|upstream| endpoint(upstream.slug, upstream))
        .collect();
    endpoints.extend(either.map(|upstream| endpoint("either", upstream)));
    let providers: Vec<Value> = UPSTREAMS
        .iter()
        .map(|upstream| upstream.provider(&providers[upstream.slug]))
        .collect();
    json!({"providers": providers, "models": models, "endpoints": endpoints})
}
