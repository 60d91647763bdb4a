//! `cargo xtask bench`: how fast it is.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::cargo;
use crate::postgres::Cluster;
use crate::process;
use crate::workspace::{Profile, Workspace};

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Admission, journal and settlement, on SQLite and on PostgreSQL with its usual durability.
    Ledger {
        /// Seconds spent on each row of settlement.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Generations that are in the ledger before settlement is measured.
        #[arg(long, default_value_t = 0, value_name = "COUNT")]
        filled: u32,
    },
}

/// Builds for speed and measures; fails when a target is missed.
pub fn bench(workspace: &Workspace, bench: &Bench) -> Result<ExitCode> {
    let Bench::Ledger { seconds, filled } = bench;
    process::check(cargo(workspace).args(["build", "--release", "--bin", "tollway-bench"]))?;
    let cluster = Cluster::start_durable(workspace)?;
    let program = workspace
        .server_binary(Profile::Release)
        .with_file_name("tollway-bench");
    let mut command = Command::new(program);
    command.args(["ledger", "--seconds", &seconds.to_string()]);
    command.args(["--filled", &filled.to_string()]);
    let met = process::run(command.env("TOLLWAY_TEST_PG_URL", &cluster.url))?.success();
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
