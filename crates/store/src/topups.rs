//! Automatic top-ups: when the balance falls below a threshold, the saved payment method is charged.

use crate::database::Tx;
use crate::error::Result;
use crate::{column, purchases};
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::period::Period;
use domain::purchase::Purchase;
use domain::time::Micros;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub account: AccountId,
    pub enabled: bool,
    /// Below it, with what nodes hold for spending, the account is topped up.
    pub threshold: NanoUsd,
    /// Credits of one top-up.
    pub amount: NanoUsd,
    /// Most credits per UTC day.
    pub daily_cap: NanoUsd,
    /// Since the last top-up that succeeded.
    pub failures: u64,
    pub method: Option<PaymentMethod>,
    pub updated: Micros,
}

/// A payment method that the processor keeps for us; no number is stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentMethod {
    pub processor: String,
    /// The processor's own name for the customer.
    pub customer_ref: String,
    /// The processor's own name for the method.
    pub method_ref: String,
    pub brand: String,
    pub last4: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedTopUp {
    /// By this failure: the customer should be told.
    pub disabled: bool,
    pub failures: u64,
}

macro_rules! columns {
    () => {
        "s.account_id, s.enabled, s.threshold_nano, s.amount_nano, s.daily_cap_nano, s.failures, s.method_processor, s.customer_ref, s.method_ref, s.method_brand, s.method_last4, s.updated_us"
    };
}

/// Switched on, with a method, below the threshold, none in flight, no dispute under way and no fraud warning held (frozen
/// credits must not be bought again with the card that is complained about), and within the day's cap with what was bought
/// today or is on its way.
macro_rules! is_due {
    () => {
        "s.enabled = 1 AND s.method_ref IS NOT NULL
         AND s.threshold_nano > (
             SELECT COALESCE(SUM(a.balance_nano), 0) FROM ledger_accounts a
             WHERE a.account_id = s.account_id AND a.kind IN ('customer', 'escrow'))
         AND NOT EXISTS (
             SELECT 1 FROM purchases p WHERE p.account_id = s.account_id AND p.kind = 'top_up'
             AND p.state IN ('created', 'open', 'pending'))
         AND NOT EXISTS (
             SELECT 1 FROM disputes d WHERE d.account_id = s.account_id AND d.frozen = 1 AND d.released = 0
             AND d.status <> 'lost')
         AND NOT EXISTS (
             SELECT 1 FROM fraud_warnings w WHERE w.account_id = s.account_id AND w.state = 'held')
         AND s.daily_cap_nano >= s.amount_nano + (
             SELECT COALESCE(SUM(p.amount_nano), 0) FROM purchases p
             WHERE p.account_id = s.account_id AND p.kind = 'top_up' AND p.state = 'paid' AND p.created_us >= $1)"
    };
}

/// # Errors
/// Of the database only.
pub async fn get(tx: &mut Tx, account: &AccountId) -> Result<Option<Setting>> {
    let row = fetch_optional!(
        SettingRow,
        tx,
        concat!("SELECT ", columns!(), " FROM topup_settings s WHERE s.account_id = $1"),
        account.as_str(),
    )?;
    row.map(SettingRow::setting).transpose()
}

/// Stores what the customer set and forgets failures. The payment method stays as it is.
///
/// # Errors
/// Of the database only.
pub async fn set(tx: &mut Tx, setting: &Setting) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO topup_settings
             (account_id, enabled, threshold_nano, amount_nano, daily_cap_nano, failures, updated_us)
         VALUES ($1, $2, $3, $4, $5, 0, $6)
         ON CONFLICT (account_id) DO UPDATE SET enabled = excluded.enabled, threshold_nano = excluded.threshold_nano,
             amount_nano = excluded.amount_nano, daily_cap_nano = excluded.daily_cap_nano, failures = 0,
             updated_us = excluded.updated_us",
        setting.account.as_str(),
        column::flag(setting.enabled),
        setting.threshold.get(),
        setting.amount.get(),
        setting.daily_cap.get(),
        setting.updated.get(),
    )?;
    Ok(())
}

/// Keeps the method for top-ups. An account without a setting gets one that is switched off.
///
/// # Errors
/// Of the database only.
pub async fn save_method(tx: &mut Tx, account: &AccountId, method: &PaymentMethod, now: Micros) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO topup_settings
             (account_id, enabled, threshold_nano, amount_nano, daily_cap_nano, failures, method_processor, customer_ref,
              method_ref, method_brand, method_last4, updated_us)
         VALUES ($1, 0, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (account_id) DO UPDATE SET method_processor = excluded.method_processor,
             customer_ref = excluded.customer_ref, method_ref = excluded.method_ref,
             method_brand = excluded.method_brand, method_last4 = excluded.method_last4, failures = 0,
             updated_us = excluded.updated_us",
        account.as_str(),
        THRESHOLD.get(),
        AMOUNT.get(),
        DAILY_CAP.get(),
        method.processor.as_str(),
        method.customer_ref.as_str(),
        method.method_ref.as_str(),
        method.brand.as_str(),
        method.last4.as_str(),
        now.get(),
    )?;
    Ok(())
}

/// Forgets the method and switches top-ups off.
///
/// # Errors
/// Of the database only.
pub async fn forget_method(tx: &mut Tx, account: &AccountId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "UPDATE topup_settings SET enabled = 0, method_processor = NULL, customer_ref = NULL, method_ref = NULL,
             method_brand = NULL, method_last4 = NULL, updated_us = $2 WHERE account_id = $1",
        account.as_str(),
        now.get(),
    )?;
    Ok(())
}

/// Accounts to be topped up now.
///
/// # Errors
/// Of the database only.
pub async fn due(tx: &mut Tx, now: Micros, limit: i64) -> Result<Vec<Setting>> {
    let rows = fetch_all!(
        SettingRow,
        tx,
        concat!(
            "SELECT ",
            columns!(),
            " FROM topup_settings s WHERE ",
            is_due!(),
            " ORDER BY s.account_id LIMIT $2"
        ),
        Period::Daily.start(now).get(),
        limit,
    )?;
    rows.into_iter().map(SettingRow::setting).collect()
}

/// Stores a top-up before its payment is tried. False, with nothing stored, when it is not due (any more): another is in
/// flight, or was paid meanwhile.
///
/// # Errors
/// Of the database only.
pub async fn begin(tx: &mut Tx, purchase: &Purchase) -> Result<bool> {
    // Writes nothing new: waits for others who would begin one.
    let due = fetch_optional!(
        (String,),
        tx,
        concat!(
            "UPDATE topup_settings AS s SET updated_us = s.updated_us WHERE s.account_id = $2 AND ",
            is_due!(),
            " RETURNING account_id"
        ),
        Period::Daily.start(purchase.created).get(),
        purchase.account.as_str(),
    )?;
    if due.is_none() || is_in_flight(tx, &purchase.account).await? {
        return Ok(false);
    }
    purchases::create(tx, purchase).await?;
    Ok(true)
}

/// Counts a top-up that failed, and switches top-ups off at the `failures_max`-th in a row.
///
/// # Errors
/// Of the database only.
pub async fn failed(tx: &mut Tx, account: &AccountId, failures_max: u64, now: Micros) -> Result<FailedTopUp> {
    let row = fetch_optional!(
        (i64,),
        tx,
        "UPDATE topup_settings SET failures = failures + 1, updated_us = $2 WHERE account_id = $1 RETURNING failures",
        account.as_str(),
        now.get(),
    )?;
    let failures = column::count(row.map_or(0, |(failures,)| failures))?;
    let disabled = failures >= failures_max
        && execute!(
            tx,
            "UPDATE topup_settings SET enabled = 0 WHERE account_id = $1 AND enabled = 1",
            account.as_str(),
        )? == 1;
    Ok(FailedTopUp { disabled, failures })
}

pub(crate) async fn succeeded(tx: &mut Tx, account: &AccountId) -> Result<()> {
    execute!(
        tx,
        "UPDATE topup_settings SET failures = 0 WHERE account_id = $1 AND failures > 0",
        account.as_str(),
    )?;
    Ok(())
}

/// What a setting says that was made by saving a payment method.
const THRESHOLD: NanoUsd = NanoUsd::new(5_000_000_000);
const AMOUNT: NanoUsd = NanoUsd::new(20_000_000_000);
const DAILY_CAP: NanoUsd = NanoUsd::new(100_000_000_000);

/// Asked once more under the lock: PostgreSQL may have looked for others before it waited.
async fn is_in_flight(tx: &mut Tx, account: &AccountId) -> Result<bool> {
    let found = fetch_optional!(
        (String,),
        tx,
        "SELECT id FROM purchases
         WHERE account_id = $1 AND kind = 'top_up' AND state IN ('created', 'open', 'pending') LIMIT 1",
        account.as_str(),
    )?;
    Ok(found.is_some())
}

#[derive(sqlx::FromRow)]
struct SettingRow {
    account_id: String,
    enabled: i64,
    threshold_nano: i64,
    amount_nano: i64,
    daily_cap_nano: i64,
    failures: i64,
    method_processor: Option<String>,
    customer_ref: Option<String>,
    method_ref: Option<String>,
    method_brand: Option<String>,
    method_last4: Option<String>,
    updated_us: i64,
}

impl SettingRow {
    fn setting(self) -> Result<Setting> {
        let method = match (self.method_processor, self.customer_ref, self.method_ref) {
            (Some(processor), Some(customer_ref), Some(method_ref)) => Some(PaymentMethod {
                processor,
                customer_ref,
                method_ref,
                brand: self.method_brand.unwrap_or_default(),
                last4: self.method_last4.unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(Setting {
            account: AccountId::stored(self.account_id),
            enabled: self.enabled != 0,
            threshold: NanoUsd::new(self.threshold_nano),
            amount: NanoUsd::new(self.amount_nano),
            daily_cap: NanoUsd::new(self.daily_cap_nano),
            failures: column::count(self.failures)?,
            method,
            updated: Micros::new(self.updated_us),
        })
    }
}
