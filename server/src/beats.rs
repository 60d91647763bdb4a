//! Nodes watch each other. Each counts beats in the store; one whose beats stand still is taken for dead, and what it had
//! leased goes back to its owners. A node that cannot beat stops spending long before that.
//!
//! Time is each node's own monotonic clock: no two clocks are ever compared.

use crate::allowance::Allowances;
use crate::clock;
use crate::settlement::Settlements;
use domain::id::{NodeId, TransferId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::ledger::LedgerError;
use store::nodes::{self, Beat, NodeRow};
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// This node's own standing.
pub struct Beats {
    store: Store,
    node: NodeId,
    expiry: Duration,
    started: Instant,
    /// When the last beat that reached the store was begun, in milliseconds since `started`.
    last: AtomicU64,
    fenced: AtomicBool,
    failing: AtomicBool,
}

/// Beats in the time after which a silent node is taken for dead.
const PER_EXPIRY: u32 = 10;
const EVERY_MAX: Duration = Duration::from_secs(10);
const FENCED_POLL: Duration = Duration::from_millis(100);

impl Beats {
    /// Of a node that has just started.
    #[must_use]
    pub fn new(store: Store, node: NodeId, expiry: Duration) -> Self {
        Self {
            store,
            node,
            expiry,
            started: Instant::now(),
            last: AtomicU64::new(0),
            fenced: AtomicBool::new(false),
            failing: AtomicBool::new(false),
        }
    }

    /// Whether this node can be sure that its leases are still its own: half of the time after which others take them.
    #[must_use]
    pub fn may_spend(&self) -> bool {
        let since = self.millis().saturating_sub(self.last.load(Ordering::Acquire));
        !self.is_fenced() && Duration::from_millis(since) < self.expiry / 2
    }

    /// Whether others took it for dead. It can only begin anew when nothing is running, so nothing may begin.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// Beats, and watches the others, until it is told to stop.
    pub async fn run(&self, allowances: &Allowances, settlements: &Settlements, stopping: CancellationToken) {
        let mut others = Others::default();
        loop {
            let fenced = self.beat(allowances, settlements).await;
            others.watch(self).await;
            let pause = if fenced { FENCED_POLL } else { self.every() };
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn every(&self) -> Duration {
        (self.expiry / PER_EXPIRY).min(EVERY_MAX)
    }

    /// Whether this node is fenced.
    async fn beat(&self, allowances: &Allowances, settlements: &Settlements) -> bool {
        let begun = self.millis();
        let beat = async {
            let mut tx = self.store.begin().await?;
            let beat = nodes::beat(&mut tx, &self.node, clock::now()).await?;
            tx.commit().await?;
            Ok(beat)
        };
        let result = match beat.await {
            Ok(Beat::Alive) if !self.is_fenced() => Ok(()),
            Ok(_) => self.rejoin(allowances, settlements).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(()) if !self.is_fenced() => self.last.store(begun, Ordering::Release),
            Err(error) if !self.failing.load(Ordering::Relaxed) => {
                tracing::warn!(error.cause = %error, "this node cannot say that it is alive");
            }
            _ => {}
        }
        self.failing.store(result.is_err(), Ordering::Relaxed);
        self.is_fenced()
    }

    /// The leases are gone. Nothing new begins until all that was begun under them is settled: a late charge must not meet
    /// a lease that was taken after it.
    async fn rejoin(&self, allowances: &Allowances, settlements: &Settlements) -> Result<(), StoreError> {
        if !self.fenced.swap(true, Ordering::AcqRel) {
            tracing::warn!("other nodes took this one for dead; it begins anew when what is running is settled");
            allowances.forget();
        }
        if !settlements.is_idle() {
            return Ok(());
        }
        settlements.settled().await;
        allowances.forget();
        allowances.reclaim().await?;
        let mut tx = self.store.begin().await?;
        nodes::start(&mut tx, &self.node, clock::now()).await?;
        tx.commit().await?;
        self.fenced.store(false, Ordering::Release);
        tracing::info!("this node takes part again");
        Ok(())
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The other nodes' beats, and since when each count is known here.
#[derive(Default)]
struct Others(HashMap<NodeId, (u64, Instant)>);

impl Others {
    async fn watch(&mut self, own: &Beats) {
        if let Err(error) = self.fence_silent(own).await {
            tracing::debug!(error.cause = %error, "other nodes cannot be watched");
        }
    }

    async fn fence_silent(&mut self, own: &Beats) -> Result<(), LedgerError> {
        let mut tx = own.store.read().await?;
        let rows = nodes::all(&mut tx).await?;
        drop(tx);
        for node in self.silent(&rows, own, Instant::now()) {
            let mut new_id = || TransferId::new(clock::random());
            let mut tx = own.store.begin().await?;
            if nodes::fence(&mut tx, &node.id, node.beats, &mut new_id, clock::now()).await? {
                tx.commit().await?;
                tracing::warn!(node = %node.id, "a node is silent; its leases went back to their owners");
            }
        }
        Ok(())
    }

    /// Those whose beats stood still for the whole expiry.
    fn silent<'a>(&mut self, rows: &'a [NodeRow], own: &Beats, now: Instant) -> Vec<&'a NodeRow> {
        let mut silent = Vec::new();
        for row in rows.iter().filter(|row| row.id != own.node && !row.fenced) {
            let (beats, since) = self.0.entry(row.id.clone()).or_insert((row.beats, now));
            if *beats != row.beats {
                (*beats, *since) = (row.beats, now);
            } else if now.duration_since(*since) >= own.expiry {
                silent.push(row);
            }
        }
        silent
    }
}

/// Runs until it is told to stop.
pub async fn run(
    beats: Arc<Beats>,
    allowances: Arc<Allowances>,
    settlements: Arc<Settlements>,
    stopping: CancellationToken,
) {
    beats.run(&allowances, &settlements, stopping).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Micros;

    async fn beats(expiry: Duration) -> (Beats, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let store = Store::connect(&url, 1).await.unwrap();
        (Beats::new(store, NodeId::stored("me"), expiry), dir)
    }

    #[tokio::test]
    async fn a_node_that_cannot_beat_stops_spending_before_others_take_its_leases() {
        let (beats, _dir) = beats(Duration::from_millis(200)).await;
        assert!(beats.may_spend());
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert!(!beats.may_spend());
        beats.last.store(beats.millis(), Ordering::Release);
        assert!(beats.may_spend());
        beats.fenced.store(true, Ordering::Release);
        assert!(!beats.may_spend());
    }

    #[tokio::test]
    async fn only_a_count_that_stands_still_for_the_whole_expiry_is_silence() {
        let (own, _dir) = beats(Duration::from_secs(10)).await;
        let row = |id: &str, beats, fenced| NodeRow {
            id: NodeId::stored(id),
            beats,
            fenced,
            heartbeat: Micros::new(0),
        };
        let start = Instant::now();
        let mut others = Others::default();
        let mut silent = |seconds: u64, count: u64| {
            let rows = [
                row("me", 1, false),
                row("still", 1, false),
                row("moves", count, false),
                row("out", 1, true),
            ];
            let silent = others.silent(&rows, &own, start + Duration::from_secs(seconds));
            silent.iter().map(|row| row.id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert!(silent(0, 1).is_empty() && silent(9, 2).is_empty());
        assert_eq!(silent(10, 2), ["still"]);
        assert_eq!(silent(18, 2), ["still"]);
        assert_eq!(silent(19, 2), ["still", "moves"]);
    }
}
