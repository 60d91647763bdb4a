//! Cargo as a child, and the one compiler target that may be missing.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::{Workspace, on_path};

pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// `cargo` in the workspace's root, as if it had been typed there.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target);
    // What `cargo run` told us about xtask itself: build scripts that watch these variables would otherwise run anew
    // whenever cargo is started now by hand and now by us.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "LEPTOS_OUTPUT_NAME" {
            command.env_remove(name);
        }
    }
    command
}

/// Installs the compiler's wasm target when it is missing.
pub fn ensure_wasm_target(workspace: &Workspace) -> Result<()> {
    let sysroot = process::output(
        Command::new("rustc")
            .current_dir(&workspace.root)
            .args(["--print", "sysroot"]),
    )?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(WASM_TARGET)
        .join("lib")
        .is_dir()
    {
        return Ok(());
    }
    if on_path("rustup").is_none() {
        bail!(
            "the Rust target {WASM_TARGET}, which the browser side is compiled for, is missing and there is no rustup \
             to add it: install Rust through rustup, or your distribution's package of that target"
        );
    }
    eprintln!("Adding the Rust target {WASM_TARGET} …");
    process::check(
        Command::new("rustup")
            .current_dir(&workspace.root)
            .args(["target", "add", WASM_TARGET]),
    )
    .context("adding the wasm target")
}
