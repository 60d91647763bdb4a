//! How far jobs have come that follow something outside, such as a processor's list of events.

use crate::database::Tx;
use crate::error::Result;
use domain::time::Micros;

/// # Errors
/// Of the database only.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    let row = fetch_optional!((String,), tx, "SELECT value FROM checkpoints WHERE name = $1", name)?;
    Ok(row.map(|(value,)| value))
}

/// # Errors
/// Of the database only.
pub async fn set(tx: &mut Tx, name: &str, value: &str, now: Micros) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO checkpoints (name, value, updated_us) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_us = excluded.updated_us",
        name,
        value,
        now.get(),
    )?;
    Ok(())
}
