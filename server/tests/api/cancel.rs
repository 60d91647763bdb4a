//! Callers who hang up.

use crate::support::providers::{ask, ask_stream, cost_nano};
use crate::support::{Db, PATIENCE, TestApp, eventually};
use domain::generation::{Generation, Outcome};
use domain::time::Micros;
use fake_provider::{Cancel, Plan, Script};
use std::time::Duration;
use store::cuts::RecordLine;

on_both_databases!(
    a_hang_up_stops_a_provider_that_can_stop,
    a_hang_up_is_drained_at_a_provider_that_bills_to_the_end,
    a_hang_up_before_the_first_token_charges_the_prompt_alone,
    a_hang_up_on_an_answer_in_one_piece_stops_too,
    a_provider_found_to_bill_on_is_followed_to_the_end,
);

/// Milliseconds between tokens.
const PACE_MS: u64 = 10;
const TOKENS: u64 = 500;

fn slow(cancel: Cancel) -> Script {
    Script::always(Plan {
        tokens: TOKENS,
        token_ms: PACE_MS,
        cancel,
        timings: true,
        ..Plan::default()
    })
}

async fn a_hang_up_stops_a_provider_that_can_stop(db: Db) {
    let app = TestApp::start(db).await;
    for model in ["test/alpha", "test/progress"] {
        let customer = app.customer("1").await;
        app.providers.alpha.set_script(slow(Cancel::Stops));
        let mut stream = app.stream(&customer.key, &ask_stream(model, "hi")).await;
        let id = stream.generation_id();
        stream.read_text(10).await;
        let produced_at_hang_up = app.providers.alpha.tally().bills.last().unwrap().produced_tokens;
        drop(stream);
        let generation = app.generation(&id).await;
        let bill = app.bill(&app.providers.alpha, &generation);
        assert_eq!(
            (bill.outcome, generation.outcome),
            (fake_provider::Outcome::Cancelled, Outcome::Cancelled)
        );
        // Within 200 ms of tokens, with room for a busy machine.
        let after = bill.produced_tokens - produced_at_hang_up;
        assert!(after * PACE_MS <= 1_000, "{after} tokens after the hang-up");
        assert_charged_what_was_seen(&generation, 10, bill.billed_completion_tokens);
    }
    app.finish().await;
}

async fn a_hang_up_is_drained_at_a_provider_that_bills_to_the_end(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.gamma.set_script(slow(Cancel::BillsToEnd));
    let mut stream = app.stream(&customer.key, &ask_stream("test/drain", "12345678")).await;
    let id = stream.generation_id();
    stream.read_text(10).await;
    drop(stream);
    let generation = app.generation(&id).await;
    let bill = app.bill(&app.providers.gamma, &generation);
    assert_eq!(
        (bill.outcome, bill.billed_completion_tokens),
        (fake_provider::Outcome::Finished, TOKENS)
    );
    assert_eq!((generation.usage.prompt, generation.usage.completion), (2, TOKENS));
    assert_eq!(generation.cost.get(), cost_nano(&generation));
    assert_eq!((generation.outcome, generation.estimated), (Outcome::Cancelled, false));
    app.finish().await;
}

async fn a_hang_up_before_the_first_token_charges_the_prompt_alone(db: Db) {
    let app = TestApp::start(db).await;
    let never = 60_000;
    let no_head = Plan {
        headers_ms: never,
        ..Plan::default()
    };
    let no_token = Plan {
        first_token_ms: never,
        ..Plan::default()
    };
    for (plan, is_charged) in [(no_head, false), (no_token, true)] {
        let customer = app.customer("1").await;
        app.providers.alpha.set_script(Script::always(plan));
        let body = ask_stream("test/alpha", "12345678");
        let request = app.post_chat(&customer.key, &body);
        assert!(tokio::time::timeout(Duration::from_millis(500), request).await.is_err());
        assert!(app.providers.alpha.idle(PATIENCE).await, "the provider is left");
        let generation = app.generations(&customer, 1).await.remove(0);
        let bill = app.providers.alpha.tally().bills.pop().unwrap();
        assert_eq!(
            (bill.outcome, bill.billed_prompt_tokens),
            (fake_provider::Outcome::Cancelled, 2)
        );
        // Without any word from the provider there is no telling whether it has the request: the house pays.
        let outcome = if is_charged { Outcome::Cancelled } else { Outcome::Empty };
        assert_eq!(
            (generation.usage.completion, generation.outcome),
            (0, outcome),
            "{generation:?}"
        );
        let (payer, other) = match is_charged {
            true => (generation.cost, generation.house_cost),
            false => (generation.house_cost, generation.cost),
        };
        assert_eq!((payer.get(), other.get()), (cost_nano(&generation), 0));
    }
    app.finish().await;
}

async fn a_hang_up_on_an_answer_in_one_piece_stops_too(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(slow(Cancel::Stops));
    let body = ask("test/alpha", "hi");
    let request = app.post_chat(&customer.key, &body);
    let tokens_come = eventually("tokens come", async || {
        let bills = app.providers.alpha.tally().bills;
        bills.last().filter(|bill| bill.produced_tokens >= 20).map(|_| ())
    });
    tokio::select! {
        response = request => panic!("answered {}", response.status()),
        () = tokens_come => {}
    }
    let generation = app.generations(&customer, 1).await.remove(0);
    let bill = app.bill(&app.providers.alpha, &generation);
    assert_eq!(
        (bill.outcome, generation.outcome),
        (fake_provider::Outcome::Cancelled, Outcome::Cancelled)
    );
    assert_charged_what_was_seen(&generation, 1, bill.billed_completion_tokens);
    app.finish().await;
}

/// The catalog says that it stops, and the provider's own records say otherwise.
async fn a_provider_found_to_bill_on_is_followed_to_the_end(db: Db) {
    let app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(slow(Cancel::BillsToEnd));
    let mut records = Vec::new();
    for _ in 0..store::cuts::TELLING_MIN {
        let generation = hung_up(&app, &customer.key).await;
        assert!(generation.usage.completion < TOKENS, "{generation:?}");
        records.push(RecordLine {
            provider: generation.provider,
            upstream_id: generation.upstream_id.unwrap(),
            completion: TOKENS,
        });
    }
    let mut tx = app.store.begin().await.unwrap();
    let now = Micros::from_datetime(chrono::Utc::now());
    let matched = store::cuts::import(&mut tx, &records, now).await.unwrap();
    assert_eq!(matched, store::cuts::TELLING_MIN);
    tx.commit().await.unwrap();
    eventually("the verdict is used", async || {
        let generation = hung_up(&app, &customer.key).await;
        (generation.usage.completion == TOKENS).then_some(())
    })
    .await;
    app.finish().await;
}

/// After ten tokens.
async fn hung_up(app: &TestApp, key: &str) -> Generation {
    let mut stream = app.stream(key, &ask_stream("test/alpha", "hi")).await;
    let id = stream.generation_id();
    stream.read_text(10).await;
    drop(stream);
    app.generation(&id).await
}

/// At least what the caller received and at most what the provider bills, at the exact price.
fn assert_charged_what_was_seen(generation: &Generation, received: u64, billed: u64) {
    let charged = generation.usage.completion;
    assert!(
        (received..=billed).contains(&charged),
        "received {received}, charged {charged}, billed {billed}"
    );
    assert_eq!(generation.cost.get(), cost_nano(generation));
}
