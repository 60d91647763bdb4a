//! What every request does before and after its answer, without a database: hold, journal, checkpoint.

use super::{Measure, Row};
use crate::allowance::Allowances;
use crate::config::Fsync;
use crate::customer;
use crate::journal::{Journal, Record};
use anyhow::{Result, anyhow};
use domain::generation::Generation;
use domain::id::NodeId;
use domain::money::NanoUsd;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use store::Store;
use store::keys::Key;

const SAMPLES: usize = 60;
const OPERATIONS: usize = 5_000;
const HELD: NanoUsd = NanoUsd::new(100_000);
const CREDITS: NanoUsd = NanoUsd::new(1_000_000_000_000);
const HOLD_TARGET: Measure = Measure::Nanos(2_000.0);
const APPEND_TARGET: Measure = Measure::Nanos(5_000.0);
const FSYNC_MS: u64 = 10;

pub async fn measure() -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite:{}", dir.path().join("bench.db").display());
    let store = Store::connect(&url, 2).await?;
    store.migrate().await?;
    let customer = customer::create(&store, CREDITS).await?;
    let limited = customer::add_key(&store, &customer, Some(CREDITS)).await?;
    let mut rows = vec![
        hold("admission: hold from a lease and give back", &store, &customer.row).await?,
        hold("admission: the same under a key's limit", &store, &limited).await?,
        contended(&store, &customer.row).await?,
    ];
    let generation = super::settlement::generation(0, &customer);
    rows.extend(journal(dir.path(), &generation)?);
    store.close().await;
    Ok(rows)
}

async fn hold(what: &str, store: &Store, key: &Key) -> Result<Row> {
    let allowances = Allowances::new(store.clone(), NodeId::stored("node_bench"));
    let mut samples = Vec::new();
    for sample in 0..=SAMPLES {
        let began = Instant::now();
        holds(&allowances, key).await?;
        if sample > 0 {
            samples.push(nanos_each(began, OPERATIONS));
        }
    }
    allowances.give_back(true).await?;
    Ok(Row::of(what, samples, Measure::Nanos, Some(HOLD_TARGET)))
}

/// As many threads as cores on the same lease.
async fn contended(store: &Store, key: &Key) -> Result<Row> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let allowances = Arc::new(Allowances::new(store.clone(), NodeId::stored("node_bench")));
    holds(&allowances, key).await?;
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..threads {
            let (allowances, key) = (Arc::clone(&allowances), key.clone());
            tasks.spawn(async move {
                let began = Instant::now();
                holds(&allowances, &key).await.map(|()| nanos_each(began, OPERATIONS))
            });
        }
        while let Some(sample) = tasks.join_next().await {
            samples.push(sample??);
        }
    }
    allowances.give_back(true).await?;
    let what = format!("admission: {threads} threads at one account");
    Ok(Row::of(what, samples, Measure::Nanos, Some(HOLD_TARGET)))
}

async fn holds(allowances: &Allowances, key: &Key) -> Result<()> {
    for _ in 0..OPERATIONS {
        let held = allowances.hold(key, HELD, HELD).await;
        drop(black_box(held.map_err(|refused| anyhow!("{refused:?}"))?));
    }
    Ok(())
}

fn journal(dir: &std::path::Path, generation: &Generation) -> Result<Vec<Row>> {
    let (journal, _) = Journal::open(&dir.join("journal"), Fsync::Interval(FSYNC_MS))?;
    let append = one_by_one(|| {
        journal.append(Record::Settlement(black_box(generation)))?;
        Ok(())
    })?;
    let slot = journal.progress.slot(generation.id.clone());
    let checkpoint = one_by_one(|| Ok(slot.write(black_box(&generation.usage))?))?;
    let what = format!("journal: append a settlement (fsync every {FSYNC_MS} ms)");
    Ok(vec![
        Row::of(what, append, Measure::Nanos, Some(APPEND_TARGET)),
        Row::of(
            "journal: checkpoint of a running answer",
            checkpoint,
            Measure::Nanos,
            Some(APPEND_TARGET),
        ),
    ])
}

/// Each by itself: what one request waits for, the unlucky one too.
fn one_by_one(mut operation: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(SAMPLES * OPERATIONS);
    for number in 0..=SAMPLES * OPERATIONS {
        let began = Instant::now();
        operation()?;
        if number >= OPERATIONS {
            samples.push(nanos_each(began, 1));
        }
    }
    Ok(samples)
}

fn nanos_each(began: Instant, operations: usize) -> f64 {
    let operations = u32::try_from(operations).unwrap_or(u32::MAX);
    began.elapsed().as_secs_f64() * 1e9 / f64::from(operations)
}
