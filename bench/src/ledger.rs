//! `ledger`: how fast money moves: admission, journal and settlement, each as the server does it.

mod hot_path;
mod settlement;

use crate::say;
use anyhow::Result;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Options {
    /// A PostgreSQL cluster's superuser; without it that part is left out.
    #[arg(long, env = "TOLLWAY_TEST_PG_URL", hide_env_values = true, value_name = "URL")]
    postgres: Option<String>,
    /// Seconds spent on each settlement row.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Generations that are in the ledger before anything is measured.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    filled: usize,
    /// One part alone.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Admission and journal.
    HotPath,
    Sqlite,
    Postgres,
}

/// One row of the table.
pub struct Row {
    pub what: String,
    pub median: Measure,
    /// Of all samples, the one that 99 % are better than.
    pub worst: Measure,
    pub target: Option<Measure>,
}

/// What is measured: time for one operation, or how many in a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Measure {
    /// Less is better.
    Nanos(f64),
    /// More is better.
    PerSecond(f64),
}

/// Prints the table; the exit status says whether all targets were met.
pub fn run(options: &Options) -> ExitCode {
    let rows = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(measure(options)));
    match rows {
        Ok(met) => {
            say(if met { "all targets met" } else { "targets missed" });
            ExitCode::from(u8::from(!met))
        }
        Err(error) => {
            say(format!("not measured: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    say(format!("{cores} cores, load {} before", load()));
    if cfg!(debug_assertions) {
        say("not optimised: these numbers say little");
    }
    say(format!("{:<58} {:>12} {:>12} {:>12}", "", "median", "p99", "target"));
    let mut met = true;
    let mut show = |row: Row| {
        say(&row);
        met &= row.is_met();
    };
    let asked = |part| options.only.is_none_or(|only| only == part);
    if asked(Part::HotPath) {
        for row in hot_path::measure().await? {
            show(row);
        }
    }
    let run = |writers| settlement::Run {
        writers,
        filled: options.filled,
        time: Duration::from_secs(options.seconds),
    };
    if asked(Part::Sqlite) {
        show(settlement::on_sqlite(run(1)).await?);
    }
    if let Some(cluster) = options.postgres.as_ref().filter(|_| asked(Part::Postgres)) {
        for writers in [1, 2] {
            show(settlement::on_postgres(cluster, run(writers)).await?);
        }
    }
    say(format!("load {} after", load()));
    Ok(met)
}

/// Of the last minute, as the system tells.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

impl Row {
    /// From one sample or many.
    pub fn of(
        what: impl Into<String>,
        mut samples: Vec<f64>,
        unit: fn(f64) -> Measure,
        target: Option<Measure>,
    ) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |part: usize| samples.get(samples.len() * part / 100).copied().unwrap_or_default();
        let worst = match unit(0.0) {
            Measure::Nanos(_) => at(99),
            Measure::PerSecond(_) => at(1),
        };
        Self {
            what: what.into(),
            median: unit(at(50)),
            worst: unit(worst),
            target,
        }
    }

    fn is_met(&self) -> bool {
        match (self.median, self.target) {
            (Measure::Nanos(took), Some(Measure::Nanos(target))) => took <= target,
            (Measure::PerSecond(rate), Some(Measure::PerSecond(target))) => rate >= target,
            _ => true,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, worst) = (self.median.to_string(), self.worst.to_string());
        write!(f, "{:<58} {median:>12} {worst:>12}", self.what)?;
        let Some(target) = self.target else { return Ok(()) };
        let (target, verdict) = (target.to_string(), if self.is_met() { "ok" } else { "missed" });
        write!(f, " {target:>12}  {verdict}")
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nanos(nanos) if *nanos < 1_000.0 => write!(f, "{nanos:.0} ns"),
            Self::Nanos(nanos) if *nanos < 1_000_000.0 => write!(f, "{:.2} µs", nanos / 1_000.0),
            Self::Nanos(nanos) => write!(f, "{:.2} ms", nanos / 1_000_000.0),
            Self::PerSecond(rate) => write!(f, "{rate:.0}/s"),
        }
    }
}
