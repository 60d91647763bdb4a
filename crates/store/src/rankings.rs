//! Who is used most, from daily rollups only. Days are `YYYY-MM-DD` in UTC; ranges include both ends.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;
use domain::slug::ModelSlug;

/// A model and what it was used for. Counts of tokens; `completion` includes `reasoning`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    pub model: ModelSlug,
    pub requests: u64,
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
    pub cost: NanoUsd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedProvider {
    /// Slug.
    pub provider: String,
    pub requests: u64,
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
    pub cost: NanoUsd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedApp {
    pub name: String,
    /// `None` when the app named no address.
    pub url: Option<String>,
    pub requests: u64,
    pub prompt: u64,
    pub completion: u64,
}

/// Sums over everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub prompt: u64,
    pub completion: u64,
    pub reasoning: u64,
    pub cost: NanoUsd,
}

/// Models by tokens, most first.
///
/// # Errors
/// Of the database only.
pub async fn models(tx: &mut Tx, from_day: &str, to_day: &str, limit: i64) -> Result<Vec<Ranked>> {
    let rows = fetch_all!(
        SumRow,
        tx,
        "SELECT model AS name, CAST(SUM(requests) AS BIGINT) AS requests,
                CAST(SUM(prompt_tokens) AS BIGINT) AS prompt, CAST(SUM(completion_tokens) AS BIGINT) AS completion,
                CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning, CAST(SUM(cost_nano) AS BIGINT) AS cost
         FROM rollups_daily WHERE day >= $1 AND day <= $2
         GROUP BY model ORDER BY SUM(prompt_tokens + completion_tokens) DESC, model LIMIT $3",
        from_day,
        to_day,
        limit,
    )?;
    rows.into_iter()
        .map(|row| {
            let totals = row.totals()?;
            Ok(Ranked {
                model: column::model(&row.name)?,
                requests: totals.requests,
                prompt: totals.prompt,
                completion: totals.completion,
                reasoning: totals.reasoning,
                cost: totals.cost,
            })
        })
        .collect()
}

/// Tokens (prompt and completion) per day and model, by day, most tokens first.
///
/// # Errors
/// Of the database only.
pub async fn daily(tx: &mut Tx, from_day: &str, to_day: &str) -> Result<Vec<(String, ModelSlug, u64)>> {
    let rows = fetch_all!(
        (String, String, i64),
        tx,
        "SELECT day, model, CAST(SUM(prompt_tokens + completion_tokens) AS BIGINT)
         FROM rollups_daily WHERE day >= $1 AND day <= $2
         GROUP BY day, model ORDER BY day, SUM(prompt_tokens + completion_tokens) DESC, model",
        from_day,
        to_day,
    )?;
    rows.into_iter()
        .map(|(day, model, tokens)| Ok((day, column::model(&model)?, column::count(tokens)?)))
        .collect()
}

/// Providers by tokens, most first.
///
/// # Errors
/// Of the database only.
pub async fn providers(tx: &mut Tx, from_day: &str, to_day: &str, limit: i64) -> Result<Vec<RankedProvider>> {
    let rows = fetch_all!(
        SumRow,
        tx,
        "SELECT provider AS name, CAST(SUM(requests) AS BIGINT) AS requests,
                CAST(SUM(prompt_tokens) AS BIGINT) AS prompt, CAST(SUM(completion_tokens) AS BIGINT) AS completion,
                CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning, CAST(SUM(cost_nano) AS BIGINT) AS cost
         FROM rollups_daily WHERE day >= $1 AND day <= $2
         GROUP BY provider ORDER BY SUM(prompt_tokens + completion_tokens) DESC, provider LIMIT $3",
        from_day,
        to_day,
        limit,
    )?;
    rows.into_iter()
        .map(|row| {
            let totals = row.totals()?;
            Ok(RankedProvider {
                provider: row.name,
                requests: totals.requests,
                prompt: totals.prompt,
                completion: totals.completion,
                reasoning: totals.reasoning,
                cost: totals.cost,
            })
        })
        .collect()
}

/// Apps by tokens, most first.
///
/// # Errors
/// Of the database only.
pub async fn apps(tx: &mut Tx, from_day: &str, to_day: &str, limit: i64) -> Result<Vec<RankedApp>> {
    let rows = fetch_all!(
        (String, String, i64, i64, i64),
        tx,
        "SELECT app_name, app_url, CAST(SUM(requests) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
                CAST(SUM(completion_tokens) AS BIGINT)
         FROM app_rollups_daily WHERE day >= $1 AND day <= $2
         GROUP BY app_name, app_url
         ORDER BY SUM(prompt_tokens + completion_tokens) DESC, app_name, app_url LIMIT $3",
        from_day,
        to_day,
        limit,
    )?;
    rows.into_iter()
        .map(|(name, url, requests, prompt, completion)| {
            Ok(RankedApp {
                name,
                url: Some(url).filter(|url| !url.is_empty()),
                requests: column::count(requests)?,
                prompt: column::count(prompt)?,
                completion: column::count(completion)?,
            })
        })
        .collect()
}

/// # Errors
/// Of the database only.
pub async fn totals(tx: &mut Tx, from_day: &str, to_day: &str) -> Result<Totals> {
    let row = fetch_one!(
        SumRow,
        tx,
        "SELECT '' AS name, CAST(COALESCE(SUM(requests), 0) AS BIGINT) AS requests,
                CAST(COALESCE(SUM(prompt_tokens), 0) AS BIGINT) AS prompt,
                CAST(COALESCE(SUM(completion_tokens), 0) AS BIGINT) AS completion,
                CAST(COALESCE(SUM(reasoning_tokens), 0) AS BIGINT) AS reasoning,
                CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) AS cost
         FROM rollups_daily WHERE day >= $1 AND day <= $2",
        from_day,
        to_day,
    )?;
    row.totals()
}

#[derive(sqlx::FromRow)]
struct SumRow {
    name: String,
    requests: i64,
    prompt: i64,
    completion: i64,
    reasoning: i64,
    cost: i64,
}

impl SumRow {
    fn totals(&self) -> Result<Totals> {
        Ok(Totals {
            requests: column::count(self.requests)?,
            prompt: column::count(self.prompt)?,
            completion: column::count(self.completion)?,
            reasoning: column::count(self.reasoning)?,
            cost: NanoUsd::new(self.cost),
        })
    }
}
