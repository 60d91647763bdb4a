//! Server processes that share the database.

use crate::database::Tx;
use crate::error::Result;
use domain::id::NodeId;
use domain::time::Micros;

/// Records that the node has started (again).
///
/// # Errors
/// Of the database only.
pub async fn start(tx: &mut Tx, node: &NodeId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO nodes (id, started_us, heartbeat_us) VALUES ($1, $2, $2)
         ON CONFLICT (id) DO UPDATE SET started_us = excluded.started_us, heartbeat_us = excluded.heartbeat_us",
        node.as_str(),
        now.get(),
    )?;
    Ok(())
}

/// Records that the node is alive.
///
/// # Errors
/// Of the database only.
pub async fn heartbeat(tx: &mut Tx, node: &NodeId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "UPDATE nodes SET heartbeat_us = $2 WHERE id = $1",
        node.as_str(),
        now.get()
    )?;
    Ok(())
}
