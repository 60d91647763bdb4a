//! Proof by force: tortures real servers, and measures what the speed of the ledger is made of. Started by `cargo xtask`,
//! which knows where the server and the databases are.

mod customer;
mod database;
mod ledger;
mod random;
mod torture;

// The server is a program and no library: the files that are measured are compiled here once more, as they stand there.
#[allow(dead_code, unused_imports, reason = "the server uses the rest")]
#[path = "../../server/src/allowance.rs"]
mod allowance;
#[allow(dead_code, reason = "the server uses the rest")]
#[path = "../../server/src/clock.rs"]
mod clock;
#[allow(dead_code, unused_imports, reason = "the server uses the rest")]
#[path = "../../server/src/journal.rs"]
mod journal;

/// What the journal wants of the server's settings.
#[allow(dead_code, reason = "the server uses the rest")]
mod config {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fsync {
        Always,
        /// Milliseconds.
        Interval(u64),
    }
}

use clap::Parser;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

/// As the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "tollway-bench")]
enum Task {
    /// Real servers, little money, many callers, and kill -9.
    TortureMoney(torture::Options),
    /// The speed of admission, journal and settlement.
    Ledger(ledger::Options),
}

fn main() -> ExitCode {
    // Only fails when it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Task::parse() {
        Task::TortureMoney(options) => torture::run(&options),
        Task::Ledger(options) => ledger::run(&options),
    }
}

/// One line on stdout. Nobody reading any more is no reason to stop.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
