//! What only Anthropic's Messages have.

use super::{asked, post, streamed};
use crate::support::http::Reply;
use crate::support::{Db, TestApp};
use fake_provider::{Plan, Script};
use serde_json::{Value, json};

on_both_databases!(
    a_conversation_with_everything_reaches_the_provider,
    thoughts_of_a_model_go_back_to_it,
    tokens_are_counted_without_charge,
    keys_are_taken_as_anthropics_clients_send_them,
    what_cannot_be_said_is_named_and_free,
);

async fn a_conversation_with_everything_reaches_the_provider(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let body = json!({"model": "test/alpha", "max_tokens": 50, "temperature": 0.5, "stop_sequences": ["END"],
        "metadata": {"user_id": "somebody"}, "context_management": {"edits": []},
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "text", "text": "Here?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t0", "name": "weather", "input": {"n": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t0", "is_error": true, "content": "no"}]},
            {"role": "assistant", "content": "It"}]});
    asked(&app, &customer.key, "/api/v1/messages", &body).await.expect_ok();
    let received = app.providers.alpha.requests().pop().unwrap().body;
    assert_eq!(
        received["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "Here?"}]},
            {"role": "assistant", "content": null,
                "tool_calls": [{"id": "t0", "type": "function", "function": {"name": "weather", "arguments": "{\"n\":1}"}}]},
            {"role": "tool", "tool_call_id": "t0", "content": [{"type": "text", "text": "Error:"}, {"type": "text", "text": "no"}]},
            {"role": "assistant", "content": "It"}
        ])
    );
    assert_eq!(
        (&received["stop"], &received["temperature"]),
        (&json!(["END"]), &json!(0.5))
    );
    assert_eq!(received["parallel_tool_calls"], false);
    assert!(received["user"].as_str().unwrap().starts_with("tw-"), "{received}");
    for foreign in ["system", "metadata", "stop_sequences", "context_management"] {
        assert_eq!(received.get(foreign), None, "{foreign}");
    }
    app.finish().await;
}

async fn thoughts_of_a_model_go_back_to_it(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        reasoning_tokens: 3,
        tokens: 2,
        ..Plan::default()
    }));
    let ask = |messages: Value| json!({"model": "test/alpha", "max_tokens": 50, "messages": messages});
    let question = json!({"role": "user", "content": "Hi"});
    let first = ask(json!([question]));
    let reply = asked(&app, &customer.key, "/api/v1/messages", &first).await.expect_ok();
    let content = reply.body["content"].clone();
    assert_eq!(content[0]["type"], "thinking", "{content}");
    assert_eq!(
        (&content[0]["thinking"], &content[1]["type"]),
        (&json!(" the sea has"), &json!("text"))
    );
    let (events, _) = streamed(&app, &customer.key, "/api/v1/messages", &first).await;
    let thoughts: String = events
        .iter()
        .filter_map(|event| event["delta"]["thinking"].as_str())
        .collect();
    assert_eq!(thoughts, " the sea has");
    let again = ask(json!([question, {"role": "assistant", "content": content}, question]));
    asked(&app, &customer.key, "/api/v1/messages", &again).await.expect_ok();
    let received = app.providers.alpha.requests().pop().unwrap().body;
    assert_eq!(received["messages"][1]["reasoning"], " the sea has", "{received}");
    app.finish().await;
}

async fn tokens_are_counted_without_charge(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let body = json!({"model": "test/alpha", "system": "Be brief.", "messages": [{"role": "user", "content": " the sea has two"}]});
    let counted = asked(&app, &customer.key, "/api/v1/messages/count_tokens", &body)
        .await
        .expect_ok();
    let tokens = counted.body["input_tokens"].as_u64().unwrap();
    assert!((7..20).contains(&tokens), "{}", counted.text);
    let mut unknown = body.clone();
    unknown["model"] = json!("test/nothing");
    let refused = asked(&app, &customer.key, "/api/v1/messages/count_tokens", &unknown).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["error"]["type"]),
        (404, &json!("not_found_error"))
    );
    assert!(app.providers.alpha.requests().is_empty());
    assert_eq!(customer.credits(&app.store).await.used.get(), 0);
    app.finish().await;
}

async fn keys_are_taken_as_anthropics_clients_send_them(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let body = json!({"model": "test/alpha", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let request = app
        .http
        .post(app.url("/api/v1/messages"))
        .header("x-api-key", &customer.key);
    let request = request
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "tools-2024-04-04");
    let reply = Reply::read(request.body(body.to_string()).send().await.unwrap())
        .await
        .expect_ok();
    assert_eq!(
        (&reply.body["type"], &reply.body["role"]),
        (&json!("message"), &json!("assistant"))
    );
    let reply = Reply::read(post(&app, "", "/api/v1/messages", &body).send().await.unwrap()).await;
    assert_eq!(reply.body["error"]["type"], "authentication_error", "{}", reply.text);
    assert_eq!(reply.body["type"], "error");
    app.finish().await;
}

async fn what_cannot_be_said_is_named_and_free(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let ask = |content: Value, tools: Value| json!({"model": "test/alpha", "max_tokens": 5, "tools": tools, "messages": [{"role": "user", "content": content}]});
    let block = ask(json!([{"type": "container_upload", "file_id": "f"}]), json!([]));
    let hosted = ask(
        json!("hi"),
        json!([{"type": "web_search_20250305", "name": "web_search"}]),
    );
    for (body, field) in [(block, "messages[0].content[0].type"), (hosted, "tools[0].type")] {
        let refused = asked(&app, &customer.key, "/api/v1/messages", &body).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
        assert!(
            refused.body["error"]["message"].as_str().unwrap().contains(field),
            "{}",
            refused.text
        );
    }
    assert!(app.providers.alpha.requests().is_empty());
    assert_eq!(customer.credits(&app.store).await.used.get(), 0);
    app.finish().await;
}
