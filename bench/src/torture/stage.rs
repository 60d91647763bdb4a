//! Servers, their database and their providers.

use super::Options;
use super::callers::Seen;
use super::check::Evidence;
use super::node::Node;
use super::providers::Providers;
use crate::customer::Customer;
use crate::database;
use anyhow::{Result, bail};
use domain::generation::Generation;
use domain::id::{AccountId, GenerationId};
use domain::money::NanoUsd;
use std::time::{Duration, Instant};
use store::Store;
use store::generations::{self, Filter};
use store::ledger::Credits;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Stage {
    pub nodes: Vec<Node>,
    pub store: Store,
    providers: Providers,
    accounts: Vec<(AccountId, NanoUsd)>,
    _dir: TempDir,
}

/// Looks at a customer's balance all the time.
pub struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<NanoUsd>>,
}

const CONNECTIONS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const SETTLED_PATIENCE: Duration = Duration::from_secs(60);
/// Nothing more is settled when two looks this far apart see the same.
const SETTLED_PAUSE: Duration = Duration::from_millis(400);
const GENERATIONS_MAX: i64 = 100_000;

impl Stage {
    pub async fn on_postgres(options: &Options, cluster: &str, nodes: usize) -> Result<Self> {
        let url = database::create(cluster).await?;
        Self::start(options, tempfile::tempdir()?, &url, "postgres", nodes).await
    }

    pub async fn on_sqlite(options: &Options) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite:{}", dir.path().join("tollway.db").display());
        Self::start(options, dir, &url, "sqlite", 1).await
    }

    async fn start(options: &Options, dir: TempDir, url: &str, database: &str, count: usize) -> Result<Self> {
        let providers = Providers::start()?;
        let catalog = dir.path().join("catalog.json");
        std::fs::write(&catalog, providers.catalog().to_string())?;
        std::fs::create_dir_all(dir.path().join("site"))?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let path = |name: &str| dir.path().join(name).display().to_string();
            let environment = vec![
                ("TOLLWAY_DATA_DIR", path(&format!("data-{number}"))),
                ("TOLLWAY_DATABASE_URL", url.to_owned()),
                ("TOLLWAY_SITE_ROOT", path("site")),
                ("TOLLWAY_CATALOG", path("catalog.json")),
                ("TOLLWAY_DEV", "1".to_owned()),
                ("TOLLWAY_LOG", "info".to_owned()),
            ];
            let log = options.logs.join(format!("torture-{database}-{number}.log"));
            let mut node = Node::new(&options.tollway, environment, log)?;
            node.start().await?;
            nodes.push(node);
        }
        Ok(Self {
            nodes,
            store: Store::connect(url, CONNECTIONS).await?,
            providers,
            accounts: Vec::new(),
            _dir: dir,
        })
    }

    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    pub fn watch(&self, customer: &Customer) -> Watch {
        let (stop, mut stopped) = oneshot::channel();
        let (store, account) = (self.store.clone(), customer.account.clone());
        let task = tokio::spawn(async move {
            let mut lowest = NanoUsd::new(i64::MAX);
            loop {
                let credits = store::ledger::credits(&mut store.read().await?, &account).await?;
                lowest = lowest.min(credits.available).min(credits.in_escrow);
                tokio::select! {
                    _ = &mut stopped => return Ok(lowest),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
        Watch { stop, task }
    }

    /// Waits until everything is settled that the callers began, and collects what everybody says about it.
    pub async fn evidence(&mut self, customer: &Customer, seen: Vec<Seen>) -> Result<Evidence> {
        if !self.providers.idle().await {
            bail!("a provider is still asked although all callers are gone");
        }
        let generations = self.settled(customer, &seen).await?;
        let credits = self.credits(&customer.account).await?;
        let used = credits.used;
        self.accounts.push((customer.account.clone(), used));
        Ok(Evidence {
            seen,
            generations,
            bills: self.providers.new_bills()?,
            credits,
        })
    }

    /// The books are right, as the server's own command says.
    pub fn verify(&self) -> Result<()> {
        let Some(node) = self.nodes.first() else { return Ok(()) };
        let output = node.tollway(&["ledger", "verify"])?;
        if !output.status.success() {
            bail!("ledger verify: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Stops all servers properly: afterwards nothing may be in escrow, and no charge have changed.
    pub async fn close(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.stop().await?;
        }
        self.verify()?;
        for (account, used) in &self.accounts {
            let credits = self.credits(account).await?;
            if credits.in_escrow != NanoUsd::ZERO || credits.used != *used || credits.available.is_negative() {
                bail!("after all servers stopped an account stands at {credits:?}, and was charged {used} before");
            }
        }
        self.store.close().await;
        Ok(())
    }

    async fn credits(&self, account: &AccountId) -> Result<Credits> {
        Ok(store::ledger::credits(&mut self.store.read().await?, account).await?)
    }

    /// All generations of the customer, once those are there that callers know of, and no more come.
    async fn settled(&self, customer: &Customer, seen: &[Seen]) -> Result<Vec<Generation>> {
        let known: Vec<GenerationId> = seen
            .iter()
            .filter_map(|seen| seen.generation.clone())
            .map(GenerationId::stored)
            .collect();
        let deadline = Instant::now() + SETTLED_PATIENCE;
        let mut before = usize::MAX;
        loop {
            let mut tx = self.store.read().await?;
            let list = generations::list(&mut tx, &customer.account, &Filter::default(), GENERATIONS_MAX).await?;
            drop(tx);
            let missing = known.iter().find(|id| list.iter().all(|one| one.id != **id));
            if missing.is_none() && list.len() == before {
                return Ok(list);
            }
            if Instant::now() > deadline
                && let Some(id) = missing
            {
                bail!("the generation {id}, which a caller was told of, is not settled");
            }
            before = list.len();
            tokio::time::sleep(SETTLED_PAUSE).await;
        }
    }
}

impl Watch {
    /// The lowest balance seen.
    pub async fn lowest(self) -> Result<NanoUsd> {
        // It may have failed already, which is what `task` says.
        let _ = self.stop.send(());
        self.task.await?
    }
}
