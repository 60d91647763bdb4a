//! Generations as they were settled, for their owners.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::api_key::KeyHash;
use domain::generation::{Generation, Outcome};
use domain::id::{AccountId, GenerationId, NodeId};
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use domain::time::Micros;
use domain::usage::Usage;
use std::collections::BTreeSet;

/// Which generations of an account to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub key: Option<KeyHash>,
    pub model: Option<ModelSlug>,
    /// Only those created earlier: the last one of the page before.
    pub before: Option<Micros>,
}

/// What an account used of one model on one UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayLine {
    /// `YYYY-MM-DD`.
    pub day: String,
    pub model: ModelSlug,
    pub requests: u64,
    /// Tokens.
    pub prompt: u64,
    /// Tokens.
    pub completion: u64,
    pub cost: NanoUsd,
}

/// # Errors
/// Of the database only.
pub async fn by_id(tx: &mut Tx, id: &GenerationId) -> Result<Option<Generation>> {
    let row = fetch_optional!(
        GenerationRow,
        tx,
        "SELECT id, node_id, account_id, key_hash, model, endpoint, provider, surface, streamed, prompt_tokens,
                completion_tokens, reasoning_tokens, cache_read_tokens, cache_write_tokens, images, other_usage,
                estimated, cost_nano, house_cost_nano, prices, outcome, finish_reason, native_finish_reason, upstream_id,
                created_us, first_token_us, duration_us, app_name, app_url, attempts
         FROM generations WHERE id = $1",
        id.as_str(),
    )?;
    row.map(GenerationRow::generation).transpose()
}

/// # Errors
/// Of the database only.
pub async fn exists(tx: &mut Tx, id: &GenerationId) -> Result<bool> {
    Ok(fetch_optional!((String,), tx, "SELECT id FROM generations WHERE id = $1", id.as_str())?.is_some())
}

/// The account's generations, newest first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, account: &AccountId, filter: &Filter, limit: i64) -> Result<Vec<Generation>> {
    let rows = fetch_all!(
        GenerationRow,
        tx,
        "SELECT id, node_id, account_id, key_hash, model, endpoint, provider, surface, streamed, prompt_tokens,
                completion_tokens, reasoning_tokens, cache_read_tokens, cache_write_tokens, images, other_usage,
                estimated, cost_nano, house_cost_nano, prices, outcome, finish_reason, native_finish_reason, upstream_id,
                created_us, first_token_us, duration_us, app_name, app_url, attempts
         FROM generations
         WHERE account_id = $1 AND created_us < $2 AND ($3 IS NULL OR key_hash = $3) AND ($4 IS NULL OR model = $4)
         ORDER BY created_us DESC, id DESC LIMIT $5",
        account.as_str(),
        filter.before.map_or(i64::MAX, Micros::get),
        filter.key.as_ref().map(KeyHash::as_str),
        filter.model.as_ref().map(ModelSlug::as_str),
        limit,
    )?;
    rows.into_iter().map(GenerationRow::generation).collect()
}

/// What the account used per day and model, from `from_day` to `to_day` inclusive (`YYYY-MM-DD`), by day.
///
/// # Errors
/// Of the database only.
pub async fn account_summary(tx: &mut Tx, account: &AccountId, from_day: &str, to_day: &str) -> Result<Vec<DayLine>> {
    let rows = fetch_all!(
        (String, String, i64, i64, i64, i64),
        tx,
        "SELECT day, model, CAST(SUM(requests) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
                CAST(SUM(completion_tokens) AS BIGINT), CAST(SUM(cost_nano) AS BIGINT)
         FROM account_rollups_daily WHERE account_id = $1 AND day >= $2 AND day <= $3
         GROUP BY day, model ORDER BY day, model",
        account.as_str(),
        from_day,
        to_day,
    )?;
    rows.into_iter()
        .map(|(day, model, requests, prompt, completion, cost)| {
            Ok(DayLine {
                day,
                model: column::model(&model)?,
                requests: column::count(requests)?,
                prompt: column::count(prompt)?,
                completion: column::count(completion)?,
                cost: NanoUsd::new(cost),
            })
        })
        .collect()
}

/// Stores those that are not stored yet, as settled by `node`, and gives their ids.
pub(crate) async fn insert(
    tx: &mut Tx,
    node: &NodeId,
    generations: &[&Generation],
    now: Micros,
) -> Result<BTreeSet<String>> {
    let mut rows = generations
        .iter()
        .map(|generation| NewRow::of(generation))
        .collect::<Result<Vec<_>>>()?;
    // In the order of their keys, so that two settlements of the same generations wait for each other without deadlock.
    rows.sort_by(|a, b| a.generation.id.cmp(&b.generation.id));
    let inserted = fetch_rows!(
        (String,),
        tx,
        &rows,
        "INSERT INTO generations
             (id, node_id, account_id, key_hash, model, endpoint, provider, surface, streamed, prompt_tokens,
              completion_tokens, reasoning_tokens, cache_read_tokens, cache_write_tokens, images, other_usage,
              estimated, cost_nano, house_cost_nano, prices, outcome, finish_reason, native_finish_reason, upstream_id, day, created_us,
              first_token_us, duration_us, app_name, app_url, attempts, settled_us, late) ",
        |row| [
            row.generation.id.as_str(),
            node.as_str(),
            row.generation.account.as_str(),
            row.generation.key.as_str(),
            row.generation.model.as_str(),
            row.generation.endpoint.as_str(),
            row.generation.provider.as_str(),
            row.generation.surface.as_str(),
            column::flag(row.generation.streamed),
            row.prompt,
            row.completion,
            row.reasoning,
            row.cache_read,
            row.cache_write,
            row.images,
            row.other_usage.as_deref(),
            column::flag(row.generation.estimated),
            row.generation.cost.get(),
            row.generation.house_cost.get(),
            row.prices.as_str(),
            row.generation.outcome.name(),
            row.generation.finish_reason.as_deref(),
            row.generation.native_finish_reason.as_deref(),
            row.generation.upstream_id.as_deref(),
            row.generation.created.day(),
            row.generation.created.get(),
            row.generation.first_token_us,
            row.generation.duration_us,
            row.generation.app_name.as_deref(),
            row.generation.app_url.as_deref(),
            row.attempts.as_str(),
            now.get(),
            column::flag(is_late(row.generation)),
        ],
        " ON CONFLICT (id) DO NOTHING RETURNING id",
        " ON CONFLICT (id) DO NOTHING RETURNING id"
    )?;
    Ok(inserted.into_iter().map(|(id,)| id).collect())
}

/// Which of these are stored.
pub(crate) async fn settled(tx: &mut Tx, generations: &[&Generation]) -> Result<BTreeSet<String>> {
    let rows = fetch_rows!(
        (String,),
        tx,
        generations,
        "SELECT id FROM generations WHERE id IN (",
        |generation| [generation.id.as_str()],
        ")",
        ")"
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Whether the house bears a part of what the customer would have been charged.
fn is_late(generation: &Generation) -> bool {
    generation.outcome.is_charged() && generation.house_cost.is_positive()
}

/// A generation with the columns that may not convert.
struct NewRow<'a> {
    generation: &'a Generation,
    prompt: i64,
    completion: i64,
    reasoning: i64,
    cache_read: i64,
    cache_write: i64,
    images: i64,
    other_usage: Option<String>,
    prices: String,
    attempts: String,
}

#[derive(sqlx::FromRow)]
struct GenerationRow {
    id: String,
    node_id: String,
    account_id: String,
    key_hash: String,
    model: String,
    endpoint: String,
    provider: String,
    surface: String,
    streamed: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    reasoning_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    images: i64,
    other_usage: Option<String>,
    estimated: i64,
    cost_nano: i64,
    house_cost_nano: i64,
    prices: String,
    outcome: String,
    finish_reason: Option<String>,
    native_finish_reason: Option<String>,
    upstream_id: Option<String>,
    created_us: i64,
    first_token_us: Option<i64>,
    duration_us: i64,
    app_name: Option<String>,
    app_url: Option<String>,
    attempts: String,
}

impl<'a> NewRow<'a> {
    fn of(generation: &'a Generation) -> Result<Self> {
        let usage = &generation.usage;
        Ok(Self {
            generation,
            prompt: column::stored_count(usage.prompt)?,
            completion: column::stored_count(usage.completion)?,
            reasoning: column::stored_count(usage.reasoning)?,
            cache_read: column::stored_count(usage.cache_read)?,
            cache_write: column::stored_count(usage.cache_write)?,
            images: column::stored_count(usage.images)?,
            other_usage: column::other_usage(usage)?,
            prices: column::to_json(&generation.prices)?,
            attempts: column::to_json(&generation.attempts)?,
        })
    }
}

impl GenerationRow {
    fn generation(self) -> Result<Generation> {
        let usage = Usage {
            prompt: column::count(self.prompt_tokens)?,
            completion: column::count(self.completion_tokens)?,
            reasoning: column::count(self.reasoning_tokens)?,
            cache_read: column::count(self.cache_read_tokens)?,
            cache_write: column::count(self.cache_write_tokens)?,
            images: column::count(self.images)?,
            ..column::usage(self.other_usage.as_deref())?
        };
        Ok(Generation {
            id: GenerationId::stored(self.id),
            node: NodeId::stored(self.node_id),
            account: AccountId::stored(self.account_id),
            key: KeyHash::stored(self.key_hash),
            model: column::model(&self.model)?,
            endpoint: self.endpoint,
            provider: self.provider,
            surface: self.surface,
            streamed: self.streamed != 0,
            usage,
            estimated: self.estimated != 0,
            cost: NanoUsd::new(self.cost_nano),
            house_cost: NanoUsd::new(self.house_cost_nano),
            prices: column::from_json(&self.prices)?,
            outcome: column::word(&self.outcome, Outcome::parse)?,
            finish_reason: self.finish_reason,
            native_finish_reason: self.native_finish_reason,
            upstream_id: self.upstream_id,
            created: Micros::new(self.created_us),
            first_token_us: self.first_token_us,
            duration_us: self.duration_us,
            app_name: self.app_name,
            app_url: self.app_url,
            attempts: column::from_json(&self.attempts)?,
        })
    }
}
