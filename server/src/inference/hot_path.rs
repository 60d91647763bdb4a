//! Counts what the hot path asks of the database: nothing.

use crate::api;
use crate::config::Config;
use crate::data_plane::DataPlane;
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use domain::account::Email;
use domain::api_key::ApiKey;
use domain::catalog::Catalog;
use domain::id::{AccountId, TransferId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;
use fake_provider::{FakeProvider, Script};
use futures_util::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use store::keys::Key;
use store::users::NewUser;
use tower::ServiceExt;

const REQUESTS: usize = 200;
const AT_ONCE: usize = 8;

/// Both kinds of answers, several at once.
async fn ask(router: &Router, key: &str, count: usize) {
    let requests = (0..count).map(|n| {
        let body = json!({"model": "a/m", "max_tokens": 20, "stream": n % 2 == 0,
            "messages": [{"role": "user", "content": "hello"}]});
        let request = Request::post("/chat/completions").header("authorization", format!("Bearer {key}"));
        let response = router
            .clone()
            .oneshot(request.body(Body::from(body.to_string())).unwrap());
        async {
            let response = response.await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        }
    });
    let answered = futures_util::stream::iter(requests).buffer_unordered(AT_ONCE);
    answered.for_each(|()| std::future::ready(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_asks_the_database_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fake = FakeProvider::start(Script::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_str().unwrap().to_owned();
    let config = Config::from_parts(None, BTreeMap::from([("TOLLWAY_DATA_DIR".to_owned(), directory)])).unwrap();
    let store = Store::connect(config.database_url.reveal(), 4).await.unwrap();
    store.migrate().await.unwrap();
    let key = customer(&store).await;
    let state = DataPlane::start(Arc::new(config), store.counted(), catalog(&fake))
        .await
        .unwrap();
    let router = Router::new()
        .route("/chat/completions", post(api::chat::create))
        .with_state(Arc::clone(&state));

    // The first request finds the key and takes a lease.
    ask(&router, &key, 1).await;
    let (asked, leases) = (state.store.transactions(), state.allowances.transactions());
    assert!(asked > 0 && leases > 0, "the counters count");
    ask(&router, &key, REQUESTS).await;
    assert_eq!(
        state.store.transactions() - asked,
        0,
        "transactions of {REQUESTS} requests"
    );
    assert_eq!(state.allowances.transactions() - leases, 0, "leases taken meanwhile");

    state.settled().await;
    let mut tx = store.read().await.unwrap();
    let totals = store::ledger::verify(&mut tx).await.unwrap().unwrap();
    assert_eq!(totals.generations, 1 + REQUESTS as u64);
    drop(tx);
    assert_eq!(
        state.store.transactions() - asked,
        0,
        "settlements and beats are counted apart"
    );
    state.shutdown().await;
}

/// With ten dollars and a key.
async fn customer(store: &Store) -> String {
    let (account, user) = (AccountId::new([1; 16]), UserId::new([2; 16]));
    let now = Micros::new(1);
    let mut tx = store.begin().await.unwrap();
    let email = Email::parse("a@example.org").unwrap();
    let new = NewUser {
        id: user.clone(),
        account: account.clone(),
        email: &email,
        password_hash: "none",
        created: now,
    };
    store::users::create(&mut tx, &new).await.unwrap();
    let credits = NanoUsd::new(10_000_000_000);
    let grant = Transfer {
        id: TransferId::new([3; 16]),
        kind: TransferKind::Grant,
        idempotency_key: "grant:test".to_owned(),
        legs: legs(
            LedgerAccount::Promotions,
            LedgerAccount::Customer(account.clone()),
            credits,
        ),
        created: now,
    };
    store::ledger::post(&mut tx, &grant).await.unwrap();
    let key = ApiKey::new(&[4; 32]);
    let row = Key {
        hash: key.hash(),
        account,
        user,
        name: "Test".to_owned(),
        label: key.label(),
        limit: Some(NanoUsd::new(5_000_000_000)),
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: false,
        created: now,
        updated: now,
        last_used: None,
    };
    store::keys::create(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    key.reveal().to_owned()
}

fn catalog(fake: &FakeProvider) -> Catalog {
    let data = json!({
        "providers": [{"slug": "p", "name": "P", "base_url": fake.base_url(), "dialect": "openai-chat", "auth": "none"}],
        "models": [{"slug": "a/m", "name": "M", "kind": "chat", "context_length": 1_000,
            "input_modalities": ["text"], "output_modalities": ["text"]}],
        "endpoints": [{"id": "a/m|p", "model": "a/m", "provider": "p", "provider_model_id": "m",
            "context_length": 1_000, "prices": {"prompt": 1_000_000, "completion": 2_000_000}}],
    });
    Catalog::new(1, serde_json::from_value(data).unwrap()).unwrap()
}
