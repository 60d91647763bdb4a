//! Early fraud warnings: a card issuer suspects a payment. What is unspent of it is held until a person decides.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{Book, LedgerError, post_with};
use crate::lots::{self, Wish};
use crate::{Converged, Ids, purchases};
use domain::id::{AccountId, PurchaseId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::purchase::Purchase;
use domain::time::Micros;

/// A warning as the processor shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarningSeen {
    pub processor: String,
    /// The processor's own name for it.
    pub reference: String,
    pub payment: String,
    /// False when there is nothing left to do about it.
    pub actionable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub processor: String,
    pub reference: String,
    pub purchase: PurchaseId,
    pub account: AccountId,
    /// What was frozen for it.
    pub held: NanoUsd,
    pub state: WarningState,
    pub created: Micros,
    pub updated: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningState {
    /// Nothing is held: nothing was unspent, or the payment is disputed or refunded.
    Noted,
    Held,
    Released,
}

macro_rules! columns {
    () => {
        "processor, reference, purchase_id, account_id, amount_nano, state, created_us, updated_us"
    };
}

/// Stores the warning and freezes what is unspent of its purchase, once. A purchase that is disputed, or refunded at the
/// processor, is only noted: more than the warning feared has happened.
///
/// # Errors
/// Of the database only.
pub async fn converge(
    tx: &mut Tx,
    seen: &WarningSeen,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Converged, LedgerError> {
    let Some(purchase) = purchases::lock_by_payment(tx, &seen.processor, &seen.payment).await? else {
        return Ok(Converged::UnknownPayment);
    };
    if by_reference(tx, &seen.processor, &seen.reference).await?.is_some() {
        return Ok(Converged::Unchanged);
    }
    let mut book = Book::default();
    book.include(LedgerAccount::Customer(purchase.account.clone()));
    book.include(LedgerAccount::Frozen(purchase.account.clone()));
    book.lock(tx).await?;
    let held = if seen.actionable && !has_come_true(tx, &purchase.id).await? {
        unspent(tx, &purchase).await?
    } else {
        NanoUsd::ZERO
    };
    let is_held = held.is_positive();
    let warning = Warning {
        processor: seen.processor.clone(),
        reference: seen.reference.clone(),
        purchase: purchase.id.clone(),
        account: purchase.account.clone(),
        held,
        state: if is_held {
            WarningState::Held
        } else {
            WarningState::Noted
        },
        created: now,
        updated: now,
    };
    insert(tx, &warning).await?;
    if is_held {
        let transfer = Transfer {
            id: ids(),
            kind: TransferKind::Freeze,
            idempotency_key: key(&warning),
            legs: purchase.freeze_legs(held),
            created: now,
        };
        book.add_with(transfer, &own(&purchase));
    }
    book.write(tx).await?;
    Ok(Converged::Changed)
}

/// Gives what a warning holds back to the customer: a person decided so. False when it holds nothing.
///
/// # Errors
/// Of the database only.
pub async fn release(
    tx: &mut Tx,
    processor: &str,
    reference: &str,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<bool, LedgerError> {
    let Some(warning) = by_reference(tx, processor, reference).await? else {
        return Ok(false);
    };
    let Some(purchase) = purchases::lock(tx, &warning.purchase).await? else {
        return Ok(false);
    };
    if !mark_released(tx, &warning, now).await? {
        return Ok(false);
    }
    post_with(tx, &release_of(&warning, ids, now), &own(&purchase)).await?;
    Ok(true)
}

/// Warnings that hold credits of the account, newest first.
///
/// # Errors
/// Of the database only.
pub async fn held(tx: &mut Tx, account: &AccountId) -> Result<Vec<Warning>> {
    let rows = fetch_all!(
        WarningRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM fraud_warnings WHERE account_id = $1 AND state = 'held' ORDER BY created_us DESC, reference DESC"
        ),
        account.as_str(),
    )?;
    rows.into_iter().map(WarningRow::warning).collect()
}

/// Warnings of all accounts, newest first.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Warning>> {
    let rows = fetch_all!(
        WarningRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM fraud_warnings ORDER BY created_us DESC, reference DESC LIMIT $1"
        ),
        limit,
    )?;
    rows.into_iter().map(WarningRow::warning).collect()
}

/// Marks what warnings hold of the purchase as released and gives the transfers that do it.
pub(crate) async fn let_go(
    tx: &mut Tx,
    purchase: &Purchase,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Vec<(Transfer, Wish)>> {
    let rows = fetch_all!(
        WarningRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM fraud_warnings WHERE purchase_id = $1 AND state = 'held' ORDER BY processor, reference"
        ),
        purchase.id.as_str(),
    )?;
    let mut transfers = Vec::new();
    for row in rows {
        let warning = row.warning()?;
        if mark_released(tx, &warning, now).await? {
            transfers.push((release_of(&warning, ids, now), own(purchase)));
        }
    }
    Ok(transfers)
}

impl WarningState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Held => "held",
            Self::Released => "released",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Noted, Self::Held, Self::Released]
            .into_iter()
            .find(|state| state.name() == text)
    }
}

async fn by_reference(tx: &mut Tx, processor: &str, reference: &str) -> Result<Option<Warning>> {
    let row = fetch_optional!(
        WarningRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM fraud_warnings WHERE processor = $1 AND reference = $2"
        ),
        processor,
        reference,
    )?;
    row.map(WarningRow::warning).transpose()
}

async fn has_come_true(tx: &mut Tx, purchase: &PurchaseId) -> Result<bool> {
    let (count,) = fetch_one!(
        (i64,),
        tx,
        "SELECT (SELECT COUNT(*) FROM disputes WHERE purchase_id = $1 AND frozen = 1)
              + (SELECT COUNT(*) FROM refunds WHERE purchase_id = $1 AND state <> 'failed'
                 AND id = 'ref_' || processor || '_' || processor_ref)",
        purchase.as_str(),
    )?;
    Ok(count > 0)
}

async fn unspent(tx: &mut Tx, purchase: &Purchase) -> Result<NanoUsd> {
    let lot = lots::by_source(tx, &purchase.source()).await?;
    let remaining = lot.map_or(NanoUsd::ZERO, |lot| lot.remaining);
    let available = crate::ledger::balance(tx, &LedgerAccount::Customer(purchase.account.clone())).await?;
    Ok(remaining.min(available).max(NanoUsd::ZERO))
}

async fn insert(tx: &mut Tx, warning: &Warning) -> Result<()> {
    execute!(
        tx,
        concat!(
            "INSERT INTO fraud_warnings (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ),
        warning.processor.as_str(),
        warning.reference.as_str(),
        warning.purchase.as_str(),
        warning.account.as_str(),
        warning.held.get(),
        warning.state.name(),
        warning.created.get(),
        warning.updated.get(),
    )?;
    Ok(())
}

async fn mark_released(tx: &mut Tx, warning: &Warning, now: Micros) -> Result<bool> {
    let released = execute!(
        tx,
        "UPDATE fraud_warnings SET state = 'released', updated_us = $3
         WHERE processor = $1 AND reference = $2 AND state = 'held'",
        warning.processor.as_str(),
        warning.reference.as_str(),
        now.get(),
    )?;
    Ok(released == 1)
}

fn release_of(warning: &Warning, ids: &mut Ids<'_>, now: Micros) -> Transfer {
    Transfer {
        id: ids(),
        kind: TransferKind::Release,
        idempotency_key: format!("{}:release", key(warning)),
        legs: legs(
            LedgerAccount::Frozen(warning.account.clone()),
            LedgerAccount::Customer(warning.account.clone()),
            warning.held,
        ),
        created: now,
    }
}

fn own(purchase: &Purchase) -> Wish {
    Wish {
        own: Some(purchase.source()),
        expires: None,
    }
}

fn key(warning: &Warning) -> String {
    format!("{}:efw:{}", warning.processor, warning.reference)
}

#[derive(sqlx::FromRow)]
struct WarningRow {
    processor: String,
    reference: String,
    purchase_id: String,
    account_id: String,
    amount_nano: i64,
    state: String,
    created_us: i64,
    updated_us: i64,
}

impl WarningRow {
    fn warning(self) -> Result<Warning> {
        Ok(Warning {
            processor: self.processor,
            reference: self.reference,
            purchase: PurchaseId::stored(self.purchase_id),
            account: AccountId::stored(self.account_id),
            held: NanoUsd::new(self.amount_nano),
            state: column::word(&self.state, WarningState::parse)?,
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
        })
    }
}
