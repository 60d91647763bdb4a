//! Transfers, their legs, and the balances that are their sums.

use super::Difference;
use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::ledger;
use domain::money::NanoUsd;
use std::collections::BTreeMap;

/// Transfers read at a time.
const PAGE_ROWS: i64 = 500;

pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let unbalanced = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT t.id, COUNT(l.transfer_id), CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
         FROM transfers t LEFT JOIN legs l ON l.transfer_id = t.id
         GROUP BY t.id HAVING COUNT(l.transfer_id) < 2 OR SUM(l.amount_nano) <> 0 ORDER BY t.id LIMIT 1",
    )?;
    if let Some((transfer, legs, sum)) = unbalanced {
        let legs = column::count(legs)?;
        return Ok(Some(Difference::Unbalanced {
            transfer,
            legs,
            sum: NanoUsd::new(sum),
        }));
    }
    let stray = fetch_optional!(
        (String,),
        tx,
        "SELECT l.transfer_id FROM legs l LEFT JOIN transfers t ON t.id = l.transfer_id WHERE t.id IS NULL LIMIT 1",
    )?;
    if let Some((transfer,)) = stray {
        return Ok(Some(Difference::StrayLeg { transfer }));
    }
    let balance = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT a.id, a.balance_nano, CAST(COALESCE(s.total, 0) AS BIGINT)
         FROM ledger_accounts a LEFT JOIN (
             SELECT ledger_account_id, SUM(amount_nano) AS total FROM legs GROUP BY ledger_account_id
         ) s ON s.ledger_account_id = a.id
         WHERE a.balance_nano <> COALESCE(s.total, 0) ORDER BY a.id LIMIT 1",
    )?;
    if let Some((account, stored, legs)) = balance {
        return Ok(Some(Difference::Balance {
            account,
            stored: NanoUsd::new(stored),
            legs: NanoUsd::new(legs),
        }));
    }
    let (sum,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(balance_nano), 0) AS BIGINT) FROM ledger_accounts"
    )?;
    if sum != 0 {
        return Ok(Some(Difference::NotZero { sum: NanoUsd::new(sum) }));
    }
    let negative = fetch_optional!(
        (String, i64),
        tx,
        "SELECT id, balance_nano FROM ledger_accounts WHERE kind IN ('escrow', 'frozen') AND balance_nano < 0 ORDER BY id LIMIT 1",
    )?;
    Ok(negative.map(|(account, balance)| Difference::BelowZero {
        account,
        balance: NanoUsd::new(balance),
    }))
}

/// A transfer whose kind or legs are not those that its hash was made of. Those older than the hashes are not looked at.
pub(super) async fn changed_request(tx: &mut Tx) -> Result<Option<Difference>> {
    let mut after = String::new();
    loop {
        let page = fetch_all!(
            (String, String, String, String),
            tx,
            "SELECT id, kind, idempotency_key, request_hash FROM transfers
             WHERE request_hash IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
            after.as_str(),
            PAGE_ROWS,
        )?;
        let Some((last, ..)) = page.last().cloned() else {
            return Ok(None);
        };
        let legs = fetch_all!(
            (String, String, i64),
            tx,
            "SELECT transfer_id, ledger_account_id, amount_nano FROM legs WHERE transfer_id > $1 AND transfer_id <= $2",
            after.as_str(),
            last.as_str(),
        )?;
        let mut by_transfer: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for (transfer, account, amount) in legs {
            by_transfer.entry(transfer).or_default().push((account, amount));
        }
        for (id, kind, idempotency_key, stored) in page {
            let legs = by_transfer.remove(&id).unwrap_or_default();
            if ledger::request_hash(&kind, legs) != stored {
                return Ok(Some(Difference::RequestHash { idempotency_key }));
            }
        }
        after = last;
    }
}
