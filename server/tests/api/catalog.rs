//! The catalog over the API: public, without a key.

use crate::support::{Db, Reply, TestApp};
use serde_json::{Value, json};

on_both_databases!(
    models_are_listed_with_prices_as_decimal_text,
    a_models_endpoints_are_listed,
    providers_are_listed
);

async fn get(app: &TestApp, path: &str) -> Value {
    let reply = Reply::read(app.http.get(app.url(path)).send().await.unwrap()).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    reply.body["data"].clone()
}

fn by<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[field] == value);
    found.unwrap_or_else(|| panic!("no {field} {value}"))
}

async fn models_are_listed_with_prices_as_decimal_text(db: Db) {
    let app = TestApp::start(db).await;
    let models = get(&app, "/api/v1/models").await;
    assert!(models.as_array().unwrap().len() >= 500);
    let model = by(&models, "id", "test/echo");
    for (field, expected) in [
        ("name", json!("Test echo")),
        ("canonical_slug", json!("test/echo")),
        ("context_length", json!(131_072)),
    ] {
        assert_eq!(model[field], expected, "{model}");
    }
    assert_eq!(
        (&model["pricing"]["prompt"], &model["pricing"]["completion"]),
        (&json!("0.000001"), &json!("0.000002"))
    );
    assert_eq!(model["architecture"]["input_modalities"], json!(["text"]));
    assert_eq!(model["top_provider"]["context_length"], 131_072);
    assert!(
        model["supported_parameters"]
            .as_array()
            .unwrap()
            .contains(&json!("tools")),
        "{model}"
    );
    assert!(model["created"].is_i64() && model["description"].is_string(), "{model}");
    by(&models, "id", "meta-llama/llama-3.3-70b-instruct");
    app.finish().await;
}

async fn a_models_endpoints_are_listed(db: Db) {
    let app = TestApp::start(db).await;
    let model = get(&app, "/api/v1/models/test/echo/endpoints").await;
    assert_eq!(
        (&model["id"], &model["name"]),
        (&json!("test/echo"), &json!("Test echo"))
    );
    assert_eq!(model["endpoints"].as_array().unwrap().len(), 2);
    let endpoint = by(&model["endpoints"], "provider_name", "Beta");
    assert_eq!(
        (&endpoint["tag"], &endpoint["pricing"]["prompt"]),
        (&json!("beta"), &json!("0.0000015"))
    );
    assert_eq!(
        (&endpoint["context_length"], &endpoint["max_completion_tokens"]),
        (&json!(131_072), &json!(32_768))
    );
    let llama = get(&app, "/api/v1/models/meta-llama/llama-3.3-70b-instruct/endpoints").await;
    assert!(llama["endpoints"].as_array().unwrap().len() >= 20);
    app.finish().await;
}

async fn providers_are_listed(db: Db) {
    let app = TestApp::start(db).await;
    let providers = get(&app, "/api/v1/providers").await;
    assert!(providers.as_array().unwrap().len() >= 70);
    assert_eq!(by(&providers, "slug", "alpha")["name"], "Alpha");
    let text = providers.to_string();
    assert!(!text.contains("secret") && !text.contains("API_KEY"), "{text}");
    app.finish().await;
}
