//! Outcomes into the store, as the server's writer does it: batch after batch, each one transaction.

use super::{Measure, Row};
use crate::customer::{self, Customer, now};
use crate::{database, random};
use anyhow::{Result, ensure};
use domain::generation::{Attempt, Generation, Outcome};
use domain::id::{GenerationId, NodeId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::{NanoUsd, PicoUsd};
use domain::price::Prices;
use domain::slug::ModelSlug;
use domain::usage::Usage;
use std::time::{Duration, Instant};
use store::Store;

/// As the server's writer, which has so many batches of each node under way at once.
const BATCH: usize = 1_000;
const BATCHES: usize = 2;
const CUSTOMERS: usize = 50;
const CREDITS: NanoUsd = NanoUsd::new(1_000_000_000_000);
const LEASED: NanoUsd = NanoUsd::new(400_000_000_000);
const MODELS: [&str; 3] = ["maker/small", "maker/large", "other/chat"];
const SQLITE_TARGET: Measure = Measure::PerSecond(5_000.0);
const POSTGRES_TARGET: Measure = Measure::PerSecond(10_000.0);

/// What is settled, and for how long.
#[derive(Clone, Copy)]
pub struct Run {
    /// Nodes at work at once.
    pub writers: usize,
    /// Generations that are in the ledger before.
    pub filled: usize,
    pub time: Duration,
}

pub async fn on_sqlite(run: Run) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite:{}", dir.path().join("bench.db").display());
    let samples = sustained(&url, run).await?;
    let what = format!("settlement: SQLite, batches of {BATCH}");
    Ok(Row::of(what, samples, Measure::PerSecond, Some(SQLITE_TARGET)))
}

pub async fn on_postgres(cluster: &str, run: Run) -> Result<Row> {
    let url = database::create(cluster).await?;
    let samples = sustained(&url, run).await?;
    let nodes = if run.writers == 1 { "node" } else { "nodes" };
    let what = format!("settlement: PostgreSQL, batches of {BATCH}, {} {nodes}", run.writers);
    Ok(Row::of(what, samples, Measure::PerSecond, Some(POSTGRES_TARGET)))
}

/// A finished answer of ordinary size, of the `number`-th request.
pub fn generation(number: usize, customer: &Customer) -> Generation {
    let slug = MODELS[number % MODELS.len()];
    let prices = Prices {
        prompt: PicoUsd::new(1_000_000),
        completion: PicoUsd::new(4_000_000),
        ..Prices::default()
    };
    let usage = Usage {
        prompt: 900,
        completion: 200,
        cache_read: 300,
        ..Usage::default()
    };
    let endpoint = format!("{slug}|acme");
    Generation {
        id: GenerationId::new(now(), random::bytes()),
        node: NodeId::stored("node_bench"),
        account: customer.account.clone(),
        key: customer.key_hash.clone(),
        model: ModelSlug::parse(slug).unwrap_or_else(|_| unreachable!("a slug")),
        endpoint: endpoint.clone(),
        provider: "acme".to_owned(),
        surface: "chat".to_owned(),
        streamed: true,
        cost: prices.cost(&usage).total,
        usage,
        estimated: false,
        house_cost: NanoUsd::ZERO,
        prices,
        outcome: Outcome::Completed,
        finish_reason: Some("stop".to_owned()),
        native_finish_reason: Some("stop".to_owned()),
        upstream_id: Some(format!("chatcmpl-{number}")),
        created: now(),
        first_token_us: Some(210_000),
        duration_us: 1_900_000,
        app_name: Some(format!("App {}", number % 20)),
        app_url: Some(format!("https://app-{}.example", number % 20)),
        attempts: vec![Attempt {
            endpoint,
            provider: "acme".to_owned(),
            status: Some(200),
            error_type: None,
            latency_us: 200_000,
        }],
    }
}

/// Generations settled in each second, by all writers together; the first second is left out.
async fn sustained(url: &str, run: Run) -> Result<Vec<f64>> {
    let store = Store::connect(url, 8).await?;
    store.migrate().await?;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        customers.push(customer::create(&store, CREDITS).await?);
    }
    let mut nodes = Vec::new();
    for writer in 0..run.writers {
        let node = NodeId::stored(format!("node_bench_{writer}"));
        lease(&store, &node, &customers).await?;
        nodes.push(node);
    }
    for number in (0..run.filled).step_by(BATCH) {
        settle(&store, &nodes[0], &customers, number).await?;
    }
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes.iter().flat_map(|node| std::iter::repeat_n(node, BATCHES)) {
        tasks.spawn(write(store.clone(), node.clone(), customers.clone(), began + run.time));
    }
    let mut finished: Vec<f64> = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        finished.extend(ended??.iter().map(|at| (*at - began).as_secs_f64()));
    }
    let verdict = store::ledger::verify(&mut store.read().await?).await?;
    ensure!(verdict.is_ok(), "the books are wrong: {verdict:?}");
    store.close().await;
    Ok(per_second(finished))
}

/// When each batch was settled.
async fn write(store: Store, node: NodeId, customers: Vec<Customer>, until: Instant) -> Result<Vec<Instant>> {
    let mut settled = Vec::new();
    while Instant::now() < until {
        settle(&store, &node, &customers, settled.len() * BATCH).await?;
        settled.push(Instant::now());
    }
    Ok(settled)
}

/// One batch, whose first generation is the `number`-th.
async fn settle(store: &Store, node: &NodeId, customers: &[Customer], number: usize) -> Result<()> {
    let batch: Vec<_> = (number..number + BATCH)
        .map(|number| generation(number, &customers[number % customers.len()]))
        .collect();
    let mut new_id = || TransferId::at(now(), random::bytes());
    let mut tx = store.begin().await?;
    let done = store::settlement::settle(&mut tx, node, &batch, &mut new_id, now()).await?;
    tx.commit().await?;
    ensure!(done.new.len() == BATCH && done.overruns.is_empty(), "{done:?}");
    Ok(())
}

async fn lease(store: &Store, node: &NodeId, customers: &[Customer]) -> Result<()> {
    let mut tx = store.begin().await?;
    store::nodes::start(&mut tx, node, now()).await?;
    tx.commit().await?;
    for customer in customers {
        let from = LedgerAccount::Customer(customer.account.clone());
        let to = LedgerAccount::Escrow(node.clone(), customer.account.clone());
        let id = TransferId::new(random::bytes());
        let transfer = Transfer {
            idempotency_key: format!("lease:{id}"),
            id,
            kind: TransferKind::LeaseTaken,
            legs: legs(from.clone(), to, LEASED),
            created: now(),
        };
        let mut tx = store.begin().await?;
        ensure!(store::ledger::take(&mut tx, &from, &transfer).await?, "no credits");
        tx.commit().await?;
    }
    Ok(())
}

/// Rates over windows of a second or the little more that the last batch in it took; the first is left out.
fn per_second(mut finished: Vec<f64>) -> Vec<f64> {
    finished.sort_by(f64::total_cmp);
    let batch = f64::from(u32::try_from(BATCH).unwrap_or(u32::MAX));
    let (mut rates, mut since, mut settled) = (Vec::new(), 0.0, 0.0);
    for at in finished {
        settled += batch;
        if at - since >= 1.0 {
            rates.push(settled / (at - since));
            (since, settled) = (at, 0.0);
        }
    }
    rates.drain(..rates.len().min(1));
    rates
}
