//! Free models, requests at once, budgets, and what callers are told about all of them.

use crate::support::customer::now;
use crate::support::providers::ask;
use crate::support::{Customer, Db, NewKey, Reply, TestApp, eventually};
use domain::id::{PurchaseId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::period::Period;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState};
use fake_provider::{FakeProvider, Plan, Script};
use futures_util::future::join_all;
use serde_json::{Value, json};
use store::budgets::Budget;
use store::purchases::Paid;
use tempfile::TempDir;

on_both_databases!(
    free_models_answer_so_many_requests_a_day_and_more_after_buying_credits,
    free_models_answer_so_many_requests_a_minute,
    free_models_refuse_an_account_that_owes,
    a_key_runs_so_many_requests_at_once,
    callers_are_told_what_is_left,
    a_budget_holds_for_all_keys_of_an_account_together,
);

const TOKENS: u64 = 40;
/// Of a request with a prompt of two tokens, in nano-dollars.
const COST: i64 = 2 * 1_000 + 40 * 2_000;

/// A server with the models `free/only` (free), `free/mixed` (free, and dearer elsewhere) and `free/paid`.
struct Free {
    app: TestApp,
    fake: FakeProvider,
    _catalog: TempDir,
}

async fn start(db: Db, settings: &[(&str, &str)]) -> Free {
    let fake = FakeProvider::start(Script::always(Plan {
        tokens: TOKENS,
        ..Plan::default()
    }))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("free.json");
    std::fs::write(&file, catalog(&fake).to_string()).unwrap();
    let mut all = vec![("TOLLWAY_CATALOG", file.to_str().unwrap())];
    all.extend(settings);
    Free {
        app: TestApp::start_with(db, &all).await,
        fake,
        _catalog: dir,
    }
}

impl Free {
    async fn ask(&self, key: &str, model: &str) -> Reply {
        self.app.chat(key, &request(model)).await
    }
}

fn request(model: &str) -> Value {
    let mut body = ask(model, "12345678");
    body["max_tokens"] = json!(TOKENS);
    body
}

async fn free_models_answer_so_many_requests_a_day_and_more_after_buying_credits(db: Db) {
    let limits = [
        ("TOLLWAY_FREE_REQUESTS_PER_DAY", "3"),
        ("TOLLWAY_FREE_REQUESTS_PER_DAY_PAID", "5"),
        ("TOLLWAY_FREE_REQUESTS_PER_MINUTE", "10000"),
    ];
    let free = start(db, &limits).await;
    let customer = free.app.customer("0").await;
    for left in ["2", "1", "0"] {
        let reply = free.ask(&customer.key, "free/only").await.expect_ok();
        assert_eq!(
            (reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")),
            ("3", left)
        );
        assert!(reply.text.contains("\"cost\":0,"), "{}", reply.text);
    }
    let refused = free.ask(&customer.key, "free/only").await;
    let message = refused.error(429, "rate_limit_exceeded");
    assert!(
        message.contains("3 requests per day") && message.contains("it is 5 per day"),
        "{message}"
    );
    assert_eq!(refused.body["error"]["metadata"]["limit_source"], "free_per_day");
    assert_eq!(
        (
            refused.header("x-ratelimit-limit"),
            refused.header("x-ratelimit-remaining")
        ),
        ("3", "0")
    );
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(reset * 1_000, Period::Daily.next(now()).get());
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");

    let served = free.fake.tally().bills.len();
    buy(&free.app, &customer, 10).await;
    eventually("more is allowed", async || {
        let reply = free.ask(&customer.key, "free/only").await;
        (reply.status.as_u16() == 200).then_some(())
    })
    .await;
    free.ask(&customer.key, "free/only").await.expect_ok();
    free.ask(&customer.key, "free/only")
        .await
        .error(429, "rate_limit_exceeded");
    assert_eq!(free.fake.tally().bills.len(), served + 2);
    // With credits, the way without free endpoints is still open.
    let reply = free.ask(&customer.key, "free/mixed").await.expect_ok();
    assert_eq!(reply.body["provider"], "Paid", "{}", reply.text);
    free.app.finish().await;
}

async fn free_models_answer_so_many_requests_a_minute(db: Db) {
    let free = start(db, &[("TOLLWAY_FREE_REQUESTS_PER_MINUTE", "4")]).await;
    let customer = free.app.customer("0").await;
    let requests = (0..10).map(|_| free.ask(&customer.key, "free/only"));
    let replies = join_all(requests).await;
    let served = replies.iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert_eq!(served, 4);
    let refused = replies.iter().find(|reply| reply.status.as_u16() != 200).unwrap();
    let message = refused.error(429, "rate_limit_exceeded");
    assert!(message.contains("4 requests per minute"), "{message}");
    assert_eq!(refused.body["error"]["metadata"]["limit_source"], "free_per_minute");
    // One every fifteen seconds.
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=16).contains(&wait), "{wait}");
    let other = free.app.customer("0").await;
    free.ask(&other.key, "free/only").await.expect_ok();
    free.app.finish().await;
}

async fn free_models_refuse_an_account_that_owes(db: Db) {
    let free = start(db, &[]).await;
    let customer = free.app.customer("0").await;
    let mut tx = free.app.store.begin().await.unwrap();
    let account = LedgerAccount::Customer(customer.account.clone());
    let owing = Transfer {
        id: TransferId::new([7; 16]),
        kind: TransferKind::Reversal,
        idempotency_key: "reversal:test".to_owned(),
        legs: legs(account, LedgerAccount::Promotions, NanoUsd::new(1_000_000_000)),
        created: now(),
    };
    store::ledger::post(&mut tx, &owing).await.unwrap();
    tx.commit().await.unwrap();
    let refused = free.ask(&customer.key, "free/only").await;
    let message = refused.error(402, "payment_required");
    assert!(message.contains("below zero"), "{message}");
    assert!(free.fake.tally().bills.is_empty());
    free.app.finish().await;
}

async fn a_key_runs_so_many_requests_at_once(db: Db) {
    let free = start(db, &[("TOLLWAY_KEY_CONCURRENCY_MAX", "2")]).await;
    let customer = free.app.customer("1").await;
    let other = customer.new_key(&free.app.store, NewKey::default()).await;
    free.fake.set_script(Script::always(Plan {
        tokens: TOKENS,
        token_ms: 50,
        ..Plan::default()
    }));
    let mut slow = request("free/paid");
    slow["stream"] = json!(true);
    let mut first = free.app.stream(&customer.key, &slow).await;
    let mut second = free.app.stream(&customer.key, &slow).await;
    assert_eq!(second.headers["x-ratelimit-limit-concurrent"], "2");
    assert_eq!(second.headers["x-ratelimit-remaining-concurrent"], "0");
    first.read_text(1).await;
    second.read_text(1).await;
    let refused = free.ask(&customer.key, "free/paid").await;
    let message = refused.error(429, "rate_limit_exceeded");
    assert!(message.contains("2 requests of this key are running"), "{message}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.body["error"]["metadata"]["limit_source"], "concurrency");
    free.ask(&other, "free/paid").await.expect_ok();
    first.rest().await;
    free.ask(&customer.key, "free/paid").await.expect_ok();
    second.rest().await;
    free.app.finish().await;
}

async fn callers_are_told_what_is_left(db: Db) {
    let free = start(db, &[]).await;
    let customer = free.app.customer("1").await;
    let limited = NewKey {
        limit: Some(NanoUsd::new(500_000_000)),
        ..NewKey::default()
    };
    let key = customer.new_key(&free.app.store, limited).await;
    let first = free.ask(&key, "free/paid").await.expect_ok();
    // Less what is held for this request.
    let told = |reply: &Reply, name: &str| NanoUsd::parse_usd(reply.header(name)).unwrap().get();
    assert!(
        (999_700_000..=1_000_000_000 - COST).contains(&told(&first, "x-credits-remaining")),
        "{first:?}"
    );
    assert!(
        (499_700_000..=500_000_000 - COST).contains(&told(&first, "x-key-limit-remaining")),
        "{first:?}"
    );
    let second = free.ask(&key, "free/paid").await.expect_ok();
    assert_eq!(
        told(&first, "x-credits-remaining") - told(&second, "x-credits-remaining"),
        COST
    );
    assert_eq!(
        told(&first, "x-key-limit-remaining") - told(&second, "x-key-limit-remaining"),
        COST
    );
    assert_eq!(second.header("x-ratelimit-limit-concurrent"), "500");
    assert!(second.header("x-ratelimit-limit").is_empty() && second.header("x-budget-remaining").is_empty());
    let unlimited = free.ask(&customer.key, "free/paid").await.expect_ok();
    assert!(unlimited.header("x-key-limit-remaining").is_empty());
    let info = free.app.get(&key, "/api/v1/key").await.expect_ok();
    assert_eq!(info.body["data"]["account_balance"].to_string(), "0.999754");
    assert_eq!(info.body["data"]["limit_effective_remaining"].to_string(), "0.499836");
    free.app.finish().await;
}

async fn a_budget_holds_for_all_keys_of_an_account_together(db: Db) {
    let free = start(db, &[]).await;
    let customer = free.app.customer("1").await;
    let other = customer.new_key(&free.app.store, NewKey::default()).await;
    // One request costs 82,000 nano-dollars and holds less than twice that: ten fit.
    let budget = Budget {
        limit: NanoUsd::new(10 * COST + COST - 1_000),
        reset: Some(Period::Monthly),
    };
    let mut tx = free.app.store.begin().await.unwrap();
    store::budgets::set(&mut tx, &customer.account, Some(&budget))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let requests = (0..30).map(|n| {
        let key = if n % 2 == 0 { &customer.key } else { &other };
        free.ask(key, "free/paid")
    });
    let replies = join_all(requests).await;
    let paid = replies.iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert!((1..=10).contains(&paid), "{paid} answers");
    let mut more = 0;
    let refused = loop {
        let reply = free.ask(&other, "free/paid").await;
        if reply.status.as_u16() != 200 {
            break reply;
        }
        assert!(reply.header("x-budget-remaining").starts_with("0.000"), "{reply:?}");
        more += 1;
    };
    assert_eq!(paid + more, 10);
    let message = refused.error(402, "payment_required");
    assert!(message.contains("budget"), "{message}");
    assert_eq!(refused.body["error"]["metadata"]["limit_source"], "budget");
    free.app.generations(&customer, 10).await;
    assert_eq!(customer.credits(&free.app.store).await.used.get(), 10 * COST);
    free.app.finish().await;
}

/// As the payment processor's event would.
async fn buy(app: &TestApp, customer: &Customer, dollars: i64) {
    let purchase = Purchase {
        id: PurchaseId::new([9; 16]),
        account: customer.account.clone(),
        user: customer.user.clone(),
        amount: NanoUsd::new(dollars * 1_000_000_000),
        fee: NanoUsd::ZERO,
        kind: PurchaseKind::Checkout,
        state: PurchaseState::Created,
        processor: "dev".to_owned(),
        processor_ref: None,
        payment: None,
        refunded: NanoUsd::ZERO,
        created: now(),
        updated: now(),
    };
    let mut tx = app.store.begin().await.unwrap();
    store::purchases::create(&mut tx, &purchase).await.unwrap();
    let paid = Paid {
        reference: "test",
        payment: None,
    };
    let mut id = || TransferId::new([8; 16]);
    store::purchases::settle_paid(&mut tx, &purchase.id, &paid, &mut id, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn catalog(fake: &FakeProvider) -> Value {
    let provider = |slug: &str, name: &str| {
        json!({"slug": slug, "name": name, "base_url": fake.base_url(), "dialect": "openai-chat", "auth": "none",
            "cancel": "stops", "progress": "at-end"})
    };
    let model = |name: &str| {
        json!({"slug": format!("free/{name}"), "name": name, "kind": "chat", "context_length": 8_192,
            "input_modalities": ["text"], "output_modalities": ["text"]})
    };
    let endpoint = |model: &str, provider: &str, price: i64| {
        json!({"id": format!("free/{model}|{provider}"), "model": format!("free/{model}"), "provider": provider,
            "provider_model_id": model, "context_length": 8_192, "max_completion_tokens": 1_024,
            "prices": {"prompt": price, "completion": 2 * price}})
    };
    json!({
        "providers": [provider("free", "Free"), provider("paid", "Paid")],
        "models": [model("only"), model("mixed"), model("paid")],
        "endpoints": [
            endpoint("only", "free", 0),
            endpoint("mixed", "free", 0),
            endpoint("mixed", "paid", 1_000_000),
            endpoint("paid", "paid", 1_000_000),
        ],
    })
}
