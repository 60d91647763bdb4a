//! Purchases of credits, from the form to the ledger.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{self, LedgerError};
use crate::{Ids, topups};
use domain::id::{AccountId, PurchaseId, UserId};
use domain::ledger::{Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState};
use domain::time::Micros;

/// What came of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaidOutcome {
    /// Credited just now; the purchase as it is stored.
    Credited(Purchase),
    AlreadyPaid,
    NotFound,
}

/// The names under which a processor has the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid<'a> {
    /// Of the checkout.
    pub reference: &'a str,
    /// Of the payment, as refunds and disputes call it.
    pub payment: Option<&'a str>,
}

macro_rules! columns {
    () => {
        "id, account_id, user_id, amount_nano, fee_nano, kind, state, processor, processor_ref, payment, refunded_nano, created_us, updated_us"
    };
}

/// # Errors
/// `Conflict` when the id, the checkout or the payment of the processor is stored already, or another top-up of the account
/// is in flight.
pub async fn create(tx: &mut Tx, purchase: &Purchase) -> Result<()> {
    execute!(
        tx,
        concat!(
            "INSERT INTO purchases (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        ),
        purchase.id.as_str(),
        purchase.account.as_str(),
        purchase.user.as_str(),
        purchase.amount.get(),
        purchase.fee.get(),
        purchase.kind.name(),
        purchase.state.name(),
        purchase.processor.as_str(),
        purchase.processor_ref.as_deref(),
        purchase.payment.as_deref(),
        purchase.refunded.get(),
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
        concat!("SELECT ", columns!(), " FROM purchases WHERE id = $1"),
        id.as_str(),
    )?;
    row.map(PurchaseRow::purchase).transpose()
}

/// The purchase that was paid, or is being paid, with this payment of the processor.
///
/// # Errors
/// Of the database only.
pub async fn by_payment(tx: &mut Tx, processor: &str, payment: &str) -> Result<Option<Purchase>> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM purchases WHERE processor = $1 AND payment = $2"
        ),
        processor,
        payment,
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

/// The buyer has paid in a way that takes its time. False when the purchase was not waiting for that.
///
/// # Errors
/// `Conflict` when another purchase has the same checkout or payment.
pub async fn pending(
    tx: &mut Tx,
    id: &PurchaseId,
    reference: &str,
    payment: Option<&str>,
    now: Micros,
) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE purchases SET state = 'pending', processor_ref = $2, payment = COALESCE($3, payment), updated_us = $4
         WHERE id = $1 AND state IN ('created', 'open')",
        id.as_str(),
        reference,
        payment,
        now.get(),
    )?;
    Ok(changed == 1)
}

/// The processor has the money: marks the purchase paid and credits the customer, exactly once. Money that arrives for a
/// cancelled or failed purchase is credited too: it is the customer's. A top-up that was paid ends the count of failures.
///
/// # Errors
/// `Conflict` when another purchase was paid with the same checkout or payment.
pub async fn settle_paid(
    tx: &mut Tx,
    id: &PurchaseId,
    paid: &Paid<'_>,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<PaidOutcome, LedgerError> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        concat!(
            "UPDATE purchases SET state = 'paid', processor_ref = $2, payment = COALESCE($3, payment), updated_us = $4
             WHERE id = $1 AND state <> 'paid' RETURNING ",
            columns!()
        ),
        id.as_str(),
        paid.reference,
        paid.payment,
        now.get(),
    )?;
    let Some(row) = row else {
        return already_paid(tx, id, paid).await;
    };
    let purchase = row.purchase()?;
    let transfer = Transfer {
        id: ids(),
        kind: TransferKind::Purchase,
        idempotency_key: purchase.source(),
        legs: purchase.payment_legs(),
        created: now,
    };
    ledger::post(tx, &transfer).await?;
    if purchase.kind == PurchaseKind::TopUp {
        topups::succeeded(tx, &purchase.account).await?;
    }
    Ok(PaidOutcome::Credited(purchase))
}

/// Closes a purchase that was not paid. False when it was paid, is being paid, was closed or was never there.
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

/// The payment was tried and did not come. False when the purchase was paid, was closed or was never there.
///
/// # Errors
/// Of the database only.
pub async fn fail(tx: &mut Tx, id: &PurchaseId, now: Micros) -> Result<bool> {
    let failed = execute!(
        tx,
        "UPDATE purchases SET state = 'failed', updated_us = $2
         WHERE id = $1 AND state IN ('created', 'open', 'pending')",
        id.as_str(),
        now.get(),
    )?;
    Ok(failed == 1)
}

/// What the account has bought and not had refunded.
///
/// # Errors
/// Of the database only.
pub async fn bought(tx: &mut Tx, account: &AccountId) -> Result<NanoUsd> {
    let (bought,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(amount_nano - refunded_nano), 0) AS BIGINT) FROM purchases
         WHERE account_id = $1 AND state = 'paid'",
        account.as_str(),
    )?;
    Ok(NanoUsd::new(bought))
}

/// The account's purchases, newest first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId, limit: i64) -> Result<Vec<Purchase>> {
    let rows = fetch_all!(
        PurchaseRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM purchases WHERE account_id = $1 ORDER BY created_us DESC, id DESC LIMIT $2"
        ),
        account.as_str(),
        limit,
    )?;
    rows.into_iter().map(PurchaseRow::purchase).collect()
}

/// Purchases of all accounts, newest first.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Purchase>> {
    let rows = fetch_all!(
        PurchaseRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM purchases ORDER BY created_us DESC, id DESC LIMIT $1"
        ),
        limit,
    )?;
    rows.into_iter().map(PurchaseRow::purchase).collect()
}

/// Purchases at the processor that are neither paid nor closed and were created before `older_than`, oldest first: what
/// the processor should be asked about.
///
/// # Errors
/// Of the database only.
pub async fn unfinished(tx: &mut Tx, processor: &str, older_than: Micros, limit: i64) -> Result<Vec<Purchase>> {
    let rows = fetch_all!(
        PurchaseRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM purchases WHERE processor = $1 AND state IN ('created', 'open', 'pending') AND created_us < $2
              ORDER BY created_us, id LIMIT $3"
        ),
        processor,
        older_than.get(),
        limit,
    )?;
    rows.into_iter().map(PurchaseRow::purchase).collect()
}

/// The purchase, which nobody else changes until the end of the transaction.
pub(crate) async fn lock(tx: &mut Tx, id: &PurchaseId) -> Result<Option<Purchase>> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        concat!(
            "UPDATE purchases SET updated_us = updated_us WHERE id = $1 RETURNING ",
            columns!()
        ),
        id.as_str(),
    )?;
    row.map(PurchaseRow::purchase).transpose()
}

/// As [`lock`], by the payment.
pub(crate) async fn lock_by_payment(tx: &mut Tx, processor: &str, payment: &str) -> Result<Option<Purchase>> {
    let row = fetch_optional!(
        PurchaseRow,
        tx,
        concat!(
            "UPDATE purchases SET updated_us = updated_us WHERE processor = $1 AND payment = $2 RETURNING ",
            columns!()
        ),
        processor,
        payment,
    )?;
    row.map(PurchaseRow::purchase).transpose()
}

pub(crate) async fn add_refunded(tx: &mut Tx, id: &PurchaseId, amount: NanoUsd) -> Result<()> {
    execute!(
        tx,
        "UPDATE purchases SET refunded_nano = refunded_nano + $2 WHERE id = $1",
        id.as_str(),
        amount.get(),
    )?;
    Ok(())
}

/// Learns the name of the payment, if that was not known.
async fn already_paid(tx: &mut Tx, id: &PurchaseId, paid: &Paid<'_>) -> Result<PaidOutcome, LedgerError> {
    let Some(purchase) = by_id(tx, id).await? else {
        return Ok(PaidOutcome::NotFound);
    };
    if purchase.payment.is_none() && paid.payment.is_some() {
        execute!(
            tx,
            "UPDATE purchases SET payment = $2 WHERE id = $1 AND payment IS NULL",
            id.as_str(),
            paid.payment,
        )?;
    }
    Ok(PaidOutcome::AlreadyPaid)
}

#[derive(sqlx::FromRow)]
struct PurchaseRow {
    id: String,
    account_id: String,
    user_id: String,
    amount_nano: i64,
    fee_nano: i64,
    kind: String,
    state: String,
    processor: String,
    processor_ref: Option<String>,
    payment: Option<String>,
    refunded_nano: i64,
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
            fee: NanoUsd::new(self.fee_nano),
            kind: column::word(&self.kind, PurchaseKind::parse)?,
            state: column::word(&self.state, PurchaseState::parse)?,
            processor: self.processor,
            processor_ref: self.processor_ref,
            payment: self.payment,
            refunded: NanoUsd::new(self.refunded_nano),
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
        })
    }
}
