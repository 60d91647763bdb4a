//! Writes what is settled to the store, in batches, off the hot path.

use crate::allowance::Allowances;
use crate::clock;
use crate::journal::Journal;
use domain::generation::Generation;
use domain::id::{NodeId, TransferId};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::sync::Arc;
use std::time::Duration;
use store::ledger::LedgerError;
use store::{Store, StoreError};
use tokio::sync::{mpsc, watch};

/// What waits goes at once, up to this: the cost of each falls with their number, and others wait for the rows it locks.
const BATCH_MAX: usize = 1_000;
/// Batches under way at once: the rows of one are written while the other is committed.
const BATCHES_MAX: usize = 2;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Writes one batch, trying again until the store takes it. Idempotent by generation id.
pub async fn write(store: &Store, node: &NodeId, allowances: Option<&Allowances>, batch: &[Generation]) {
    let mut wait = RETRY_FIRST;
    loop {
        match try_write(store, node, batch).await {
            Ok(settled) => {
                for (account, amount) in settled.overruns {
                    if let Some(allowances) = allowances {
                        allowances.overrun(&account, amount);
                    }
                }
                return;
            }
            Err(error) => {
                tracing::error!(error.cause = %error, settlement.count = batch.len(), "settlement failed; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
    }
}

pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) node: NodeId,
    pub(super) journal: Arc<Journal>,
    pub(super) allowances: Arc<Allowances>,
}

impl Writer {
    /// Ends when everyone who could send is gone.
    pub(super) async fn run(self, mut receiver: mpsc::Receiver<Generation>, progress: watch::Sender<u64>) {
        // Progress is told in the order of the queue: who waits for a count waits for all up to it.
        let mut under_way = FuturesOrdered::new();
        let mut is_open = true;
        while is_open || !under_way.is_empty() {
            let mut batch = Vec::new();
            tokio::select! {
                Some(settled) = under_way.next() => progress.send_modify(|count| *count += settled),
                taken = receiver.recv_many(&mut batch, BATCH_MAX), if is_open && under_way.len() < BATCHES_MAX => {
                    is_open = taken > 0;
                    if is_open {
                        under_way.push_back(self.settle(batch));
                    }
                }
            }
        }
    }

    /// Gives how many they were.
    async fn settle(&self, batch: Vec<Generation>) -> u64 {
        write(&self.store, &self.node, Some(&self.allowances), &batch).await;
        let ids: Vec<_> = batch.into_iter().map(|generation| generation.id).collect();
        self.journal.forget(&ids);
        ids.len() as u64
    }
}

async fn try_write(
    store: &Store,
    node: &NodeId,
    batch: &[Generation],
) -> Result<store::settlement::Settled, LedgerError> {
    let mut new_id = || TransferId::at(clock::now(), clock::random());
    let mut tx = store.begin().await.map_err(LedgerError::Store)?;
    let settled = store::settlement::settle(&mut tx, node, batch, &mut new_id, clock::now()).await?;
    tx.commit()
        .await
        .map_err(|error: StoreError| LedgerError::Store(error))?;
    Ok(settled)
}
