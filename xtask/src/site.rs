//! Builds the server and the site it serves: `<target>/site/` holds `public/*` and `pkg/tollway.{js,css}` with
//! `pkg/tollway_bg.wasm`, the name that leptos' hydration script asks for.

mod css;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, anyhow};
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::{WASM_TARGET, cargo, ensure_wasm_target};
use crate::lock;
use crate::process;
use crate::workspace::{Profile, Workspace, on_path};

const OUTPUT_NAME: &str = "tollway";
const PKG: &str = "pkg";
/// Smaller files gain nothing from being compressed ahead.
const PRECOMPRESS_BYTES_MIN: u64 = 1_024;

/// Server and site, each step only when its input changed.
pub fn build(workspace: &Workspace, profile: Profile) -> Result<()> {
    ensure_wasm_target(workspace)?;
    build_server(workspace, profile)?;
    build_site(workspace, profile)
}

pub fn build_server(workspace: &Workspace, profile: Profile) -> Result<()> {
    // Without `-p`: cargo then picks the features of shared dependencies for all default members, the same way as when
    // xtask and the tests are built, and compiles them once.
    let mut command = cargo(workspace);
    command.args(["build", "--bin", "tollway"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    process::check(&mut command)
}

/// The stand-in of Stripe, for the browser journeys.
pub fn build_fake_stripe(workspace: &Workspace) -> Result<()> {
    process::check(cargo(workspace).args(["build", "--bin", "fake-stripe"]))
}

pub fn build_site(workspace: &Workspace, profile: Profile) -> Result<()> {
    let site = workspace.site();
    fs::create_dir_all(site.join(PKG)).with_context(|| format!("creating {}", site.display()))?;
    let wasm = compile_wasm(workspace, profile)?;
    let _lock = lock_site(workspace)?;
    bind(workspace, profile, &wasm)?;
    copy_public(workspace)?;
    bundle_css(workspace)?;
    match profile {
        Profile::Release => precompress(&site),
        Profile::Dev => remove_precompressed(&site),
    }
}

/// A copy of the built server (`tollway`) and its site (`site/`) in `folder`, on the same file system, that stays as it is
/// when somebody builds again.
pub fn copy_built(workspace: &Workspace, profile: Profile, folder: &Path) -> Result<()> {
    fs::hard_link(workspace.server_binary(profile), folder.join("tollway")).context("linking the server")?;
    let _lock = lock_site(workspace)?;
    for file in files_below(&workspace.site())? {
        let to = folder.join("site").join(&file);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(workspace.site().join(file), to)?;
    }
    Ok(())
}

/// `style/main.css` with its imports, as one file.
pub fn bundle_css(workspace: &Workspace) -> Result<()> {
    let bundle = css::bundle(&workspace.root.join("style/main.css"))?;
    write_if_changed(
        &workspace.site().join(PKG).join(format!("{OUTPUT_NAME}.css")),
        bundle.as_bytes(),
    )
}

/// Makes the site's folder the same as `public/`, apart from `pkg/`.
pub fn copy_public(workspace: &Workspace) -> Result<()> {
    let public = workspace.root.join("public");
    let site = workspace.site();
    let wanted = files_below(&public)?;
    for file in &wanted {
        let (from, to) = (public.join(file), site.join(file));
        if stamp(&from)? != stamp(&to).unwrap_or_default() {
            fs::create_dir_all(to.parent().context("a file has a folder")?)?;
            copy_with_time(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    for file in files_below(&site)? {
        let original = if is_compressed_copy(&file) {
            file.with_extension("")
        } else {
            file.clone()
        };
        if !file.starts_with(PKG) && !wanted.contains(&original) {
            fs::remove_file(site.join(file))?;
        }
    }
    Ok(())
}

fn lock_site(workspace: &Workspace) -> Result<fs::File> {
    lock::hold(&workspace.target.join("site.lock"))
}

/// The path of the compiled browser side.
fn compile_wasm(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo(workspace);
    command.args(["build", "--package", "frontend", "--lib", "--target", WASM_TARGET]);
    // The dev profile, although `opt-level = 1` would make the file a third smaller: a profile of its own compiles every
    // procedural macro once more, which costs more than a minute on the first start.
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            command.args(["--profile", "wasm-release"]);
            "wasm-release"
        }
    };
    process::check(&mut command)?;
    Ok(workspace.target.join(WASM_TARGET).join(folder).join("frontend.wasm"))
}

/// Writes the JavaScript glue and the final wasm, unless they were made from this very file.
fn bind(workspace: &Workspace, profile: Profile, wasm: &Path) -> Result<()> {
    let stamp_file = workspace.target.join("site.stamp");
    let pkg = workspace.site().join(PKG);
    let stamp = format!("{profile:?} {}", stamp(wasm)?);
    let made = [format!("{OUTPUT_NAME}.js"), format!("{OUTPUT_NAME}_bg.wasm")];
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) && made.iter().all(|name| pkg.join(name).exists())
    {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp_file);
    let fresh = tempfile::Builder::new()
        .prefix("pkg-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(&workspace.target)?;
    Bindgen::new()
        .input_path(wasm)
        .out_name(OUTPUT_NAME)
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .typescript(false)
                .remove_name_section(profile == Profile::Release)
                .remove_producers_section(profile == Profile::Release)
                .generate(fresh.path())
        })
        .map_err(|error| anyhow!("wasm-bindgen: {error:?}"))?;
    if profile == Profile::Release {
        optimise(&fresh.path().join(format!("{OUTPUT_NAME}_bg.wasm")))?;
    }
    fs::remove_dir_all(&pkg)?;
    fs::rename(fresh.keep(), &pkg)?;
    Ok(fs::write(stamp_file, stamp)?)
}

/// Takes some more percent off with binaryen's optimiser, when the machine has it.
fn optimise(wasm: &Path) -> Result<()> {
    let Some(optimiser) = on_path("wasm-opt") else {
        return Ok(());
    };
    let smaller = wasm.with_extension("opt");
    process::check(
        Command::new(optimiser)
            .args(["-Oz", "--all-features"])
            .arg(wasm)
            .arg("-o")
            .arg(&smaller),
    )?;
    Ok(fs::rename(smaller, wasm)?)
}

/// Puts a `.gz` and, when a compressor is at hand, a `.br` beside every file of the site that text compression helps.
fn precompress(site: &Path) -> Result<()> {
    let compressors = [("gzip", "gz"), ("brotli", "br")].map(|(name, extension)| (on_path(name), extension));
    for file in files_below(site)?.iter().filter(|file| is_compressible(file)) {
        let path = site.join(file);
        if path.metadata()?.len() < PRECOMPRESS_BYTES_MIN {
            continue;
        }
        for (program, extension) in &compressors {
            let Some(program) = program else { continue };
            let copy = site.join(format!("{}.{extension}", file.display()));
            // Both programs give the copy its original's time.
            let fresh = copy.metadata().and_then(|copy| copy.modified()).ok() == path.metadata()?.modified().ok();
            if !fresh {
                process::check(Command::new(program).args(["--best", "--keep", "--force"]).arg(&path))?;
            }
        }
    }
    Ok(())
}

/// A compressed copy that outlived its original would be served in its place.
fn remove_precompressed(site: &Path) -> Result<()> {
    for file in files_below(site)?.iter().filter(|file| is_compressed_copy(file)) {
        fs::remove_file(site.join(file))?;
    }
    Ok(())
}

fn is_compressible(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(
        extension,
        Some("js" | "wasm" | "css" | "svg" | "txt" | "json" | "webmanifest" | "html")
    )
}

fn is_compressed_copy(file: &Path) -> bool {
    matches!(
        file.extension().and_then(|extension| extension.to_str()),
        Some("gz" | "br")
    ) && is_compressible(Path::new(file.file_stem().unwrap_or_default()))
}

/// Size and time of change, which together stand for a file's contents.
fn stamp(file: &Path) -> Result<String> {
    let meta = file.metadata().with_context(|| format!("reading {}", file.display()))?;
    let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}", meta.len(), changed.as_nanos()))
}

fn copy_with_time(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)?;
    let time = from.metadata()?.modified()?;
    fs::File::options().write(true).open(to)?.set_modified(time)?;
    Ok(())
}

fn write_if_changed(file: &Path, contents: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    fs::write(file, contents).with_context(|| format!("writing {}", file.display()))
}

/// All files below a folder, relative to it; none when there is no such folder.
fn files_below(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop().filter(|next| next.is_dir()) {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(folder)?.to_path_buf());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace_in(folder: &Path) -> Workspace {
        Workspace {
            root: folder.to_path_buf(),
            target: folder.join("target"),
            cache: folder.join("cache"),
        }
    }

    fn put(file: &Path, contents: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, contents).unwrap();
    }

    #[test]
    fn the_site_follows_public_and_leaves_pkg_alone() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = workspace_in(folder.path());
        put(&folder.path().join("public/robots.txt"), "User-agent: *");
        put(&folder.path().join("public/fonts/a.woff2"), "font");
        put(&workspace.site().join("pkg/tollway.js"), "glue");
        put(&workspace.site().join("old.txt"), "no longer in public");
        copy_public(&workspace).unwrap();
        let expected = ["fonts/a.woff2", "pkg/tollway.js", "robots.txt"].map(PathBuf::from);
        assert_eq!(files_below(&workspace.site()).unwrap(), BTreeSet::from(expected));
    }

    #[test]
    fn only_copies_of_compressible_files_count_as_compressed_copies() {
        for (file, expected) in [
            ("pkg/tollway.js.gz", true),
            ("pkg/tollway_bg.wasm.br", true),
            ("backup.tar.gz", false),
            ("a.gz", false),
        ] {
            assert_eq!(is_compressed_copy(Path::new(file)), expected, "{file}");
        }
    }
}
