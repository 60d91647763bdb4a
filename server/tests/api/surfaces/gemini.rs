//! What only Gemini's `generateContent` has.

use super::{TEXT, asked, post};
use crate::support::http::Reply;
use crate::support::{Db, TestApp};
use serde_json::{Value, json};

on_both_databases!(models_keys_and_streams_are_addressed_in_every_documented_way);

async fn models_keys_and_streams_are_addressed_in_every_documented_way(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    for path in [
        "/api/v1beta/models/test/alpha:generateContent",
        "/api/v1beta/models/test%2Falpha:generateContent",
        "/api/v1/models/test/alpha:generateContent",
        "/api/v1/models/test%2Falpha:generateContent",
    ] {
        let reply = asked(&app, &customer.key, path, &body).await.expect_ok();
        assert_eq!(
            reply.body["candidates"][0]["content"]["parts"][0]["text"], TEXT,
            "{path}"
        );
        assert_eq!(reply.body["candidates"][0]["finishReason"], "STOP", "{path}");
    }
    let path = "/api/v1beta/models/test/alpha:streamGenerateContent";
    let list = asked(&app, &customer.key, path, &body).await.expect_ok();
    let chunks = list.body.as_array().unwrap_or_else(|| panic!("{}", list.text));
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str())
        .collect();
    assert_eq!(text, TEXT);
    let reports = chunks.iter().filter(|chunk| chunk["usageMetadata"].is_object());
    assert_eq!(reports.count(), 1, "{}", list.text);

    let path = "/api/v1beta/models/test/alpha:generateContent";
    let of_header = app
        .http
        .post(app.url(path))
        .header("x-goog-api-key", &customer.key)
        .body(body.to_string());
    Reply::read(of_header.send().await.unwrap()).await.expect_ok();
    let of_query = app
        .http
        .post(app.url(&format!("{path}?key={}", customer.key)))
        .body(body.to_string());
    Reply::read(of_query.send().await.unwrap()).await.expect_ok();

    let before = app.providers.alpha.requests().len();
    let counted = asked(&app, &customer.key, "/api/v1beta/models/test/alpha:countTokens", &body)
        .await
        .expect_ok();
    assert!(
        counted.body["totalTokens"]
            .as_u64()
            .is_some_and(|tokens| (1..20).contains(&tokens)),
        "{}",
        counted.text
    );
    let unknown = post(&app, &customer.key, "/api/v1beta/models/test/alpha:embedContent", &body)
        .send()
        .await
        .unwrap();
    let unknown = Reply::read(unknown).await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.body["error"]["status"]),
        (404, &Value::from("NOT_FOUND"))
    );
    assert_eq!(app.providers.alpha.requests().len(), before);
    app.finish().await;
}
