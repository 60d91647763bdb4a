//! The server dies in the middle of its work.

use crate::support::http::text_of;
use crate::support::providers::{ask, ask_stream, cost_nano};
use crate::support::{Db, PATIENCE, TestApp};
use domain::generation::Outcome;
use fake_provider::{Bill, Plan, Script};
use std::collections::BTreeMap;

on_both_databases!(
    kill_nine_amid_ten_streams_charges_each_of_them_exactly_once,
    kill_nine_right_after_an_answer_loses_no_charge,
    a_signal_to_stop_lets_running_streams_finish,
);

const STREAMS: usize = 10;

fn question(n: usize) -> String {
    format!("question {n}")
}

/// The dead server took the name of the provider's answer with it, so the bill is found by what was asked.
fn bill_of_question(app: &TestApp, n: usize) -> Bill {
    let requests = app.providers.alpha.requests();
    let place = requests
        .iter()
        .position(|request| request.body["messages"][0]["content"] == question(n).as_str());
    app.providers.alpha.tally().bills[place.unwrap()].clone()
}

fn slow(tokens: u64) -> Script {
    Script::always(Plan {
        tokens,
        token_ms: 10,
        ..Plan::default()
    })
}

async fn kill_nine_amid_ten_streams_charges_each_of_them_exactly_once(db: Db) {
    let mut app = TestApp::start(db).await;
    app.providers.alpha.set_script(slow(2_000));
    let customer = app.customer("1").await;
    let mut streams = Vec::new();
    for n in 0..STREAMS {
        let mut stream = app.stream(&customer.key, &ask_stream("test/alpha", &question(n))).await;
        let received = stream.read_text(5 + n).await.len();
        streams.push((stream.generation_id(), received, stream));
    }
    app.server.kill();
    let mut received: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (n, (id, before, stream)) in streams.into_iter().enumerate() {
        let after = stream.rest().await.iter().filter_map(text_of).count();
        received.insert(id, (n, u64::try_from(before + after).unwrap()));
    }
    assert!(
        app.providers.alpha.idle(PATIENCE).await,
        "the provider's connections are gone"
    );
    app.server.restart().await;
    let generations = app.generations(&customer, STREAMS).await;
    assert_eq!(generations.len(), STREAMS);
    for generation in &generations {
        let (n, seen) = received[generation.id.as_str()];
        let (bill, charged) = (bill_of_question(&app, n), generation.usage.completion);
        assert!(seen <= charged, "{seen} received, {charged} charged");
        assert!(charged <= bill.billed_completion_tokens, "{charged} charged, {bill:?}");
        assert_eq!(
            (generation.outcome, generation.cost.get()),
            (Outcome::Recovered, cost_nano(generation))
        );
    }
    let total: i64 = generations.iter().map(|generation| generation.cost.get()).sum();
    assert_eq!(customer.credits(&app.store).await.used.get(), total);
    // A second death and start finds nothing left to charge.
    app.server.kill();
    app.server.restart().await;
    assert_eq!(app.generations(&customer, STREAMS).await.len(), STREAMS);
    assert_eq!(customer.credits(&app.store).await.used.get(), total);
    let reply = app.chat(&customer.key, &ask("test/echo", "still works")).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    app.finish().await;
}

async fn kill_nine_right_after_an_answer_loses_no_charge(db: Db) {
    let mut app = TestApp::start(db).await;
    let customer = app.customer("1").await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(
            app.chat(&customer.key, &ask("test/alpha", &question(n)))
                .await
                .generation_id(),
        );
    }
    app.server.kill();
    app.server.restart().await;
    for id in &ids {
        let generation = app.generation(id).await;
        assert_eq!(
            (generation.usage.completion, generation.cost.get()),
            (16, cost_nano(&generation))
        );
    }
    let total: i64 = app
        .generations(&customer, 20)
        .await
        .iter()
        .map(|generation| generation.cost.get())
        .sum();
    assert_eq!(customer.credits(&app.store).await.used.get(), total);
    app.finish().await;
}

async fn a_signal_to_stop_lets_running_streams_finish(db: Db) {
    let mut app = TestApp::start(db).await;
    app.providers.alpha.set_script(slow(100));
    let customer = app.customer("1").await;
    let mut stream = app.stream(&customer.key, &ask_stream("test/alpha", "hi")).await;
    let id = stream.generation_id();
    stream.read_text(1).await;
    let (events, ()) = tokio::join!(stream.rest(), app.server.stop());
    assert_eq!(events.last(), Some(&crate::support::Event::Done));
    let generation = app.generation(&id).await;
    assert_eq!(
        (generation.outcome, generation.usage.completion),
        (Outcome::Completed, 100)
    );
    app.finish().await;
}
