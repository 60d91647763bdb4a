//! Money a node may spend from memory. A lease is *taken* from an account (and from its budget and the key's limit, where
//! there are such) in the store, so that any number of nodes cannot overspend together; holds are then taken from the
//! lease without asking anyone.

use crate::clock;
use domain::api_key::KeyHash;
use domain::id::{AccountId, NodeId};
use domain::lease::Lease;
use domain::ledger::{LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::ledger::Posted;
use store::{Store, StoreError, keys};
use tokio::sync::OwnedMutexGuard;

// Written out, because the bench compiles this file from its own folder.
#[path = "allowance/shards.rs"]
pub mod shards;
#[path = "allowance/source.rs"]
mod source;

use shards::Shards;
use source::{Source, Taken, store_error, transfer};

pub use domain::lease::Hold;

/// All leases of this node.
pub struct Allowances {
    source: Source,
    accounts: Shards<AccountId, Allowance>,
    keys: Shards<KeyHash, Allowance>,
    /// Of periods that are over and of limits that were changed: nothing more is taken from them, and what holds give
    /// back goes home.
    retired: Mutex<Vec<(Owner, Arc<Allowance>)>>,
    /// Returns that may or may not have reached the store: the very same ones are posted until that is known.
    unsure: Mutex<Vec<(AccountId, Transfer, NanoUsd)>>,
}

#[derive(Clone)]
enum Owner {
    Account(AccountId),
    Key(KeyHash),
}

/// A lease, who takes more for it, and what the store said when that was done last.
struct Allowance {
    lease: Arc<Lease>,
    /// Held by the one who takes more from the store.
    refill: Arc<tokio::sync::Mutex<()>>,
    /// When the period of the limit ends, in microseconds.
    until: AtomicI64,
    /// Nano-dollars left in the store, of the balance or the key's limit, and of the account's budget.
    outside: AtomicI64,
    outside_budget: AtomicI64,
}

/// Why a hold could not be had.
#[derive(Debug)]
pub enum Refused {
    /// The account cannot cover the least that is needed; this much it could.
    Credits {
        available: NanoUsd,
    },
    /// The account's budget cannot.
    Budget {
        available: NanoUsd,
    },
    /// The key's limit cannot.
    KeyLimit {
        available: NanoUsd,
    },
    Store(StoreError),
}

/// Why a lease does not suffice.
enum Short {
    /// This much it has, after `taken` was added.
    Of {
        available: NanoUsd,
        taken: Taken,
    },
    Store(StoreError),
}

/// What may still be spent as far as this node knows: exact for what it leased, and as old as its last lease for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub credits: Option<NanoUsd>,
    pub budget: Option<NanoUsd>,
    pub key_limit: Option<NanoUsd>,
}

/// A lease unused for this long goes back.
const IDLE_MICROS: i64 = 60 * Micros::SECOND;
const UNKNOWN: i64 = i64::MIN;

impl Allowances {
    #[must_use]
    pub fn new(store: Store, node: NodeId) -> Self {
        Self {
            source: Source::new(store, node),
            accounts: Shards::default(),
            keys: Shards::default(),
            retired: Mutex::default(),
            unsure: Mutex::default(),
        }
    }

    /// How often the store was asked.
    #[cfg(test)]
    pub fn transactions(&self) -> u64 {
        self.source.store.transactions()
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
            let limit = self.of_key(key, now);
            let (source, hash) = (self.source.clone(), key.hash.clone());
            let taking = |missing| async move { source.take_from_key(&hash, missing, now).await };
            let got = acquire(&limit, wanted, least, now, taking).await;
            wanted = got.map_err(Short::of_key)?;
            hold.join(Arc::clone(&limit.lease), wanted);
        }
        let account = self.of_account(&key.account, now);
        let (source, owner) = (self.source.clone(), key.account.clone());
        let taking = |missing| async move { source.take_from_account(&owner, missing, now).await };
        let got = acquire(&account, wanted, least, now, taking).await;
        let got = got.map_err(Short::of_account)?;
        hold.join(Arc::clone(&account.lease), got);
        Ok(hold)
    }

    /// What the key may still spend, without asking the store.
    pub fn known(&self, key: &keys::Key) -> Known {
        let account = self.accounts.get(&key.account);
        let limit = key.limit.and_then(|_| self.keys.get(&key.hash));
        Known {
            credits: account.as_ref().and_then(|account| account.left(&account.outside)),
            budget: account
                .as_ref()
                .and_then(|account| account.left(&account.outside_budget)),
            key_limit: limit.and_then(|limit| limit.left(&limit.outside)),
        }
    }

    /// The store posted an unguarded transfer because costs went beyond the lease.
    pub fn overrun(&self, account: &AccountId, amount: NanoUsd) {
        self.accounts.entry(account).lease.give(amount);
    }

    /// Gives unused leases back: those idle since a minute, or all of them.
    pub async fn give_back(&self, all: bool) -> Result<(), StoreError> {
        self.make_sure().await?;
        let now = clock::now();
        let idle = |allowance: &Allowance| all || allowance.lease.idle(now) > IDLE_MICROS;
        for (account, allowance) in self.accounts.snapshot() {
            if idle(&allowance) {
                self.return_to_account(&account, &allowance).await?;
            }
        }
        for (key, allowance) in self.keys.snapshot() {
            if idle(&allowance) {
                self.return_to_key(&key, &allowance).await?;
            }
        }
        self.give_back_retired().await
    }

    /// Gives back what is held of a key's limit, so that a changed limit counts at once.
    pub async fn give_back_key(&self, key: &KeyHash) -> Result<(), StoreError> {
        let Some(allowance) = self.keys.get(key) else {
            return Ok(());
        };
        if self.keys.remove(key, &allowance) {
            self.retire(Owner::Key(key.clone()), Arc::clone(&allowance));
        }
        self.return_to_key(key, &allowance).await
    }

    /// At start, when nothing is running: everything this node had leased before goes back.
    pub async fn reclaim(&self) -> Result<(), StoreError> {
        let mut tx = self.source.store.read().await?;
        let escrows = store::ledger::escrows(&mut tx, &self.source.node).await?;
        drop(tx);
        for (account, amount) in escrows {
            let transfer = self.returning(&account, amount);
            let mut tx = self.source.store.begin().await?;
            store::ledger::post(&mut tx, &transfer).await.map_err(store_error)?;
            tx.commit().await?;
        }
        let mut tx = self.source.store.begin().await?;
        keys::return_all(&mut tx, &self.source.node).await?;
        tx.commit().await
    }

    /// All leases are gone, because others took this node for dead. What runs gives back to what nobody takes from.
    pub fn forget(&self) {
        self.accounts.clear();
        self.keys.clear();
        lock(&self.retired).clear();
        lock(&self.unsure).clear();
    }

    fn of_account(&self, account: &AccountId, now: Micros) -> Arc<Allowance> {
        let allowance = self.accounts.entry(account);
        if !allowance.is_over(now) {
            return allowance;
        }
        if self.accounts.remove(account, &allowance) {
            self.retire(Owner::Account(account.clone()), allowance);
        }
        self.accounts.entry(account)
    }

    fn of_key(&self, key: &keys::Key, now: Micros) -> Arc<Allowance> {
        let until = || Allowance::until(key.reset.map(|reset| reset.next(now)));
        let allowance = self.keys.entry_with(&key.hash, until);
        if !allowance.is_over(now) {
            return allowance;
        }
        if self.keys.remove(&key.hash, &allowance) {
            self.retire(Owner::Key(key.hash.clone()), allowance);
        }
        self.keys.entry_with(&key.hash, until)
    }

    fn retire(&self, owner: Owner, allowance: Arc<Allowance>) {
        lock(&self.retired).push((owner, allowance));
    }

    async fn give_back_retired(&self) -> Result<(), StoreError> {
        let retired = std::mem::take(&mut *lock(&self.retired));
        let mut result = Ok(());
        for (owner, allowance) in retired {
            if result.is_ok() {
                result = match &owner {
                    Owner::Account(account) => self.return_to_account(account, &allowance).await,
                    Owner::Key(key) => self.return_to_key(key, &allowance).await,
                };
            }
            // Whoever still holds something of it will give that back.
            let in_use = Arc::strong_count(&allowance) > 1 || Arc::strong_count(&allowance.lease) > 1;
            if in_use || result.is_err() {
                self.retire(owner, allowance);
            } else if let Owner::Account(account) = &owner {
                // Costs beyond a lease are costs of the account, whichever lease it has now.
                let owed = allowance.lease.remaining().min(NanoUsd::ZERO);
                self.accounts.entry(account).lease.give(owed);
            }
        }
        result
    }

    async fn return_to_account(&self, account: &AccountId, allowance: &Allowance) -> Result<(), StoreError> {
        let amount = allowance.lease.take_all();
        if !amount.is_positive() {
            return Ok(());
        }
        let transfer = self.returning(account, amount);
        match self.post_return(account, &transfer, amount).await {
            Ok(()) => {
                allowance.returned(amount);
                Ok(())
            }
            Err(Unposted::Not(error)) => {
                allowance.lease.give(amount);
                Err(error)
            }
            Err(Unposted::Perhaps(error)) => {
                lock(&self.unsure).push((account.clone(), transfer, amount));
                Err(error)
            }
        }
    }

    /// Posts once more what may not have been posted.
    async fn make_sure(&self) -> Result<(), StoreError> {
        loop {
            let first = lock(&self.unsure).first().cloned();
            let Some((account, transfer, amount)) = first else {
                return Ok(());
            };
            match self.post_return(&account, &transfer, amount).await {
                Ok(()) => lock(&self.unsure).retain(|(_, kept, _)| kept.id != transfer.id),
                Err(Unposted::Not(error) | Unposted::Perhaps(error)) => return Err(error),
            }
        }
    }

    async fn post_return(&self, account: &AccountId, transfer: &Transfer, amount: NanoUsd) -> Result<(), Unposted> {
        let mut tx = self.source.store.begin().await.map_err(Unposted::Not)?;
        // To the budget first, as settlements lock them. Where there is none, this does nothing.
        let returned = keys::return_lease(&mut tx, &self.source.node, account, amount).await;
        returned.map_err(Unposted::Not)?;
        let posted = store::ledger::post(&mut tx, transfer).await;
        match posted.map_err(|error| Unposted::Not(store_error(error)))? {
            Posted::New => tx.commit().await.map_err(Unposted::Perhaps),
            // All of it was done before.
            Posted::Already => Ok(()),
        }
    }

    async fn return_to_key(&self, key: &KeyHash, allowance: &Allowance) -> Result<(), StoreError> {
        let amount = allowance.lease.take_all();
        if !amount.is_positive() {
            return Ok(());
        }
        let prepared = async {
            let mut tx = self.source.store.begin().await?;
            keys::return_lease(&mut tx, &self.source.node, key, amount).await?;
            Ok(tx)
        };
        let tx = prepared
            .await
            .inspect_err(|_: &StoreError| allowance.lease.give(amount))?;
        // If this fails it may have happened all the same. Then that part of the limit rests until the next start, which
        // is better than to spend it twice.
        tx.commit().await?;
        allowance.returned(amount);
        Ok(())
    }

    fn returning(&self, account: &AccountId, amount: NanoUsd) -> Transfer {
        let escrow = LedgerAccount::Escrow(self.source.node.clone(), account.clone());
        let customer = LedgerAccount::Customer(account.clone());
        transfer(TransferKind::LeaseReturned, escrow, customer, amount, clock::now())
    }
}

/// Takes from the lease. When it is used up, `taking` takes what is missing from the store first, once for all who wait.
async fn acquire<T>(
    allowance: &Arc<Allowance>,
    wanted: NanoUsd,
    least: NanoUsd,
    now: Micros,
    taking: impl FnOnce(NanoUsd) -> T,
) -> Result<NanoUsd, Short>
where
    T: Future<Output = Result<Taken, StoreError>> + Send + 'static,
{
    let lease = &allowance.lease;
    if lease.take(wanted, now) {
        return Ok(wanted);
    }
    let refilling = Arc::clone(&allowance.refill).lock_owned().await;
    if lease.take(wanted, now) {
        return Ok(wanted);
    }
    let missing = wanted.saturating_sub(lease.remaining());
    let taken = refill(Arc::clone(allowance), refilling, taking(missing)).await;
    // Without the store, what is left of the lease still serves.
    let got = lease.take_at_least(wanted, least, now);
    got.map_err(|available| match taken {
        Ok(taken) => Short::Of { available, taken },
        Err(error) => Short::Store(error),
    })
}

/// Takes more for a lease, in a task of its own: a caller who hangs up half-way must not leave money in escrow that no
/// lease knows of, or a transaction open on its connection.
async fn refill(
    allowance: Arc<Allowance>,
    refilling: OwnedMutexGuard<()>,
    taking: impl Future<Output = Result<Taken, StoreError>> + Send + 'static,
) -> Result<Taken, StoreError> {
    let refilled = tokio::spawn(async move {
        let taken = taking.await?;
        allowance.add(&taken);
        drop(refilling);
        Ok(taken)
    });
    refilled
        .await
        .map_err(|died| StoreError::Unavailable(died.to_string()))?
}

/// How a transfer was not posted.
enum Unposted {
    /// Certainly not.
    Not(StoreError),
    /// The answer to the commit got lost.
    Perhaps(StoreError),
}

impl Short {
    fn of_key(self) -> Refused {
        match self {
            Self::Of { available, .. } => Refused::KeyLimit { available },
            Self::Store(error) => Refused::Store(error),
        }
    }

    fn of_account(self) -> Refused {
        match self {
            Self::Of { available, taken } if taken.is_short_of_budget() => Refused::Budget { available },
            Self::Of { available, .. } => Refused::Credits { available },
            Self::Store(error) => Refused::Store(error),
        }
    }
}

impl Allowance {
    fn until(until: Option<Micros>) -> Self {
        Self {
            lease: Arc::default(),
            refill: Arc::default(),
            until: AtomicI64::new(until.map_or(i64::MAX, Micros::get)),
            outside: AtomicI64::new(UNKNOWN),
            outside_budget: AtomicI64::new(UNKNOWN),
        }
    }

    /// A lease is good for the period of its limit only.
    fn is_over(&self, now: Micros) -> bool {
        self.until.load(Ordering::Relaxed) <= now.get()
    }

    fn add(&self, taken: &Taken) {
        self.outside.store(taken.outside.get(), Ordering::Relaxed);
        if let Some((left, until)) = taken.budget {
            self.until.store(until.get(), Ordering::Relaxed);
            self.outside_budget.store(left.get(), Ordering::Relaxed);
        } else {
            self.outside_budget.store(UNKNOWN, Ordering::Relaxed);
        }
        self.lease.give(taken.amount);
    }

    fn returned(&self, amount: NanoUsd) {
        for outside in [&self.outside, &self.outside_budget] {
            let more = |left: i64| (left != UNKNOWN).then(|| left.saturating_add(amount.get()));
            // Nothing to add to where nothing is known.
            let _unknown = outside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    fn left(&self, outside: &AtomicI64) -> Option<NanoUsd> {
        let outside = Some(outside.load(Ordering::Relaxed)).filter(|left| *left != UNKNOWN)?;
        Some(self.lease.remaining().saturating_add(NanoUsd::new(outside)))
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::until(None)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
