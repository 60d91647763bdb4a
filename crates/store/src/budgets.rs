//! Budgets of accounts: what all of an account's keys together may spend per period.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::period::Period;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub limit: NanoUsd,
    /// For ever when `None`.
    pub reset: Option<Period>,
}

/// # Errors
/// Of the database only.
pub async fn get(tx: &mut Tx, account: &AccountId) -> Result<Option<Budget>> {
    let row = fetch_optional!(
        (Option<i64>, Option<String>),
        tx,
        "SELECT budget_nano, budget_reset FROM accounts WHERE id = $1",
        account.as_str(),
    )?;
    let Some((Some(limit), reset)) = row else {
        return Ok(None);
    };
    let reset = reset.map(|text| column::word(&text, Period::parse)).transpose()?;
    Ok(Some(Budget {
        limit: NanoUsd::new(limit),
        reset,
    }))
}

/// Sets or ends the budget. What nodes have leased under an earlier one they keep until they give it back.
///
/// # Errors
/// Of the database only.
pub async fn set(tx: &mut Tx, account: &AccountId, budget: Option<&Budget>) -> Result<()> {
    execute!(
        tx,
        "UPDATE accounts SET budget_nano = $2, budget_reset = $3 WHERE id = $1",
        account.as_str(),
        budget.map(|budget| budget.limit.get()),
        budget.and_then(|budget| budget.reset).map(Period::name),
    )?;
    Ok(())
}
