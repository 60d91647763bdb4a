//! The server's process.

use super::{PATIENCE, eventually};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub struct Server {
    pub base_url: String,
    child: Option<Child>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    http: reqwest::Client,
}

const BINARY: &str = env!("CARGO_BIN_EXE_tollway");

/// What every server under test is started with.
pub fn environment(dir: &Path, catalog: &Path, database_url: &str) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    [
        ("TOLLWAY_DATA_DIR", text(&dir.join("data"))),
        ("TOLLWAY_DATABASE_URL", database_url.to_owned()),
        ("TOLLWAY_SITE_ROOT", text(&dir.join("site"))),
        ("TOLLWAY_CATALOG", text(catalog)),
        ("TOLLWAY_DEV", "1".to_owned()),
        ("TOLLWAY_LOG", "info".to_owned()),
        ("ALPHA_API_KEY", "alpha-secret".to_owned()),
        ("BETA_API_KEY", "beta-secret".to_owned()),
        ("GAMMA_API_KEY", "gamma-secret".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

impl Server {
    /// Starts `tollway serve` on a free port and waits until it answers.
    pub async fn start(environment: Vec<(String, String)>, dir: &Path, http: &reqwest::Client) -> Self {
        std::fs::create_dir_all(dir.join("site")).unwrap();
        let mut server = Self {
            base_url: String::new(),
            child: None,
            environment,
            log: dir.join("server.log"),
            http: http.clone(),
        };
        server.restart().await;
        server
    }

    /// Starts it again, with the same data and another port.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "the server still runs");
        let address = free_address();
        self.base_url = format!("http://{address}");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut command = self.command(&["serve"]);
        command
            .env("TOLLWAY_ADDR", &address)
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.wait_until_ready().await;
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// As `kill`: running requests are finished and everything is settled.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = tokio::task::spawn_blocking(move || child.wait());
        let status = tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("the server stops")
            .unwrap()
            .unwrap();
        assert!(
            status.success(),
            "the server stopped with {status}\n{}",
            self.log_text()
        );
    }

    pub fn tollway(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        // Settings of whoever runs the tests must not leak in.
        command.env_clear().args(args).stdin(Stdio::null());
        for inherited in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(inherited) {
                command.env(inherited, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn wait_until_ready(&mut self) {
        let url = format!("{}/api/v1/providers", self.base_url);
        let child = std::cell::RefCell::new(self.child.as_mut().unwrap());
        let (http, log) = (&self.http, &self.log);
        eventually("the server answers", || async {
            if let Some(status) = child.borrow_mut().try_wait().unwrap() {
                panic!(
                    "the server ended with {status}\n{}",
                    std::fs::read_to_string(log).unwrap_or_default()
                );
            }
            http.get(&url)
                .send()
                .await
                .ok()
                .filter(|response| response.status().is_success())
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log_text());
        }
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
