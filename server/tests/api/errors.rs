//! Requests that are refused, each with the published envelope.

use crate::support::customer::now;
use crate::support::providers::ask;
use crate::support::{Db, NewKey, Reply, TestApp};
use domain::money::NanoUsd;
use serde_json::json;

on_both_databases!(
    an_unknown_model_is_answered_with_near_names,
    a_malformed_body_is_answered_with_the_place,
    an_oversized_body_is_refused,
    a_key_that_is_not_good_is_told_why_whichever_header_carries_it,
    a_good_key_works_in_every_header,
    without_credits_the_answer_says_what_is_affordable,
    a_provider_without_a_key_names_the_setting,
    unknown_addresses_and_methods_have_the_envelope_too,
    an_error_of_the_provider_is_passed_on_with_its_meaning,
);

async fn an_unknown_model_is_answered_with_near_names(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let reply = app.chat(&customer.key, &ask("test/ecko", "hi")).await;
    let message = reply.error(404, "not_found").to_owned();
    assert!(
        message.contains("test/ecko") && reply.text.contains("test/echo"),
        "{}",
        reply.text
    );
    assert_eq!(app.providers.alpha.requests(), []);
    app.finish().await;
}

async fn a_malformed_body_is_answered_with_the_place(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let post = async |body: &str| {
        let request = app
            .http
            .post(app.url("/api/v1/chat/completions"))
            .bearer_auth(&customer.key);
        Reply::read(request.body(body.to_owned()).send().await.unwrap()).await
    };
    let broken = post("{\"model\": \"test/echo\",\n  \"messages\": [}").await;
    let message = broken.error(400, "invalid_request");
    assert!(message.contains("line 2") && message.contains("column"), "{message}");
    for (body, named) in [
        ("", "JSON"),
        ("[]", "object"),
        ("{\"model\": \"test/echo\"}", "messages"),
        ("{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}", "model"),
        ("{\"model\": \"test/echo\", \"messages\": []}", "messages"),
        (
            "{\"model\": 7, \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}",
            "model",
        ),
        (
            "{\"model\": \"test/echo\", \"messages\": [{}], \"max_tokens\": -1}",
            "max_tokens",
        ),
        (
            "{\"model\": \"test/echo\", \"messages\": [{}], \"stream\": \"yes\"}",
            "stream",
        ),
        (
            "{\"model\": \"test/echo\", \"messages\": [{}], \"model\": \"test/alpha\"}",
            "model",
        ),
    ] {
        let reply = post(body).await;
        let message = reply.error(400, "invalid_request");
        assert!(message.contains(named), "{body}: {message}");
    }
    app.finish().await;
}

async fn an_oversized_body_is_refused(db: Db) {
    let app = TestApp::start_with(db, &[("TOLLWAY_BODY_BYTES_MAX", "100000")]).await;
    let customer = app.customer("1").await;
    let reply = app.chat(&customer.key, &ask("test/alpha", &"x".repeat(200_000))).await;
    reply.error(413, "payload_too_large");
    let reply = app.chat(&customer.key, &ask("test/alpha", &"x".repeat(50_000))).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    // Refused before the body was looked at, and told all the same.
    let unknown = format!("sk-tw-v1-{}", "0".repeat(64));
    for key in [&unknown, "nothing"] {
        let reply = app.chat(key, &ask("test/alpha", &"x".repeat(4_000_000))).await;
        reply.error(401, "authentication");
    }
    app.finish().await;
}

async fn a_key_that_is_not_good_is_told_why_whichever_header_carries_it(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let disabled = customer
        .new_key(
            &app.store,
            NewKey {
                disabled: true,
                ..NewKey::default()
            },
        )
        .await;
    let expires = Some(now().plus(-1));
    let expired = customer
        .new_key(
            &app.store,
            NewKey {
                expires,
                ..NewKey::default()
            },
        )
        .await;
    let deleted = customer.new_key(&app.store, NewKey::default()).await;
    let hash = domain::api_key::ApiKey::parse(&deleted).unwrap().hash();
    let mut tx = app.store.begin().await.unwrap();
    store::keys::delete(&mut tx, &customer.account, &hash, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let unknown = domain::api_key::ApiKey::new(&[7; 32]).reveal().to_owned();
    let cases = [
        ("", "No API key"),
        ("sk-or-v1-123", "not a valid API key"),
        (&customer.key[..customer.key.len() - 1], "not a valid API key"),
        (&*unknown, "not known"),
        (&*deleted, "not known"),
        (&*disabled, "disabled"),
        (&*expired, "expired"),
    ];
    for (key, why) in cases {
        for header in ["authorization", "x-api-key", "x-goog-api-key"] {
            let value = if header == "authorization" {
                format!("Bearer {key}")
            } else {
                key.to_owned()
            };
            for (method, path) in [
                ("POST", "/api/v1/chat/completions"),
                ("GET", "/api/v1/key"),
                ("GET", "/api/v1/credits"),
            ] {
                let request = app
                    .http
                    .request(method.parse().unwrap(), app.url(path))
                    .header(header, &value);
                let reply = Reply::read(request.body(ask("test/alpha", "hi").to_string()).send().await.unwrap()).await;
                let message = reply.error(401, "authentication");
                assert!(message.contains(why), "{header}: {key}: {path}: {message}");
            }
        }
    }
    app.finish().await;
}

async fn a_good_key_works_in_every_header(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    for (header, value) in [
        ("authorization", format!("Bearer {}", customer.key)),
        ("authorization", format!("bearer {}", customer.key)),
        ("x-api-key", customer.key.clone()),
        ("x-goog-api-key", customer.key.clone()),
    ] {
        let request = app.http.post(app.url("/api/v1/chat/completions")).header(header, value);
        let reply = Reply::read(request.body(ask("test/alpha", "hi").to_string()).send().await.unwrap()).await;
        assert_eq!(reply.status.as_u16(), 200, "{header}: {}", reply.text);
    }
    app.finish().await;
}

async fn without_credits_the_answer_says_what_is_affordable(db: Db) {
    let app = TestApp::start(db).await;
    let nobody = app.customer("0").await;
    app.chat(&nobody.key, &ask("test/alpha", "hi"))
        .await
        .error(402, "payment_required");
    // One cent buys at most 5,000 tokens of completion.
    let poor = app.customer("0.01").await;
    let mut body = ask("test/alpha", "hi");
    body["max_tokens"] = json!(30_000);
    let reply = app.chat(&poor.key, &body).await;
    reply.error(402, "payment_required");
    let affordable = find_number(&reply.body["error"], "afford").expect("the error names what is affordable");
    assert!((1..5_000).contains(&affordable), "{}", reply.text);
    assert_eq!(app.providers.alpha.requests(), [], "nothing was sent to the provider");
    body["max_tokens"] = json!(affordable);
    let reply = app.chat(&poor.key, &body).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    app.finish().await;
}

async fn a_provider_without_a_key_names_the_setting(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let reply = app.chat(&customer.key, &ask("test/keyless", "hi")).await;
    let message = reply.error(503, "provider_unavailable");
    assert!(message.contains("KEYLESS_API_KEY"), "{message}");
    let reply = app.chat(&customer.key, &ask("local/smollm2-135m-instruct", "hi")).await;
    let message = reply.error(503, "provider_unavailable");
    assert!(message.contains("TOLLWAY_LOCAL_MODEL_URL"), "{message}");
    app.finish().await;
}

async fn unknown_addresses_and_methods_have_the_envelope_too(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.get(&customer.key, "/api/v1/nothing/here")
        .await
        .error(404, "not_found");
    app.get(&customer.key, "/api/v1/chat/completions")
        .await
        .error(405, "method_not_allowed");
    app.get(&customer.key, "/api/v1/generation")
        .await
        .error(400, "invalid_request");
    app.get(&customer.key, "/api/v1/generation?id=gen-1-0")
        .await
        .error(404, "not_found");
    app.get(&customer.key, "/api/v1/models/test/nothing/endpoints")
        .await
        .error(404, "not_found");
    app.finish().await;
}

async fn an_error_of_the_provider_is_passed_on_with_its_meaning(db: Db) {
    use fake_provider::{Plan, Refusal, Script};
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let refuse = |status, body: &str| {
        let refusal = Refusal {
            status,
            headers: [("retry-after".to_owned(), "3".to_owned())].into(),
            body: Some(body.to_owned()),
        };
        app.providers.alpha.set_script(Script::always(Plan {
            refusal: Some(refusal),
            ..Plan::default()
        }));
    };
    refuse(
        400,
        r#"{"error": {"message": "This model's maximum context length is 10 tokens", "code": "context_length_exceeded"}}"#,
    );
    let reply = app.chat(&customer.key, &ask("test/alpha", "hi")).await;
    assert!(
        reply
            .error(400, "context_length_exceeded")
            .contains("maximum context length"),
        "{}",
        reply.text
    );
    for (status, body) in [(500, "<html>oh no</html>"), (503, ""), (401, "{}")] {
        refuse(status, body);
        let reply = app.chat(&customer.key, &ask("test/alpha", "hi")).await;
        assert!(matches!(reply.status.as_u16(), 502 | 503), "{status}: {}", reply.text);
        assert!(
            reply.body["error"]["metadata"]["error_type"].is_string(),
            "{}",
            reply.text
        );
        assert!(!reply.text.contains("alpha-secret"));
    }
    refuse(429, r#"{"error": {"message": "Slow down"}}"#);
    let reply = app.chat(&customer.key, &ask("test/alpha", "hi")).await;
    assert!(matches!(reply.status.as_u16(), 429 | 503), "{}", reply.text);
    assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
    assert_eq!(customer.credits(&app.store).await.used, NanoUsd::ZERO);
    app.finish().await;
}

/// The first whole number under a name that contains `part`, anywhere in `value`.
fn find_number(value: &serde_json::Value, part: &str) -> Option<u64> {
    let object = value.as_object()?;
    let here = object
        .iter()
        .find(|(name, value)| name.contains(part) && value.is_u64());
    here.and_then(|(_, value)| value.as_u64())
        .or_else(|| object.values().find_map(|value| find_number(value, part)))
}
