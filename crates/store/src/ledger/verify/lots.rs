//! Lots, their entries, and the credits they stand for.

use super::Difference;
use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;

pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    if let Some(found) = remaining(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = sources(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = entries(tx).await? {
        return Ok(Some(found));
    }
    totals(tx).await
}

async fn remaining(tx: &mut Tx) -> Result<Option<Difference>> {
    let lot = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT l.id, l.remaining_nano, CAST(l.amount_nano + COALESCE(e.total, 0) AS BIGINT)
         FROM lots l LEFT JOIN (
             SELECT lot_id, SUM(amount_nano) AS total FROM lot_entries GROUP BY lot_id
         ) e ON e.lot_id = l.id
         WHERE l.remaining_nano <> l.amount_nano + COALESCE(e.total, 0) ORDER BY l.id LIMIT 1",
    )?;
    Ok(lot.map(|(lot, stored, entries)| Difference::LotRemaining {
        lot,
        stored: NanoUsd::new(stored),
        entries: NanoUsd::new(entries),
    }))
}

/// Purchases and grants bring lots of just their amount; what was given back may bring less, since it fills others first.
async fn sources(tx: &mut Tx) -> Result<Option<Difference>> {
    let lot = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT id, amount_nano, brought FROM (
             SELECT o.id, o.amount_nano, COALESCE(t.kind, '') AS kind,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT) FROM legs l
                     WHERE l.transfer_id = t.id AND l.ledger_account_id = 'customer:' || o.account_id) AS brought
             FROM lots o LEFT JOIN transfers t ON t.idempotency_key = o.source_key
         ) AS sources
         WHERE brought < amount_nano OR (kind IN ('purchase', 'grant') AND brought <> amount_nano) ORDER BY id LIMIT 1",
    )?;
    if let Some((lot, amount, brought)) = lot {
        return Ok(Some(Difference::LotSource {
            lot,
            amount: NanoUsd::new(amount),
            brought: NanoUsd::new(brought),
        }));
    }
    let missing = fetch_optional!(
        (String,),
        tx,
        "SELECT t.idempotency_key FROM transfers t LEFT JOIN lots o ON o.source_key = t.idempotency_key
         WHERE t.kind IN ('purchase', 'grant') AND o.id IS NULL LIMIT 1",
    )?;
    Ok(missing.map(|(idempotency_key,)| Difference::MissingLot { idempotency_key }))
}

async fn entries(tx: &mut Tx) -> Result<Option<Difference>> {
    let entry = fetch_optional!(
        (String, String),
        tx,
        "SELECT e.lot_id, e.key FROM lot_entries e LEFT JOIN lots o ON o.id = e.lot_id
         WHERE o.id IS NULL
            OR (e.key <> 'migration:0002'
                AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.idempotency_key = e.key)
                AND NOT EXISTS (
                    SELECT 1 FROM transfers t
                    WHERE e.key LIKE 'settle:%' AND t.idempotency_key = 'charge:' || SUBSTR(e.key, 8)))
         ORDER BY e.lot_id, e.key LIMIT 1",
    )?;
    Ok(entry.map(|(lot, key)| Difference::StrayLotEntry { lot, key }))
}

async fn totals(tx: &mut Tx) -> Result<Option<Difference>> {
    let account = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT account_id, CAST(SUM(remaining) AS BIGINT), CAST(SUM(credits) AS BIGINT) FROM (
             SELECT account_id, remaining_nano AS remaining, 0 AS credits FROM lots
             UNION ALL
             SELECT account_id, 0, balance_nano FROM ledger_accounts WHERE kind IN ('customer', 'escrow')
         ) AS both_sides GROUP BY account_id
         HAVING SUM(remaining) <> CASE WHEN SUM(credits) > 0 THEN SUM(credits) ELSE 0 END
         ORDER BY account_id LIMIT 1",
    )?;
    Ok(account.map(|(account, remaining, credits)| Difference::Lots {
        account,
        remaining: NanoUsd::new(remaining),
        credits: NanoUsd::new(credits),
    }))
}
