//! Runs test programs: cargo-nextest where it is installed, otherwise each program by itself; and Playwright.
//!
//! All test programs of the workspace are built by one and the same cargo invocation and only then picked from, because
//! building for one package at a time would compile shared dependencies again with each package's features.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::bed::Setting;
use super::counts::Counts;
use crate::browser;
use crate::cargo::cargo;
use crate::process;
use crate::workspace::{Workspace, on_path};

/// The server's tests against the real model are this test program.
const MODEL_TESTS: &str = "real_model";
const WITHOUT_BROWSER_SIDE: [&str; 3] = ["--workspace", "--exclude", "frontend"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Unit,
    Store,
    Api,
    Model,
}

/// A test program that cargo built.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    file: PathBuf,
    /// The folder of its package, which tests expect to be started in.
    folder: PathBuf,
    name: String,
    /// From `tests/`, as opposed to `src/`.
    is_integration: bool,
}

/// Runs the selected tests to the end. An error means that they could not be run, or that none was there to run.
pub fn run(workspace: &Workspace, selection: Selection, environment: &[Setting]) -> Result<Counts> {
    let counts = if on_path("cargo-nextest").is_some() {
        nextest(workspace, selection, environment)?
    } else {
        each_program(workspace, selection, environment)?
    };
    ensure_some(counts)
}

/// Runs the journeys of `end2end/`.
pub fn playwright(workspace: &Workspace, environment: &[Setting]) -> Result<Counts> {
    browser::ensure_npm_packages(workspace)?;
    let folder = workspace.end2end();
    let report = folder.join("test-results/report.json");
    let _ = fs::remove_file(&report);
    let status = process::run(
        Command::new(folder.join("node_modules/.bin/playwright"))
            .arg("test")
            .current_dir(&folder)
            .envs(environment.iter().map(|(name, value)| (name, value))),
    )?;
    let report = fs::read_to_string(&report).context("Playwright left no report")?;
    ensure_some(ensure_failure_counted(Counts::of_playwright(&report)?, status)?)
}

impl Selection {
    /// In nextest's language.
    fn filter(self) -> String {
        let server = "package(server) & kind(test)";
        match self {
            Self::Unit => format!("not (package(store) | ({server}))"),
            Self::Store => "package(store)".into(),
            Self::Api => format!("{server} & not binary(={MODEL_TESTS})"),
            Self::Model => format!("{server} & binary(={MODEL_TESTS})"),
        }
    }

    fn includes(self, workspace: &Workspace, program: &Program) -> bool {
        let selection = if program.folder == workspace.root.join("crates/store") {
            Self::Store
        } else if program.folder != workspace.root.join("server") || !program.is_integration {
            Self::Unit
        } else if program.name == MODEL_TESTS {
            Self::Model
        } else {
            Self::Api
        };
        self == selection
    }
}

fn nextest(workspace: &Workspace, selection: Selection, environment: &[Setting]) -> Result<Counts> {
    // nextest keeps its own folder below the repository, wherever cargo's target directory is.
    let report = workspace.root.join("target/nextest/default/junit.xml");
    let _ = fs::remove_file(&report);
    let mut command = cargo(workspace);
    command
        .args(["nextest", "run"])
        .args(WITHOUT_BROWSER_SIDE)
        .args(["--no-fail-fast", "--no-tests=pass"]);
    command.args(["--filterset", &selection.filter()]);
    let status = process::run(command.envs(environment.iter().map(|(name, value)| (name, value))))?;
    match fs::read_to_string(&report) {
        Ok(report) => ensure_failure_counted(Counts::of_junit(&report)?, status),
        Err(_) if status.success() => Ok(Counts::default()),
        Err(_) => bail!("the tests could not be run: cargo nextest ended with {status}"),
    }
}

fn each_program(workspace: &Workspace, selection: Selection, environment: &[Setting]) -> Result<Counts> {
    let mut counts = Counts::default();
    for program in build(workspace)?
        .iter()
        .filter(|program| selection.includes(workspace, program))
    {
        eprintln!("   {} ({})", program.name, program.folder.display());
        let (output, status) = tee(Command::new(&program.file)
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .envs(environment.iter().map(|(name, value)| (name, value))))?;
        let crashed = Counts {
            failed: 1,
            ..Counts::default()
        };
        counts += ensure_failure_counted(Counts::of_libtest(&output).unwrap_or(crashed), status)?;
    }
    Ok(counts)
}

fn build(workspace: &Workspace) -> Result<Vec<Program>> {
    let mut command = cargo(workspace);
    command
        .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
        .args(WITHOUT_BROWSER_SIDE);
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo")?;
    let mut programs = Vec::new();
    for line in BufReader::new(child.stdout.take().context("cargo has a stdout")?).lines() {
        programs.extend(program_of(&line?));
    }
    let status = process::wait(child)?;
    if !status.success() {
        bail!("the tests do not compile: cargo ended with {status}");
    }
    Ok(programs)
}

/// The test program that one of cargo's messages announces.
fn program_of(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message.get("profile")?.get("test")?.as_bool() != Some(true) {
        return None;
    }
    let target = message.get("target")?;
    Some(Program {
        file: message.get("executable")?.as_str()?.into(),
        folder: Path::new(message.get("manifest_path")?.as_str()?)
            .parent()?
            .to_path_buf(),
        name: target.get("name")?.as_str()?.to_string(),
        is_integration: target.get("kind")?.as_array()?.iter().any(|kind| kind == "test"),
    })
}

/// Runs a command, shows what it prints on stdout and returns it too.
fn tee(command: &mut Command) -> Result<(String, ExitStatus)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a test program")?;
    let mut seen = String::new();
    for line in BufReader::new(child.stdout.take().context("a test program has a stdout")?).lines() {
        let line = line?;
        writeln!(std::io::stderr(), "{line}")?;
        seen.push_str(&line);
        seen.push('\n');
    }
    Ok((seen, process::wait(child)?))
}

/// A runner that failed although no test did has found something else wrong.
fn ensure_failure_counted(counts: Counts, status: ExitStatus) -> Result<Counts> {
    if counts.failed == 0 && !status.success() {
        bail!("no test failed, and still the test runner ended with {status}");
    }
    Ok(counts)
}

/// A selection that matches nothing would be green for ever.
fn ensure_some(counts: Counts) -> Result<Counts> {
    if counts.passed + counts.failed == 0 {
        bail!("ran no test");
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &str, name: &str, is_integration: bool) -> Program {
        Program {
            file: "x".into(),
            folder: folder.into(),
            name: name.into(),
            is_integration,
        }
    }

    #[test]
    fn every_program_belongs_to_one_part() {
        let workspace = Workspace {
            root: "/w".into(),
            target: "/w/target".into(),
            cache: "/c".into(),
        };
        for (program, expected) in [
            (program("/w/crates/domain", "domain", false), Selection::Unit),
            (program("/w/crates/fake-provider", "wire", true), Selection::Unit),
            (program("/w/crates/store", "store", false), Selection::Store),
            (program("/w/crates/store", "ledger", true), Selection::Store),
            (program("/w/server", "tollway", false), Selection::Unit),
            (program("/w/server", "chat", true), Selection::Api),
            (program("/w/server", "real_model", true), Selection::Model),
        ] {
            for selection in [Selection::Unit, Selection::Store, Selection::Api, Selection::Model] {
                assert_eq!(
                    selection.includes(&workspace, &program),
                    selection == expected,
                    "{program:?}"
                );
            }
        }
    }

    #[test]
    fn cargo_announces_test_programs_and_other_things() {
        let message = |test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/server/Cargo.toml","profile":{{"test":{test}}},
                "target":{{"kind":["test"],"name":"chat"}},"executable":"/w/target/debug/deps/chat-1"}}"#
            )
        };
        let chat = Program {
            file: "/w/target/debug/deps/chat-1".into(),
            ..program("/w/server", "chat", true)
        };
        assert_eq!(program_of(&message(true)), Some(chat));
        assert_eq!(program_of(&message(false)), None);
        assert_eq!(program_of(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
