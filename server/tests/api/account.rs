//! What a key can ask about itself and its account.

use crate::support::providers::{ask, ask_stream};
use crate::support::{Db, NewKey, TestApp};
use domain::money::NanoUsd;
use domain::period::Period;
use serde_json::{Value, json};

on_both_databases!(
    a_generation_tells_its_owner_what_it_used_and_cost,
    a_generation_is_nobody_elses_business,
    a_key_tells_its_limit_and_usage,
    credits_are_what_was_bought_and_what_was_used,
);

async fn a_generation_tells_its_owner_what_it_used_and_cost(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let stream = app.stream(&customer.key, &ask_stream("test/alpha", "12345678")).await;
    let id = stream.generation_id();
    stream.rest().await;
    app.generation(&id).await;
    let reply = app.get(&customer.key, &format!("/api/v1/generation?id={id}")).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    let data = &reply.body["data"];
    for (field, expected) in [
        ("id", json!(id)),
        ("model", json!("test/alpha")),
        ("provider_name", json!("Alpha")),
        ("streamed", json!(true)),
        ("cancelled", json!(false)),
        ("finish_reason", json!("stop")),
        ("native_finish_reason", json!("stop")),
        ("tokens_prompt", json!(2)),
        ("tokens_completion", json!(16)),
        ("is_byok", json!(false)),
    ] {
        assert_eq!(data[field], expected, "{field}: {}", reply.text);
    }
    assert_eq!(data["total_cost"].to_string(), "0.000034");
    assert_eq!(data["usage"].to_string(), "0.000034");
    assert!(
        data["upstream_id"].as_str().unwrap().starts_with("chatcmpl-fake-"),
        "{}",
        reply.text
    );
    assert!(data["created_at"].as_str().unwrap().contains('T'), "{}", reply.text);
    app.finish().await;
}

async fn a_generation_is_nobody_elses_business(db: Db) {
    let app = TestApp::start(db).await;
    let (owner, stranger) = (app.customer("1").await, app.customer("1").await);
    let id = app.chat(&owner.key, &ask("test/alpha", "hi")).await.generation_id();
    app.generation(&id).await;
    app.get(&stranger.key, &format!("/api/v1/generation?id={id}"))
        .await
        .error(404, "not_found");
    app.finish().await;
}

async fn a_key_tells_its_limit_and_usage(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let new = NewKey {
        limit: Some(NanoUsd::new(500_000_000)),
        reset: Some(Period::Monthly),
        ..NewKey::default()
    };
    let key = customer.new_key(&app.store, new).await;
    let id = app.chat(&key, &ask("test/alpha", "12345678")).await.generation_id();
    app.generation(&id).await;
    let reply = app.get(&key, "/api/v1/key").await;
    let data = &reply.body["data"];
    assert_eq!(
        (reply.status.as_u16(), &data["limit_reset"]),
        (200, &json!("monthly")),
        "{}",
        reply.text
    );
    assert_eq!(number(&data["limit"]), 0.5);
    for usage in ["usage", "usage_daily", "usage_weekly", "usage_monthly"] {
        assert_eq!(data[usage].to_string(), "0.000034", "{usage}: {}", reply.text);
    }
    assert_eq!(data["limit_remaining"].to_string(), "0.499966");
    assert!(
        data["label"].as_str().unwrap().starts_with("sk-tw-v1-"),
        "{}",
        reply.text
    );
    assert!(!reply.text.contains(&key), "the key itself is never shown again");
    let unlimited = app.get(&customer.key, "/api/v1/key").await;
    assert_eq!(
        (
            &unlimited.body["data"]["limit"],
            &unlimited.body["data"]["limit_remaining"]
        ),
        (&Value::Null, &Value::Null)
    );
    app.finish().await;
}

async fn credits_are_what_was_bought_and_what_was_used(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("7.5").await;
    let id = app
        .chat(&customer.key, &ask("test/alpha", "12345678"))
        .await
        .generation_id();
    app.generation(&id).await;
    let reply = app.get(&customer.key, "/api/v1/credits").await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    assert_eq!(number(&reply.body["data"]["total_credits"]), 7.5);
    assert_eq!(reply.body["data"]["total_usage"].to_string(), "0.000034");
    app.finish().await;
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
