//! `cargo xtask fuzz`: bytes that nobody thought of, guided by what code they reach (libFuzzer).
//!
//! The compiler's own passes count the edges, so that neither nightly Rust nor any installed tool is needed; only a C++
//! compiler for libFuzzer itself. Seeds are the golden files; what is learned is kept below the target directory.

mod seeds;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::cargo::cargo;
use crate::process;
use crate::workspace::{Workspace, on_path};

#[derive(clap::Args)]
pub struct Options {
    /// What to fuzz [default: everything].
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 30)]
    secs: u64,
    /// Only list the targets.
    #[arg(long)]
    list: bool,
}

/// Counters at every edge, and comparisons told to the fuzzer.
const INSTRUMENTS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing";
/// An input that takes longer is a find.
const INPUT_SECS_MAX: &str = "10";
const MEMORY_MB_MAX: &str = "2048";

struct Kitchen<'a> {
    workspace: &'a Workspace,
    /// Where everything that is made lies.
    folder: PathBuf,
    /// The triple of this machine: named, so that build scripts and macros are compiled without instruments.
    host: String,
}

pub fn fuzz(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let known = targets(workspace)?;
    if options.list {
        writeln!(std::io::stdout(), "{}", known.join("\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("no fuzz target is named {unknown}; there are {}", known.join(", "));
    }
    let chosen = if options.targets.is_empty() {
        &known
    } else {
        &options.targets
    };
    let kitchen = Kitchen {
        workspace,
        folder: workspace.target.join("fuzz"),
        host: host(workspace)?,
    };
    kitchen.build(chosen)?;
    let mut failed = 0;
    for target in chosen {
        failed += usize::from(!kitchen.run(target, options.secs)?);
    }
    writeln!(std::io::stdout(), "{} targets, {failed} failed", chosen.len())?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Kitchen<'_> {
    /// With the versions of the workspace's own lock file.
    fn build(&self, targets: &[String]) -> Result<()> {
        if std::env::var_os("CXX").is_none() && on_path("c++").is_none() {
            bail!("there is no C++ compiler (c++), which libFuzzer is compiled with");
        }
        let fuzz = self.workspace.root.join("fuzz");
        fs::copy(self.workspace.root.join("Cargo.lock"), fuzz.join("Cargo.lock"))?;
        let mut command = cargo(self.workspace);
        command
            .current_dir(&fuzz)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env("RUSTFLAGS", INSTRUMENTS)
            .args(["build", "--release", "--target", &self.host]);
        for target in targets {
            command.args(["--bin", target]);
        }
        process::check(&mut command)
    }

    /// Whether nothing was found.
    fn run(&self, target: &str, secs: u64) -> Result<bool> {
        let corpus = self.made(&["corpus", target])?;
        let finds = self.made(&["finds", target])?;
        let seeds = self.made(&["seeds", target])?;
        let words = self.folder.join("words.txt");
        seeds::write(&self.workspace.root, target, &seeds, &words)?;
        let log = self.workspace.log(&format!("fuzz-{target}"))?;
        let program = self.folder.join(&self.host).join("release").join(target);
        let status = process::run(
            Command::new(program)
                .arg(&corpus)
                .arg(&seeds)
                .arg(format!("-dict={}", words.display()))
                .arg(format!("-artifact_prefix={}/", finds.display()))
                .arg(format!("-max_total_time={secs}"))
                .arg(format!("-timeout={INPUT_SECS_MAX}"))
                .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
                .arg("-print_final_stats=1")
                .stderr(fs::File::create(&log)?),
        )?;
        let said = fs::read_to_string(&log)?;
        let line = summary(&said);
        if status.success() {
            writeln!(std::io::stdout(), "{target:<26} ok      {line}")?;
        } else {
            writeln!(std::io::stdout(), "{target:<26} FAILED  {line}")?;
            let lines: Vec<&str> = said.lines().collect();
            let end = lines.len().saturating_sub(25);
            eprintln!("{}", lines.get(end..).unwrap_or_default().join("\n"));
            eprintln!(
                "what it was fed lies in {}; the log is {}",
                finds.display(),
                log.display()
            );
        }
        Ok(status.success())
    }

    fn made(&self, names: &[&str]) -> Result<PathBuf> {
        let folder = names.iter().fold(self.folder.clone(), |folder, name| folder.join(name));
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }
}

/// Named by their files.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let entries = fs::read_dir(workspace.root.join("fuzz/fuzz_targets"))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(Path::new(&entry.ok()?.path()).file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn host(workspace: &Workspace) -> Result<String> {
    let said = process::output(Command::new("rustc").current_dir(&workspace.root).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names its host")?.to_owned())
}

/// How many inputs were tried, how many edges they reached and how many of them were worth keeping.
fn summary(log: &str) -> String {
    let figure = |name: &str| {
        let line = log.lines().rev().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().to_owned())
    };
    let reached = log.lines().rev().find_map(|line| {
        let rest = line.split(" cov: ").nth(1)?;
        rest.split_whitespace().next()
    });
    let runs = figure("stat::number_of_executed_units").unwrap_or_else(|| "?".to_owned());
    let new = figure("stat::new_units_added").unwrap_or_else(|| "?".to_owned());
    format!("{runs:>9} inputs  {:>6} edges  {new:>5} kept", reached.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_told_in_a_line() {
        let log = "#2\tINITED cov: 12 ft: 3\n#9\tDONE   cov: 345 ft: 9 corp: 2/9b\n\
            stat::number_of_executed_units: 678\nstat::new_units_added:          90\n";
        assert_eq!(summary(log), "      678 inputs     345 edges     90 kept");
        assert_eq!(summary(""), "        ? inputs       ? edges      ? kept");
    }
}
