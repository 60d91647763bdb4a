//! Periodic jobs: catalog and key changes of other nodes, mails, payments, what has expired.

use crate::catalog_sync::{self, SyncError};
use crate::checkout::{Checkout, ReconcileError};
use crate::clock;
use crate::data_plane::DataPlane;
use crate::mail::Mailer;
use domain::id::TransferId;
use domain::time::Micros;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use store::Store;
use store::ledger::LedgerError;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running jobs.
pub struct Workers {
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// What the jobs work on. The store is the web side's, so that no job takes a connection from the data plane.
#[derive(Clone)]
pub struct Work {
    pub data: Arc<DataPlane>,
    pub store: Store,
    pub checkout: Arc<Checkout>,
    pub mailer: Arc<Mailer>,
    /// Notified when a mail was queued.
    pub mail_queued: Arc<Notify>,
}

const CATALOG_POLL: Duration = Duration::from_secs(2);
const KEYS_POLL: Duration = Duration::from_millis(500);
/// How far back each poll for changed keys looks: clocks of nodes differ, and transactions commit after they begin.
const KEYS_OVERLAP_US: i64 = 10 * Micros::SECOND;
const CUTS_POLL: Duration = Duration::from_secs(5);
const MAIL_POLL: Duration = Duration::from_secs(10);
const SESSIONS_POLL: Duration = Duration::from_secs(10 * 60);
const CREDITS_POLL: Duration = Duration::from_secs(60);
const RECONCILE: Duration = Duration::from_secs(60);
const TOP_UPS_POLL: Duration = Duration::from_secs(5);

impl Workers {
    /// Starts all jobs on the current runtime.
    #[must_use]
    pub fn start(work: &Work) -> Self {
        let workers = Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let since = Arc::new(AtomicI64::new(clock::now().get()));
        let idle = || Arc::new(Notify::new());
        workers.every("reload the catalog", CATALOG_POLL, idle(), work, reload_catalog);
        workers.every("follow key changes", KEYS_POLL, idle(), work, move |work| {
            follow_keys(work, Arc::clone(&since))
        });
        workers.every("measure cancel policies", CUTS_POLL, idle(), work, measure_cuts);
        workers.every("send mails", MAIL_POLL, Arc::clone(&work.mail_queued), work, send_mails);
        workers.every(
            "forget expired sessions and responses",
            SESSIONS_POLL,
            idle(),
            work,
            forget_sessions,
        );
        workers.every("take expired credits", CREDITS_POLL, idle(), work, expire_credits);
        workers.every("reconcile payments", RECONCILE, idle(), work, reconcile);
        workers.every("top up accounts", TOP_UPS_POLL, idle(), work, top_up);
        workers
    }

    /// Lets running jobs finish and starts no more.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Runs `job` every `period` and whenever `wake` is notified. A failure is said once, and once when it is over.
    fn every<F, E>(
        &self,
        name: &'static str,
        period: Duration,
        wake: Arc<Notify>,
        work: &Work,
        job: impl Fn(Work) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send,
        E: Display,
    {
        let (stop, work) = (self.stop.clone(), work.clone());
        self.tracker.spawn(async move {
            let failing = AtomicBool::new(false);
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = wake.notified() => {}
                    _ = ticks.tick() => {}
                }
                report(name, &failing, job(work.clone()).await);
            }
        });
    }
}

fn report<E: Display>(name: &'static str, failing: &AtomicBool, result: Result<(), E>) {
    let failed_before = failing.swap(result.is_err(), Ordering::Relaxed);
    match result {
        Err(error) if !failed_before => tracing::warn!(job = name, error.cause = %error, "a periodic job fails"),
        Ok(()) if failed_before => tracing::info!(job = name, "a periodic job works again"),
        _ => {}
    }
}

async fn reload_catalog(work: Work) -> Result<(), SyncError> {
    let mut tx = work.store.read().await?;
    if store::catalog::version(&mut tx).await? == work.data.catalog.load().version {
        return Ok(());
    }
    let catalog = catalog_sync::load(&mut tx, work.data.config.local_model_url.as_deref()).await?;
    tracing::info!(
        catalog.version = catalog.version,
        models = catalog.models().len(),
        "catalog reloaded"
    );
    work.data.catalog.store(Arc::new(catalog));
    Ok(())
}

async fn follow_keys(work: Work, since: Arc<AtomicI64>) -> Result<(), SyncError> {
    let now = clock::now();
    let from = Micros::new(since.load(Ordering::Relaxed)).plus(-KEYS_OVERLAP_US);
    let mut tx = work.store.read().await?;
    for key in store::keys::changed_since(&mut tx, from).await? {
        let hash = key.hash.clone();
        if work.data.keys.put(key) {
            // Changed on another node: what this one has taken of its limit may be too much now.
            work.data.allowances.give_back_key(&hash).await?;
        }
    }
    since.store(now.get(), Ordering::Relaxed);
    Ok(())
}

async fn measure_cuts(work: Work) -> Result<(), SyncError> {
    let mut tx = work.store.read().await?;
    let evidence = store::cuts::evidence(&mut tx, clock::now()).await?;
    work.data.measured.learn(&evidence);
    Ok(())
}

async fn send_mails(work: Work) -> Result<(), SyncError> {
    while work.mailer.deliver(&work.store).await? {}
    Ok(())
}

async fn forget_sessions(work: Work) -> Result<(), SyncError> {
    let mut tx = work.store.begin().await?;
    store::sessions::delete_expired(&mut tx, clock::now()).await?;
    store::responses::delete_expired(&mut tx, clock::now()).await?;
    // Another node's clock may still be in yesterday.
    store::quotas::delete_before(&mut tx, &clock::now().plus(-Micros::DAY).day()).await?;
    Ok(tx.commit().await?)
}

async fn expire_credits(work: Work) -> Result<(), LedgerError> {
    let mut ids = || TransferId::new(clock::random());
    loop {
        let mut tx = work.store.begin().await?;
        let expired = store::lots::expire(&mut tx, clock::now(), &mut ids).await?;
        tx.commit().await?;
        if expired == 0 {
            return Ok(());
        }
        tracing::info!(lots.count = expired, "credits expired");
    }
}

async fn reconcile(work: Work) -> Result<(), ReconcileError> {
    work.checkout.reconcile().await.map(|_| ())
}

async fn top_up(work: Work) -> Result<(), ReconcileError> {
    work.checkout.top_up().await.map(|_| ())
}
