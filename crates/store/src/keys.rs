//! API keys: their life, what they have used, and their limits.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::api_key::KeyHash;
use domain::id::{AccountId, UserId};
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;

pub use limits::{LimitOwner, lease, lease_available, return_all, return_lease};
pub(crate) use limits::{lock, spend};

pub mod limits;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub hash: KeyHash,
    pub account: AccountId,
    /// Who made it.
    pub user: UserId,
    pub name: String,
    /// The masked form: `sk-tw-v1-abc…f09`.
    pub label: String,
    /// What it may spend per period; for ever when `reset` is `None`.
    pub limit: Option<NanoUsd>,
    pub reset: Option<Period>,
    pub expires: Option<Micros>,
    pub disabled: bool,
    pub deleted: bool,
    /// The key of the account's playground: in no list, one per account.
    pub internal: bool,
    pub created: Micros,
    pub updated: Micros,
    pub last_used: Option<Micros>,
}

/// What an owner changes about a key. `None` leaves a field as it is; `Some(None)` empties it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    pub name: Option<String>,
    pub disabled: Option<bool>,
    pub limit: Option<Option<NanoUsd>>,
    pub reset: Option<Option<Period>>,
    pub expires: Option<Option<Micros>>,
}

/// What was charged to a key: ever, and since the start of the current UTC day, week and month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    pub total: NanoUsd,
    pub daily: NanoUsd,
    pub weekly: NanoUsd,
    pub monthly: NanoUsd,
}

/// # Errors
/// `Conflict` when the hash exists, or the key is internal and the account has an internal key.
pub async fn create(tx: &mut Tx, key: &Key) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO api_keys (hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled,
                               deleted, internal, created_us, updated_us, last_used_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        key.hash.as_str(),
        key.account.as_str(),
        key.user.as_str(),
        key.name.as_str(),
        key.label.as_str(),
        key.limit.map(NanoUsd::get),
        key.reset.map(Period::name),
        key.expires.map(Micros::get),
        column::flag(key.disabled),
        column::flag(key.deleted),
        column::flag(key.internal),
        key.created.get(),
        key.updated.get(),
        key.last_used.map(Micros::get),
    )?;
    Ok(())
}

/// The key in whatever state it is: deleted, disabled and expired ones too.
///
/// # Errors
/// Of the database only.
pub async fn by_hash(tx: &mut Tx, hash: &KeyHash) -> Result<Option<Key>> {
    let row = fetch_optional!(
        KeyRow,
        tx,
        "SELECT hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled, deleted,
                internal, created_us, updated_us, last_used_us
         FROM api_keys WHERE hash = $1",
        hash.as_str(),
    )?;
    row.map(KeyRow::key).transpose()
}

/// The account's keys, newest first, without deleted and internal ones.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId) -> Result<Vec<Key>> {
    let rows = fetch_all!(
        KeyRow,
        tx,
        "SELECT hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled, deleted,
                internal, created_us, updated_us, last_used_us
         FROM api_keys WHERE account_id = $1 AND deleted = 0 AND internal = 0 ORDER BY created_us DESC, hash",
        account.as_str(),
    )?;
    rows.into_iter().map(KeyRow::key).collect()
}

/// The key that the account's playground uses.
///
/// # Errors
/// Of the database only.
pub async fn internal(tx: &mut Tx, account: &AccountId) -> Result<Option<Key>> {
    let row = fetch_optional!(
        KeyRow,
        tx,
        "SELECT hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled, deleted,
                internal, created_us, updated_us, last_used_us
         FROM api_keys WHERE account_id = $1 AND deleted = 0 AND internal = 1",
        account.as_str(),
    )?;
    row.map(KeyRow::key).transpose()
}

/// Changes a key of this account and gives it as it is then. `None` when the account has no such key to change:
/// deleted and internal ones are not.
///
/// # Errors
/// Of the database only.
pub async fn update(
    tx: &mut Tx,
    account: &AccountId,
    hash: &KeyHash,
    change: &KeyChange,
    now: Micros,
) -> Result<Option<Key>> {
    let row = fetch_optional!(
        KeyRow,
        tx,
        "UPDATE api_keys SET
             name = COALESCE($3, name),
             disabled = COALESCE($4, disabled),
             limit_nano = CASE WHEN $5 = 1 THEN $6 ELSE limit_nano END,
             reset_period = CASE WHEN $7 = 1 THEN $8 ELSE reset_period END,
             expires_us = CASE WHEN $9 = 1 THEN $10 ELSE expires_us END,
             updated_us = $11
         WHERE hash = $1 AND account_id = $2 AND deleted = 0 AND internal = 0
         RETURNING hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled, deleted,
                   internal, created_us, updated_us, last_used_us",
        hash.as_str(),
        account.as_str(),
        change.name.as_deref(),
        change.disabled.map(column::flag),
        column::flag(change.limit.is_some()),
        change.limit.flatten().map(NanoUsd::get),
        column::flag(change.reset.is_some()),
        change.reset.flatten().map(Period::name),
        column::flag(change.expires.is_some()),
        change.expires.flatten().map(Micros::get),
        now.get(),
    )?;
    row.map(KeyRow::key).transpose()
}

/// Deletes a key for its owner: it stays in the store, and works no more. False when the account has no such key.
///
/// # Errors
/// Of the database only.
pub async fn delete(tx: &mut Tx, account: &AccountId, hash: &KeyHash, now: Micros) -> Result<bool> {
    let deleted = execute!(
        tx,
        "UPDATE api_keys SET deleted = 1, updated_us = $3
         WHERE hash = $1 AND account_id = $2 AND deleted = 0 AND internal = 0",
        hash.as_str(),
        account.as_str(),
        now.get(),
    )?;
    Ok(deleted == 1)
}

/// Deletes any key, for the operator; its owner cannot enable it again. False when there is none, or it is deleted.
///
/// # Errors
/// Of the database only.
pub async fn revoke(tx: &mut Tx, hash: &KeyHash, now: Micros) -> Result<bool> {
    let revoked = execute!(
        tx,
        "UPDATE api_keys SET deleted = 1, updated_us = $2 WHERE hash = $1 AND deleted = 0",
        hash.as_str(),
        now.get(),
    )?;
    Ok(revoked == 1)
}

/// Keys made or changed at `since` or later, deleted and internal ones too. A change is stamped before it commits, so
/// let consecutive calls overlap by a few seconds.
///
/// # Errors
/// Of the database only.
pub async fn changed_since(tx: &mut Tx, since: Micros) -> Result<Vec<Key>> {
    let rows = fetch_all!(
        KeyRow,
        tx,
        "SELECT hash, account_id, user_id, name, label, limit_nano, reset_period, expires_us, disabled, deleted,
                internal, created_us, updated_us, last_used_us
         FROM api_keys WHERE updated_us >= $1 ORDER BY updated_us, hash",
        since.get(),
    )?;
    rows.into_iter().map(KeyRow::key).collect()
}

/// From daily rollups: what settlements have charged so far.
///
/// # Errors
/// Of the database only.
pub async fn usage(tx: &mut Tx, hash: &KeyHash, now: Micros) -> Result<KeyUsage> {
    let (total, daily, weekly, monthly) = fetch_one!(
        (i64, i64, i64, i64),
        tx,
        "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN day >= $2 THEN cost_nano ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN day >= $3 THEN cost_nano ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(CASE WHEN day >= $4 THEN cost_nano ELSE 0 END), 0) AS BIGINT)
         FROM account_rollups_daily WHERE key_hash = $1",
        hash.as_str(),
        Period::Daily.start(now).day(),
        Period::Weekly.start(now).day(),
        Period::Monthly.start(now).day(),
    )?;
    Ok(KeyUsage {
        total: NanoUsd::new(total),
        daily: NanoUsd::new(daily),
        weekly: NanoUsd::new(weekly),
        monthly: NanoUsd::new(monthly),
    })
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    hash: String,
    account_id: String,
    user_id: String,
    name: String,
    label: String,
    limit_nano: Option<i64>,
    reset_period: Option<String>,
    expires_us: Option<i64>,
    disabled: i64,
    deleted: i64,
    internal: i64,
    created_us: i64,
    updated_us: i64,
    last_used_us: Option<i64>,
}

impl KeyRow {
    fn key(self) -> Result<Key> {
        Ok(Key {
            hash: KeyHash::stored(self.hash),
            account: AccountId::stored(self.account_id),
            user: UserId::stored(self.user_id),
            name: self.name,
            label: self.label,
            limit: column::nano(self.limit_nano),
            reset: self
                .reset_period
                .map(|text| column::word(&text, Period::parse))
                .transpose()?,
            expires: column::micros(self.expires_us),
            disabled: self.disabled != 0,
            deleted: self.deleted != 0,
            internal: self.internal != 0,
            created: Micros::new(self.created_us),
            updated: Micros::new(self.updated_us),
            last_used: column::micros(self.last_used_us),
        })
    }
}
