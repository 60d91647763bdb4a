//! Refunds: credits are frozen when one is asked for, and leave when the processor has paid it or come back when it failed.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{Book, LedgerError, post_all};
use crate::lots::{self, Wish};
use crate::{Converged, Ids, disputes, fraud_warnings, purchases};
use domain::id::{AccountId, PurchaseId, RefundId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs, reversed};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseState, Refund, RefundState};
use domain::time::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Stored, its credits are frozen: send it to the processor.
    Requested,
    /// This much could be refunded.
    TooMuch {
        refundable: NanoUsd,
    },
    NotPaid,
    NotFound,
}

/// A refund as the processor shows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundSeen {
    pub processor: String,
    /// The processor's own name for it.
    pub reference: String,
    /// Ours for it, unless it was made at the processor.
    pub ours: Option<RefundId>,
    pub payment: String,
    pub amount: NanoUsd,
    /// `Sent` while it is under way.
    pub state: RefundState,
}

macro_rules! columns {
    () => {
        "id, purchase_id, account_id, amount_nano, state, processor_ref, by_customer, created_us, updated_us"
    };
}

/// The most that [`request`] would accept now: what remains of the purchase's own credits and is not in use. The fee stays.
///
/// # Errors
/// Of the database only.
pub async fn refundable(tx: &mut Tx, id: &PurchaseId) -> Result<NanoUsd> {
    match purchases::by_id(tx, id).await? {
        Some(purchase) => refundable_of(tx, &purchase).await,
        None => Ok(NanoUsd::ZERO),
    }
}

/// Stores a refund that the customer or the operator asks for and freezes its credits. The same refund again is
/// `Requested` again.
///
/// # Errors
/// Of the database only.
pub async fn request(
    tx: &mut Tx,
    refund: &Refund,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<RequestOutcome, LedgerError> {
    let Some(purchase) = purchases::lock(tx, &refund.purchase).await? else {
        return Ok(RequestOutcome::NotFound);
    };
    if purchase.state != PurchaseState::Paid {
        return Ok(RequestOutcome::NotPaid);
    }
    if by_id(tx, &refund.id).await?.is_some() {
        return Ok(RequestOutcome::Requested);
    }
    let mut book = Book::default();
    book.include(LedgerAccount::Customer(purchase.account.clone()));
    book.include(LedgerAccount::Frozen(purchase.account.clone()));
    book.lock(tx).await?;
    let refundable = refundable_of(tx, &purchase).await?;
    if refund.amount > refundable || !refund.amount.is_positive() {
        return Ok(RequestOutcome::TooMuch { refundable });
    }
    let stored = Refund {
        account: purchase.account.clone(),
        state: RefundState::Requested,
        processor_ref: None,
        ..refund.clone()
    };
    insert(tx, &stored, &purchase.processor).await?;
    purchases::add_refunded(tx, &purchase.id, stored.amount).await?;
    let wish = Wish {
        own: Some(purchase.source()),
        expires: None,
    };
    book.add_with(freeze_of(&stored, &purchase, ids, now), &wish);
    book.write(tx).await?;
    Ok(RequestOutcome::Requested)
}

/// Makes store and ledger agree with what the processor shows of a refund. Any number of times, in any order: what is
/// older than what is known changes nothing. A refund that was made at the processor is taken from the customer even below
/// zero, since the money is gone.
///
/// # Errors
/// Of the database only.
pub async fn converge(
    tx: &mut Tx,
    seen: &RefundSeen,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Converged, LedgerError> {
    let Some(purchase) = purchase_of(tx, seen).await? else {
        return Ok(Converged::UnknownPayment);
    };
    let known = known(tx, seen).await?;
    let is_new = known.is_none();
    let before = known.unwrap_or_else(|| made_at_processor(seen, &purchase, now));
    let after = Refund {
        state: if is_new {
            seen.state
        } else {
            before.state.max(seen.state)
        },
        processor_ref: before.processor_ref.clone().or_else(|| Some(seen.reference.clone())),
        updated: now,
        ..before.clone()
    };
    let counts = |refund: &Refund| refund.state != RefundState::Failed;
    if is_new {
        insert(tx, &after, &purchase.processor).await?;
    } else if (before.state, &before.processor_ref) == (after.state, &after.processor_ref) {
        return Ok(Converged::Unchanged);
    } else {
        update(tx, &after).await?;
    }
    if is_new && counts(&after) {
        purchases::add_refunded(tx, &purchase.id, after.amount).await?;
    } else if !is_new && counts(&before) && !counts(&after) {
        purchases::add_refunded(tx, &purchase.id, after.amount.negated()).await?;
    }
    if is_new && !counts(&after) {
        return Ok(Converged::Changed);
    }
    let mut transfers = transfers(&before, &after, &purchase, ids, now);
    if is_new {
        // What the warning held is better used for what has happened.
        let mut first = fraud_warnings::let_go(tx, &purchase, ids, now).await?;
        first.append(&mut transfers);
        transfers = first;
    }
    post_all(tx, &transfers).await?;
    Ok(Converged::Changed)
}

/// The processor will not make this refund: its credits come back. False when it was made, or is refused already.
///
/// # Errors
/// Of the database only.
pub async fn refused(tx: &mut Tx, id: &RefundId, ids: &mut Ids<'_>, now: Micros) -> Result<bool, LedgerError> {
    let Some(refund) = by_id(tx, id).await? else {
        return Ok(false);
    };
    let Some(purchase) = purchases::lock(tx, &refund.purchase).await? else {
        return Ok(false);
    };
    let before = by_id(tx, id).await?.unwrap_or(refund);
    if before.state != RefundState::Requested {
        return Ok(false);
    }
    let after = Refund {
        state: RefundState::Failed,
        updated: now,
        ..before.clone()
    };
    update(tx, &after).await?;
    purchases::add_refunded(tx, &purchase.id, after.amount.negated()).await?;
    post_all(tx, &transfers(&before, &after, &purchase, ids, now)).await?;
    Ok(true)
}

/// # Errors
/// Of the database only.
pub async fn by_id(tx: &mut Tx, id: &RefundId) -> Result<Option<Refund>> {
    let row = fetch_optional!(
        RefundRow,
        tx,
        concat!("SELECT ", columns!(), " FROM refunds WHERE id = $1"),
        id.as_str(),
    )?;
    row.map(RefundRow::refund).transpose()
}

/// The account's refunds, newest first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId, limit: i64) -> Result<Vec<Refund>> {
    let rows = fetch_all!(
        RefundRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refunds WHERE account_id = $1 ORDER BY created_us DESC, id DESC LIMIT $2"
        ),
        account.as_str(),
        limit,
    )?;
    rows.into_iter().map(RefundRow::refund).collect()
}

/// Refunds of all accounts, newest first.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Refund>> {
    let rows = fetch_all!(
        RefundRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refunds ORDER BY created_us DESC, id DESC LIMIT $1"
        ),
        limit,
    )?;
    rows.into_iter().map(RefundRow::refund).collect()
}

/// Refunds that were asked for before `older_than` and that the processor does not know of yet, oldest first.
///
/// # Errors
/// Of the database only.
pub async fn unsent(tx: &mut Tx, older_than: Micros, limit: i64) -> Result<Vec<Refund>> {
    let rows = fetch_all!(
        RefundRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refunds WHERE state = 'requested' AND created_us < $1 ORDER BY created_us, id LIMIT $2"
        ),
        older_than.get(),
        limit,
    )?;
    rows.into_iter().map(RefundRow::refund).collect()
}

async fn refundable_of(tx: &mut Tx, purchase: &Purchase) -> Result<NanoUsd> {
    if purchase.state != PurchaseState::Paid || disputes::is_open_on(tx, &purchase.id).await? {
        return Ok(NanoUsd::ZERO);
    }
    let lot = lots::by_source(tx, &purchase.source()).await?;
    let remaining = lot.map_or(NanoUsd::ZERO, |lot| lot.remaining);
    let available = crate::ledger::balance(tx, &LedgerAccount::Customer(purchase.account.clone())).await?;
    let unrefunded = purchase.amount.saturating_sub(purchase.refunded);
    Ok(remaining.min(available).min(unrefunded).max(NanoUsd::ZERO))
}

async fn purchase_of(tx: &mut Tx, seen: &RefundSeen) -> Result<Option<Purchase>> {
    if let Some(id) = &seen.ours
        && let Some(refund) = by_id(tx, id).await?
    {
        return purchases::lock(tx, &refund.purchase).await;
    }
    purchases::lock_by_payment(tx, &seen.processor, &seen.payment).await
}

async fn known(tx: &mut Tx, seen: &RefundSeen) -> Result<Option<Refund>> {
    if let Some(id) = &seen.ours
        && let Some(refund) = by_id(tx, id).await?
    {
        return Ok(Some(refund));
    }
    let row = fetch_optional!(
        RefundRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM refunds WHERE processor = $1 AND processor_ref = $2"
        ),
        seen.processor.as_str(),
        seen.reference.as_str(),
    )?;
    row.map(RefundRow::refund).transpose()
}

/// Named after the processor's name for it, so that two who see it at once store it once.
fn made_at_processor(seen: &RefundSeen, purchase: &Purchase, now: Micros) -> Refund {
    Refund {
        id: RefundId::stored(format!("ref_{}_{}", seen.processor, seen.reference)),
        purchase: purchase.id.clone(),
        account: purchase.account.clone(),
        amount: seen.amount,
        state: seen.state,
        processor_ref: Some(seen.reference.clone()),
        by_customer: false,
        created: now,
        updated: now,
    }
}

/// What must have been posted on the way from `before` to `after`; all of it idempotent.
fn transfers(
    before: &Refund,
    after: &Refund,
    purchase: &Purchase,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Vec<(Transfer, Wish)> {
    let wish = Wish {
        own: Some(purchase.source()),
        expires: None,
    };
    let frozen = LedgerAccount::Frozen(purchase.account.clone());
    let clearing = LedgerAccount::ProcessorClearing(purchase.processor.clone());
    let reference = after.processor_ref.as_deref().unwrap_or_default();
    let paid_key = format!("{}:re:{reference}", purchase.processor);
    let paid_legs = legs(frozen, clearing, after.amount);
    let mut post = |kind, key: String, legs| {
        let transfer = Transfer {
            id: ids(),
            kind,
            idempotency_key: key,
            legs,
            created: now,
        };
        (transfer, wish.clone())
    };
    let freeze_legs = purchase.freeze_legs(after.amount);
    let mut all = vec![post(TransferKind::Freeze, freeze_key(&after.id), freeze_legs.clone())];
    if after.state == RefundState::Succeeded {
        all.push(post(TransferKind::Refund, paid_key.clone(), paid_legs.clone()));
    }
    if after.state == RefundState::Failed {
        if before.state == RefundState::Succeeded {
            let key = format!("{paid_key}:failed");
            all.push(post(TransferKind::Reversal, key, reversed(&paid_legs)));
        }
        let key = format!("refund:{}:release", after.id);
        all.push(post(TransferKind::Release, key, reversed(&freeze_legs)));
    }
    all
}

fn freeze_of(refund: &Refund, purchase: &Purchase, ids: &mut Ids<'_>, now: Micros) -> Transfer {
    Transfer {
        id: ids(),
        kind: TransferKind::Freeze,
        idempotency_key: freeze_key(&refund.id),
        legs: purchase.freeze_legs(refund.amount),
        created: now,
    }
}

fn freeze_key(id: &RefundId) -> String {
    format!("refund:{id}:freeze")
}

async fn insert(tx: &mut Tx, refund: &Refund, processor: &str) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO refunds (id, purchase_id, account_id, amount_nano, state, processor, processor_ref, by_customer,
                              created_us, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        refund.id.as_str(),
        refund.purchase.as_str(),
        refund.account.as_str(),
        refund.amount.get(),
        refund.state.name(),
        processor,
        refund.processor_ref.as_deref(),
        column::flag(refund.by_customer),
        refund.created.get(),
        refund.updated.get(),
    )?;
    Ok(())
}

async fn update(tx: &mut Tx, refund: &Refund) -> Result<()> {
    execute!(
        tx,
        "UPDATE refunds SET state = $2, processor_ref = $3, updated_us = $4 WHERE id = $1",
        refund.id.as_str(),
        refund.state.name(),
        refund.processor_ref.as_deref(),
        refund.updated.get(),
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct RefundRow {
    id: String,
    purchase_id: String,
    account_id: String,
    amount_nano: i64,
    state: String,
    processor_ref: Option<String>,
    by_customer: i64,
    created_us: i64,
    updated_us: i64,
}

impl RefundRow {
    fn refund(self) -> Result<Refund> {
        Ok(Refund {
            id: RefundId::stored(self.id),
            purchase: PurchaseId::stored(self.purchase_id),
            account: AccountId::stored(self.account_id),
            amount: NanoUsd::new(self.amount_nano),
            state: column::word(&self.state, RefundState::parse)?,
            processor_ref: self.processor_ref,
            by_customer: self.by_customer != 0,
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
        })
    }
}
