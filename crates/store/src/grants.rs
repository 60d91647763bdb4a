//! Credits given away: by the operator, or for a code.

use crate::Ids;
use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::ledger::{LedgerError, post_with};
use crate::lots::Wish;
use domain::id::{AccountId, GrantId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;

/// Credits that the operator gives to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: GrantId,
    pub account: AccountId,
    pub amount: NanoUsd,
    /// What is unspent then is taken away.
    pub expires: Option<Micros>,
    pub note: String,
    pub by: UserId,
    pub created: Micros,
}

/// A code that gives credits to whoever redeems it, each account once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Of the code itself, which is not stored.
    pub hash: String,
    pub label: String,
    pub amount: NanoUsd,
    /// It cannot be redeemed from then on.
    pub expires: Option<Micros>,
    /// For how many days the credits last; `None`: for ever.
    pub lot_days: Option<i64>,
    /// How often it was redeemed.
    pub redemptions: i64,
    pub redemptions_max: i64,
    pub created: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// This much was given.
    Ok(NanoUsd),
    Unknown,
    Expired,
    UsedUp,
    /// By the same account, before.
    Already,
}

/// Gives the credits. False when the grant was made before.
///
/// # Errors
/// `KeyReused` when a grant of the same id was another.
pub async fn grant(tx: &mut Tx, grant: &Grant, ids: &mut Ids<'_>, now: Micros) -> Result<bool, LedgerError> {
    let inserted = execute!(
        tx,
        "INSERT INTO grants (id, account_id, amount_nano, expires_us, note, granted_by, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        grant.id.as_str(),
        grant.account.as_str(),
        grant.amount.get(),
        grant.expires.map(Micros::get),
        grant.note.as_str(),
        grant.by.as_str(),
        grant.created.get(),
    )?;
    let key = format!("grant:{}", grant.id);
    give(tx, &grant.account, grant.amount, key, grant.expires, ids, now).await?;
    Ok(inserted == 1)
}

/// Grants of the operator, newest first.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Grant>> {
    let rows = fetch_all!(
        (String, String, i64, Option<i64>, String, String, i64),
        tx,
        "SELECT id, account_id, amount_nano, expires_us, note, granted_by, created_us FROM grants
         ORDER BY created_us DESC, id LIMIT $1",
        limit,
    )?;
    Ok(rows
        .into_iter()
        .map(|(id, account, amount, expires, note, by, created)| Grant {
            id: GrantId::stored(id),
            account: AccountId::stored(account),
            amount: NanoUsd::new(amount),
            expires: column::micros(expires),
            note,
            by: UserId::stored(by),
            created: Micros::new(created),
        })
        .collect())
}

/// # Errors
/// `Conflict` when the code exists.
pub async fn create_code(tx: &mut Tx, code: &Code) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO codes (hash, label, amount_nano, expires_us, lot_days, redemptions, redemptions_max, created_us)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
        code.hash.as_str(),
        code.label.as_str(),
        code.amount.get(),
        code.expires.map(Micros::get),
        code.lot_days,
        code.redemptions_max,
        code.created.get(),
    )?;
    Ok(())
}

/// Gives the credits of a code to the account, if the code is good and the account has not had it.
///
/// # Errors
/// Of the database only.
pub async fn redeem(
    tx: &mut Tx,
    code_hash: &str,
    account: &AccountId,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Redeemed, LedgerError> {
    // Writes nothing new: waits for others who redeem the same code.
    execute!(
        tx,
        "UPDATE codes SET redemptions = redemptions WHERE hash = $1",
        code_hash
    )?;
    let Some(code) = code(tx, code_hash).await? else {
        return Ok(Redeemed::Unknown);
    };
    let had = fetch_optional!(
        (i64,),
        tx,
        "SELECT created_us FROM code_redemptions WHERE code_hash = $1 AND account_id = $2",
        code_hash,
        account.as_str(),
    )?;
    if had.is_some() {
        return Ok(Redeemed::Already);
    }
    if code.expires.is_some_and(|expires| expires <= now) {
        return Ok(Redeemed::Expired);
    }
    if code.redemptions >= code.redemptions_max {
        return Ok(Redeemed::UsedUp);
    }
    execute!(
        tx,
        "UPDATE codes SET redemptions = redemptions + 1 WHERE hash = $1",
        code_hash
    )?;
    execute!(
        tx,
        "INSERT INTO code_redemptions (code_hash, account_id, created_us) VALUES ($1, $2, $3)",
        code_hash,
        account.as_str(),
        now.get(),
    )?;
    let expires = code.lot_days.map(|days| now.plus(days.saturating_mul(Micros::DAY)));
    let key = format!("code:{code_hash}:{account}");
    give(tx, account, code.amount, key, expires, ids, now).await?;
    Ok(Redeemed::Ok(code.amount))
}

/// Codes, newest first.
///
/// # Errors
/// Of the database only.
pub async fn codes(tx: &mut Tx, limit: i64) -> Result<Vec<Code>> {
    let rows = fetch_all!(
        CodeRow,
        tx,
        "SELECT hash, label, amount_nano, expires_us, lot_days, redemptions, redemptions_max, created_us FROM codes
         ORDER BY created_us DESC, hash LIMIT $1",
        limit,
    )?;
    Ok(rows.into_iter().map(CodeRow::code).collect())
}

async fn code(tx: &mut Tx, hash: &str) -> Result<Option<Code>> {
    let row = fetch_optional!(
        CodeRow,
        tx,
        "SELECT hash, label, amount_nano, expires_us, lot_days, redemptions, redemptions_max, created_us FROM codes
         WHERE hash = $1",
        hash,
    )?;
    Ok(row.map(CodeRow::code))
}

async fn give(
    tx: &mut Tx,
    account: &AccountId,
    amount: NanoUsd,
    key: String,
    expires: Option<Micros>,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<(), LedgerError> {
    if !amount.is_positive() {
        return Err(StoreError::corrupt("a grant of nothing").into());
    }
    let transfer = Transfer {
        id: ids(),
        kind: TransferKind::Grant,
        idempotency_key: key,
        legs: legs(
            LedgerAccount::Promotions,
            LedgerAccount::Customer(account.clone()),
            amount,
        ),
        created: now,
    };
    post_with(tx, &transfer, &Wish { own: None, expires }).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct CodeRow {
    hash: String,
    label: String,
    amount_nano: i64,
    expires_us: Option<i64>,
    lot_days: Option<i64>,
    redemptions: i64,
    redemptions_max: i64,
    created_us: i64,
}

impl CodeRow {
    fn code(self) -> Code {
        Code {
            hash: self.hash,
            label: self.label,
            amount: NanoUsd::new(self.amount_nano),
            expires: column::micros(self.expires_us),
            lot_days: self.lot_days,
            redemptions: self.redemptions,
            redemptions_max: self.redemptions_max,
            created: Micros::new(self.created_us),
        }
    }
}
