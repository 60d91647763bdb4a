//! Daily sums of generations: what rankings, activity and key limits read instead of the generations.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use domain::generation::Generation;
use std::collections::BTreeMap;

/// Sums over generations.
#[derive(Clone, Copy, Default)]
struct Tally {
    requests: i64,
    prompt: i64,
    completion: i64,
    reasoning: i64,
    cost: i64,
}

/// Adds generations to the rollups of the days they were created on. Rows are written in the order of their keys, so
/// that nodes do not deadlock.
pub(crate) async fn add(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    add_by_model(tx, generations).await?;
    add_by_account(tx, generations).await?;
    add_by_app(tx, generations).await
}

async fn add_by_model(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    let rows = tally(generations, |g| {
        Some((g.created.day(), g.model.as_str(), g.provider.as_str()))
    })?;
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO rollups_daily
             (day, model, provider, requests, prompt_tokens, completion_tokens, reasoning_tokens, cost_nano) ",
        |((day, model, provider), sum)| [
            day.as_str(),
            *model,
            *provider,
            sum.requests,
            sum.prompt,
            sum.completion,
            sum.reasoning,
            sum.cost,
        ],
        " ON CONFLICT (day, model, provider) DO UPDATE SET
             requests = rollups_daily.requests + excluded.requests,
             prompt_tokens = rollups_daily.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = rollups_daily.completion_tokens + excluded.completion_tokens,
             reasoning_tokens = rollups_daily.reasoning_tokens + excluded.reasoning_tokens,
             cost_nano = rollups_daily.cost_nano + excluded.cost_nano"
    )?;
    Ok(())
}

async fn add_by_account(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    let rows = tally(generations, |g| {
        Some((g.account.as_str(), g.created.day(), g.key.as_str(), g.model.as_str()))
    })?;
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO account_rollups_daily
             (account_id, day, key_hash, model, requests, prompt_tokens, completion_tokens, reasoning_tokens, cost_nano) ",
        |((account, day, key, model), sum)| [
            *account,
            day.as_str(),
            *key,
            *model,
            sum.requests,
            sum.prompt,
            sum.completion,
            sum.reasoning,
            sum.cost,
        ],
        " ON CONFLICT (account_id, day, key_hash, model) DO UPDATE SET
             requests = account_rollups_daily.requests + excluded.requests,
             prompt_tokens = account_rollups_daily.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = account_rollups_daily.completion_tokens + excluded.completion_tokens,
             reasoning_tokens = account_rollups_daily.reasoning_tokens + excluded.reasoning_tokens,
             cost_nano = account_rollups_daily.cost_nano + excluded.cost_nano"
    )?;
    Ok(())
}

/// Only generations whose caller named an app.
async fn add_by_app(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    let rows = tally(generations, |g| {
        let name = g.app_name.as_deref()?;
        Some((g.created.day(), name, g.app_url.as_deref().unwrap_or_default()))
    })?;
    execute_rows!(
        tx,
        &rows,
        "INSERT INTO app_rollups_daily
             (day, app_name, app_url, requests, prompt_tokens, completion_tokens, reasoning_tokens, cost_nano) ",
        |((day, name, url), sum)| [
            day.as_str(),
            *name,
            *url,
            sum.requests,
            sum.prompt,
            sum.completion,
            sum.reasoning,
            sum.cost,
        ],
        " ON CONFLICT (day, app_name, app_url) DO UPDATE SET
             requests = app_rollups_daily.requests + excluded.requests,
             prompt_tokens = app_rollups_daily.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = app_rollups_daily.completion_tokens + excluded.completion_tokens,
             reasoning_tokens = app_rollups_daily.reasoning_tokens + excluded.reasoning_tokens,
             cost_nano = app_rollups_daily.cost_nano + excluded.cost_nano"
    )?;
    Ok(())
}

/// Sums per key, ordered by key; generations without a key are left out.
fn tally<'a, K: Ord>(
    generations: &[&'a Generation],
    key: impl Fn(&'a Generation) -> Option<K>,
) -> Result<Vec<(K, Tally)>> {
    let mut sums: BTreeMap<K, Tally> = BTreeMap::new();
    for generation in generations {
        if let Some(key) = key(generation) {
            let sum = sums.entry(key).or_default();
            *sum = sum.plus(generation)?;
        }
    }
    Ok(sums.into_iter().collect())
}

impl Tally {
    fn plus(self, generation: &Generation) -> Result<Self> {
        let usage = &generation.usage;
        Ok(Self {
            requests: add_checked(self.requests, 1)?,
            prompt: add_checked(self.prompt, column::stored_count(usage.prompt)?)?,
            completion: add_checked(self.completion, column::stored_count(usage.completion)?)?,
            reasoning: add_checked(self.reasoning, column::stored_count(usage.reasoning)?)?,
            cost: add_checked(self.cost, generation.cost.get())?,
        })
    }
}

fn add_checked(a: i64, b: i64) -> Result<i64> {
    a.checked_add(b)
        .ok_or_else(|| StoreError::corrupt("a sum over generations"))
}
