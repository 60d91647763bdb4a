//! One server process.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Killed when dropped.
pub struct Node {
    pub address: String,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    http: reqwest::Client,
    child: Option<Child>,
}

const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);
/// What a server needs of our own environment; settings of whoever runs this must not leak in.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

impl Node {
    /// Not started yet. Keeps its address over restarts, as a server behind a load balancer would.
    pub fn new(program: &Path, environment: Vec<(&'static str, String)>, log: PathBuf) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        Ok(Self {
            address,
            program: program.to_owned(),
            environment,
            log,
            http: reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()?,
            child: None,
        })
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) -> Result<()> {
        let log = File::options().append(true).open(&self.log)?;
        let mut command = self.command(&["serve"]);
        command.env("TOLLWAY_ADDR", &self.address);
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().context("starting a server")?);
        self.ready().await
    }

    /// As `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// As `kill`: it finishes what runs, settles, and gives its leases back.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                if status.success() {
                    return Ok(());
                }
                bail!("a server stopped with {status}: see {}", self.log.display());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("a server does not stop: see {}", self.log.display())
    }

    /// Runs `tollway` with the server's settings.
    pub fn tollway(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args).output()?)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().args(args).stdin(Stdio::null());
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{}/health", self.address);
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                bail!(
                    "a server ended with {} at its start: see {}",
                    status?,
                    self.log.display()
                );
            }
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status().is_success()
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("a server does not answer: see {}", self.log.display())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
