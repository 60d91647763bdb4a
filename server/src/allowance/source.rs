//! Taking leases from the store.

use crate::clock;
use domain::api_key::KeyHash;
use domain::id::{AccountId, NodeId, TransferId, hex};
use domain::lease;
use domain::ledger::{self, LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use store::ledger::LedgerError;
use store::{Store, StoreError, budgets, keys};

/// Where leases are taken from.
#[derive(Clone)]
pub struct Source {
    pub store: Store,
    pub node: NodeId,
}

/// What was taken from the store, and what is left there.
#[derive(Clone, Copy)]
pub struct Taken {
    pub amount: NanoUsd,
    pub outside: NanoUsd,
    pub budget: Option<(NanoUsd, Micros)>,
}

/// Two nodes may race for the last credits: then the balance is read again.
const TAKE_TRIES_MAX: usize = 3;

impl Source {
    pub fn new(store: Store, node: NodeId) -> Self {
        Self { store, node }
    }

    /// Takes a lease that covers `missing` if the account and its budget can, and otherwise all they have.
    pub async fn take_from_account(
        &self,
        account: &AccountId,
        missing: NanoUsd,
        now: Micros,
    ) -> Result<Taken, StoreError> {
        let from = LedgerAccount::Customer(account.clone());
        let mut nothing = Taken::nothing(NanoUsd::ZERO);
        for _ in 0..TAKE_TRIES_MAX {
            let mut tx = self.store.begin().await?;
            let balance = store::ledger::balance(&mut tx, &from).await?;
            let budget = self.budget(&mut tx, account, now).await?;
            let available = budget.map_or(balance, |(left, _)| left.min(balance));
            let amount = lease::size(available, missing);
            nothing = Taken {
                budget,
                ..Taken::nothing(balance)
            };
            if !amount.is_positive() {
                return Ok(nothing);
            }
            let to = LedgerAccount::Escrow(self.node.clone(), account.clone());
            let transfer = transfer(TransferKind::LeaseTaken, from.clone(), to, amount, now);
            let may = budget.is_none() || keys::lease(&mut tx, &self.node, account, amount, now).await?;
            if may
                && store::ledger::take(&mut tx, &from, &transfer)
                    .await
                    .map_err(store_error)?
            {
                // If this fails it may have happened all the same. Then the money rests in escrow until the next start.
                tx.commit().await?;
                return Ok(Taken {
                    amount,
                    outside: balance.saturating_sub(amount),
                    budget: budget.map(|(left, until)| (left.saturating_sub(amount), until)),
                });
            }
        }
        Ok(nothing)
    }

    /// What the account's budget has left, and until when.
    async fn budget(
        &self,
        tx: &mut store::Tx,
        account: &AccountId,
        now: Micros,
    ) -> Result<Option<(NanoUsd, Micros)>, StoreError> {
        let Some(budget) = budgets::get(tx, account).await? else {
            return Ok(None);
        };
        let left = keys::lease_available(tx, account, now).await?.unwrap_or(budget.limit);
        let until = budget.reset.map_or(Micros::new(i64::MAX), |reset| reset.next(now));
        Ok(Some((left, until)))
    }

    pub async fn take_from_key(&self, key: &KeyHash, missing: NanoUsd, now: Micros) -> Result<Taken, StoreError> {
        let mut nothing = Taken::nothing(NanoUsd::ZERO);
        for _ in 0..TAKE_TRIES_MAX {
            let mut tx = self.store.begin().await?;
            let available = keys::lease_available(&mut tx, key, now).await?;
            let amount = available.map_or(missing, |available| lease::size(available, missing));
            let available = available.unwrap_or(amount);
            nothing = Taken::nothing(available);
            if !amount.is_positive() {
                return Ok(nothing);
            }
            if keys::lease(&mut tx, &self.node, key, amount, now).await? {
                tx.commit().await?;
                return Ok(Taken {
                    amount,
                    ..Taken::nothing(available.saturating_sub(amount))
                });
            }
        }
        Ok(nothing)
    }
}

impl Taken {
    /// Whether it is the budget rather than the balance that gave no more.
    pub fn is_short_of_budget(&self) -> bool {
        self.budget.is_some_and(|(left, _)| left < self.outside)
    }

    fn nothing(outside: NanoUsd) -> Self {
        Self {
            amount: NanoUsd::ZERO,
            outside,
            budget: None,
        }
    }
}

pub fn transfer(kind: TransferKind, from: LedgerAccount, to: LedgerAccount, amount: NanoUsd, now: Micros) -> Transfer {
    let id = clock::random::<16>();
    Transfer {
        id: TransferId::new(id),
        kind,
        idempotency_key: format!("{}:{}", kind.name(), hex(&id)),
        legs: ledger::legs(from, to, amount),
        created: now,
    }
}

pub fn store_error(error: LedgerError) -> StoreError {
    match error {
        LedgerError::Store(error) => error,
        other => StoreError::Corrupt(other.to_string()),
    }
}
