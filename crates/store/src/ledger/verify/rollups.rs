//! Daily rollups and the generations they sum up.

use super::Difference;
use crate::database::Tx;
use crate::error::Result;

/// Each rollup less its generations must be zero in every column, for every key that either side has.
pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let by_model = fetch_optional!(
        (String,),
        tx,
        "SELECT day || ' ' || model || ' ' || provider FROM (
             SELECT day, model, provider, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM rollups_daily
             UNION ALL
             SELECT day, model, provider, -1, -prompt_tokens, -completion_tokens, -reasoning_tokens, -cost_nano
             FROM generations
         ) AS both_sides GROUP BY day, model, provider
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let by_account = fetch_optional!(
        (String,),
        tx,
        "SELECT account_id || ' ' || day || ' ' || key_hash || ' ' || model FROM (
             SELECT account_id, day, key_hash, model, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM account_rollups_daily
             UNION ALL
             SELECT account_id, day, key_hash, model, -1, -prompt_tokens, -completion_tokens, -reasoning_tokens,
                    -cost_nano
             FROM generations
         ) AS both_sides GROUP BY account_id, day, key_hash, model
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let by_app = fetch_optional!(
        (String,),
        tx,
        "SELECT day || ' ' || app_name || ' ' || app_url FROM (
             SELECT day, app_name, app_url, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM app_rollups_daily
             UNION ALL
             SELECT day, app_name, COALESCE(app_url, ''), -1, -prompt_tokens, -completion_tokens, -reasoning_tokens,
                    -cost_nano
             FROM generations WHERE app_name IS NOT NULL
         ) AS both_sides GROUP BY day, app_name, app_url
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let found = [
        ("rollups_daily", by_model),
        ("account_rollups_daily", by_account),
        ("app_rollups_daily", by_app),
    ];
    Ok(found
        .into_iter()
        .find_map(|(table, row)| row.map(|(row,)| Difference::Rollup { table, row })))
}
