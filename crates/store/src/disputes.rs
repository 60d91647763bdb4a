//! Disputes: a buyer's bank wants the money of a payment back. What is disputed is frozen, and leaves, or comes back.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{Book, LedgerError, post_all};
use crate::lots::Wish;
use crate::{Converged, Ids, fraud_warnings, purchases};
use domain::id::{AccountId, PurchaseId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs, reversed};
use domain::money::NanoUsd;
use domain::purchase::{DisputeStatus, Purchase};
use domain::time::Micros;

/// A dispute as the processor shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeSeen {
    pub processor: String,
    /// The processor's own name for it.
    pub reference: String,
    pub payment: String,
    pub amount: NanoUsd,
    /// What the processor asks for it; zero until that is known.
    pub fee: NanoUsd,
    pub status: DisputeStatus,
    /// The processor took amount and fee from what it owes us.
    pub withdrawn: bool,
    /// It gave the amount back.
    pub reinstated: bool,
}

/// A dispute as it is entered. The flags say which transfers were posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    pub processor: String,
    pub reference: String,
    pub purchase: PurchaseId,
    pub account: AccountId,
    pub amount: NanoUsd,
    pub fee: NanoUsd,
    pub status: DisputeStatus,
    pub frozen: bool,
    pub withdrawn: bool,
    pub reinstated: bool,
    pub released: bool,
    pub created: Micros,
    pub updated: Micros,
}

macro_rules! columns {
    () => {
        "processor, reference, purchase_id, account_id, amount_nano, fee_nano, status, frozen, withdrawn, reinstated, released, created_us, updated_us"
    };
}

/// Makes store and ledger agree with what the processor shows of a dispute. Any number of times, in any order: what is
/// older than what is known changes nothing. The customer may fall below zero.
///
/// # Errors
/// Of the database only.
pub async fn converge(
    tx: &mut Tx,
    seen: &DisputeSeen,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Converged, LedgerError> {
    let Some(purchase) = purchases::lock_by_payment(tx, &seen.processor, &seen.payment).await? else {
        return Ok(Converged::UnknownPayment);
    };
    let known = by_reference(tx, &seen.processor, &seen.reference).await?;
    let before = known.clone().unwrap_or_else(|| unposted(seen, &purchase, now));
    let after = merged(&before, seen, now);
    if known.is_none() {
        insert(tx, &after).await?;
    } else if (Dispute {
        updated: before.updated,
        ..after.clone()
    }) == before
    {
        return Ok(Converged::Unchanged);
    } else {
        update(tx, &after).await?;
    }
    let mut transfers = Vec::new();
    if after.frozen && !before.frozen {
        // What the warning held is better used for what has happened.
        transfers = fraud_warnings::let_go(tx, &purchase, ids, now).await?;
    }
    transfers.extend(missing(&before, &after, &purchase, ids, now));
    post_all(tx, &transfers).await?;
    Ok(Converged::Changed)
}

/// The account's disputes, newest first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId) -> Result<Vec<Dispute>> {
    let rows = fetch_all!(
        DisputeRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM disputes WHERE account_id = $1 ORDER BY created_us DESC, reference DESC"
        ),
        account.as_str(),
    )?;
    rows.into_iter().map(DisputeRow::dispute).collect()
}

/// Disputes of all accounts, newest first.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Dispute>> {
    let rows = fetch_all!(
        DisputeRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM disputes ORDER BY created_us DESC, reference DESC LIMIT $1"
        ),
        limit,
    )?;
    rows.into_iter().map(DisputeRow::dispute).collect()
}

/// The house takes over `amount` of a customer's debt. False, with nothing done, when the debt is smaller.
///
/// # Errors
/// Of the database only.
pub async fn write_off(
    tx: &mut Tx,
    account: &AccountId,
    amount: NanoUsd,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<bool, LedgerError> {
    let customer = LedgerAccount::Customer(account.clone());
    let mut book = Book::default();
    book.include(customer.clone());
    book.include(LedgerAccount::HouseCost);
    book.lock(tx).await?;
    let credits = crate::ledger::credits(tx, account).await?;
    let debt = credits.available.saturating_add(credits.in_escrow).negated();
    if !amount.is_positive() || amount > debt {
        return Ok(false);
    }
    let id = ids();
    book.add(Transfer {
        kind: TransferKind::WriteOff,
        idempotency_key: format!("write_off:{id}"),
        legs: legs(LedgerAccount::HouseCost, customer, amount),
        created: now,
        id,
    });
    book.write(tx).await?;
    Ok(true)
}

/// Whether money of the purchase is disputed now, or was lost to a dispute.
pub(crate) async fn is_open_on(tx: &mut Tx, purchase: &PurchaseId) -> Result<bool> {
    let open = fetch_optional!(
        (i64,),
        tx,
        "SELECT frozen FROM disputes WHERE purchase_id = $1 AND frozen = 1 AND released = 0 LIMIT 1",
        purchase.as_str(),
    )?;
    Ok(open.is_some())
}

async fn by_reference(tx: &mut Tx, processor: &str, reference: &str) -> Result<Option<Dispute>> {
    let row = fetch_optional!(
        DisputeRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM disputes WHERE processor = $1 AND reference = $2"
        ),
        processor,
        reference,
    )?;
    row.map(DisputeRow::dispute).transpose()
}

fn unposted(seen: &DisputeSeen, purchase: &Purchase, now: Micros) -> Dispute {
    Dispute {
        processor: seen.processor.clone(),
        reference: seen.reference.clone(),
        purchase: purchase.id.clone(),
        account: purchase.account.clone(),
        amount: seen.amount,
        fee: NanoUsd::ZERO,
        status: seen.status,
        frozen: false,
        withdrawn: false,
        reinstated: false,
        released: false,
        created: now,
        updated: now,
    }
}

/// What was posted before stays posted, whatever an older view of the dispute says. What was released is frozen again when
/// it turns out that the processor has taken the money after all, until it comes back.
fn merged(before: &Dispute, seen: &DisputeSeen, now: Micros) -> Dispute {
    let status = before.status.max(seen.status);
    let withdrawn = before.withdrawn || seen.withdrawn || seen.reinstated;
    let reinstated = before.reinstated || seen.reinstated;
    let is_inquiry = matches!(status, DisputeStatus::Warning | DisputeStatus::WarningClosed);
    let is_over = matches!(status, DisputeStatus::Won | DisputeStatus::WarningClosed);
    let is_with_us = !withdrawn || reinstated;
    let frozen = before.frozen || withdrawn || !(is_inquiry || is_over);
    let known_fee = before.fee.is_positive();
    Dispute {
        fee: if withdrawn && !known_fee { seen.fee } else { before.fee },
        status,
        frozen,
        withdrawn,
        reinstated,
        released: is_with_us && (before.released || (frozen && is_over)),
        updated: now,
        ..before.clone()
    }
}

/// The transfers that `after` says are posted and `before` does not.
fn missing(
    before: &Dispute,
    after: &Dispute,
    purchase: &Purchase,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Vec<(Transfer, Wish)> {
    let frozen = LedgerAccount::Frozen(after.account.clone());
    let clearing = LedgerAccount::ProcessorClearing(after.processor.clone());
    let costs = LedgerAccount::ProcessorCosts(after.processor.clone());
    let freeze = purchase.freeze_legs(after.amount);
    let withdrawal = legs(frozen, clearing.clone(), after.amount);
    let fee_before = before.fee.is_positive();
    let fee_after = after.fee.is_positive();
    // A dispute can be released a second time: after money that was taken late has come back.
    let release = if after.withdrawn {
        "release:reinstated"
    } else {
        "release"
    };
    let phases = [
        (
            before.frozen,
            after.frozen,
            "freeze",
            TransferKind::Freeze,
            freeze.clone(),
        ),
        (
            false,
            before.released && !after.released,
            "freeze:again",
            TransferKind::Freeze,
            freeze.clone(),
        ),
        (
            before.withdrawn,
            after.withdrawn,
            "withdrawn",
            TransferKind::DisputeWithdrawn,
            withdrawal.clone(),
        ),
        (
            fee_before,
            fee_after,
            "fee",
            TransferKind::DisputeWithdrawn,
            legs(costs, clearing, after.fee),
        ),
        (
            before.reinstated,
            after.reinstated,
            "reinstated",
            TransferKind::DisputeReinstated,
            reversed(&withdrawal),
        ),
        (
            before.released,
            after.released,
            release,
            TransferKind::Release,
            reversed(&freeze),
        ),
    ];
    let wish = Wish {
        own: Some(purchase.source()),
        expires: None,
    };
    phases
        .into_iter()
        .filter(|(before, after, ..)| *after && !before)
        .map(|(_, _, phase, kind, legs)| {
            let transfer = Transfer {
                id: ids(),
                kind,
                idempotency_key: format!("{}:dp:{}:{phase}", after.processor, after.reference),
                legs,
                created: now,
            };
            (transfer, wish.clone())
        })
        .collect()
}

async fn insert(tx: &mut Tx, dispute: &Dispute) -> Result<()> {
    execute!(
        tx,
        concat!(
            "INSERT INTO disputes (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        ),
        dispute.processor.as_str(),
        dispute.reference.as_str(),
        dispute.purchase.as_str(),
        dispute.account.as_str(),
        dispute.amount.get(),
        dispute.fee.get(),
        dispute.status.name(),
        column::flag(dispute.frozen),
        column::flag(dispute.withdrawn),
        column::flag(dispute.reinstated),
        column::flag(dispute.released),
        dispute.created.get(),
        dispute.updated.get(),
    )?;
    Ok(())
}

async fn update(tx: &mut Tx, dispute: &Dispute) -> Result<()> {
    execute!(
        tx,
        "UPDATE disputes SET fee_nano = $3, status = $4, frozen = $5, withdrawn = $6, reinstated = $7, released = $8,
             updated_us = $9 WHERE processor = $1 AND reference = $2",
        dispute.processor.as_str(),
        dispute.reference.as_str(),
        dispute.fee.get(),
        dispute.status.name(),
        column::flag(dispute.frozen),
        column::flag(dispute.withdrawn),
        column::flag(dispute.reinstated),
        column::flag(dispute.released),
        dispute.updated.get(),
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct DisputeRow {
    processor: String,
    reference: String,
    purchase_id: String,
    account_id: String,
    amount_nano: i64,
    fee_nano: i64,
    status: String,
    frozen: i64,
    withdrawn: i64,
    reinstated: i64,
    released: i64,
    created_us: i64,
    updated_us: i64,
}

impl DisputeRow {
    fn dispute(self) -> Result<Dispute> {
        Ok(Dispute {
            processor: self.processor,
            reference: self.reference,
            purchase: PurchaseId::stored(self.purchase_id),
            account: AccountId::stored(self.account_id),
            amount: NanoUsd::new(self.amount_nano),
            fee: NanoUsd::new(self.fee_nano),
            status: column::word(&self.status, DisputeStatus::parse)?,
            frozen: self.frozen != 0,
            withdrawn: self.withdrawn != 0,
            reinstated: self.reinstated != 0,
            released: self.released != 0,
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
        })
    }
}
