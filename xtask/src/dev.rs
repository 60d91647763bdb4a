//! `cargo xtask dev`: like run, and again whenever a source file changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use crate::process::{self, Daemon};
use crate::run::{self, Options, Stage};
use crate::site;
use crate::workspace::Workspace;

const WATCHED: [&str; 9] = [
    "app",
    "server",
    "crates",
    "frontend",
    "style",
    "public",
    "catalog",
    "migrations",
    "Cargo.toml",
];
const POLL: Duration = Duration::from_millis(500);
/// A change is acted on once nothing else has changed for this long: editors and git write many files at once.
const SETTLE: Duration = Duration::from_millis(150);

type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

/// What a set of changes calls for.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    Style,
    Public,
    Rebuild,
}

pub fn dev(workspace: &Workspace, options: Options) -> Result<ExitCode> {
    let mut stage = run::set(workspace, options)?;
    let mut server = Some(stage.serve(workspace)?);
    let mut seen = snapshot(&workspace.root);
    stage.greet();
    eprintln!("  Watching for changes.\n");
    while process::pause(POLL).is_ok() {
        stage.watch_model()?;
        if let Some(status) = server.as_mut().map(Daemon::exited).transpose()?.flatten() {
            eprintln!("The server ended with {status}; waiting for a change.");
            server = None;
        }
        let now = snapshot(&workspace.root);
        if now == seen {
            continue;
        }
        let Ok(now) = settled(workspace, now) else { break };
        let work = work_for(&changed(&seen, &now));
        seen = now;
        if let Err(error) = carry_out(workspace, &stage, &work, &mut server) {
            if process::interrupted() {
                break;
            }
            eprintln!("{error:#}\nWaiting for a change.");
        }
    }
    eprintln!("\nStopping …");
    drop(server);
    Ok(ExitCode::SUCCESS)
}

/// The old server goes on serving until the new one is built.
fn carry_out(workspace: &Workspace, stage: &Stage, work: &Work, server: &mut Option<Daemon>) -> Result<()> {
    let started = Instant::now();
    match work {
        Work::Style => site::bundle_css(workspace)?,
        Work::Public => site::copy_public(workspace)?,
        Work::Rebuild => {
            site::build(workspace, stage.profile)?;
            *server = None;
            *server = Some(stage.serve(workspace)?);
        }
    }
    eprintln!(
        "{work:?} done in {:.1} s: http://127.0.0.1:{}",
        started.elapsed().as_secs_f32(),
        stage.port
    );
    Ok(())
}

/// Waits until two looks in a row see the same.
fn settled(workspace: &Workspace, mut last: Snapshot) -> Result<Snapshot> {
    loop {
        process::pause(SETTLE)?;
        let now = snapshot(&workspace.root);
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// Time and size of every watched file, by its path below `root`.
fn snapshot(root: &Path) -> Snapshot {
    let mut files = Snapshot::new();
    let mut open: Vec<PathBuf> = WATCHED.iter().map(|name| root.join(name)).collect();
    while let Some(path) = open.pop() {
        // A file that vanishes between listing and looking is simply not there.
        let Ok(meta) = path.metadata() else { continue };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()).filter(|path| !is_ignored(path)));
        } else if let (Ok(time), Ok(name)) = (meta.modified(), path.strip_prefix(root)) {
            files.insert(name.to_path_buf(), (time, meta.len()));
        }
    }
    files
}

/// Hidden files and editors' backups.
fn is_ignored(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~')
}

/// Files that were added, removed or written.
fn changed<'a>(old: &'a Snapshot, new: &'a Snapshot) -> Vec<&'a Path> {
    let written = new
        .iter()
        .filter(|(path, stamp)| old.get(*path) != Some(stamp))
        .map(|(path, _)| path);
    let removed = old.keys().filter(|path| !new.contains_key(*path));
    written.chain(removed).map(PathBuf::as_path).collect()
}

fn work_for(changed: &[&Path]) -> Work {
    if changed.iter().all(|path| path.starts_with("style")) {
        Work::Style
    } else if changed.iter().all(|path| path.starts_with("public")) {
        Work::Public
    } else {
        Work::Rebuild
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_change_calls_for_is_done() {
        for (files, expected) in [
            (&["style/main.css", "style/card.css"][..], Work::Style),
            (&["public/robots.txt"], Work::Public),
            (&["style/main.css", "public/robots.txt"], Work::Rebuild),
            (&["style/main.css", "app/src/lib.rs"], Work::Rebuild),
            (&["migrations/0001_start.sql"], Work::Rebuild),
        ] {
            let files: Vec<&Path> = files.iter().map(Path::new).collect();
            assert_eq!(work_for(&files), expected, "{files:?}");
        }
    }

    #[test]
    fn added_written_and_removed_files_are_changes_and_backups_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app/src");
        fs::create_dir_all(&app).unwrap();
        fs::write(app.join("kept.rs"), "1").unwrap();
        fs::write(app.join("written.rs"), "1").unwrap();
        fs::write(app.join("removed.rs"), "1").unwrap();
        let old = snapshot(folder.path());
        fs::write(app.join("written.rs"), "22").unwrap();
        fs::write(app.join("added.rs"), "1").unwrap();
        fs::write(app.join(".added.rs.swp"), "1").unwrap();
        fs::remove_file(app.join("removed.rs")).unwrap();
        let new = snapshot(folder.path());
        let names = ["app/src/added.rs", "app/src/written.rs", "app/src/removed.rs"].map(Path::new);
        assert_eq!(changed(&old, &new), names);
    }
}
