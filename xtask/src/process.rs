//! Child processes: run to the end, or kept in the background and always stopped; all of them heed Ctrl-C.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

const POLL: Duration = Duration::from_millis(40);
/// A foreground child that was asked to stop gets this long before it is killed.
const FOREGROUND_GRACE: Duration = Duration::from_secs(10);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The error of everything that Ctrl-C or SIGTERM cut short.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on SIGINT and SIGTERM only raise a flag, however often they come: everything that waits looks at it, and no
/// wait for a child that is to stop is without a limit.
pub fn catch_signals() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Sleeps for `pause`, or errs at once when interrupted.
pub fn pause(pause: Duration) -> Result<()> {
    let end = Instant::now() + pause;
    loop {
        if interrupted() {
            bail!(Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(POLL));
    }
}

/// Runs a command to its end with this terminal as its own.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    let child = command
        .spawn()
        .with_context(|| format!("starting {}", line_of(command)))?;
    wait(child)
}

/// Like [`run`], but a failure of the command is an error.
pub fn check(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("{} ended with {status}", line_of(command));
    }
    Ok(())
}

/// What a command prints on stdout. Its failure is an error that carries its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", line_of(command)))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}\n{}",
            line_of(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for a foreground child; when interrupted, stops it first.
pub fn wait(mut child: Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            if interrupted() {
                bail!(Interrupted);
            }
            return Ok(status);
        }
        if interrupted() {
            end(&mut child, Signal::TERM, FOREGROUND_GRACE);
            bail!(Interrupted);
        }
        sleep(POLL);
    }
}

/// A background process in a process group of its own, so that Ctrl-C in the terminal reaches only us, who stop it in
/// order. Dropping it stops it.
pub struct Daemon {
    name: &'static str,
    child: Child,
    log: Option<PathBuf>,
    stop_signal: Signal,
    grace: Duration,
}

impl Daemon {
    /// Its output goes to the terminal, or to `log` when given.
    pub fn spawn(name: &'static str, command: &mut Command, log: Option<PathBuf>) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        if let Some(path) = &log {
            let file = std::fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", line_of(command)))?;
        Ok(Self {
            name,
            child,
            log,
            stop_signal: Signal::TERM,
            grace: Duration::from_secs(30),
        })
    }

    /// Stops it by another signal than SIGTERM, and kills it when it has not ended after `grace`.
    pub fn stopped_by(mut self, signal: Signal, grace: Duration) -> Self {
        self.stop_signal = signal;
        self.grace = grace;
        self
    }

    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until `ready` holds. An early end of the process, a time-out and an interruption are errors.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.exited()? {
                bail!(
                    "{} ended with {status} before it was ready{}",
                    self.name,
                    self.last_words()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready after {} s{}",
                    self.name,
                    limit.as_secs(),
                    self.last_words()
                );
            }
            pause(POLL)?;
        }
        Ok(())
    }

    pub fn stop(&mut self) {
        end(&mut self.child, self.stop_signal, self.grace);
    }

    /// The end of the log, for an error message.
    fn last_words(&self) -> String {
        let Some(log) = self.log.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else {
            return String::new();
        };
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(20);
        format!(
            "; its last lines:\n{}",
            lines.get(tail..).unwrap_or_default().join("\n")
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Program and arguments as one would type them, for messages.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Signals the child, waits, and kills it when it takes longer than `grace`.
fn end(child: &mut Child, signal: Signal, grace: Duration) {
    let deadline = Instant::now() + grace;
    // A child that was already waited for has no pid of its own any more.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let sent = kill_process(Pid::from_child(child), signal);
    while sent.is_ok() && Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        sleep(POLL);
    }
    // It may have ended in this very moment: both errors then mean the same.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_daemon_is_gone() {
        let daemon = Daemon::spawn("sleeper", Command::new("sleep").arg("600"), None).unwrap();
        let pid = Pid::from_child(&daemon.child);
        drop(daemon);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn an_early_end_is_reported_with_the_last_lines_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        let mut daemon = Daemon::spawn(
            "shell",
            shell.args(["-c", "echo out of memory; exit 3"]),
            Some(folder.path().join("log")),
        )
        .unwrap();
        let error = daemon
            .wait_until(Duration::from_secs(10), || false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("out of memory") && error.contains("exit status: 3"),
            "{error}"
        );
    }
}
