//! Limits of keys and budgets of accounts, the generations that used them and the leases of nodes.

use super::Difference;
use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;

pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let used = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT owner, used_nano, generations_nano FROM (
             SELECT l.owner, l.used_nano,
                    (SELECT CAST(COALESCE(SUM(g.cost_nano), 0) AS BIGINT) FROM generations g
                     WHERE g.account_id = k.account_id AND g.key_hash = l.owner
                       AND g.created_us >= l.period_start_us AND g.created_us < l.period_end_us) AS generations_nano
             FROM spend_limits l LEFT JOIN api_keys k ON k.hash = l.owner WHERE l.owner NOT LIKE 'account:%'
             UNION ALL
             SELECT l.owner, l.used_nano,
                    (SELECT CAST(COALESCE(SUM(g.cost_nano), 0) AS BIGINT) FROM generations g
                     WHERE g.account_id = SUBSTR(l.owner, 9) AND g.created_us >= l.period_start_us
                       AND g.created_us < l.period_end_us)
             FROM spend_limits l WHERE l.owner LIKE 'account:%'
         ) AS periods WHERE used_nano <> generations_nano ORDER BY owner LIMIT 1",
    )?;
    if let Some((owner, stored, generations)) = used {
        return Ok(Some(Difference::LimitUsed {
            owner,
            stored: NanoUsd::new(stored),
            generations: NanoUsd::new(generations),
        }));
    }
    let leased = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT owner, leased_nano, leases_nano FROM (
             SELECT l.owner, l.leased_nano,
                    (SELECT CAST(COALESCE(SUM(n.leased_nano), 0) AS BIGINT) FROM spend_leases n
                     WHERE n.owner = l.owner AND n.period_start_us = l.period_start_us
                       AND n.period_end_us = l.period_end_us) AS leases_nano
             FROM spend_limits l
         ) AS periods WHERE leased_nano <> leases_nano ORDER BY owner LIMIT 1",
    )?;
    Ok(leased.map(|(owner, stored, leases)| Difference::LimitLeased {
        owner,
        stored: NanoUsd::new(stored),
        leases: NanoUsd::new(leases),
    }))
}
