//! `torture-money`: a few cents, very many callers at several servers on one database, and one server killed amid them.
//! Afterwards the ledger, the callers and the provider's own tally must agree to the nano-dollar.

mod callers;
mod check;
mod node;
mod providers;
mod stage;

use crate::random::{self, Random};
use crate::{customer, say};
use anyhow::{Context as _, Result, anyhow, bail};
use domain::money::NanoUsd;
use stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Args)]
pub struct Options {
    /// The server's program.
    #[arg(long, value_name = "FILE")]
    tollway: PathBuf,
    /// A PostgreSQL cluster's superuser; without it that half is left out.
    #[arg(long, env = "TOLLWAY_TEST_PG_URL", hide_env_values = true, value_name = "URL")]
    postgres: Option<String>,
    /// How often, on each database.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Callers in each round.
    #[arg(long, default_value_t = 1_000)]
    requests: usize,
    /// Repeats an earlier run's choices.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the servers' logs are written.
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
}

/// What a customer of each round has: five cents.
const CREDITS: NanoUsd = NanoUsd::new(50_000_000);
const NODES_ON_POSTGRES: usize = 3;
const RESTART_MS_MAX: u64 = 400;
const KILL_MS_MAX: u64 = 500;

pub fn run(options: &Options) -> ExitCode {
    let seed = options.seed.unwrap_or_else(random::seed);
    let verdict = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(until_interrupted(torture(options, seed))));
    match verdict {
        Ok(total) => {
            say(format!("PASS: {total} (seed {seed})"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let why = format!("{error:#}").replace('\n', " ");
            say(format!("FAIL: {why} (seed {seed})"));
            ExitCode::FAILURE
        }
    }
}

async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Err(anyhow!("interrupted")),
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
    }
}

async fn torture(options: &Options, seed: u64) -> Result<String> {
    let mut total = check::Round::default();
    if let Some(url) = &options.postgres {
        let stage = Stage::on_postgres(options, url, NODES_ON_POSTGRES).await?;
        total += rounds(options, stage, "postgres", seed).await?;
    }
    let stage = Stage::on_sqlite(options).await?;
    total += rounds(options, stage, "sqlite", seed).await?;
    Ok(format!("{total}"))
}

async fn rounds(options: &Options, mut stage: Stage, database: &str, seed: u64) -> Result<check::Round> {
    let mut total = check::Round::default();
    for number in 1..=options.rounds {
        let random = Random::new(seed).part(number);
        let began = Instant::now();
        let round = round(&mut stage, options.requests, &random)
            .await
            .with_context(|| format!("{database}, round {number} of {}", options.rounds))?;
        let took = began.elapsed().as_secs_f32();
        say(format!(
            "{database} round {number}/{}: {round}; {took:.1} s",
            options.rounds
        ));
        total += round;
    }
    stage
        .close()
        .await
        .with_context(|| format!("{database}, after the last round"))?;
    Ok(total)
}

async fn round(stage: &mut Stage, requests: usize, random: &Random) -> Result<check::Round> {
    let customer = customer::create(&stage.store, CREDITS).await?;
    let asks = callers::plan(requests, stage.nodes.len(), random);
    let watch = stage.watch(&customer);
    let crowd = callers::Crowd::start(asks, &stage.addresses(), &customer.key)?;

    let mut fate = random.part(u64::MAX);
    let victim = fate.below(stage.nodes.len());
    crowd.begun(fate.below(requests / 2)).await;
    tokio::time::sleep(Duration::from_millis(fate.between(0, KILL_MS_MAX))).await;
    stage.nodes[victim].kill()?;
    tokio::time::sleep(Duration::from_millis(fate.between(0, RESTART_MS_MAX))).await;
    stage.nodes[victim].start().await?;

    let seen = crowd.ended().await?;
    let evidence = stage.evidence(&customer, seen).await?;
    let lowest = watch.lowest().await?;
    if lowest.is_negative() {
        bail!("the customer's balance fell to {lowest}");
    }
    let round = check::check(&evidence, CREDITS)?;
    stage.verify()?;
    Ok(round)
}
