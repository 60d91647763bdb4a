//! Server processes that share the database, and how one that is dead loses its leases to their owners.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::ledger::{self, Book, LedgerError};
use crate::{Ids, keys};
use domain::id::NodeId;
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::time::Micros;

/// What a node learns when it says that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    Alive,
    /// Others took it for dead, or do not know it: its leases are gone. It must stop spending and start again.
    Fenced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub id: NodeId,
    pub beats: u64,
    pub fenced: bool,
    pub heartbeat: Micros,
}

/// Records that the node has started (again) and ends its fence. Call when what its journal held is settled: until then
/// a fenced node's settlements take no customer below zero.
///
/// # Errors
/// Of the database only.
pub async fn start(tx: &mut Tx, node: &NodeId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO nodes (id, started_us, heartbeat_us) VALUES ($1, $2, $2)
         ON CONFLICT (id) DO UPDATE SET started_us = excluded.started_us, heartbeat_us = excluded.heartbeat_us,
             beats = nodes.beats + 1, fenced = 0",
        node.as_str(),
        now.get(),
    )?;
    Ok(())
}

/// Records that the node is alive, without asking whether it is fenced.
///
/// # Errors
/// Of the database only.
pub async fn heartbeat(tx: &mut Tx, node: &NodeId, now: Micros) -> Result<()> {
    beat(tx, node, now).await?;
    Ok(())
}

/// Counts a beat of the node and tells whether it may go on.
///
/// # Errors
/// Of the database only.
pub async fn beat(tx: &mut Tx, node: &NodeId, now: Micros) -> Result<Beat> {
    let row = fetch_optional!(
        (i64,),
        tx,
        "UPDATE nodes SET beats = beats + 1, heartbeat_us = $2 WHERE id = $1 RETURNING fenced",
        node.as_str(),
        now.get(),
    )?;
    Ok(if row == Some((0,)) { Beat::Alive } else { Beat::Fenced })
}

/// All nodes by id.
///
/// # Errors
/// Of the database only.
pub async fn all(tx: &mut Tx) -> Result<Vec<NodeRow>> {
    let rows = fetch_all!(
        (String, i64, i64, i64),
        tx,
        "SELECT id, beats, fenced, heartbeat_us FROM nodes ORDER BY id",
    )?;
    rows.into_iter()
        .map(|(id, beats, fenced, heartbeat)| {
            Ok(NodeRow {
                id: NodeId::stored(id),
                beats: column::count(beats)?,
                fenced: fenced != 0,
                heartbeat: Micros::new(heartbeat),
            })
        })
        .collect()
}

/// Takes the node for dead, if it has not moved since `beats_seen` beats: all that it had leased goes back to its owners,
/// and what it settles later takes no customer below zero. False when it has moved, or is fenced already and holds nothing.
///
/// # Errors
/// Of the database only.
pub async fn fence(
    tx: &mut Tx,
    node: &NodeId,
    beats_seen: u64,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<bool, LedgerError> {
    let was_fenced = fetch_optional!(
        (i64,),
        tx,
        "SELECT fenced FROM nodes WHERE id = $1 AND beats = $2",
        node.as_str(),
        column::stored_count(beats_seen)?,
    )?;
    let fenced = execute!(
        tx,
        "UPDATE nodes SET fenced = 1 WHERE id = $1 AND beats = $2",
        node.as_str(),
        column::stored_count(beats_seen)?,
    )?;
    if fenced == 0 {
        return Ok(false);
    }
    keys::return_all(tx, node).await?;
    let returned = return_escrows(tx, node, ids, now).await?;
    Ok(returned || was_fenced == Some((0,)))
}

/// Whether the node's leases are gone. Whoever asks keeps the answer true until the end of the transaction.
pub(crate) async fn is_fenced(tx: &mut Tx, node: &NodeId) -> Result<bool> {
    let rows = fetch_rows!(
        (i64,),
        tx,
        &[node],
        "SELECT fenced FROM nodes WHERE id IN (",
        |node| [node.as_str()],
        ")",
        ") FOR SHARE"
    )?;
    Ok(rows.iter().any(|(fenced,)| *fenced != 0))
}

/// `Unavailable` for a fenced node: it would hold what nobody gives back.
pub(crate) async fn refuse_fenced(tx: &mut Tx, node: &NodeId) -> Result<()> {
    if is_fenced(tx, node).await? {
        return Err(StoreError::Unavailable(format!("{node} is fenced")));
    }
    Ok(())
}

async fn return_escrows(tx: &mut Tx, node: &NodeId, ids: &mut Ids<'_>, now: Micros) -> Result<bool, LedgerError> {
    let accounts = ledger::escrows(tx, node).await?;
    let mut book = Book::default();
    for (account, _) in &accounts {
        book.include(LedgerAccount::Escrow(node.clone(), account.clone()));
        book.include(LedgerAccount::Customer(account.clone()));
    }
    let balances = book.lock(tx).await?;
    let mut returned = false;
    for (account, _) in accounts {
        let escrow = LedgerAccount::Escrow(node.clone(), account.clone());
        let held = book.balance_after(&balances, &escrow);
        if held.is_positive() {
            let id = ids();
            book.add(Transfer {
                kind: TransferKind::LeaseReturned,
                idempotency_key: format!("fence:{id}"),
                legs: legs(escrow, LedgerAccount::Customer(account), held),
                created: now,
                id,
            });
            returned = true;
        }
    }
    book.write(tx).await?;
    Ok(returned)
}
