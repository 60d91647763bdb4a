//! `cargo xtask torture`: real servers under the worst that can happen, and whether the books survive it.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::cargo;
use crate::postgres::Cluster;
use crate::process;
use crate::workspace::{Profile, Workspace};

#[derive(clap::Subcommand)]
pub enum Torture {
    /// Little money, very many callers, several servers on one database, and kill -9.
    ///
    /// 1,000 callers at once want to spend $0.05 through three servers that share a PostgreSQL database, while one of the
    /// servers is killed; then the ledger, the callers and the provider's own tally are compared. Repeated, and the same on
    /// SQLite with one server. The last line says PASS or FAIL and why.
    Money(Options),
}

#[derive(clap::Args)]
pub struct Options {
    /// How often, on each database.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Callers in each round.
    #[arg(long, default_value_t = 1_000)]
    requests: u32,
    /// One round with few callers, as continuous integration does it.
    #[arg(long, conflicts_with_all = ["rounds", "requests"])]
    short: bool,
    /// Repeats the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// The server compiled for speed.
    #[arg(long)]
    release: bool,
}

const SHORT_ROUNDS: u32 = 1;
const SHORT_REQUESTS: u32 = 300;

impl Options {
    pub fn short() -> Self {
        Self {
            rounds: SHORT_ROUNDS,
            requests: SHORT_REQUESTS,
            short: true,
            seed: None,
            release: false,
        }
    }
}

pub fn torture(workspace: &Workspace, torture: Torture) -> Result<ExitCode> {
    let Torture::Money(options) = torture;
    let options = if options.short {
        Options {
            seed: options.seed,
            release: options.release,
            ..Options::short()
        }
    } else {
        options
    };
    build(workspace, &options)?;
    let cluster = Cluster::start(workspace)?;
    let passed = money(workspace, &options, &cluster.url)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server and its torturer, by one invocation: cargo then picks the features of shared dependencies as it does for the
/// tests.
pub fn build(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--bin", "tollway", "--bin", "tollway-bench"]);
    if options.release {
        command.arg("--release");
    }
    process::check(&mut command)
}

/// Runs it against built programs; whether it passed.
pub fn money(workspace: &Workspace, options: &Options, postgres: &str) -> Result<bool> {
    let server = workspace.server_binary(Profile::of(options.release));
    let mut command = Command::new(server.with_file_name("tollway-bench"));
    command
        .arg("torture-money")
        .arg("--tollway")
        .arg(&server)
        .args(["--rounds", &options.rounds.to_string()])
        .args(["--requests", &options.requests.to_string()])
        .arg("--logs")
        .arg(workspace.target.join("logs"))
        .env("TOLLWAY_TEST_PG_URL", postgres);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    std::fs::create_dir_all(workspace.target.join("logs"))?;
    Ok(process::run(&mut command)?.success())
}
