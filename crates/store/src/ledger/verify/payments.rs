//! Purchases, refunds, disputes, warnings and grants, and the transfers that entered them.

use super::Difference;
use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;

pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    if let Some(found) = purchases(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = refunds(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = disputes(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = warnings(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = frozen(tx).await? {
        return Ok(Some(found));
    }
    grants(tx).await
}

async fn purchases(tx: &mut Tx) -> Result<Option<Difference>> {
    let credited = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT id, amount_nano, credited FROM (
             SELECT p.id, p.amount_nano,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'purchase:' || p.id AND t.kind = 'purchase'
                       AND l.ledger_account_id = 'customer:' || p.account_id) AS credited
             FROM purchases p WHERE p.state = 'paid'
         ) AS paid WHERE amount_nano <> credited ORDER BY id LIMIT 1",
    )?;
    if let Some((purchase, amount, credited)) = credited {
        return Ok(Some(Difference::Purchase {
            purchase,
            amount: NanoUsd::new(amount),
            credited: NanoUsd::new(credited),
        }));
    }
    let price = fetch_optional!(
        (String, i64, i64, i64),
        tx,
        "SELECT id, price, owed, fee FROM (
             SELECT p.id, p.amount_nano + p.fee_nano AS price, p.fee_nano,
                    (SELECT CAST(COALESCE(SUM(-l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'purchase:' || p.id
                       AND l.ledger_account_id = 'processor_clearing:' || p.processor) AS owed,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'purchase:' || p.id AND l.ledger_account_id = 'fees') AS fee
             FROM purchases p WHERE p.state = 'paid'
         ) AS paid WHERE owed <> price OR fee <> fee_nano ORDER BY id LIMIT 1",
    )?;
    if let Some((purchase, price, owed, fee)) = price {
        return Ok(Some(Difference::Price {
            purchase,
            price: NanoUsd::new(price),
            owed: NanoUsd::new(owed),
            fee: NanoUsd::new(fee),
        }));
    }
    let stray = fetch_optional!(
        (String,),
        tx,
        "SELECT t.idempotency_key FROM transfers t
         LEFT JOIN purchases p ON p.id = SUBSTR(t.idempotency_key, 10) AND p.state = 'paid'
         WHERE t.kind = 'purchase' AND (p.id IS NULL OR t.idempotency_key <> 'purchase:' || p.id) LIMIT 1",
    )?;
    Ok(stray.map(|(idempotency_key,)| Difference::StrayPurchase { idempotency_key }))
}

async fn refunds(tx: &mut Tx) -> Result<Option<Difference>> {
    let sum = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT id, refunded_nano, refunds FROM (
             SELECT p.id, p.refunded_nano,
                    (SELECT CAST(COALESCE(SUM(r.amount_nano), 0) AS BIGINT) FROM refunds r
                     WHERE r.purchase_id = p.id AND r.state <> 'failed') AS refunds
             FROM purchases p
         ) AS sums WHERE refunded_nano <> refunds ORDER BY id LIMIT 1",
    )?;
    if let Some((purchase, stored, refunds)) = sum {
        return Ok(Some(Difference::Refunded {
            purchase,
            stored: NanoUsd::new(stored),
            refunds: NanoUsd::new(refunds),
        }));
    }
    let refund = fetch_optional!(
        (String, i64, String, i64, i64),
        tx,
        "SELECT id, amount_nano, state, frozen, paid FROM (
             SELECT r.id, r.amount_nano, r.state,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key IN (
                         'refund:' || r.id || ':freeze', 'refund:' || r.id || ':release',
                         r.processor || ':re:' || r.processor_ref, r.processor || ':re:' || r.processor_ref || ':failed')
                       AND l.ledger_account_id = 'frozen:' || r.account_id) AS frozen,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key IN (
                         r.processor || ':re:' || r.processor_ref, r.processor || ':re:' || r.processor_ref || ':failed')
                       AND l.ledger_account_id = 'processor_clearing:' || r.processor) AS paid
             FROM refunds r
         ) AS entered
         WHERE frozen <> CASE WHEN state IN ('requested', 'sent') THEN amount_nano ELSE 0 END
            OR paid <> CASE WHEN state = 'succeeded' THEN amount_nano ELSE 0 END
         ORDER BY id LIMIT 1",
    )?;
    Ok(refund.map(|(refund, amount, state, frozen, paid)| Difference::Refund {
        refund,
        amount: NanoUsd::new(amount),
        state,
        frozen: NanoUsd::new(frozen),
        paid: NanoUsd::new(paid),
    }))
}

async fn disputes(tx: &mut Tx) -> Result<Option<Difference>> {
    let dispute = fetch_optional!(
        (String, i64, i64, i64),
        tx,
        "SELECT reference, amount_nano, in_frozen, in_clearing FROM (
             SELECT d.*,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key IN (
                         d.processor || ':dp:' || d.reference || ':freeze',
                         d.processor || ':dp:' || d.reference || ':freeze:again',
                         d.processor || ':dp:' || d.reference || ':withdrawn',
                         d.processor || ':dp:' || d.reference || ':reinstated',
                         d.processor || ':dp:' || d.reference || ':release',
                         d.processor || ':dp:' || d.reference || ':release:reinstated')
                       AND l.ledger_account_id = 'frozen:' || d.account_id) AS in_frozen,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key IN (
                         d.processor || ':dp:' || d.reference || ':fee',
                         d.processor || ':dp:' || d.reference || ':withdrawn',
                         d.processor || ':dp:' || d.reference || ':reinstated')
                       AND l.ledger_account_id = 'processor_clearing:' || d.processor) AS in_clearing
             FROM disputes d
         ) AS entered
         WHERE in_frozen <> amount_nano * (frozen - withdrawn + reinstated - released)
            OR in_clearing <> amount_nano * (withdrawn - reinstated) + fee_nano
         ORDER BY processor, reference LIMIT 1",
    )?;
    Ok(dispute.map(|(dispute, amount, frozen, withdrawn)| Difference::Dispute {
        dispute,
        amount: NanoUsd::new(amount),
        frozen: NanoUsd::new(frozen),
        withdrawn: NanoUsd::new(withdrawn),
    }))
}

async fn warnings(tx: &mut Tx) -> Result<Option<Difference>> {
    let warning = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT reference, expected, in_frozen FROM (
             SELECT w.processor, w.reference, CASE WHEN w.state = 'held' THEN w.amount_nano ELSE 0 END AS expected,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key IN (
                         w.processor || ':efw:' || w.reference, w.processor || ':efw:' || w.reference || ':release')
                       AND l.ledger_account_id = 'frozen:' || w.account_id) AS in_frozen
             FROM fraud_warnings w
         ) AS entered WHERE in_frozen <> expected ORDER BY processor, reference LIMIT 1",
    )?;
    Ok(warning.map(|(warning, stored, frozen)| Difference::Warning {
        warning,
        stored: NanoUsd::new(stored),
        frozen: NanoUsd::new(frozen),
    }))
}

/// What is frozen, less all that freezes: zero for every account.
async fn frozen(tx: &mut Tx) -> Result<Option<Difference>> {
    let frozen = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT account_id, CAST(SUM(stored) AS BIGINT), CAST(SUM(expected) AS BIGINT) FROM (
             SELECT account_id, balance_nano AS stored, 0 AS expected FROM ledger_accounts WHERE kind = 'frozen'
             UNION ALL
             SELECT account_id, 0, amount_nano FROM refunds WHERE state IN ('requested', 'sent')
             UNION ALL
             SELECT account_id, 0, amount_nano * (frozen - withdrawn + reinstated - released) FROM disputes
             UNION ALL
             SELECT account_id, 0, amount_nano FROM fraud_warnings WHERE state = 'held'
         ) AS both_sides GROUP BY account_id HAVING SUM(stored) <> SUM(expected) ORDER BY account_id LIMIT 1",
    )?;
    Ok(frozen.map(|(account, stored, expected)| Difference::Frozen {
        account,
        stored: NanoUsd::new(stored),
        expected: NanoUsd::new(expected),
    }))
}

async fn grants(tx: &mut Tx) -> Result<Option<Difference>> {
    let grant = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT id, amount_nano, given FROM (
             SELECT g.id, g.amount_nano,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'grant:' || g.id AND t.kind = 'grant'
                       AND l.ledger_account_id = 'customer:' || g.account_id) AS given
             FROM grants g
         ) AS credited WHERE amount_nano <> given ORDER BY id LIMIT 1",
    )?;
    if let Some((grant, amount, given)) = grant {
        return Ok(Some(Difference::Grant {
            grant,
            amount: NanoUsd::new(amount),
            given: NanoUsd::new(given),
        }));
    }
    let code = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT hash, redemptions, credited FROM (
             SELECT c.hash, c.redemptions,
                    (SELECT COUNT(*) FROM code_redemptions r
                     JOIN transfers t ON t.idempotency_key = 'code:' || r.code_hash || ':' || r.account_id
                     JOIN legs l ON l.transfer_id = t.id AND l.ledger_account_id = 'customer:' || r.account_id
                     WHERE r.code_hash = c.hash AND l.amount_nano = c.amount_nano) AS credited
             FROM codes c
         ) AS counts WHERE redemptions <> credited ORDER BY hash LIMIT 1",
    )?;
    let Some((code, stored, redemptions)) = code else {
        return Ok(None);
    };
    Ok(Some(Difference::Code {
        code,
        stored: column::count(stored)?,
        redemptions: column::count(redemptions)?,
    }))
}
