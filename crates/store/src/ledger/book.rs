//! Entering transfers: many at once, in few statements.

use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::lots::{self, Wish};
use domain::id::AccountId;
use domain::ledger::{LedgerAccount, Transfer};
use domain::money::NanoUsd;
use std::collections::{BTreeMap, BTreeSet};

/// Transfers about to be entered together. First [`Book::lock`], then read balances, then [`Book::write`].
#[derive(Default)]
pub(crate) struct Book {
    transfers: Vec<Transfer>,
    /// How many of them have their rows.
    entered: usize,
    /// What the transfers change each account by; an account can be here with zero to be locked.
    changes: BTreeMap<LedgerAccount, i128>,
    lots: lots::Changes,
}

/// Balances of locked accounts by the id of the account.
pub(crate) type Balances = BTreeMap<String, NanoUsd>;

impl Book {
    pub(crate) fn add(&mut self, transfer: Transfer) {
        self.add_with(transfer, &Wish::default());
    }

    /// Adds a transfer that goes through the lots in its own way.
    pub(crate) fn add_with(&mut self, transfer: Transfer, wish: &Wish) {
        self.include_all(&transfer);
        for leg in &transfer.legs {
            if let Some(change) = self.changes.get_mut(&leg.account) {
                *change = change.saturating_add(i128::from(leg.amount.get()));
            }
        }
        self.lots.add(&transfer, wish);
        self.transfers.push(transfer);
    }

    /// Makes [`Book::lock`] include an account that no transfer touches yet.
    pub(crate) fn include(&mut self, account: LedgerAccount) {
        self.changes.entry(account).or_default();
    }

    /// Makes [`Book::lock`] include what the transfer touches: with the customers' own accounts, whose locks guard the
    /// lots.
    pub(crate) fn include_all(&mut self, transfer: &Transfer) {
        for leg in &transfer.legs {
            if !self.changes.contains_key(&leg.account) {
                self.include(leg.account.clone());
            }
        }
        for owner in transfer.credit_changes().into_keys() {
            self.include(LedgerAccount::Customer(owner.clone()));
        }
    }

    /// The balance of a locked account once the transfers are written.
    pub(crate) fn balance_after(&self, balances: &Balances, account: &LedgerAccount) -> NanoUsd {
        let before = balances.get(&account.to_string()).copied().unwrap_or_default();
        let change = self.changes.get(account).copied().unwrap_or_default();
        let after = i128::from(before.get()).saturating_add(change);
        NanoUsd::new(i64::try_from(after).unwrap_or(if after < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Locks the accounts in the order of their ids, making those that are missing, and gives their balances.
    pub(crate) async fn lock(&self, tx: &mut Tx) -> Result<Balances> {
        let mut ids: Vec<(String, &LedgerAccount)> = self
            .changes
            .keys()
            .map(|account| (account.to_string(), account))
            .collect();
        ids.sort();
        let mut balances = lock(tx, &ids).await?;
        ids.retain(|(id, _)| !balances.contains_key(id));
        if !ids.is_empty() {
            insert(tx, &ids).await?;
            balances.extend(lock(tx, &ids).await?);
        }
        Ok(balances)
    }

    /// Writes the rows of the transfers so far, which takes long for many, while nothing is locked that others wait for.
    /// For transfers that nobody else can enter; balances and lots move in [`Book::write`].
    ///
    /// `Conflict` when one of the idempotency keys is in use.
    pub(crate) async fn enter(&mut self, tx: &mut Tx) -> Result<()> {
        let mut ids: Vec<(String, &LedgerAccount)> = self
            .changes
            .keys()
            .map(|account| (account.to_string(), account))
            .collect();
        ids.sort();
        let known = existing(tx, &ids).await?;
        ids.retain(|(id, _)| !known.contains(id));
        insert(tx, &ids).await?;
        self.insert_transfers(tx).await
    }

    /// Writes transfers and legs, and moves lots and balances.
    ///
    /// `Conflict` when one of the idempotency keys is in use.
    pub(crate) async fn write(&mut self, tx: &mut Tx) -> Result<()> {
        self.lots.apply(tx).await?;
        self.insert_transfers(tx).await?;
        let mut changes = Vec::new();
        for (account, change) in self.changes.iter().filter(|(_, change)| **change != 0) {
            let change = i64::try_from(*change).map_err(|_| StoreError::corrupt("a sum of transfers"))?;
            changes.push((account.to_string(), change));
        }
        execute_rows!(
            tx,
            &changes,
            "UPDATE ledger_accounts SET balance_nano = balance_nano + v.column2 FROM (",
            |(account, change)| [account.as_str(), *change],
            ") AS v WHERE id = v.column1"
        )?;
        Ok(())
    }

    async fn insert_transfers(&mut self, tx: &mut Tx) -> Result<()> {
        let transfers = self.transfers.get(self.entered..).unwrap_or_default();
        execute_rows!(
            tx,
            transfers,
            "INSERT INTO transfers (id, kind, idempotency_key, request_hash, history_of, created_us) ",
            |transfer| [
                transfer.id.as_str(),
                transfer.kind.name(),
                transfer.idempotency_key.as_str(),
                transfer.request_hash(),
                history_of(transfer),
                transfer.created.get(),
            ],
            ""
        )?;
        let legs: Vec<(&str, i64, String, i64)> = transfers.iter().flat_map(leg_rows).collect();
        execute_rows!(
            tx,
            &legs,
            "INSERT INTO legs (transfer_id, position, ledger_account_id, amount_nano) ",
            |(transfer, position, account, amount)| [*transfer, *position, account.as_str(), *amount],
            ""
        )?;
        self.entered = self.transfers.len();
        Ok(())
    }
}

/// Makes the account when it is missing.
pub(crate) async fn open(tx: &mut Tx, account: &LedgerAccount) -> Result<()> {
    insert(tx, &[(account.to_string(), account)]).await
}

async fn lock(tx: &mut Tx, ids: &[(String, &LedgerAccount)]) -> Result<Balances> {
    let rows = fetch_rows!(
        (String, i64),
        tx,
        ids,
        "SELECT id, balance_nano FROM ledger_accounts WHERE id IN (",
        |(id, _)| [id.as_str()],
        ")",
        ") ORDER BY id COLLATE \"C\" FOR NO KEY UPDATE"
    )?;
    Ok(rows
        .into_iter()
        .map(|(id, balance)| (id, NanoUsd::new(balance)))
        .collect())
}

async fn existing(tx: &mut Tx, ids: &[(String, &LedgerAccount)]) -> Result<BTreeSet<String>> {
    let rows = fetch_rows!(
        (String,),
        tx,
        ids,
        "SELECT id FROM ledger_accounts WHERE id IN (",
        |(id, _)| [id.as_str()],
        ")",
        ")"
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

async fn insert(tx: &mut Tx, accounts: &[(String, &LedgerAccount)]) -> Result<()> {
    execute_rows!(
        tx,
        accounts,
        "INSERT INTO ledger_accounts (id, kind, account_id, node_id, balance_nano) ",
        |(id, account)| [
            id.as_str(),
            account.kind(),
            account.owner().map(AccountId::as_str),
            node_of(account),
            0_i64,
        ],
        " ON CONFLICT (id) DO NOTHING"
    )?;
    Ok(())
}

fn leg_rows(transfer: &Transfer) -> impl Iterator<Item = (&str, i64, String, i64)> {
    (0_i64..).zip(&transfer.legs).map(|(position, leg)| {
        (
            transfer.id.as_str(),
            position,
            leg.account.to_string(),
            leg.amount.get(),
        )
    })
}

fn node_of(account: &LedgerAccount) -> Option<&str> {
    match account {
        LedgerAccount::Escrow(node, _) => Some(node.as_str()),
        _ => None,
    }
}

/// The customer whose credits a transfer that people look up adds to or takes from.
fn history_of(transfer: &Transfer) -> Option<&str> {
    let customer = transfer.legs.iter().find_map(|leg| match &leg.account {
        LedgerAccount::Customer(owner) => Some(owner.as_str()),
        _ => None,
    });
    customer.filter(|_| transfer.kind.is_listed())
}
