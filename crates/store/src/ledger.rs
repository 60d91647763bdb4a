//! The double-entry ledger. Transfers and their legs are only ever added; balances are cached sums of legs.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::lots::Wish;
use crate::nodes;
use domain::id::{AccountId, NodeId, PurchaseId, RefundId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferError, TransferKind};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::BTreeMap;

pub(crate) use book::{Book, open};
pub use verify::{Difference, Proof, verify};

mod book;
mod verify;

/// Whether a transfer was entered now or had been before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    New,
    Already,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The idempotency key belongs to a transfer of another kind or with other legs.
    #[error("the idempotency key {key} was used for another transfer")]
    KeyReused { key: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where an account stands. People are shown `available + in_escrow`, which is always `purchased - used`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credits {
    /// What no node has taken. Negative after a cost above what was held for it.
    pub available: NanoUsd,
    /// What nodes have taken to spend from memory and have not spent yet.
    pub in_escrow: NanoUsd,
    /// Under dispute, under a fraud warning, or on their way back as a refund. Not part of the others.
    pub frozen: NanoUsd,
    /// Purchases and grants, less what went back, was frozen, expired or was reversed.
    pub purchased: NanoUsd,
    /// Charges.
    pub used: NanoUsd,
}

/// A transfer as the customer sees it: all but leases and charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    pub transfer: TransferId,
    pub kind: TransferKind,
    /// Positive when it adds credits.
    pub amount: NanoUsd,
    pub created: Micros,
    pub purchase: Option<PurchaseId>,
    /// What froze the credits or gave them back, where that was a refund.
    pub refund: Option<RefundId>,
}

/// Enters a transfer, making ledger accounts that are missing.
///
/// # Errors
/// `Transfer` when it breaks a rule of double entry, `KeyReused`, and `Store`: also when an escrow would fall below zero.
pub async fn post(tx: &mut Tx, transfer: &Transfer) -> Result<Posted, LedgerError> {
    match enter(tx, transfer, None, &Wish::default()).await? {
        Entry::New => Ok(Posted::New),
        Entry::Already | Entry::Refused => Ok(Posted::Already),
    }
}

/// As [`post`], going through the lots as wished.
pub(crate) async fn post_with(tx: &mut Tx, transfer: &Transfer, wish: &Wish) -> Result<Posted, LedgerError> {
    match enter(tx, transfer, None, wish).await? {
        Entry::New => Ok(Posted::New),
        Entry::Already | Entry::Refused => Ok(Posted::Already),
    }
}

/// Enters those that were not entered before, in this order, and says which.
pub(crate) async fn post_all(tx: &mut Tx, transfers: &[(Transfer, Wish)]) -> Result<Vec<Posted>, LedgerError> {
    let mut book = Book::default();
    for (transfer, _) in transfers {
        transfer.check()?;
        book.include_all(transfer);
    }
    book.lock(tx).await?;
    let mut posted = Vec::with_capacity(transfers.len());
    for (transfer, wish) in transfers {
        if is_entered(tx, transfer).await? {
            posted.push(Posted::Already);
        } else {
            book.add_with(transfer.clone(), wish);
            posted.push(Posted::New);
        }
    }
    book.write(tx).await?;
    Ok(posted)
}

/// As [`post`], but only when the balance of `from` does not fall below zero by it. False: nothing was moved. True for a
/// transfer that was entered before.
///
/// # Errors
/// As [`post`]; `Unavailable` for a lease of a node that was fenced.
pub async fn take(tx: &mut Tx, from: &LedgerAccount, transfer: &Transfer) -> Result<bool, LedgerError> {
    if transfer.kind == TransferKind::LeaseTaken {
        for leg in &transfer.legs {
            if let LedgerAccount::Escrow(node, _) = &leg.account {
                nodes::refuse_fenced(tx, node).await?;
            }
        }
    }
    Ok(enter(tx, transfer, Some(from), &Wish::default()).await? != Entry::Refused)
}

/// Zero for an account that never moved anything.
///
/// # Errors
/// Of the database only.
pub async fn balance(tx: &mut Tx, account: &LedgerAccount) -> Result<NanoUsd> {
    let row = fetch_optional!(
        (i64,),
        tx,
        "SELECT balance_nano FROM ledger_accounts WHERE id = $1",
        account.to_string(),
    )?;
    Ok(NanoUsd::new(row.map_or(0, |(balance,)| balance)))
}

/// # Errors
/// Of the database only.
pub async fn credits(tx: &mut Tx, account: &AccountId) -> Result<Credits> {
    let (available, in_escrow, frozen) = fetch_one!(
        (i64, i64, i64),
        tx,
        "SELECT CAST(COALESCE(SUM(CASE WHEN kind = 'customer' THEN balance_nano ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN kind = 'escrow' THEN balance_nano ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN kind = 'frozen' THEN balance_nano ELSE 0 END), 0) AS BIGINT)
         FROM ledger_accounts WHERE account_id = $1",
        account.as_str(),
    )?;
    let (purchased,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
         FROM transfers t JOIN legs l ON l.transfer_id = t.id AND l.ledger_account_id = $2
         WHERE t.history_of = $1",
        account.as_str(),
        LedgerAccount::Customer(account.clone()).to_string(),
    )?;
    let (used,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM account_rollups_daily WHERE account_id = $1",
        account.as_str(),
    )?;
    Ok(Credits {
        available: NanoUsd::new(available),
        in_escrow: NanoUsd::new(in_escrow),
        frozen: NanoUsd::new(frozen),
        purchased: NanoUsd::new(purchased),
        used: NanoUsd::new(used),
    })
}

/// What the node has taken from each account and not spent; accounts at zero are left out.
///
/// # Errors
/// Of the database only.
pub async fn escrows(tx: &mut Tx, node: &NodeId) -> Result<Vec<(AccountId, NanoUsd)>> {
    let rows = fetch_all!(
        (String, i64),
        tx,
        "SELECT account_id, balance_nano FROM ledger_accounts
         WHERE node_id = $1 AND kind = 'escrow' AND balance_nano <> 0 ORDER BY id",
        node.as_str(),
    )?;
    Ok(rows
        .into_iter()
        .map(|(account, balance)| (AccountId::stored(account), NanoUsd::new(balance)))
        .collect())
}

/// What added to the account's credits or took from them, charges left out, newest first.
///
/// # Errors
/// Of the database only.
pub async fn history(tx: &mut Tx, account: &AccountId, limit: i64) -> Result<Vec<HistoryLine>> {
    let rows = fetch_all!(
        (String, String, String, i64, i64),
        tx,
        "SELECT t.id, t.kind, t.idempotency_key, t.created_us, CAST(SUM(l.amount_nano) AS BIGINT)
         FROM transfers t JOIN legs l ON l.transfer_id = t.id AND l.ledger_account_id = $2
         WHERE t.history_of = $1
         GROUP BY t.id, t.kind, t.idempotency_key, t.created_us ORDER BY t.created_us DESC, t.id LIMIT $3",
        account.as_str(),
        LedgerAccount::Customer(account.clone()).to_string(),
        limit,
    )?;
    rows.into_iter()
        .map(|(id, kind, key, created, amount)| {
            let kind = column::word(&kind, TransferKind::parse)?;
            let purchase = key.strip_prefix("purchase:").filter(|_| kind == TransferKind::Purchase);
            let refund = key.strip_prefix("refund:").and_then(|rest| rest.rsplit_once(':'));
            Ok(HistoryLine {
                transfer: TransferId::stored(id),
                kind,
                amount: NanoUsd::new(amount),
                created: Micros::new(created),
                purchase: purchase.map(PurchaseId::stored),
                refund: refund.map(|(id, _)| RefundId::stored(id)),
            })
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    New,
    Already,
    /// By the guard.
    Refused,
}

async fn enter(
    tx: &mut Tx,
    transfer: &Transfer,
    guarded: Option<&LedgerAccount>,
    wish: &Wish,
) -> Result<Entry, LedgerError> {
    transfer.check()?;
    let mut book = Book::default();
    book.add_with(transfer.clone(), wish);
    let balances = book.lock(tx).await?;
    if is_entered(tx, transfer).await? {
        return Ok(Entry::Already);
    }
    if guarded.is_some_and(|account| book.balance_after(&balances, account).is_negative()) {
        return Ok(Entry::Refused);
    }
    book.write(tx).await?;
    Ok(Entry::New)
}

/// Whether the same transfer was entered before.
///
/// Asked while the accounts are locked: a transfer with the same legs cannot come in between. One with the same key and
/// other legs can, and then the unique key stops the second.
async fn is_entered(tx: &mut Tx, transfer: &Transfer) -> Result<bool, LedgerError> {
    let stored = fetch_optional!(
        (Option<String>,),
        tx,
        "SELECT request_hash FROM transfers WHERE idempotency_key = $1",
        transfer.idempotency_key.as_str(),
    )?;
    let is_same = match stored {
        None => return Ok(false),
        Some((Some(hash),)) => hash == transfer.request_hash(),
        Some((None,)) => has_same_legs(tx, transfer).await?,
    };
    if is_same {
        return Ok(true);
    }
    Err(LedgerError::KeyReused {
        key: transfer.idempotency_key.clone(),
    })
}

/// For transfers that were entered before their hashes were kept.
async fn has_same_legs(tx: &mut Tx, transfer: &Transfer) -> Result<bool> {
    let legs = fetch_all!(
        (String, String, i64),
        tx,
        "SELECT t.kind, l.ledger_account_id, l.amount_nano
         FROM transfers t JOIN legs l ON l.transfer_id = t.id WHERE t.idempotency_key = $1",
        transfer.idempotency_key.as_str(),
    )?;
    let same_kind = legs.iter().all(|(kind, ..)| kind == transfer.kind.name());
    let stored = sums(legs.into_iter().map(|(_, account, amount)| (account, amount)));
    let given = transfer
        .legs
        .iter()
        .map(|leg| (leg.account.to_string(), leg.amount.get()));
    Ok(same_kind && stored == sums(given))
}

fn sums(legs: impl Iterator<Item = (String, i64)>) -> BTreeMap<String, i128> {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for (account, amount) in legs {
        let sum = sums.entry(account).or_default();
        *sum = sum.saturating_add(i128::from(amount));
    }
    sums
}
