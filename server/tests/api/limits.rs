//! Money runs out, under load.

use crate::support::providers::{ask, ask_stream, cost_nano};
use crate::support::{Db, NewKey, Reply, TestApp};
use domain::api_key::ApiKey;
use domain::generation::Outcome;
use domain::money::NanoUsd;
use fake_provider::{Plan, Script};
use futures_util::StreamExt;
use serde_json::{Value, json};

on_both_databases!(
    a_keys_limit_holds_under_fifty_requests_at_once,
    a_thousand_requests_cannot_spend_more_than_five_cents,
    an_answer_that_outgrows_its_hold_takes_more_while_it_runs,
    a_disabled_key_stops_working_within_seconds,
);

const TOKENS: u64 = 40;

fn request() -> Value {
    let mut body = ask("test/alpha", "12345678");
    body["max_tokens"] = json!(TOKENS);
    body
}

fn answers() -> Script {
    Script::always(Plan {
        tokens: TOKENS,
        token_ms: 1,
        ..Plan::default()
    })
}

async fn many(app: &TestApp, key: &str, count: usize, at_once: usize) -> Vec<Reply> {
    let body = request();
    let body = &body;
    futures_util::stream::iter(0..count)
        .map(|_| app.chat(key, body))
        .buffer_unordered(at_once)
        .collect()
        .await
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status.as_u16() == status).count()
}

async fn a_keys_limit_holds_under_fifty_requests_at_once(db: Db) {
    let app = TestApp::start(db).await;
    app.providers.alpha.set_script(answers());
    let customer = app.customer("1").await;
    // One request costs 82,000 nano-dollars and holds less than twice that: ten fit.
    let limit = Some(NanoUsd::new(10 * 82_000 + 81_000));
    let key = customer
        .new_key(
            &app.store,
            NewKey {
                limit,
                ..NewKey::default()
            },
        )
        .await;
    let replies = many(&app, &key, 50, 50).await;
    let paid = count(&replies, 200);
    assert_eq!(
        paid + count(&replies, 402),
        50,
        "{:?}",
        replies.iter().map(|reply| &reply.text).collect::<Vec<_>>()
    );
    assert!((1..=10).contains(&paid), "{paid} answers");
    // What was held for refused or finished requests comes back: in the end all that fits was spent.
    let more = many(&app, &key, 20, 1).await;
    assert_eq!(paid + count(&more, 200), 10);
    app.generations(&customer, 10).await;
    let hash = ApiKey::parse(&key).unwrap().hash();
    let mut tx = app.store.read().await.unwrap();
    let usage = store::keys::usage(&mut tx, &hash, crate::support::customer::now())
        .await
        .unwrap();
    assert_eq!(usage.total, NanoUsd::new(10 * 82_000));
    drop(tx);
    let other = app.chat(&customer.key, &request()).await;
    assert_eq!(
        other.status.as_u16(),
        200,
        "the account's other key is not limited: {}",
        other.text
    );
    app.finish().await;
}

async fn a_thousand_requests_cannot_spend_more_than_five_cents(db: Db) {
    let app = TestApp::start(db).await;
    app.providers.alpha.set_script(answers());
    let customer = app.customer("0.05").await;
    let replies = many(&app, &customer.key, 1_000, 50).await;
    let paid = count(&replies, 200);
    assert_eq!(paid + count(&replies, 402), 1_000);
    let generations = app.generations(&customer, paid).await;
    let charged: Vec<_> = generations
        .iter()
        .filter(|generation| generation.outcome == Outcome::Completed)
        .collect();
    assert_eq!(charged.len(), paid);
    for generation in &charged {
        let bill = app.bill(&app.providers.alpha, generation);
        let used = (generation.usage.prompt, generation.usage.completion);
        assert_eq!(used, (bill.billed_prompt_tokens, bill.billed_completion_tokens));
        assert_eq!(generation.cost.get(), cost_nano(generation));
    }
    let total: i64 = generations.iter().map(|generation| generation.cost.get()).sum();
    assert!(total <= 50_000_000, "{total}");
    // A request costs 82,000 and its prompt is estimated with a margin: nearly everything could be spent.
    assert!(total >= 40_000_000, "only {total} of 50,000,000 could be spent");
    let credits = customer.credits(&app.store).await;
    assert_eq!(credits.used.get(), total);
    assert!(
        credits.available.get() >= 0 && credits.in_escrow.get() >= 0,
        "{credits:?}"
    );
    app.finish().await;
}

async fn an_answer_that_outgrows_its_hold_takes_more_while_it_runs(db: Db) {
    let app = TestApp::start(db).await;
    // The prompt turns out to be fifty thousand times what its text promised.
    let plan = Plan {
        prompt_tokens: Some(100_000),
        timings: true,
        tokens: 400,
        token_ms: 20,
        ..Plan::default()
    };
    app.providers.alpha.set_script(Script::always(plan));
    let customer = app.customer("0.105").await;
    let mut stream = app
        .stream(&customer.key, &ask_stream("test/progress", "12345678"))
        .await;
    let id = stream.generation_id();
    stream.read_text(3).await;
    // In the store there are still ten cents, and what this needs is less than one.
    let mut second = ask("test/alpha", "12345678");
    second["max_tokens"] = json!(4_000);
    let refused = app.chat(&customer.key, &second).await;
    refused.error(402, "payment_required");
    let affordable = refused.body["error"]["metadata"]["affordable_max_tokens"]
        .as_u64()
        .unwrap();
    assert!((1..2_500).contains(&affordable), "{}", refused.text);
    stream.rest().await;
    let generation = app.generation(&id).await;
    assert_eq!(
        (generation.usage.prompt, generation.cost.get()),
        (100_000, cost_nano(&generation))
    );
    let credits = customer.credits(&app.store).await;
    assert_eq!(
        credits.available.get() + credits.in_escrow.get(),
        105_000_000 - generation.cost.get()
    );
    app.finish().await;
}

async fn a_disabled_key_stops_working_within_seconds(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.chat(&customer.key, &request()).await.expect_ok();
    let mut tx = app.store.begin().await.unwrap();
    let change = store::keys::KeyChange {
        disabled: Some(true),
        ..store::keys::KeyChange::default()
    };
    store::keys::update(
        &mut tx,
        &customer.account,
        &customer.key_hash,
        &change,
        crate::support::customer::now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    crate::support::eventually("the key is refused", async || {
        let reply = app.chat(&customer.key, &request()).await;
        (reply.status.as_u16() == 401).then_some(())
    })
    .await;
    app.finish().await;
}
