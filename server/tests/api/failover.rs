//! A provider fails, and another one answers.

use crate::support::providers::{ask, ask_stream};
use crate::support::{Db, TestApp};
use domain::generation::Outcome;
use fake_provider::{Plan, Refusal, Script};
use serde_json::json;

on_both_databases!(
    another_provider_answers_when_the_first_refuses,
    another_provider_answers_when_the_first_cannot_be_reached,
    another_provider_answers_when_the_first_breaks_off_before_any_token,
    without_fallbacks_the_first_providers_error_stands,
);

fn refusing(status: u16) -> Script {
    let refusal = Refusal {
        status,
        ..Refusal::default()
    };
    Script::always(Plan {
        refusal: Some(refusal),
        ..Plan::default()
    })
}

async fn another_provider_answers_when_the_first_refuses(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    for status in [500, 429, 503] {
        app.providers.alpha.set_script(refusing(status));
        let mut body = ask("test/echo", "hi");
        body["provider"] = json!({"order": ["alpha", "beta"]});
        let reply = app.chat(&customer.key, &body).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["provider"]),
            (200, &json!("Beta")),
            "{}",
            reply.text
        );
        let generation = app.generation(&reply.generation_id()).await;
        assert_eq!(
            (generation.provider.as_str(), generation.outcome),
            ("beta", Outcome::Completed)
        );
        // Alpha is asked first, or is still known to have failed just before.
        if let [failed, worked] = generation.attempts.as_slice() {
            assert_eq!((failed.provider.as_str(), failed.status), ("alpha", Some(status)));
            assert_eq!((worked.provider.as_str(), &worked.error_type), ("beta", &None));
        }
    }
    let billed: u64 = app
        .providers
        .alpha
        .tally()
        .bills
        .iter()
        .map(|bill| bill.billed_completion_tokens)
        .sum();
    assert_eq!(billed, 0);
    assert!(!app.providers.alpha.requests().is_empty());
    app.finish().await;
}

async fn another_provider_answers_when_the_first_cannot_be_reached(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let mut body = ask_stream("test/half", "hi");
    body["provider"] = json!({"order": ["down", "beta"]});
    let stream = app.stream(&customer.key, &body).await;
    assert_eq!(stream.status.as_u16(), 200);
    let id = stream.generation_id();
    stream.rest().await;
    assert_eq!(app.generation(&id).await.provider, "beta");
    app.finish().await;
}

async fn another_provider_answers_when_the_first_breaks_off_before_any_token(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(Script::always(Plan {
        cut_after_bytes: Some(0),
        ..Plan::default()
    }));
    let mut body = ask_stream("test/echo", "hi");
    body["provider"] = json!({"order": ["alpha", "beta"]});
    let stream = app.stream(&customer.key, &body).await;
    let id = stream.generation_id();
    let events = stream.rest().await;
    assert!(
        events
            .iter()
            .all(|event| event.data().is_none_or(|data| data.get("error").is_none())),
        "{events:?}"
    );
    assert_eq!(app.generation(&id).await.provider, "beta");
    app.finish().await;
}

async fn without_fallbacks_the_first_providers_error_stands(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(refusing(500));
    let mut body = ask("test/echo", "hi");
    body["provider"] = json!({"order": ["alpha"], "allow_fallbacks": false});
    let reply = app.chat(&customer.key, &body).await;
    assert!(reply.status.as_u16() >= 500, "{}", reply.text);
    assert_eq!(app.providers.beta.requests(), []);
    app.finish().await;
}
