//! A Python environment with the official client libraries that Tollway is tested against.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::debian;
use crate::lock;
use crate::process;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The interpreter of an environment in the cache that has exactly the required packages.
pub fn ensure_environment(workspace: &Workspace) -> Result<PathBuf> {
    let _lock = lock::hold(&workspace.cache.join("python.lock"))?;
    let folder = workspace.cache.join("python");
    let python = folder.join("bin/python");
    let done = folder.join("requirements.txt");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == REQUIREMENTS)
        && process::output(Command::new(&python).arg("--version")).is_ok()
    {
        return Ok(python);
    }
    eprintln!("Installing the Python packages of the tests …");
    if create(&folder).is_err() {
        debian::install(&["python3", "python3-venv"])?;
        create(&folder)?;
    }
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS)?;
    process::check(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "--disable-pip-version-check",
                "--require-virtualenv",
                "install",
                "--quiet",
            ])
            .arg("--requirement")
            .arg(&wanted),
    )?;
    fs::rename(wanted, done)?;
    Ok(python)
}

fn create(folder: &PathBuf) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(folder))
        .context("creating a Python environment")?;
    Ok(())
}
