//! What providers do when they are left in the middle of an answer, measured: their own records of such requests beside
//! what had been seen of the answers until then.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::catalog::CancelPolicy;
use domain::time::Micros;

/// One request as its provider recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLine {
    /// Slug.
    pub provider: String,
    /// The provider's own id of the answer.
    pub upstream_id: String,
    /// Completion tokens billed.
    pub completion: u64,
}

/// What an endpoint did with answers that were left in the middle, of which its provider's records were imported lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// By its id in the catalog.
    pub endpoint: String,
    pub cuts: u64,
    /// Those that were left early enough to tell stopping from going on.
    pub telling: u64,
    /// Those of which clearly more was billed than had been seen.
    pub billed_on: u64,
}

/// Fewer prove nothing.
pub const TELLING_MIN: u64 = 20;
/// Providers change: what is older does not count (days).
const LATELY_DAYS: i64 = 90;

/// Keeps the records that belong to answers left in the middle, and gives their number; the others say nothing about it
/// and are passed over. A later record of the same answer replaces the earlier.
///
/// # Errors
/// `Corrupt` for a count above `i64::MAX`.
pub async fn import(tx: &mut Tx, lines: &[RecordLine], now: Micros) -> Result<u64> {
    let mut rows: Vec<(&str, &str, i64)> = Vec::with_capacity(lines.len());
    for line in lines {
        let completion = column::stored_count(line.completion)?;
        rows.push((&line.provider, &line.upstream_id, completion));
    }
    let mut cuts = fetch_rows!(
        (String, String, i64, i64, i64),
        tx,
        &rows,
        "SELECT g.id, g.endpoint, g.completion_tokens, v.column3, COALESCE((
             SELECT CAST(SUM(r.completion_tokens) / SUM(r.requests) AS BIGINT) FROM rollups_daily r
             WHERE r.model = g.model AND r.provider = g.provider AND r.requests > 0), 0)
         FROM generations g JOIN (",
        |(provider, upstream, completion)| [*provider, *upstream, *completion],
        ") AS v ON g.provider = v.column1 AND g.upstream_id = v.column2
         WHERE g.outcome = 'cancelled' AND g.finish_reason IS NULL AND g.upstream_id IS NOT NULL",
        ") AS v ON g.provider = v.column1 AND g.upstream_id = v.column2
         WHERE g.outcome = 'cancelled' AND g.finish_reason IS NULL AND g.upstream_id IS NOT NULL"
    )?;
    cuts.sort();
    cuts.dedup_by(|a, b| a.0 == b.0);
    execute_rows!(
        tx,
        &cuts,
        "INSERT INTO cuts (generation_id, endpoint, seen_tokens, billed_tokens, usual_tokens, imported_us) ",
        |(generation, endpoint, seen, billed, usual)| [
            generation.as_str(),
            endpoint.as_str(),
            *seen,
            *billed,
            *usual,
            now.get(),
        ],
        " ON CONFLICT (generation_id) DO UPDATE SET billed_tokens = excluded.billed_tokens,
             usual_tokens = excluded.usual_tokens, imported_us = excluded.imported_us"
    )
}

/// By endpoint. Up to a quarter and 64 tokens more than was seen may pass before a provider notices that it was left; a
/// cut tells stopping only where an answer usually goes on for twice as long as that.
///
/// # Errors
/// Of the database only.
pub async fn evidence(tx: &mut Tx, now: Micros) -> Result<Vec<Evidence>> {
    let since = now.plus(Micros::DAY.saturating_mul(LATELY_DAYS).saturating_neg());
    let rows = fetch_all!(
        (String, i64, i64, i64),
        tx,
        "SELECT endpoint, COUNT(*),
                COUNT(CASE WHEN billed_tokens > seen_tokens + seen_tokens / 4 + 64
                             OR usual_tokens > 2 * (seen_tokens + seen_tokens / 4 + 64) THEN 1 END),
                COUNT(CASE WHEN billed_tokens > seen_tokens + seen_tokens / 4 + 64 THEN 1 END)
         FROM cuts WHERE imported_us >= $1 GROUP BY endpoint ORDER BY endpoint",
        since.get(),
    )?;
    rows.into_iter()
        .map(|(endpoint, cuts, telling, billed_on)| {
            Ok(Evidence {
                endpoint,
                cuts: column::count(cuts)?,
                telling: column::count(telling)?,
                billed_on: column::count(billed_on)?,
            })
        })
        .collect()
}

impl Evidence {
    /// What the endpoint is to be taken to do, whatever its catalog says; `None` while there is too little to tell, or it
    /// does now this and now that.
    #[must_use]
    pub fn verdict(&self) -> Option<CancelPolicy> {
        if self.telling < TELLING_MIN {
            return None;
        }
        if self.billed_on.saturating_mul(20) <= self.telling {
            return Some(CancelPolicy::Stops);
        }
        (self.billed_on.saturating_mul(2) >= self.telling).then_some(CancelPolicy::BillsToEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_many_that_agree() {
        for (telling, billed_on, verdict) in [
            (19, 0, None),
            (20, 0, Some(CancelPolicy::Stops)),
            (20, 1, Some(CancelPolicy::Stops)),
            (20, 2, None),
            (20, 9, None),
            (20, 10, Some(CancelPolicy::BillsToEnd)),
            (19, 19, None),
        ] {
            let evidence = Evidence {
                endpoint: "m|p".to_owned(),
                cuts: 50,
                telling,
                billed_on,
            };
            assert_eq!(evidence.verdict(), verdict, "{billed_on} of {telling}");
        }
    }
}
