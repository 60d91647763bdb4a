//! What a Makefile would hold: set-up, run, watch and test, from a fresh clone with nothing but Rust and package registries.

mod bench;
mod browser;
mod cargo;
mod debian;
mod dev;
mod fuzz;
mod local_model;
mod lock;
mod loopback;
mod pins;
mod postgres;
mod process;
mod python;
mod run;
mod site;
mod test;
mod torture;
mod workspace;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use process::Interrupted;
use workspace::Workspace;

/// Builds, runs and tests Tollway.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Build everything, start the local model and serve the site.
    Run(run::Options),
    /// Like run, and again whenever a source file changes.
    Dev(run::Options),
    /// Run all tests, or some parts of them; installs what they need.
    Test(test::Options),
    /// Do the worst to real servers, and see whether the books survive it.
    #[command(subcommand)]
    Torture(torture::Torture),
    /// Measure how fast it is, against the targets.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Feed the decoders and translators bytes that nobody thought of.
    Fuzz(fuzz::Options),
    /// Run only the local model, in the foreground.
    LocalModel {
        /// Port on 127.0.0.1 [default: a free one].
        #[arg(long)]
        port: Option<u16>,
    },
    /// Run a throw-away PostgreSQL cluster in the foreground and print its URL.
    Pg,
}

fn main() -> ExitCode {
    match carry_out(Task::parse()) {
        Ok(code) => code,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(task: Task) -> Result<ExitCode> {
    process::catch_signals()?;
    let workspace = Workspace::discover()?;
    match task {
        Task::Run(options) => run::run(&workspace, options),
        Task::Dev(options) => dev::dev(&workspace, options),
        Task::Test(options) => test::test(&workspace, &options),
        Task::Torture(torture) => torture::torture(&workspace, torture),
        Task::Bench(bench) => bench::bench(&workspace, &bench),
        Task::Fuzz(options) => fuzz::fuzz(&workspace, &options),
        Task::LocalModel { port } => serve_local_model(&workspace, port),
        Task::Pg => serve_postgres(&workspace),
    }
}

fn serve_local_model(workspace: &Workspace, port: Option<u16>) -> Result<ExitCode> {
    let installed = local_model::install(workspace)?;
    let port = port.map_or_else(loopback::free_port, Ok)?;
    let mut model = local_model::start(workspace, &installed, port)?;
    writeln!(std::io::stdout(), "{}", model.url())?;
    while process::pause(Duration::from_millis(200)).is_ok() {
        if let Some(status) = model.exited()? {
            anyhow::bail!("the local model ended with {status}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn serve_postgres(workspace: &Workspace) -> Result<ExitCode> {
    let cluster = postgres::Cluster::start(workspace)?;
    writeln!(std::io::stdout(), "{}", cluster.url)?;
    while process::pause(Duration::from_millis(200)).is_ok() {}
    Ok(ExitCode::SUCCESS)
}
