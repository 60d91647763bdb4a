//! The one process: configuration → state → serve → shutdown.

use crate::checkout::Checkout;
use crate::config::Config;
use crate::data_plane::DataPlane;
use crate::mail::Mailer;
use crate::web::Web;
use crate::worker::{Work, Workers};
use domain::catalog::Catalog;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinError;

mod allowance;
mod api;
mod auth;
mod beats;
mod catalog_sync;
mod checkout;
mod cli;
mod clock;
mod config;
mod data_plane;
mod error;
mod exchange;
mod free_tier;
mod health;
mod inference;
mod journal;
mod keeper;
mod lessons;
mod linger;
mod listen;
mod mail;
mod measured;
mod outbound;
mod relay;
mod router;
mod seats;
mod settlement;
mod upstream;
mod web;
mod worker;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot listen on {addr}: {cause}. Set TOLLWAY_ADDR to a free address")]
    Listen { addr: SocketAddr, cause: std::io::Error },
    #[error("the operating system refuses: {0}")]
    System(#[from] std::io::Error),
    #[error("the store cannot be opened (TOLLWAY_DATABASE_URL): {0}")]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Catalog(#[from] catalog_sync::SyncError),
    #[error(transparent)]
    Data(#[from] data_plane::StartError),
    #[error("TOLLWAY_SMTP_URL or TOLLWAY_MAIL_FROM: {0}")]
    Mail(#[from] mail::MailError),
    #[error("the payment client cannot be made: {0}")]
    Checkout(#[from] checkout::StartError),
    #[error("a part of the start-up died: {0}")]
    Died(#[from] JoinError),
}

/// How long the web side may take to end after the last connection.
const WEB_SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    install_crypto();
    cli::run()
}

/// Every TLS client here uses this one implementation.
fn install_crypto() {
    // Only fails when it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs until a signal. Two runtimes, so that a slow page never delays a token: the data plane accepts connections and
/// serves the API, the web side renders pages and does everything periodic.
fn serve(config: Config) -> Result<(), ServeError> {
    let (data, web) = (runtime("data")?, runtime("web")?);
    let served = data.block_on(serve_on(config, web.handle().clone()));
    web.shutdown_timeout(WEB_SHUTDOWN);
    served
}

async fn serve_on(config: Config, web_runtime: Handle) -> Result<(), ServeError> {
    let addr = config.addr;
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|cause| ServeError::Listen { addr, cause })?;
    let config = Arc::new(config.bound(listener.local_addr()?));
    let (store, catalog) = web_runtime.spawn(prepare(Arc::clone(&config))).await??;
    let data_store = connect(&config).await?;
    let data = DataPlane::start(Arc::clone(&config), data_store.clone(), catalog).await?;

    let mail_queued = Arc::new(Notify::new());
    let mailer = Arc::new(Mailer::new(&config)?);
    let checkout = Arc::new(Checkout::new(&config, store.clone(), Arc::clone(&mail_queued))?);
    let work = Work {
        data: Arc::clone(&data),
        store: store.clone(),
        checkout: Arc::clone(&checkout),
        mailer,
        mail_queued: Arc::clone(&mail_queued),
    };
    let web = Arc::new(Web::new(
        Arc::clone(&data),
        store.clone(),
        checkout,
        mail_queued,
        web_runtime.clone(),
    ));
    let (router, workers) = web_runtime
        .spawn(async move { (router::router(&web), Workers::start(&work)) })
        .await?;

    tracing::info!(
        url = config.base_url,
        models = data.catalog.load().models().len(),
        "tollway is ready"
    );
    let limits = listen::Limits {
        connections_max: config.connections_max,
        shutdown: Duration::from_secs(config.shutdown_secs),
        trust_proxy: config.trust_proxy,
    };
    listen::serve(listener, router, limits, stop_signals()).await;
    data.shutdown().await;
    web_runtime.spawn(async move { workers.stop().await }).await?;
    data_store.close().await;
    store.close().await;
    tracing::info!("tollway has stopped");
    Ok(())
}

/// The web side's store, with the current schema and catalog.
async fn prepare(config: Arc<Config>) -> Result<(Store, Catalog), ServeError> {
    let store = connect(&config).await?;
    store.migrate().await?;
    let catalog = catalog_sync::sync(&store, &config.catalog_files, config.local_model_url.as_deref()).await?;
    Ok((store, catalog))
}

async fn connect(config: &Config) -> Result<Store, store::StoreError> {
    Store::connect(config.database_url.reveal(), config.database_connections_max).await
}

/// One message per SIGTERM or SIGINT.
fn stop_signals() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        while let Ok(()) = listen::stop_signal().await {
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name(format!("tollway-{name}"))
        .enable_all()
        .build()
}
