//! Chat completions answered in one piece.

use crate::support::providers::{CACHED_NANO, COMPLETION_NANO, PROMPT_NANO, ask};
use crate::support::{Db, TestApp};
use domain::generation::Outcome;
use fake_provider::{Plan, Script, ToolCall, UsageReport};
use serde_json::{Value, json};

on_both_databases!(
    the_answer_has_the_published_shape_and_its_exact_cost,
    cached_and_reasoned_tokens_are_told_and_charged,
    a_tool_call_arrives_byte_for_byte,
    the_provider_gets_the_request_and_nothing_about_the_caller,
    missing_usage_is_estimated,
    an_empty_answer_is_free,
);

async fn the_answer_has_the_published_shape_and_its_exact_cost(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let reply = app.chat(&customer.key, &ask("test/alpha", "12345678")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("content-type")),
        (200, "application/json"),
        "{}",
        reply.text
    );
    let id = reply.generation_id();
    let body = &reply.body;
    assert_eq!((&body["id"], &body["object"]), (&json!(id), &json!("chat.completion")));
    assert_eq!(
        (&body["model"], &body["provider"]),
        (&json!("test/alpha"), &json!("Alpha"))
    );
    assert!(body["created"].as_i64().unwrap() > 1_700_000_000);
    let choice = &body["choices"][0];
    assert_eq!(choice["index"], 0);
    assert_eq!(
        (&choice["finish_reason"], &choice["native_finish_reason"]),
        (&json!("stop"), &json!("stop"))
    );
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(
        choice["message"]["content"],
        " the sea has two old red big oak the sea has two old red big oak"
    );
    assert_eq!(body["choices"].as_array().unwrap().len(), 1);
    let usage = &body["usage"];
    let tokens = [
        &usage["prompt_tokens"],
        &usage["completion_tokens"],
        &usage["total_tokens"],
    ];
    assert_eq!(tokens, [2, 16, 18].map(Value::from).each_ref());
    // 2 × $1 and 16 × $2 per million.
    assert!(reply.text.contains("\"cost\":0.000034,"), "{}", reply.text);
    let generation = app.generation(&id).await;
    assert_eq!(generation.cost.get(), 2 * PROMPT_NANO + 16 * COMPLETION_NANO);
    assert_eq!(
        (generation.outcome, generation.estimated, generation.streamed),
        (Outcome::Completed, false, false)
    );
    assert_eq!(app.bill(&app.providers.alpha, &generation).billed_completion_tokens, 16);
    app.finish().await;
}

async fn cached_and_reasoned_tokens_are_told_and_charged(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let plan = Plan {
        cached_tokens: 6,
        prompt_tokens: Some(10),
        reasoning_tokens: 3,
        ..Plan::default()
    };
    app.providers.alpha.set_script(Script::always(plan));
    let reply = app.chat(&customer.key, &ask("test/alpha", "hi")).await;
    let usage = &reply.body["usage"];
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 6);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 3);
    assert_eq!(reply.body["choices"][0]["message"]["reasoning"], " the sea has");
    let generation = app.generation(&reply.generation_id()).await;
    assert_eq!(
        generation.cost.get(),
        4 * PROMPT_NANO + 6 * CACHED_NANO + 19 * COMPLETION_NANO
    );
    app.finish().await;
}

async fn a_tool_call_arrives_byte_for_byte(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let fragments = [
        "{\"city\":  ",
        "\"Z\\u00fcrich\",",
        "\"n\": 1.0,\n",
        "\"deep\":{\"€\":[ ]}}",
    ];
    app.providers.alpha.set_script(Script::always(Plan {
        tokens: 0,
        tool_call: Some(ToolCall {
            id: "call_7".to_owned(),
            name: "weather".to_owned(),
            arguments: fragments.map(str::to_owned).to_vec(),
        }),
        finish_reason: "tool_calls".to_owned(),
        ..Plan::default()
    }));
    let mut body = ask("test/alpha", "weather?");
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let reply = app.chat(&customer.key, &body).await;
    let choice = &reply.body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{}", reply.text);
    let function = json!({"name": "weather", "arguments": fragments.concat()});
    assert_eq!(
        choice["message"]["tool_calls"],
        json!([{"id": "call_7", "type": "function", "function": function}])
    );
    assert_eq!(choice["message"]["content"], Value::Null);
    app.finish().await;
}

async fn the_provider_gets_the_request_and_nothing_about_the_caller(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let mut body = ask("test/alpha", "Grüezi");
    body["temperature"] = json!(0.25);
    body["logit_bias"] = json!({"50256": -100});
    body["some_new_parameter"] = json!({"kept": [1, 2.50, null]});
    let request = app
        .http
        .post(app.url("/api/v1/chat/completions"))
        .bearer_auth(&customer.key);
    let request = request
        .header("x-title", "My App")
        .header("http-referer", "https://my.app/page?secret=1");
    let response = request
        .header("cookie", "a=b")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let received = app.providers.alpha.requests().pop().unwrap();
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.header("authorization"), Some("Bearer alpha-secret"));
    for private in ["x-title", "http-referer", "referer", "cookie", "x-forwarded-for"] {
        assert_eq!(received.header(private), None, "{private}");
    }
    assert_eq!(received.body["model"], "alpha/alpha");
    assert_eq!(received.body["stream_options"]["include_usage"], true);
    for same in ["messages", "temperature", "logit_bias", "some_new_parameter"] {
        assert_eq!(received.body[same], body[same], "{same}");
    }
    let id = response.headers()["x-generation-id"].to_str().unwrap().to_owned();
    let generation = app.generation(&id).await;
    assert_eq!(generation.app_name.as_deref(), Some("My App"));
    assert_eq!(generation.app_url.as_deref(), Some("https://my.app/page"));
    app.finish().await;
}

async fn missing_usage_is_estimated(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        usage: UsageReport::Omit,
        tokens: 25,
        ..Plan::default()
    }));
    let reply = app.chat(&customer.key, &ask("test/alpha", "hello there")).await;
    let generation = app.generation(&reply.generation_id()).await;
    assert!(generation.estimated && generation.cost.get() > 0, "{generation:?}");
    assert_eq!(generation.usage.completion, 25);
    assert_eq!(reply.body["usage"]["completion_tokens"], 25);
    app.finish().await;
}

async fn an_empty_answer_is_free(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        tokens: 0,
        finish_reason: String::new(),
        ..Plan::default()
    }));
    let reply = app.chat(&customer.key, &ask("test/alpha", "hello")).await;
    let generation = app.generations(&customer, 1).await.remove(0);
    assert_eq!(
        (generation.outcome, generation.cost.get()),
        (Outcome::Empty, 0),
        "{}",
        reply.text
    );
    assert_eq!(customer.credits(&app.store).await.used.get(), 0);
    app.finish().await;
}
