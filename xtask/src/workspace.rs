//! Where things are: the repository, cargo's target directory, and the cache for what is downloaded once.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// How the server and the site are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to compile.
    Dev,
    /// Quick to run: optimised server, small and precompressed site.
    Release,
}

pub struct Workspace {
    pub root: PathBuf,
    /// Absolute, whatever `CARGO_TARGET_DIR` said, so that it means the same to children with another directory.
    pub target: PathBuf,
    /// `${XDG_CACHE_HOME:-~/.cache}/tollway`: survives `cargo clean` and is shared between clones.
    pub cache: PathBuf,
}

impl Workspace {
    pub fn discover() -> Result<Self> {
        // Set by `cargo run`; the one baked in would be another clone's when two clones share a target directory.
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask lies in a folder of the workspace")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => {
                PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
            }
        };
        Ok(Self {
            root,
            target,
            cache: cache.join("tollway"),
        })
    }

    /// What the server serves: `pkg/` and the contents of `public/`.
    pub fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    pub fn server_binary(&self, profile: Profile) -> PathBuf {
        self.binary(profile, "tollway")
    }

    pub fn binary(&self, profile: Profile, name: &str) -> PathBuf {
        self.target.join(profile.folder()).join(name)
    }

    pub fn end2end(&self) -> PathBuf {
        self.root.join("end2end")
    }

    /// A log file of a background process, in a folder that exists afterwards.
    pub fn log(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("logs");
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder.join(format!("{name}.log")))
    }
}

impl Profile {
    pub fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    /// The folder cargo puts this profile's binaries in.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// The first file called `name` in a folder of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

/// Whether `file` exists and somebody may execute it.
pub fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
