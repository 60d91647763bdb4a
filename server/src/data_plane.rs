//! What every inference request shares: made at start from what the last process left, and ended in order.

use crate::allowance::Allowances;
use crate::auth::KeyCache;
use crate::beats::{self, Beats};
use crate::clock;
use crate::config::Config;
use crate::exchange::Background;
use crate::free_tier::FreeTier;
use crate::health::Health;
use crate::journal::Journal;
use crate::lessons::Lessons;
use crate::measured::Measured;
use crate::outbound::Outbound;
use crate::seats::Seats;
use crate::settlement::{self, Room, Settlements};
use crate::upstream::{self, Upstream};
use arc_swap::ArcSwap;
use domain::api_key::KeyHash;
use domain::catalog::{Catalog, Endpoint, Provider};
use domain::id::NodeId;
use domain::time::Micros;
use gateway::route::Conditions;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, nodes};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub struct DataPlane {
    pub config: Arc<Config>,
    pub catalog: ArcSwap<Catalog>,
    /// A pool of its own: a slow page never delays a token.
    pub store: Store,
    pub keys: KeyCache,
    pub allowances: Arc<Allowances>,
    pub room: Room,
    pub settlements: Arc<Settlements>,
    pub free_tier: FreeTier,
    pub seats: Seats,
    pub beats: Arc<Beats>,
    pub upstream: Upstream,
    pub outbound: Outbound,
    pub health: Health,
    pub measured: Measured,
    pub background: Background,
    pub node: NodeId,
    stopping: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the journal in {directory} cannot be used: {cause}")]
    Journal { directory: String, cause: std::io::Error },
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the operating system refuses: {0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What routing asks about this moment.
pub struct Now<'a> {
    state: &'a DataPlane,
    now: Micros,
    today: String,
}

const GIVE_BACK_EVERY: Duration = Duration::from_secs(15);
const REPLAY_BATCH: usize = 500;
/// The provider whose address comes from the local-model setting.
const LOCAL: &str = "local";
const LOCAL_SETTING: &str = "TOLLWAY_LOCAL_MODEL_URL";

impl DataPlane {
    /// Settles what an earlier process left in the journal, gives back what it had leased, and begins to take requests.
    /// Call on the data plane's runtime.
    pub async fn start(config: Arc<Config>, store: Store, catalog: Catalog) -> Result<Arc<Self>, StartError> {
        let node = config.node.clone();
        // While a fence stands, what is settled takes nobody below zero; so it ends after the replay.
        let journal = Arc::new(replayed(&config, &store, &node).await?);
        let allowances = Arc::new(Allowances::new(store.counted(), node.clone()));
        allowances.reclaim().await?;
        let mut tx = store.begin().await?;
        nodes::start(&mut tx, &node, clock::now()).await?;
        tx.commit().await?;
        let (settlements, writer) = Settlements::new(
            store.counted(),
            node.clone(),
            Arc::clone(&journal),
            Arc::clone(&allowances),
        );
        let expiry = config.limits.lease_expiry;
        let background = Background {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        };
        background.tasks.spawn(writer);
        let state = Arc::new(Self {
            catalog: ArcSwap::from_pointee(catalog),
            keys: KeyCache::new(),
            upstream: Upstream::new()?,
            outbound: Outbound::new(config.fetch_private)?,
            health: Health::default(),
            measured: Measured::default(),
            stopping: CancellationToken::new(),
            allowances,
            room: Room {
                journal,
                lessons: Lessons::start()?,
            },
            settlements: Arc::new(settlements),
            free_tier: FreeTier::new(store.counted(), config.limits.free),
            seats: Seats::new(config.limits.key_concurrency_max),
            beats: Arc::new(Beats::new(store.counted(), node.clone(), expiry)),
            config,
            store,
            background,
            node,
        });
        state
            .background
            .tasks
            .spawn(give_back_idle(Arc::clone(&state.allowances), state.stopping.clone()));
        let watching = beats::run(
            Arc::clone(&state.beats),
            Arc::clone(&state.allowances),
            Arc::clone(&state.settlements),
            state.stopping.clone(),
        );
        state.background.tasks.spawn(watching);
        Ok(state)
    }

    /// Resolves when every outcome so far is in the store.
    pub async fn settled(&self) {
        self.settlements.settled().await;
    }

    /// Waits for outcomes to reach the store and gives all leases back. Call when no request is running any more.
    pub async fn shutdown(&self) {
        self.stopping.cancel();
        self.settlements.settled().await;
        if let Err(error) = self.allowances.give_back(true).await {
            tracing::warn!(error.cause = %error, "leases could not be given back; the next start does it");
        }
        if let Err(error) = self.free_tier.give_back(clock::now()).await {
            tracing::warn!(error.cause = %error, "free requests of today could not be given back");
        }
        self.room.journal.close();
    }

    /// A key was changed: it is read anew, and what is held of its limit goes back.
    pub fn key_changed(self: &Arc<Self>, key: &KeyHash) {
        self.keys.invalidate(key);
        let (state, key) = (Arc::clone(self), key.clone());
        let returned = async move {
            if let Err(error) = state.allowances.give_back_key(&key).await {
                tracing::warn!(error.cause = %error, "a key's lease could not be given back");
            }
        };
        drop(self.background.tasks.spawn_on(returned, &self.background.runtime));
    }

    pub fn conditions(&self) -> Now<'_> {
        let now = clock::now();
        Now {
            state: self,
            now,
            today: now.day(),
        }
    }

    /// Name of the setting without which the provider cannot be called, for all its endpoints or one with an address of
    /// its own.
    pub fn missing_setting(&self, provider: &Provider, endpoint: Option<&Endpoint>) -> Option<String> {
        if provider.slug == LOCAL && self.config.local_model_url.is_none() {
            return Some(LOCAL_SETTING.to_owned());
        }
        upstream::missing(&self.config, provider, endpoint)
    }
}

impl Conditions for Now<'_> {
    fn missing_setting(&self, provider: &Provider, endpoint: &Endpoint) -> Option<String> {
        self.state.missing_setting(provider, Some(endpoint))
    }

    fn is_cooling_down(&self, endpoint: &str) -> bool {
        self.state.health.is_cooling_down(endpoint, self.now)
    }

    fn now(&self) -> Micros {
        self.now
    }

    fn today(&self) -> &str {
        &self.today
    }
}

async fn replayed(config: &Config, store: &Store, node: &NodeId) -> Result<Journal, StartError> {
    let directory = config.data_dir.join("journal");
    let failed = |cause| StartError::Journal {
        directory: directory.display().to_string(),
        cause,
    };
    let (journal, leftover) = Journal::open(&directory, config.journal_fsync).map_err(failed)?;
    let generations = settlement::recovered(leftover, &journal).map_err(failed)?;
    if !generations.is_empty() {
        tracing::info!(
            journal.generations = generations.len(),
            "settling what the last process left in the journal"
        );
    }
    for batch in generations.chunks(REPLAY_BATCH) {
        settlement::write(store, node, None, batch).await;
    }
    journal.forget_leftover().map_err(failed)?;
    Ok(journal)
}

async fn give_back_idle(allowances: Arc<Allowances>, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(GIVE_BACK_EVERY) => {}
        }
        if let Err(error) = allowances.give_back(false).await {
            tracing::warn!(error.cause = %error, "idle leases could not be given back; trying again later");
        }
    }
}
