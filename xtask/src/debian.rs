//! Debian packages: fetched with lists of our own and unpacked beside the system, or, where only that works, installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::process;
use crate::workspace::on_path;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with its own lists and cache in a temporary folder, so that it needs no root and leaves the system as it is.
pub struct Apt {
    folder: TempDir,
}

impl Apt {
    /// With the machine's own sources.
    pub fn of_this_machine(below: &Path) -> Result<Self> {
        Self::new(below, "")
    }

    /// With one suite of Debian's archive, from the mirror that this machine uses, signed by Debian.
    pub fn of_suite(below: &Path, suite: &str) -> Result<Self> {
        let mirror = mirror()?;
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is missing: install the package debian-archive-keyring");
        }
        let apt = Self::new(
            below,
            "Dir::Etc::sourcelist \"@/sources.list\"; Dir::Etc::sourceparts \"-\";\n\
             Dir::Etc::preferences \"@/none\"; Dir::Etc::preferencesparts \"@/none.d\";\n",
        )?;
        let source = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(apt.folder.path().join("sources.list"), source)?;
        Ok(apt)
    }

    pub fn update(&self) -> Result<()> {
        process::check(self.command("apt-get").args(["update", "-qq"]))
    }

    /// Downloads exactly these packages (`name` or `name=version`), without what they depend on.
    pub fn download<S: AsRef<str>>(&self, packages: &[S], into: &Path) -> Result<()> {
        let packages = packages.iter().map(AsRef::as_ref);
        process::check(
            self.command("apt-get")
                .current_dir(into)
                .args(["download", "-qq"])
                .args(packages),
        )
    }

    /// Downloads a package and everything it depends on that this machine lacks. Returns the folder of the files.
    pub fn download_missing(&self, package: &str) -> Result<PathBuf> {
        process::check(self.command("apt-get").args([
            "install",
            "-qq",
            "--yes",
            "--download-only",
            "--no-install-recommends",
            package,
        ]))?;
        Ok(self.folder.path().join("cache/archives"))
    }

    fn new(below: &Path, sources: &str) -> Result<Self> {
        if on_path("apt-get").is_none() || on_path("dpkg-deb").is_none() {
            bail!("apt-get and dpkg-deb are not on this machine (it does not look like Debian)");
        }
        fs::create_dir_all(below)?;
        let folder = tempfile::Builder::new().prefix("apt-").tempdir_in(below)?;
        let path = folder
            .path()
            .to_str()
            .context("the cache's path is not UTF-8")?
            .to_string();
        for part in ["lists/partial", "cache/archives/partial", "none.d"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        let user = process::output(Command::new("id").arg("-un"))?;
        let conf = format!(
            "{sources}Dir::State::lists \"@/lists\"; Dir::Cache \"@/cache\"; APT::Sandbox::User \"{}\";\n\
             Acquire::Languages \"none\"; Acquire::Retries \"3\"; Debug::NoLocking \"true\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n\
             #clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n",
            user.trim()
        );
        fs::write(folder.path().join("apt.conf"), conf.replace('@', &path))?;
        Ok(Self { folder })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Read after the machine's own configuration, whose proxies count and whose hooks do not.
        command.arg("--config-file").arg(self.folder.path().join("apt.conf"));
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }
}

/// Unpacks every `.deb` of a folder, without running anything that it contains.
pub fn unpack(debs: &Path, into: &Path) -> Result<()> {
    for deb in deb_files(debs)? {
        process::check(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(into))?;
    }
    Ok(())
}

/// The `.deb` files of a folder, sorted.
pub fn deb_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Installs packages system-wide; asks sudo when the user is not root.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!("{names} is missing and there is no apt-get to install it: install it by hand");
    }
    eprintln!("Installing {names} …");
    process::check(as_root("apt-get")?.args(["update", "-qq"]))
        .and_then(|()| {
            process::check(
                as_root("apt-get")?
                    .args([
                        "install",
                        "-qq",
                        "--yes",
                        "--no-install-recommends",
                        "-o",
                        "Dpkg::Use-Pty=0",
                    ])
                    .args(packages),
            )
        })
        .with_context(|| format!("installing {names}"))
}

/// Adds Debian's folder of libraries below `root` to the places the loader looks in first.
pub fn library_folders(root: &Path) -> Vec<PathBuf> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["usr/lib", "lib"]
        .iter()
        .map(|folder| root.join(folder).join(&triple))
        .filter(|folder| folder.is_dir())
        .collect()
}

fn as_root(program: &str) -> Result<Command> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(program)
    } else if on_path("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        bail!("{program} needs root and there is no sudo");
    };
    Ok({
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    })
}

/// The address of Debian's archive that this machine's own sources name.
fn mirror() -> Result<String> {
    let sites =
        process::output(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)", "Created-By: Packages"]))?;
    let found = sites
        .lines()
        .map(|site| site.trim_end_matches('/'))
        .find(|site| site.ends_with("/debian"));
    Ok(found
        .context("apt's sources name no mirror of Debian's archive")?
        .to_string())
}
