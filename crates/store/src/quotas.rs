//! Free requests of an account on one UTC day, taken by nodes in slices, so that together they never serve more.

use crate::database::Tx;
use crate::error::Result;
use domain::id::AccountId;

/// Takes up to `wanted` of what is left of the day's limit; gives how many.
///
/// # Errors
/// Of the database only.
pub async fn take(tx: &mut Tx, account: &AccountId, day: &str, wanted: i64, limit_per_day: i64) -> Result<i64> {
    execute!(
        tx,
        "INSERT INTO free_requests (account_id, day, taken) VALUES ($1, $2, 0) ON CONFLICT (account_id, day) DO NOTHING",
        account.as_str(),
        day,
    )?;
    // Writes nothing new: waits for other nodes.
    let (taken,) = fetch_one!(
        (i64,),
        tx,
        "UPDATE free_requests SET taken = taken WHERE account_id = $1 AND day = $2 RETURNING taken",
        account.as_str(),
        day,
    )?;
    let granted = wanted.min(limit_per_day.saturating_sub(taken)).max(0);
    if granted > 0 {
        execute!(
            tx,
            "UPDATE free_requests SET taken = taken + $3 WHERE account_id = $1 AND day = $2",
            account.as_str(),
            day,
            granted,
        )?;
    }
    Ok(granted)
}

/// Gives back what was taken and not served.
///
/// # Errors
/// Of the database only.
pub async fn give_back(tx: &mut Tx, account: &AccountId, day: &str, unused: i64) -> Result<()> {
    execute!(
        tx,
        "UPDATE free_requests SET taken = CASE WHEN taken > $3 THEN taken - $3 ELSE 0 END
         WHERE account_id = $1 AND day = $2",
        account.as_str(),
        day,
        unused.max(0),
    )?;
    Ok(())
}

/// How many were taken on that day.
///
/// # Errors
/// Of the database only.
pub async fn taken(tx: &mut Tx, account: &AccountId, day: &str) -> Result<i64> {
    let row = fetch_optional!(
        (i64,),
        tx,
        "SELECT taken FROM free_requests WHERE account_id = $1 AND day = $2",
        account.as_str(),
        day,
    )?;
    Ok(row.map_or(0, |(taken,)| taken))
}

/// Forgets days before `day`; gives how many rows went.
///
/// # Errors
/// Of the database only.
pub async fn delete_before(tx: &mut Tx, day: &str) -> Result<u64> {
    execute!(tx, "DELETE FROM free_requests WHERE day < $1", day)
}
