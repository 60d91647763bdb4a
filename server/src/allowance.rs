//! Money a node may spend from memory. A lease is *taken* from an account (or from a key's limit) in the store, so that
//! any number of nodes cannot overspend together; holds are then taken from the lease without asking anyone.

use crate::clock;
use domain::api_key::KeyHash;
use domain::id::{AccountId, NodeId, TransferId, hex};
use domain::lease::{self, Lease};
use domain::ledger::{self, LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use store::ledger::LedgerError;
use store::{Store, StoreError, keys};

pub use domain::lease::Hold;

/// All leases of this node.
pub struct Allowances {
    store: Store,
    node: NodeId,
    accounts: RwLock<HashMap<AccountId, Arc<Allowance>>>,
    keys: RwLock<HashMap<KeyHash, Arc<Allowance>>>,
}

/// A lease, and who takes more for it.
#[derive(Default)]
struct Allowance {
    lease: Arc<Lease>,
    /// Held by the one who takes more from the store.
    refill: tokio::sync::Mutex<()>,
}

/// Why a hold could not be had.
#[derive(Debug)]
pub enum Refused {
    /// The account cannot cover the least that is needed; this much it could.
    Credits {
        available: NanoUsd,
    },
    /// The key's limit cannot.
    KeyLimit {
        available: NanoUsd,
    },
    Store(StoreError),
}

/// A lease unused for this long goes back.
const IDLE_MICROS: i64 = 60 * Micros::SECOND;
/// Two nodes may race for the last credits: then the balance is read again.
const TAKE_TRIES_MAX: usize = 3;

impl Allowances {
    #[must_use]
    pub fn new(store: Store, node: NodeId) -> Self {
        Self {
            store,
            node,
            accounts: RwLock::default(),
            keys: RwLock::default(),
        }
    }

    /// Holds `wanted`, or as much as there is if that is at least `least`.
    pub async fn hold(&self, key: &keys::Key, wanted: NanoUsd, least: NanoUsd) -> Result<Hold, Refused> {
        let mut hold = Hold::free();
        if wanted == NanoUsd::ZERO {
            return Ok(hold);
        }
        let now = clock::now();
        let mut wanted = wanted;
        // What was taken from the key's limit goes back with the hold if the account cannot pay.
        if key.limit.is_some() {
            let limit = entry(&self.keys, &key.hash);
            wanted = self.acquire_of_key(&limit, key, wanted, least, now).await?;
            hold.join(Arc::clone(&limit.lease), wanted);
        }
        let account = entry(&self.accounts, &key.account);
        let got = self
            .acquire_of_account(&account, &key.account, wanted, least, now)
            .await?;
        hold.join(Arc::clone(&account.lease), got);
        Ok(hold)
    }

    /// The store posted an unguarded transfer because costs went beyond the lease.
    pub fn overrun(&self, account: &AccountId, amount: NanoUsd) {
        entry(&self.accounts, account).lease.give(amount);
    }

    /// Gives unused leases back: those idle since a minute, or all of them.
    pub async fn give_back(&self, all: bool) -> Result<(), StoreError> {
        let now = clock::now();
        let idle = |allowance: &Allowance| all || allowance.lease.idle(now) > IDLE_MICROS;
        for (account, allowance) in snapshot(&self.accounts) {
            if idle(&allowance) {
                let amount = allowance.lease.take_all();
                if let Err(error) = self.return_to_account(&account, amount).await {
                    allowance.lease.give(amount);
                    return Err(error);
                }
            }
        }
        for (key, allowance) in snapshot(&self.keys) {
            if idle(&allowance) {
                self.return_to_key(&key, &allowance).await?;
            }
        }
        Ok(())
    }

    /// Gives back what is held of a key's limit, so that a changed limit counts at once.
    pub async fn give_back_key(&self, key: &KeyHash) -> Result<(), StoreError> {
        let allowance = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned();
        match allowance {
            Some(allowance) => self.return_to_key(key, &allowance).await,
            None => Ok(()),
        }
    }

    /// At start, when nothing is running: everything this node had leased before goes back.
    pub async fn reclaim(&self) -> Result<(), StoreError> {
        let mut tx = self.store.read().await?;
        let escrows = store::ledger::escrows(&mut tx, &self.node).await?;
        drop(tx);
        for (account, amount) in escrows {
            self.return_to_account(&account, amount).await?;
        }
        let mut tx = self.store.begin().await?;
        keys::return_all(&mut tx, &self.node).await?;
        tx.commit().await
    }

    async fn acquire_of_account(
        &self,
        allowance: &Allowance,
        account: &AccountId,
        wanted: NanoUsd,
        least: NanoUsd,
        now: Micros,
    ) -> Result<NanoUsd, Refused> {
        let lease = &allowance.lease;
        if lease.take(wanted, now) {
            return Ok(wanted);
        }
        let _refilling = allowance.refill.lock().await;
        if lease.take(wanted, now) {
            return Ok(wanted);
        }
        let missing = wanted.saturating_sub(lease.remaining());
        match self.take_from_account(account, missing, now).await {
            Ok(taken) => lease.give(taken),
            // Without the store, what is left of the lease still serves.
            Err(error) => {
                return lease
                    .take_at_least(wanted, least, now)
                    .map_err(|_| Refused::Store(error));
            }
        }
        lease
            .take_at_least(wanted, least, now)
            .map_err(|available| Refused::Credits { available })
    }

    async fn acquire_of_key(
        &self,
        allowance: &Allowance,
        key: &keys::Key,
        wanted: NanoUsd,
        least: NanoUsd,
        now: Micros,
    ) -> Result<NanoUsd, Refused> {
        let lease = &allowance.lease;
        if lease.take(wanted, now) {
            return Ok(wanted);
        }
        let _refilling = allowance.refill.lock().await;
        if lease.take(wanted, now) {
            return Ok(wanted);
        }
        let missing = wanted.saturating_sub(lease.remaining());
        match self.take_from_key(&key.hash, missing, now).await {
            Ok(taken) => lease.give(taken),
            // Without the store, what is left of the lease still serves.
            Err(error) => {
                return lease
                    .take_at_least(wanted, least, now)
                    .map_err(|_| Refused::Store(error));
            }
        }
        lease
            .take_at_least(wanted, least, now)
            .map_err(|available| Refused::KeyLimit { available })
    }

    /// Takes a lease that covers `missing` if the account can, and otherwise all it has.
    async fn take_from_account(
        &self,
        account: &AccountId,
        missing: NanoUsd,
        now: Micros,
    ) -> Result<NanoUsd, StoreError> {
        let from = LedgerAccount::Customer(account.clone());
        for _ in 0..TAKE_TRIES_MAX {
            let mut tx = self.store.begin().await?;
            let balance = store::ledger::balance(&mut tx, &from).await?;
            let amount = lease::size(balance, missing);
            if !amount.is_positive() {
                return Ok(NanoUsd::ZERO);
            }
            let to = LedgerAccount::Escrow(self.node.clone(), account.clone());
            let transfer = self.transfer(TransferKind::LeaseTaken, from.clone(), to, amount, now);
            if store::ledger::take(&mut tx, &from, &transfer)
                .await
                .map_err(store_error)?
            {
                tx.commit().await?;
                return Ok(amount);
            }
        }
        Ok(NanoUsd::ZERO)
    }

    async fn take_from_key(&self, key: &KeyHash, missing: NanoUsd, now: Micros) -> Result<NanoUsd, StoreError> {
        for _ in 0..TAKE_TRIES_MAX {
            let mut tx = self.store.begin().await?;
            let available = keys::lease_available(&mut tx, key, now).await?;
            let amount = available.map_or(missing, |available| lease::size(available, missing));
            if !amount.is_positive() {
                return Ok(NanoUsd::ZERO);
            }
            if keys::lease(&mut tx, &self.node, key, amount, now).await? {
                tx.commit().await?;
                return Ok(amount);
            }
        }
        Ok(NanoUsd::ZERO)
    }

    async fn return_to_account(&self, account: &AccountId, amount: NanoUsd) -> Result<(), StoreError> {
        if !amount.is_positive() {
            return Ok(());
        }
        let escrow = LedgerAccount::Escrow(self.node.clone(), account.clone());
        let customer = LedgerAccount::Customer(account.clone());
        let transfer = self.transfer(TransferKind::LeaseReturned, escrow, customer, amount, clock::now());
        let mut tx = self.store.begin().await?;
        store::ledger::post(&mut tx, &transfer).await.map_err(store_error)?;
        tx.commit().await
    }

    async fn return_to_key(&self, key: &KeyHash, allowance: &Allowance) -> Result<(), StoreError> {
        let amount = allowance.lease.take_all();
        if !amount.is_positive() {
            return Ok(());
        }
        let returned = async {
            let mut tx = self.store.begin().await?;
            keys::return_lease(&mut tx, &self.node, key, amount).await?;
            tx.commit().await
        };
        returned.await.inspect_err(|_| allowance.lease.give(amount))
    }

    fn transfer(
        &self,
        kind: TransferKind,
        from: LedgerAccount,
        to: LedgerAccount,
        amount: NanoUsd,
        now: Micros,
    ) -> Transfer {
        let id = clock::random::<16>();
        Transfer {
            id: TransferId::new(id),
            kind,
            idempotency_key: format!("{}:{}", kind.name(), hex(&id)),
            legs: ledger::legs(from, to, amount),
            created: now,
        }
    }
}

fn entry<K: Hash + Eq + Clone>(map: &RwLock<HashMap<K, Arc<Allowance>>>, key: &K) -> Arc<Allowance> {
    if let Some(found) = map.read().unwrap_or_else(PoisonError::into_inner).get(key) {
        return Arc::clone(found);
    }
    Arc::clone(
        map.write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key.clone())
            .or_default(),
    )
}

fn snapshot<K: Clone>(map: &RwLock<HashMap<K, Arc<Allowance>>>) -> Vec<(K, Arc<Allowance>)> {
    let map = map.read().unwrap_or_else(PoisonError::into_inner);
    map.iter()
        .map(|(key, allowance)| (key.clone(), Arc::clone(allowance)))
        .collect()
}

fn store_error(error: LedgerError) -> StoreError {
    match error {
        LedgerError::Store(error) => error,
        other => StoreError::Corrupt(other.to_string()),
    }
}
