//! Money a node may spend from memory. A lease is *taken* from an account (or from a key's limit) in the store, so that
//! any number of nodes cannot overspend together; holds are then taken from the lease without asking anyone.

use crate::clock;
use domain::api_key::KeyHash;
use domain::id::{AccountId, NodeId, TransferId, hex};
use domain::ledger::{self, LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use store::ledger::LedgerError;
use store::{Store, StoreError, keys};

/// All leases of this node.
pub struct Allowances {
    store: Store,
    node: NodeId,
    accounts: RwLock<HashMap<AccountId, Arc<Allowance>>>,
    keys: RwLock<HashMap<KeyHash, Arc<Allowance>>>,
}

/// What is left of one lease.
#[derive(Default)]
struct Allowance {
    /// Nano-dollars; below zero after costs beyond their hold.
    remaining: AtomicI64,
    last_used: AtomicI64,
    /// Held by the one who takes more from the store.
    refill: tokio::sync::Mutex<()>,
}

/// Money set aside for one request. Dropped unspent, it goes back whole.
pub struct Hold {
    amount: NanoUsd,
    account: Option<Arc<Allowance>>,
    key: Option<Arc<Allowance>>,
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

/// A lease is this part of what the account has, within the bounds below.
const LEASE_PART: i64 = 20;
const LEASE_MAX: NanoUsd = NanoUsd::new(1_000_000_000);
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
        if wanted == NanoUsd::ZERO {
            return Ok(Hold {
                amount: NanoUsd::ZERO,
                account: None,
                key: None,
            });
        }
        let now = clock::now();
        let (limit, wanted) = if key.limit.is_some() {
            let limit = entry(&self.keys, &key.hash);
            let got = self.acquire_of_key(&limit, key, wanted, least, now).await?;
            (Some(limit), got)
        } else {
            (None, wanted)
        };
        // From here on the part taken from the key's limit goes back if the account cannot pay.
        let mut hold = Hold {
            amount: wanted,
            account: None,
            key: limit,
        };
        let account = entry(&self.accounts, &key.account);
        let got = self
            .acquire_of_account(&account, &key.account, wanted, least, now)
            .await?;
        if let Some(limit) = &hold.key {
            limit.give(wanted.saturating_sub(got));
        }
        hold.amount = got;
        hold.account = Some(account);
        Ok(hold)
    }

    /// The store posted an unguarded transfer because costs went beyond the lease.
    pub fn overrun(&self, account: &AccountId, amount: NanoUsd) {
        entry(&self.accounts, account).give(amount);
    }

    /// Gives unused leases back: those idle since a minute, or all of them.
    pub async fn give_back(&self, all: bool) -> Result<(), StoreError> {
        let now = clock::now();
        let idle = |allowance: &Allowance| all || now.get() - allowance.last_used.load(Ordering::Relaxed) > IDLE_MICROS;
        for (account, allowance) in snapshot(&self.accounts) {
            if idle(&allowance) {
                let amount = allowance.take_all();
                if let Err(error) = self.return_to_account(&account, amount).await {
                    allowance.give(amount);
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
        if allowance.take(wanted, now) {
            return Ok(wanted);
        }
        let _refilling = allowance.refill.lock().await;
        if allowance.take(wanted, now) {
            return Ok(wanted);
        }
        let missing = wanted.saturating_sub(allowance.remaining());
        match self.take_from_account(account, missing, now).await {
            Ok(taken) => allowance.give(taken),
            // Without the store, what is left of the lease still serves.
            Err(error) => {
                return allowance
                    .take_at_least(wanted, least, now)
                    .map_err(|_| Refused::Store(error));
            }
        }
        allowance
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
        if allowance.take(wanted, now) {
            return Ok(wanted);
        }
        let _refilling = allowance.refill.lock().await;
        if allowance.take(wanted, now) {
            return Ok(wanted);
        }
        let missing = wanted.saturating_sub(allowance.remaining());
        match self.take_from_key(&key.hash, missing, now).await {
            Ok(taken) => allowance.give(taken),
            // Without the store, what is left of the lease still serves.
            Err(error) => {
                return allowance
                    .take_at_least(wanted, least, now)
                    .map_err(|_| Refused::Store(error));
            }
        }
        allowance
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
            let amount = lease_size(balance, missing);
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
            let amount = available.map_or(missing, |available| lease_size(available, missing));
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
        let amount = allowance.take_all();
        if !amount.is_positive() {
            return Ok(());
        }
        let returned = async {
            let mut tx = self.store.begin().await?;
            keys::return_lease(&mut tx, &self.node, key, amount).await?;
            tx.commit().await
        };
        returned.await.inspect_err(|_| allowance.give(amount))
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

impl Hold {
    #[must_use]
    pub fn amount(&self) -> NanoUsd {
        self.amount
    }

    /// Ends the hold: `cost` stays spent, also beyond what was held, and the rest goes back.
    pub fn spend(mut self, cost: NanoUsd) {
        self.amount = self.amount.saturating_sub(cost);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for allowance in [&self.account, &self.key].into_iter().flatten() {
            allowance.give(self.amount);
        }
    }
}

impl Allowance {
    fn remaining(&self) -> NanoUsd {
        NanoUsd::new(self.remaining.load(Ordering::Acquire))
    }

    /// All or nothing.
    fn take(&self, amount: NanoUsd, now: Micros) -> bool {
        self.last_used.store(now.get(), Ordering::Relaxed);
        let enough = |remaining: i64| remaining.checked_sub(amount.get()).filter(|rest| *rest >= 0);
        self.remaining
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enough)
            .is_ok()
    }

    /// As much of `wanted` as there is, or what there would be if that is less than `least`.
    fn take_at_least(&self, wanted: NanoUsd, least: NanoUsd, now: Micros) -> Result<NanoUsd, NanoUsd> {
        loop {
            let available = self.remaining().min(wanted);
            if available < least || !available.is_positive() {
                return Err(available.max(NanoUsd::ZERO));
            }
            if self.take(available, now) {
                return Ok(available);
            }
        }
    }

    fn take_all(&self) -> NanoUsd {
        let positive = |remaining: i64| (remaining > 0).then_some(0);
        NanoUsd::new(
            self.remaining
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, positive)
                .unwrap_or(0),
        )
    }

    fn give(&self, amount: NanoUsd) {
        self.remaining.fetch_add(amount.get(), Ordering::AcqRel);
    }
}

/// Enough for `missing`, and more where there is plenty; never more than there is.
fn lease_size(available: NanoUsd, missing: NanoUsd) -> NanoUsd {
    let slice = NanoUsd::new(available.get() / LEASE_PART).min(LEASE_MAX);
    missing.max(slice).min(available)
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros::new(1);

    fn usd(nano: i64) -> NanoUsd {
        NanoUsd::new(nano)
    }

    #[test]
    fn a_lease_is_a_slice_unless_more_is_missing() {
        assert_eq!(lease_size(usd(1_000), usd(10)), usd(50));
        assert_eq!(lease_size(usd(1_000), usd(400)), usd(400));
        assert_eq!(lease_size(usd(1_000), usd(4_000)), usd(1_000));
        assert_eq!(lease_size(usd(100_000_000_000_000), usd(1)), LEASE_MAX);
        assert_eq!(lease_size(usd(-5), usd(10)), usd(-5));
    }

    #[test]
    fn what_is_left_of_a_hold_goes_back() {
        let account = Arc::new(Allowance::default());
        account.give(usd(100));
        assert!(account.take(usd(60), NOW) && !account.take(usd(60), NOW));
        let hold = Hold {
            amount: usd(60),
            account: Some(account.clone()),
            key: None,
        };
        hold.spend(usd(25));
        assert_eq!(account.remaining(), usd(75));
        assert!(account.take(usd(75), NOW));
        drop(Hold {
            amount: usd(75),
            account: Some(account.clone()),
            key: None,
        });
        assert_eq!(account.remaining(), usd(75));
    }

    #[test]
    fn a_cost_beyond_the_hold_is_owed() {
        let account = Arc::new(Allowance::default());
        Hold {
            amount: usd(10),
            account: Some(account.clone()),
            key: None,
        }
        .spend(usd(15));
        assert_eq!(account.remaining(), usd(-5));
        assert_eq!(account.take_all(), usd(0));
        assert_eq!(account.take_at_least(usd(5), usd(1), NOW), Err(usd(0)));
    }

    #[test]
    fn concurrent_holds_never_take_more_than_there_is() {
        let account = Arc::new(Allowance::default());
        account.give(usd(1_000));
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| account.take(usd(7), NOW)).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((taken, account.remaining()), (142, usd(6)));
    }
}
