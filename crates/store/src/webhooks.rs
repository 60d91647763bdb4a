//! Events of payment processors, each taken once.

use crate::database::Tx;
use crate::error::Result;
use domain::time::Micros;

/// # Errors
/// Of the database only.
pub async fn is_recorded(tx: &mut Tx, processor: &str, event_id: &str) -> Result<bool> {
    let found = fetch_optional!(
        (i64,),
        tx,
        "SELECT received_us FROM webhook_events WHERE processor = $1 AND event_id = $2",
        processor,
        event_id,
    )?;
    Ok(found.is_some())
}

/// Records an event, in the transaction of its effect. False when it was seen before: do nothing then.
///
/// # Errors
/// Of the database only.
pub async fn record(tx: &mut Tx, processor: &str, event_id: &str, kind: &str, now: Micros) -> Result<bool> {
    let new = execute!(
        tx,
        "INSERT INTO webhook_events (processor, event_id, kind, received_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (processor, event_id) DO NOTHING",
        processor,
        event_id,
        kind,
        now.get(),
    )?;
    Ok(new == 1)
}
