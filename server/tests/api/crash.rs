//! The server dies in the middle of its work.

use crate::support::http::text_of;
use crate::support::providers::{ask, ask_stream, cost_nano};
use crate::support::server::{self, Server};
use crate::support::{Db, PATIENCE, TestApp, eventually};
use domain::generation::Outcome;
use fake_provider::{Bill, Plan, Script};
use std::collections::BTreeMap;

on_both_databases!(
    kill_nine_amid_ten_streams_charges_each_of_them_exactly_once,
    kill_nine_right_after_an_answer_loses_no_charge,
    a_signal_to_stop_lets_running_streams_finish,
    a_dead_nodes_leases_go_back_to_their_owners,
    a_node_taken_for_dead_begins_anew_when_it_has_settled,
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

async fn a_dead_nodes_leases_go_back_to_their_owners(db: Db) {
    let mut app = TestApp::start_with(db, &[("TOLLWAY_LEASE_EXPIRY_SECS", "2")]).await;
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("catalog.json");
    std::fs::write(&catalog, app.providers.catalog().to_string()).unwrap();
    let mut environment = server::environment(dir.path(), &catalog, app.database.url());
    environment.push(("TOLLWAY_LEASE_EXPIRY_SECS".to_owned(), "2".to_owned()));
    let mut other = Server::start(environment, dir.path(), &app.http).await;

    let customer = app.customer("1").await;
    app.providers.alpha.set_script(slow(2_000));
    let mut stream = app.stream(&customer.key, &ask_stream("test/alpha", "hi")).await;
    let received = stream.read_text(5).await.len() as u64;
    assert!(
        customer.credits(&app.store).await.in_escrow.get() > 0,
        "the node has a lease"
    );
    app.server.kill();
    let back = eventually("the lease is back", async || {
        let credits = customer.credits(&app.store).await;
        (credits.in_escrow.get() == 0).then_some(credits.available.get())
    })
    .await;
    assert_eq!(back, 1_000_000_000);
    // The dead one comes back, and what it had in its journal is charged all the same: there is enough.
    app.server.restart().await;
    let generation = app.generations(&customer, 1).await.remove(0);
    assert!(generation.usage.completion >= received && generation.outcome == Outcome::Recovered);
    assert_eq!(generation.cost.get(), cost_nano(&generation));
    let reply = app.chat(&customer.key, &ask("test/echo", "still works")).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
    other.stop().await;
    app.finish().await;
}

async fn a_node_taken_for_dead_begins_anew_when_it_has_settled(db: Db) {
    let app = TestApp::start_with(db, &[("TOLLWAY_LEASE_EXPIRY_SECS", "2")]).await;
    let customer = app.customer("1").await;
    app.providers.alpha.set_script(slow(150));
    let mut stream = app.stream(&customer.key, &ask_stream("test/alpha", "hi")).await;
    let id = stream.generation_id();
    stream.read_text(1).await;
    fence_all(&app).await;
    assert_eq!(customer.credits(&app.store).await.in_escrow.get(), 0);
    eventually("the node knows", async || {
        let reply = app.chat(&customer.key, &ask("test/echo", "too early")).await;
        (reply.status.as_u16() == 503).then(|| assert!(!reply.header("retry-after").is_empty()))
    })
    .await;
    stream.rest().await;
    let generation = app.generation(&id).await;
    assert_eq!(
        (generation.outcome, generation.usage.completion),
        (Outcome::Completed, 150)
    );
    assert_eq!(generation.cost.get(), cost_nano(&generation));
    eventually("the node serves again", async || {
        let reply = app.chat(&customer.key, &ask("test/echo", "again")).await;
        (reply.status.as_u16() == 200).then_some(())
    })
    .await;
    app.finish().await;
}

/// As another node would that saw none of their beats.
async fn fence_all(app: &TestApp) {
    eventually("it is fenced between two beats", async || {
        let mut tx = app.store.begin().await.unwrap();
        let nodes = store::nodes::all(&mut tx).await.unwrap();
        let mut count = 0;
        let mut id = || {
            count += 1;
            domain::id::TransferId::new([count; 16])
        };
        let now = crate::support::customer::now();
        let mut fenced = true;
        for node in nodes {
            fenced &= store::nodes::fence(&mut tx, &node.id, node.beats, &mut id, now)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        fenced.then_some(())
    })
    .await;
}
