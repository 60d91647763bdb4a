//! Purchases of credits, from the form to the ledger.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{self, LedgerError};
use domain::id::{AccountId, PurchaseId, TransferId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseState};
use domain::time::Micros;

/// What came of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaidOutcome {
    /// Credited just now; the purchase as it is stored.
    Credited(Purchase),
    AlreadyPaid,
    NotFound,
}

/// # Errors
/// `Conflict` when the id, or the payment of the processor, is stored already.
pub async fn create(tx: &mut Tx, purchase: &Purchase) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO purchases
             (id, account_id, user_id, amount_nano, state, processor, processor_ref, created_us, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        purchase.id.as_str(),
        purchase.account.as_str(),
        purchase.user.as_str(),
        purchase.amount.get(),
        purchase.state.name(),
        purchase.processor.as_str(),
        purchase.processor_ref.as_deref(),
        purchase.created.get(),
        purchase.updated.get(),
    )?;
    Ok(())
}

/// # Errors
/// Of the database only.
pub async fn by_id(tx: &mut Tx, id: &PurchaseId) -> Result<Option<Purchase>> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        "SELECT id, account_id, user_id, amount_nano, state, processor, processor_ref, created_us, updated_us
         FROM purchases WHERE id = $1",
        id.as_str(),
    )?;
    row.map(PurchaseRow::purchase).transpose()
}

/// The processor has opened a checkout for a purchase just created. False when it was not in that state.
///
/// # Errors
/// `Conflict` when another purchase has the same `processor_ref`.
pub async fn open(tx: &mut Tx, id: &PurchaseId, processor_ref: &str, now: Micros) -> Result<bool> {
    let opened = execute!(
        tx,
        "UPDATE purchases SET state = 'open', processor_ref = $2, updated_us = $3 WHERE id = $1 AND state = 'created'",
        id.as_str(),
        processor_ref,
        now.get(),
    )?;
    Ok(opened == 1)
}

/// The processor has the money: marks the purchase paid and credits the customer, exactly once. Money that arrives for a
/// cancelled purchase is credited too: it is the customer's.
///
/// # Errors
/// `Conflict` when another purchase was paid with the same `processor_ref`.
pub async fn settle_paid(
    tx: &mut Tx,
    id: &PurchaseId,
    processor_ref: &str,
    transfer: TransferId,
    now: Micros,
) -> Result<PaidOutcome, LedgerError> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        "UPDATE purchases SET state = 'paid', processor_ref = $2, updated_us = $3 WHERE id = $1 AND state <> 'paid'
         RETURNING id, account_id, user_id, amount_nano, state, processor, processor_ref, created_us, updated_us",
        id.as_str(),
        processor_ref,
        now.get(),
    )?;
    let Some(row) = row else {
        let known = by_id(tx, id).await?.is_some();
        return Ok(if known {
            PaidOutcome::AlreadyPaid
        } else {
            PaidOutcome::NotFound
        });
    };
    let purchase = row.purchase()?;
    let from = LedgerAccount::ProcessorClearing(purchase.processor.clone());
    let to = LedgerAccount::Customer(purchase.account.clone());
    let transfer = Transfer {
        id: transfer,
        kind: TransferKind::Purchase,
        idempotency_key: format!("purchase:{id}"),
        legs: legs(from, to, purchase.amount),
        created: now,
    };
    ledger::post(tx, &transfer).await?;
    Ok(PaidOutcome::Credited(purchase))
}

/// Closes a purchase that was not paid. False when it was paid, cancelled or never there.
///
/// # Errors
/// Of the database only.
pub async fn cancel(tx: &mut Tx, id: &PurchaseId, now: Micros) -> Result<bool> {
    let cancelled = execute!(
        tx,
        "UPDATE purchases SET state = 'cancelled', updated_us = $2 WHERE id = $1 AND state IN ('created', 'open')",
        id.as_str(),
        now.get(),
    )?;
    Ok(cancelled == 1)
}

/// The account's purchases, newest first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId, limit: i64) -> Result<Vec<Purchase>> {
    let rows = fetch_all!(
        PurchaseRow,
        tx,
        "SELECT id, account_id, user_id, amount_nano, state, processor, processor_ref, created_us, updated_us
         FROM purchases WHERE account_id = $1 ORDER BY created_us DESC, id DESC LIMIT $2",
        account.as_str(),
        limit,
    )?;
    rows.into_iter().map(PurchaseRow::purchase).collect()
}

#[derive(sqlx::FromRow)]
struct PurchaseRow {
    id: String,
    account_id: String,
    user_id: String,
    amount_nano: i64,
    state: String,
    processor: String,
    processor_ref: Option<String>,
    created_us: i64,
    updated_us: i64,
}

impl PurchaseRow {
    fn purchase(self) -> Result<Purchase> {
        Ok(Purchase {
            id: PurchaseId::stored(self.id),
            account: AccountId::stored(self.account_id),
            user: UserId::stored(self.user_id),
            amount: NanoUsd::new(self.amount_nano),
            state: column::word(&self.state, PurchaseState::parse)?,
            processor: self.processor,
            processor_ref: self.processor_ref,
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
        })
    }
}
