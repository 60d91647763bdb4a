//! `cargo xtask test`: everything that says whether the product works, and what that takes to find out.

mod bed;
mod counts;
mod runner;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use bed::Bed;
use counts::Counts;
use runner::Selection;

use crate::cargo::{WASM_TARGET, cargo, ensure_wasm_target};
use crate::process::{self, Interrupted};
use crate::torture;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Options {
    /// Parts to run [default: all, in this order].
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// An OpenAPI document (YAML or JSON) that the server's replies are compared with besides its own.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The code is formatted.
    Fmt,
    /// Lints, for the server and for the browser.
    Clippy,
    /// Pure code and single modules.
    Unit,
    /// All SQL, on SQLite and PostgreSQL.
    Store,
    /// The server over HTTP, with scripted providers behind it.
    Api,
    /// Little money, many callers and kill -9, in short.
    Torture,
    /// The server with the local model behind it.
    Model,
    /// Journeys in a browser.
    E2e,
}

/// What became of one part.
struct Outcome {
    part: Part,
    counts: Counts,
    took: Duration,
    /// Why the part failed, when not just some of its tests did.
    error: Option<String>,
}

pub fn test(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| options.parts.is_empty() || options.parts.contains(part))
        .collect();
    let mut bed = Bed::new(workspace).with_spec(options.spec.as_deref())?;
    let mut outcomes = Vec::new();
    for part in &parts {
        let outcome = attempt(*part, &mut bed)?;
        eprintln!("── {}", outcome.line());
        outcomes.push(outcome);
    }
    drop(bed);
    report(&outcomes)
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Fmt,
        Self::Clippy,
        Self::Unit,
        Self::Store,
        Self::Api,
        Self::Torture,
        Self::Model,
        Self::E2e,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Unit => "unit",
            Self::Store => "store",
            Self::Api => "api",
            Self::Torture => "torture",
            Self::Model => "model",
            Self::E2e => "e2e",
        }
    }
}

impl Outcome {
    fn failed(&self) -> bool {
        self.error.is_some() || self.counts.failed > 0
    }

    fn line(&self) -> String {
        let verdict = if self.failed() { "FAILED" } else { "ok" };
        let name = self.part.name();
        let Counts {
            passed,
            failed,
            skipped,
        } = self.counts;
        let took = self.took.as_secs_f32();
        format!("{name:<7} {verdict:<7} {passed:>5} passed {failed:>5} failed {skipped:>5} skipped {took:>8.1} s")
    }
}

/// Runs one part. Its failure is part of the outcome; only an interruption is an error.
fn attempt(part: Part, bed: &mut Bed<'_>) -> Result<Outcome> {
    eprintln!("\n── {} {}", part.name(), "─".repeat(60));
    let started = Instant::now();
    let result = carry_out(part, bed);
    let took = started.elapsed();
    let (counts, error) = match result {
        Ok(counts) => (counts, None),
        Err(error) if error.is::<Interrupted>() || process::interrupted() => return Err(error),
        Err(error) => (Counts::default(), Some(format!("{error:#}"))),
    };
    if let Some(error) = &error {
        eprintln!("{error}");
    }
    Ok(Outcome {
        part,
        counts,
        took,
        error,
    })
}

fn carry_out(part: Part, bed: &mut Bed<'_>) -> Result<Counts> {
    match part {
        Part::Fmt => fmt(bed.workspace),
        Part::Clippy => clippy(bed.workspace),
        Part::Unit => runner::run(bed.workspace, Selection::Unit, &[]),
        Part::Store => {
            let environment = [bed.postgres()?];
            runner::run(bed.workspace, Selection::Store, &environment)
        }
        Part::Api => {
            let environment = [bed.postgres()?, bed.python()?, bed.spec()];
            runner::run(bed.workspace, Selection::Api, &environment)
        }
        Part::Torture => torture_shortly(bed),
        Part::Model => {
            let environment = [bed.postgres()?, bed.model()?, bed.python()?, bed.npm()?, bed.spec()];
            runner::run(bed.workspace, Selection::Model, &environment)
        }
        Part::E2e => {
            let mut environment = bed.site()?;
            environment.extend([bed.chromium()?, bed.postgres()?, bed.model()?, bed.python()?]);
            runner::playwright(bed.workspace, &environment)
        }
    }
}

fn torture_shortly(bed: &mut Bed<'_>) -> Result<Counts> {
    let options = torture::Options::short();
    torture::build(bed.workspace, &options)?;
    let cluster = bed.cluster()?.url.clone();
    let passed = torture::money(bed.workspace, &options, &cluster)?;
    Ok(Counts {
        passed: u64::from(passed),
        failed: u64::from(!passed),
        skipped: 0,
    })
}

fn fmt(workspace: &Workspace) -> Result<Counts> {
    process::check(cargo(workspace).args(["fmt", "--all", "--check"]))?;
    // A workspace of its own, which cargo would have to resolve first.
    process::check(Command::new("rustfmt").current_dir(&workspace.root).args([
        "--check",
        "--edition",
        "2024",
        "fuzz/src/lib.rs",
    ]))?;
    Ok(Counts::default())
}

/// The browser side is linted alone and for its own target, since beside the server its features would be the server's.
fn clippy(workspace: &Workspace) -> Result<Counts> {
    ensure_wasm_target(workspace)?;
    let strict = |command: &mut Command| process::check(command.args(["--", "-D", "warnings"]));
    let native = strict(cargo(workspace).args(["clippy", "--workspace", "--exclude", "frontend", "--all-targets"]));
    if process::interrupted() {
        native?;
        bail!(Interrupted);
    }
    let browser = strict(cargo(workspace).args(["clippy", "--package", "frontend", "--target", WASM_TARGET]));
    native.and(browser).map(|()| Counts::default())
}

/// The table of parts and, last and alone on its line, the sum. A part that failed without a failed test counts as one.
fn report(outcomes: &[Outcome]) -> Result<ExitCode> {
    eprintln!("\n── summary {}", "─".repeat(56));
    for outcome in outcomes {
        eprintln!("   {}", outcome.line());
        if let Some(error) = &outcome.error {
            eprintln!("           {}", error.lines().next().unwrap_or_default());
        }
    }
    let (passed, failed) = totals(outcomes);
    writeln!(std::io::stdout(), "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn totals(outcomes: &[Outcome]) -> (u64, u64) {
    let passed = outcomes.iter().map(|outcome| outcome.counts.passed).sum();
    let failed = outcomes
        .iter()
        .map(|outcome| outcome.counts.failed.max(u64::from(outcome.failed())))
        .sum();
    (passed, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: u64, failed: u64, error: Option<&str>) -> Outcome {
        let counts = Counts {
            passed,
            failed,
            skipped: 0,
        };
        Outcome {
            part: Part::Unit,
            counts,
            took: Duration::ZERO,
            error: error.map(Into::into),
        }
    }

    #[test]
    fn a_part_that_breaks_counts_as_one_failure() {
        let outcomes = [
            outcome(7, 2, None),
            outcome(0, 0, Some("does not compile")),
            outcome(3, 0, None),
        ];
        assert_eq!(totals(&outcomes), (10, 3));
    }
}
