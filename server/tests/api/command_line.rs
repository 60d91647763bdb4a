//! The `tollway` command beside a running server.

use crate::support::providers::ask;
use crate::support::{Db, Reply, TestApp, eventually};
use serde_json::json;
use std::process::Output;

on_both_databases!(
    a_revoked_key_stops_working_without_a_restart,
    an_imported_catalog_is_served_without_a_restart,
    wrong_books_are_found_and_told,
);

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn a_revoked_key_stops_working_without_a_restart(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.chat(&customer.key, &ask("test/alpha", "hi")).await.expect_ok();
    let output = app.tollway(&["key", "revoke", &customer.key]);
    assert!(output.status.success(), "{}", said(&output));
    eventually("the key is refused", async || {
        let reply = app.chat(&customer.key, &ask("test/alpha", "hi")).await;
        (reply.status.as_u16() == 401).then_some(())
    })
    .await;
    let unknown = app.tollway(&["key", "revoke", "sk-tw-v1-nothing"]);
    assert!(!unknown.status.success(), "{}", said(&unknown));
    app.finish().await;
}

async fn an_imported_catalog_is_served_without_a_restart(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let mut catalog = app.providers.catalog();
    catalog["models"] = json!([{"slug": "test/new", "name": "Test new", "kind": "chat", "context_length": 1_000,
        "input_modalities": ["text"], "output_modalities": ["text"]}]);
    catalog["endpoints"] = json!([{"id": "test/new|alpha", "model": "test/new", "provider": "alpha",
        "provider_model_id": "new", "context_length": 1_000, "prices": {"prompt": 5_000_000, "completion": 7_000_000}}]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("more.json");
    std::fs::write(&file, catalog.to_string()).unwrap();
    app.chat(&customer.key, &ask("test/new", "hi"))
        .await
        .error(404, "not_found");
    let output = app.tollway(&["catalog", "import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let reply: Reply = eventually("the new model answers", async || {
        let reply = app.chat(&customer.key, &ask("test/new", "12345678")).await;
        (reply.status.as_u16() == 200).then_some(reply)
    })
    .await;
    let generation = app.generation(&reply.generation_id()).await;
    assert_eq!(generation.cost.get(), 2 * 5_000 + 16 * 7_000);
    app.chat(&customer.key, &ask("test/alpha", "hi")).await.expect_ok();
    app.finish().await;
}

async fn wrong_books_are_found_and_told(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.assert_books_balance();
    app.database
        .execute(&format!(
            "UPDATE ledger_accounts SET balance_nano = balance_nano + 1 WHERE account_id = '{}' AND kind = 'customer'",
            customer.account
        ))
        .await;
    let output = app.tollway(&["ledger", "verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(customer.account.as_str()), "{}", said(&output));
}
