//! A throw-away PostgreSQL cluster: made in a temporary folder, on a free port of loopback, gone afterwards.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::debian::{self, Apt};
use crate::lock;
use crate::loopback;
use crate::process::{self, Daemon};
use crate::workspace::{Workspace, is_program, on_path};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(5);

const SETTINGS: [&str; 3] = [
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "log_min_messages=fatal",
];
/// Durability is of no use to a cluster that is thrown away.
const CARELESS: [&str; 4] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
];

/// A running cluster. Dropping it stops and removes it.
pub struct Cluster {
    /// Of the superuser, with a password made for this cluster.
    pub url: String,
    // Stopped before its folder is removed: fields are dropped in this order.
    _server: Daemon,
    _folder: TempDir,
}

impl Cluster {
    pub fn start(workspace: &Workspace) -> Result<Self> {
        Self::start_with(workspace, &CARELESS)
    }

    /// As safe and as slow as one that is kept.
    pub fn start_durable(workspace: &Workspace) -> Result<Self> {
        Self::start_with(workspace, &[])
    }

    fn start_with(workspace: &Workspace, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("tollway-pg-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?;
        let programs = Programs::find(workspace, folder.path())?;
        let home = folder.path().join("cluster");
        fs::create_dir(&home)?;
        let user = User::for_postgres()?;
        if let Some(user) = &user {
            chown(&home, Some(user.uid), Some(user.gid))?;
        }
        let password = random_hex()?;
        initialise(&programs, user.as_ref(), &home, &password)?;
        let port = loopback::free_port()?;
        let server = serve(workspace, &programs, user.as_ref(), &home, port, settings)?;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        Ok(Self {
            url,
            _server: server,
            _folder: folder,
        })
    }
}

/// PostgreSQL's own programs, and where they find their libraries when they were not installed but unpacked.
struct Programs {
    folder: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Programs {
    /// Those of this machine; otherwise Debian's packages, unpacked below `scratch`.
    fn find(workspace: &Workspace, scratch: &Path) -> Result<Self> {
        match installed()? {
            Some(folder) => Ok(Self {
                folder,
                libraries: Vec::new(),
            }),
            None => Self::unpack(workspace, scratch).context("getting PostgreSQL's server programs"),
        }
    }

    /// The packages stay in the cache; they are unpacked for each cluster, since a home folder that holds the cache may
    /// be closed to the user that PostgreSQL runs as.
    fn unpack(workspace: &Workspace, scratch: &Path) -> Result<Self> {
        let cache = workspace.cache.join("postgresql");
        let lock = lock::hold(&workspace.cache.join("postgresql.lock"))?;
        if !cache.is_dir() {
            eprintln!("Downloading PostgreSQL …");
            let apt = Apt::of_this_machine(&workspace.cache)?;
            apt.update()?;
            fs::rename(apt.download_missing("postgresql")?, &cache)?;
        }
        drop(lock);
        let root = scratch.join("programs");
        fs::create_dir(&root)?;
        debian::unpack(&cache, &root)?;
        let folder = newest_below(&root.join("usr/lib/postgresql"))?.context("the packages hold no initdb")?;
        Ok(Self {
            folder,
            libraries: debian::library_folders(&root),
        })
    }

    fn command(&self, program: &str, user: Option<&User>) -> Result<Command> {
        let program = self.folder.join(program);
        let mut command = match user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={}", user.uid))
                    .arg(format!("--regid={}", user.gid))
                    .arg("--clear-groups");
                command.arg(program);
                command
            }
        };
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&self.libraries)?);
        }
        Ok(command)
    }
}

/// Whom the cluster runs as when we are root, which PostgreSQL refuses to run as.
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    fn for_postgres() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let id = |flag| process::output(Command::new("id").args([flag, "nobody"]));
        Ok(Some(Self {
            uid: id("-u")?.trim().parse()?,
            gid: id("-g")?.trim().parse()?,
        }))
    }
}

fn initialise(programs: &Programs, user: Option<&User>, home: &Path, password: &str) -> Result<()> {
    let password_file = home.join("password");
    fs::write(&password_file, password)?;
    if let Some(user) = user {
        chown(&password_file, Some(user.uid), Some(user.gid))?;
    }
    let mut command = programs.command("initdb", user)?;
    // Hashing the password anew for each of the tests' many connections would only slow them down: "password" compares.
    command.args([
        "--username=postgres",
        "--auth-local=reject",
        "--auth-host=password",
        "--encoding=UTF8",
    ]);
    command.args(["--locale=C", "--no-sync", "--no-instructions"]);
    command
        .arg("--pwfile")
        .arg(&password_file)
        .arg("--pgdata")
        .arg(home.join("data"));
    process::output(command.current_dir(home))?;
    Ok(fs::remove_file(password_file)?)
}

fn serve(
    workspace: &Workspace,
    programs: &Programs,
    user: Option<&User>,
    home: &Path,
    port: u16,
    settings: &[&str],
) -> Result<Daemon> {
    let mut command = programs.command("postgres", user)?;
    command
        .arg("-D")
        .arg(home.join("data"))
        .args(["-p", &port.to_string()])
        .arg("-k")
        .arg(home);
    for setting in SETTINGS.iter().chain(settings) {
        command.args(["-c", setting]);
    }
    let server = Daemon::spawn(
        "PostgreSQL",
        command.current_dir(home),
        Some(workspace.log("postgresql")?),
    )?;
    // SIGQUIT is its immediate shutdown: nothing is saved, nothing lingers.
    let mut server = server.stopped_by(Signal::QUIT, STOP_GRACE);
    let status_file = home.join("data/postmaster.pid");
    // The last line of this file says "ready" once connections are accepted.
    server.wait_until(START_LIMIT, || {
        fs::read_to_string(&status_file).is_ok_and(|status| status.contains("ready"))
    })?;
    Ok(server)
}

/// The folder of this machine's initdb and postgres, if it has them.
fn installed() -> Result<Option<PathBuf>> {
    let on_path = on_path("initdb").and_then(|initdb| initdb.canonicalize().ok()?.parent().map(Path::to_path_buf));
    if let Some(folder) = on_path.filter(|folder| is_program(&folder.join("postgres"))) {
        return Ok(Some(folder));
    }
    newest_below(Path::new("/usr/lib/postgresql"))
}

/// Debian keeps each major version in a folder of its own.
fn newest_below(versions: &Path) -> Result<Option<PathBuf>> {
    if !versions.is_dir() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(versions)? {
        let entry = entry?;
        let folder = entry.path().join("bin");
        if is_program(&folder.join("initdb")) && is_program(&folder.join("postgres")) {
            let version: u32 = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            found.push((version, folder));
        }
    }
    Ok(found.into_iter().max().map(|(_, folder)| folder))
}

/// 128 random bits.
fn random_hex() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
