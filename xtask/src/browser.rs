//! What the browser tests need: a Chromium and the npm packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::debian;
use crate::lock;
use crate::process;
use crate::workspace::{Workspace, is_program, on_path};

/// `CHROMIUM_PATH`, or a Chromium on the PATH, or Debian's, installed now.
pub fn ensure_chromium(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM_PATH").map(PathBuf::from) {
        if !is_program(&path) {
            bail!("CHROMIUM_PATH names {}, which is no program", path.display());
        }
        return Ok(path);
    }
    let _lock = lock::hold(&workspace.cache.join("chromium.lock"))?;
    let find = || {
        ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .find_map(|name| on_path(name))
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    debian::install(&["chromium"])?;
    find().context("chromium was installed and is not on the PATH: set CHROMIUM_PATH")
}

/// Installs the packages of the lock file, unless they are the ones that are there.
pub fn ensure_npm_packages(workspace: &Workspace) -> Result<()> {
    let _lock = lock::hold(&workspace.target.join("npm.lock"))?;
    let folder = workspace.end2end();
    let lock = folder.join("package-lock.json");
    let installed_lock = folder.join("node_modules/.installed-lock.json");
    let wanted = fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
    if fs::read(&installed_lock).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if on_path("npm").is_none() {
        bail!("npm is missing: the browser tests need Node.js 20 or newer");
    }
    eprintln!("Installing the npm packages of the browser tests …");
    process::check(
        Command::new("npm")
            .current_dir(&folder)
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
    )?;
    Ok(fs::write(installed_lock, wanted)?)
}
