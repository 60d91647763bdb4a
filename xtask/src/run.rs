//! `cargo xtask run`: from a fresh clone to a site that answers.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::local_model::{self, Installed, LocalModel};
use crate::loopback;
use crate::process::{self, Daemon};
use crate::site;
use crate::workspace::{Profile, Workspace};

/// Migrations and the first import of the catalog happen before the server answers.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longer than the server waits for streams that are under way.
const STOP_GRACE: Duration = Duration::from_secs(40);
const WATCH: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub struct Options {
    /// Port on 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
    /// Database to use instead of SQLite in the data folder, such as postgres://…
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Start without the provider `local`.
    #[arg(long)]
    pub no_local_model: bool,
    /// Compile for speed of the product instead of speed of compiling.
    #[arg(long)]
    pub release: bool,
    /// Folder for database, secrets and mails [default: data/ in the repository].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// What a server is started with.
pub struct Stage {
    pub port: u16,
    pub profile: Profile,
    database_url: Option<String>,
    data: PathBuf,
    model: Option<LocalModel>,
}

pub fn run(workspace: &Workspace, options: Options) -> Result<ExitCode> {
    let mut stage = set(workspace, options)?;
    let mut server = stage.serve(workspace)?;
    stage.greet();
    loop {
        if let Some(status) = server.exited()? {
            eprintln!("The server ended with {status}.");
            return Ok(exit_code(status));
        }
        stage.watch_model()?;
        if process::pause(WATCH).is_err() {
            eprintln!("\nStopping …");
            server.stop();
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Builds, downloads and starts everything but the server itself.
pub fn set(workspace: &Workspace, options: Options) -> Result<Stage> {
    if !loopback::is_free(options.port) {
        bail!(
            "port {} is taken: stop what listens there, or choose another with --port",
            options.port
        );
    }
    let data = match options.data {
        Some(folder) => std::env::current_dir()?.join(folder),
        None => workspace.root.join("data"),
    };
    fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    let profile = Profile::of(options.release);
    // The network and the compiler work side by side.
    let installed = std::thread::scope(|scope| {
        let download = scope.spawn(|| (!options.no_local_model).then(|| local_model::install(workspace)));
        site::build(workspace, profile)?;
        download
            .join()
            .map_err(|_| anyhow::anyhow!("installing the local model panicked"))
    })?;
    let model = installed.and_then(|installed| start_model(workspace, installed));
    Ok(Stage {
        port: options.port,
        profile,
        database_url: options.database_url,
        data,
        model,
    })
}

impl Stage {
    /// Starts the server and waits until it answers.
    pub fn serve(&self, workspace: &Workspace) -> Result<Daemon> {
        let mut command = Command::new(workspace.server_binary(self.profile));
        command
            .arg("serve")
            .current_dir(&workspace.root)
            .env("TOLLWAY_ADDR", format!("127.0.0.1:{}", self.port))
            .env("TOLLWAY_DATA_DIR", &self.data)
            .env("TOLLWAY_SITE_ROOT", workspace.site())
            .env("TOLLWAY_DEV", "1");
        if let Some(url) = &self.database_url {
            command.env("TOLLWAY_DATABASE_URL", url);
        }
        if let Some(model) = &self.model {
            command.env("TOLLWAY_LOCAL_MODEL_URL", model.url());
        }
        let server = Daemon::spawn("the server", &mut command, None)?;
        let mut server = server.stopped_by(rustix::process::Signal::TERM, STOP_GRACE);
        server.wait_until(START_LIMIT, || loopback::answers_ok(self.port, "/health"))?;
        Ok(server)
    }

    pub fn greet(&self) {
        let database = self
            .database_url
            .as_deref()
            .map_or("SQLite", |url| url.split(':').next().unwrap_or(url));
        eprintln!("\n  Tollway is ready:  http://127.0.0.1:{}", self.port);
        eprintln!("    data             {} ({database})", self.data.display());
        match &self.model {
            Some(model) => eprintln!("    local model      {} on {}", local_model::ALIAS, model.url()),
            None => eprintln!("    local model      off"),
        }
        eprintln!("    the first account to sign up becomes the administrator; Ctrl-C stops\n");
    }

    /// Says so once when the model has died; the server goes on and answers for its other providers.
    pub fn watch_model(&mut self) -> Result<()> {
        if let Some(model) = &mut self.model
            && let Some(status) = model.exited()?
        {
            eprintln!("WARNING: the local model ended with {status}; calls to the provider local will fail.");
            self.model = None;
        }
        Ok(())
    }
}

/// The model is what a stranger tries first, and still not worth failing for: without it the rest works.
fn start_model(workspace: &Workspace, installed: Result<Installed>) -> Option<LocalModel> {
    let started = Instant::now();
    let model = installed.and_then(|installed| local_model::start(workspace, &installed, loopback::free_port()?));
    match model {
        Ok(model) => {
            eprintln!("The local model started in {:.1} s.", started.elapsed().as_secs_f32());
            Some(model)
        }
        Err(error) => {
            eprintln!("WARNING: going on without the local model: {error:#}");
            None
        }
    }
}

/// The child's own status, or what a shell would say of a signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
