//! Limits of keys as deductions: nodes take slices of what a key may still spend, so that together they never exceed it.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use domain::api_key::KeyHash;
use domain::generation::Generation;
use domain::id::NodeId;
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use std::collections::BTreeMap;

/// The period a limit holds for, `[start, end)` in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    start: i64,
    end: i64,
}

/// What a settlement takes from one window of one key.
struct Spent {
    key: String,
    window: Window,
    cost: i64,
    /// The part of `cost` that the node had leased before.
    from_lease: i64,
}

/// Takes `amount` for the node out of what the key may still spend in the period that `now` lies in. True without any
/// deduction when the key has no limit; false when the rest is less than `amount`, or there is no such key.
/// A lease is good for its period only: a node lets go of it when the period ends.
///
/// # Errors
/// Of the database only.
pub async fn lease(tx: &mut Tx, node: &NodeId, key: &KeyHash, amount: NanoUsd, now: Micros) -> Result<bool> {
    let Some((limit, reset)) = limit_of(tx, key).await? else {
        return Ok(false);
    };
    let Some(limit) = limit else { return Ok(true) };
    if !amount.is_positive() {
        return Ok(true);
    }
    let window = Window::at(reset, now);
    if !deduct(tx, key, window, amount, limit).await? {
        // Either the limit is reached or the window has no row yet; another node may be making it now.
        open(tx, key, window).await?;
        if !deduct(tx, key, window, amount, limit).await? {
            return Ok(false);
        }
    }
    execute!(
        tx,
        "INSERT INTO key_leases (node_id, key_hash, period_start_us, period_end_us, leased_nano)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (node_id, key_hash, period_start_us, period_end_us)
         DO UPDATE SET leased_nano = key_leases.leased_nano + excluded.leased_nano",
        node.as_str(),
        key.as_str(),
        window.start,
        window.end,
        amount.get(),
    )?;
    Ok(true)
}

/// The most that [`lease`] would give now, never below zero. `None` when the key has no limit or there is no such key.
///
/// # Errors
/// Of the database only.
pub async fn lease_available(tx: &mut Tx, key: &KeyHash, now: Micros) -> Result<Option<NanoUsd>> {
    let Some((Some(limit), reset)) = limit_of(tx, key).await? else {
        return Ok(None);
    };
    let window = Window::at(reset, now);
    let (used, leased) = match taken_in(tx, key, window).await? {
        Some(row) => row,
        None => (used_in(tx, key, window).await?, 0),
    };
    let rest = limit.get().saturating_sub(used).saturating_sub(leased);
    Ok(Some(NanoUsd::new(rest.max(0))))
}

/// Gives back up to `amount` of what the node has leased from the key, oldest period first.
///
/// # Errors
/// Of the database only.
pub async fn return_lease(tx: &mut Tx, node: &NodeId, key: &KeyHash, amount: NanoUsd) -> Result<()> {
    // Writes nothing new: locks the rows in the order that everyone locks them in.
    execute!(
        tx,
        "UPDATE key_limits SET leased_nano = leased_nano WHERE key_hash = $1 AND leased_nano > 0",
        key.as_str()
    )?;
    let leases = fetch_all!(
        (i64, i64, i64),
        tx,
        "SELECT period_start_us, period_end_us, leased_nano FROM key_leases
         WHERE node_id = $1 AND key_hash = $2 AND leased_nano > 0 ORDER BY period_start_us, period_end_us",
        node.as_str(),
        key.as_str(),
    )?;
    let mut left = amount.get();
    for (start, end, leased) in leases {
        let returned = leased.min(left);
        if returned <= 0 {
            break;
        }
        left = left.saturating_sub(returned);
        let spent = Spent {
            key: key.as_str().to_owned(),
            window: Window { start, end },
            cost: 0,
            from_lease: returned,
        };
        apply(tx, node, &[spent]).await?;
    }
    Ok(())
}

/// Gives back all that the node has leased from keys: at its end, and at its start in case it died.
///
/// # Errors
/// Of the database only.
pub async fn return_all(tx: &mut Tx, node: &NodeId) -> Result<()> {
    execute!(
        tx,
        "UPDATE key_limits SET leased_nano = leased_nano - (
             SELECT n.leased_nano FROM key_leases n
             WHERE n.node_id = $1 AND n.key_hash = key_limits.key_hash
               AND n.period_start_us = key_limits.period_start_us AND n.period_end_us = key_limits.period_end_us)
         WHERE EXISTS (
             SELECT 1 FROM key_leases n
             WHERE n.node_id = $1 AND n.key_hash = key_limits.key_hash
               AND n.period_start_us = key_limits.period_start_us AND n.period_end_us = key_limits.period_end_us)",
        node.as_str(),
    )?;
    execute!(tx, "DELETE FROM key_leases WHERE node_id = $1", node.as_str())?;
    Ok(())
}

/// Counts generations as used by their keys, in the periods they were created in, and lets the node's leases shrink by
/// as much. Costs above the leases count too.
pub(crate) async fn spend(tx: &mut Tx, node: &NodeId, generations: &[&Generation]) -> Result<()> {
    let mut keys: BTreeMap<&str, Vec<&Generation>> = BTreeMap::new();
    for generation in generations {
        keys.entry(generation.key.as_str()).or_default().push(generation);
    }
    mark_used(tx, &keys).await?;
    let spent = spent(tx, node, &keys).await?;
    apply(tx, node, &spent).await
}

/// Locks the keys, so that no window opens meanwhile, and notes when they were last used.
async fn mark_used(tx: &mut Tx, keys: &BTreeMap<&str, Vec<&Generation>>) -> Result<()> {
    let hashes: Vec<&str> = keys.keys().copied().collect();
    fetch_rows!(
        (String,),
        tx,
        &hashes,
        "SELECT hash FROM api_keys WHERE hash IN (",
        |hash| [*hash],
        ")",
        ") ORDER BY hash COLLATE \"C\" FOR NO KEY UPDATE"
    )?;
    let last_used: Vec<(&str, i64)> = keys
        .iter()
        .filter_map(|(key, generations)| Some((*key, generations.iter().map(|g| g.created.get()).max()?)))
        .collect();
    execute_rows!(
        tx,
        &last_used,
        "UPDATE api_keys SET last_used_us = v.column2 FROM (",
        |(key, at)| [*key, *at],
        ") AS v WHERE hash = v.column1 AND (last_used_us IS NULL OR last_used_us < v.column2)"
    )?;
    Ok(())
}

async fn spent(tx: &mut Tx, node: &NodeId, keys: &BTreeMap<&str, Vec<&Generation>>) -> Result<Vec<Spent>> {
    let since: Vec<(&str, i64)> = keys
        .iter()
        .filter_map(|(key, generations)| Some((*key, generations.iter().map(|g| g.created.get()).min()?)))
        .collect();
    let windows = fetch_rows!(
        (String, i64, i64),
        tx,
        &since,
        "SELECT l.key_hash, l.period_start_us, l.period_end_us FROM key_limits l JOIN (",
        |(key, since)| [*key, *since],
        ") AS v ON l.key_hash = v.column1 AND l.period_end_us > v.column2",
        ") AS v ON l.key_hash = v.column1 AND l.period_end_us > v.column2
         ORDER BY l.key_hash COLLATE \"C\", l.period_start_us, l.period_end_us FOR NO KEY UPDATE OF l"
    )?;
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let leases = leases(tx, node, &windows).await?;
    let mut spent = Vec::new();
    for (key, start, end) in windows {
        let window = Window { start, end };
        let cost = cost_in(window, keys.get(key.as_str()).map_or(&[], Vec::as_slice))?;
        let leased = leases.get(&(key.clone(), window)).copied().unwrap_or(0);
        if cost > 0 {
            spent.push(Spent {
                key,
                window,
                cost,
                from_lease: leased.min(cost),
            });
        }
    }
    Ok(spent)
}

async fn leases(tx: &mut Tx, node: &NodeId, windows: &[(String, i64, i64)]) -> Result<BTreeMap<(String, Window), i64>> {
    let rows = fetch_rows!(
        (String, i64, i64, i64),
        tx,
        windows,
        "SELECT n.key_hash, n.period_start_us, n.period_end_us, n.leased_nano FROM key_leases n JOIN (",
        |(key, start, end)| [node.as_str(), key.as_str(), *start, *end],
        ") AS v ON n.node_id = v.column1 AND n.key_hash = v.column2
            AND n.period_start_us = v.column3 AND n.period_end_us = v.column4",
        ") AS v ON n.node_id = v.column1 AND n.key_hash = v.column2
            AND n.period_start_us = v.column3 AND n.period_end_us = v.column4"
    )?;
    Ok(rows
        .into_iter()
        .map(|(key, start, end, leased)| ((key, Window { start, end }), leased))
        .collect())
}

async fn apply(tx: &mut Tx, node: &NodeId, spent: &[Spent]) -> Result<()> {
    execute_rows!(
        tx,
        spent,
        "UPDATE key_limits SET used_nano = used_nano + v.column4, leased_nano = leased_nano - v.column5 FROM (",
        |one| [
            one.key.as_str(),
            one.window.start,
            one.window.end,
            one.cost,
            one.from_lease
        ],
        ") AS v WHERE key_hash = v.column1 AND period_start_us = v.column2 AND period_end_us = v.column3"
    )?;
    let leased: Vec<&Spent> = spent.iter().filter(|one| one.from_lease > 0).collect();
    execute_rows!(
        tx,
        &leased,
        "UPDATE key_leases SET leased_nano = leased_nano - v.column5 FROM (",
        |one| [
            node.as_str(),
            one.key.as_str(),
            one.window.start,
            one.window.end,
            one.from_lease
        ],
        ") AS v WHERE node_id = v.column1 AND key_hash = v.column2
           AND period_start_us = v.column3 AND period_end_us = v.column4"
    )?;
    Ok(())
}

/// The key's limit and when it starts anew. `None` when there is no such key.
async fn limit_of(tx: &mut Tx, key: &KeyHash) -> Result<Option<(Option<NanoUsd>, Option<Period>)>> {
    let row = fetch_optional!(
        (Option<i64>, Option<String>),
        tx,
        "SELECT limit_nano, reset_period FROM api_keys WHERE hash = $1",
        key.as_str(),
    )?;
    let Some((limit, reset)) = row else { return Ok(None) };
    let reset = reset.map(|text| column::word(&text, Period::parse)).transpose()?;
    Ok(Some((column::nano(limit), reset)))
}

async fn deduct(tx: &mut Tx, key: &KeyHash, window: Window, amount: NanoUsd, limit: NanoUsd) -> Result<bool> {
    let deducted = execute!(
        tx,
        "UPDATE key_limits SET leased_nano = leased_nano + $4
         WHERE key_hash = $1 AND period_start_us = $2 AND period_end_us = $3 AND used_nano + leased_nano + $4 <= $5",
        key.as_str(),
        window.start,
        window.end,
        amount.get(),
        limit.get(),
    )?;
    Ok(deducted == 1)
}

/// Makes the row of a window if it is missing, with what the key has used in it so far.
async fn open(tx: &mut Tx, key: &KeyHash, window: Window) -> Result<()> {
    if taken_in(tx, key, window).await?.is_some() {
        return Ok(());
    }
    // Writes nothing new: waits for settlements of this key, whose rollups must be in the sum below.
    execute!(
        tx,
        "UPDATE api_keys SET updated_us = updated_us WHERE hash = $1",
        key.as_str()
    )?;
    let used = used_in(tx, key, window).await?;
    execute!(
        tx,
        "INSERT INTO key_limits (key_hash, period_start_us, period_end_us, used_nano, leased_nano)
         VALUES ($1, $2, $3, $4, 0) ON CONFLICT (key_hash, period_start_us, period_end_us) DO NOTHING",
        key.as_str(),
        window.start,
        window.end,
        used,
    )?;
    Ok(())
}

/// Used and leased in a window that has a row.
async fn taken_in(tx: &mut Tx, key: &KeyHash, window: Window) -> Result<Option<(i64, i64)>> {
    fetch_optional!(
        (i64, i64),
        tx,
        "SELECT used_nano, leased_nano FROM key_limits
         WHERE key_hash = $1 AND period_start_us = $2 AND period_end_us = $3",
        key.as_str(),
        window.start,
        window.end,
    )
}

async fn used_in(tx: &mut Tx, key: &KeyHash, window: Window) -> Result<i64> {
    let (used,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM account_rollups_daily
         WHERE key_hash = $1 AND day >= $2 AND day < $3",
        key.as_str(),
        window.first_day(),
        window.day_after(),
    )?;
    Ok(used)
}

fn cost_in(window: Window, generations: &[&Generation]) -> Result<i64> {
    let within = generations
        .iter()
        .filter(|g| window.start <= g.created.get() && g.created.get() < window.end);
    within
        .map(|generation| generation.cost.get())
        .try_fold(0_i64, i64::checked_add)
        .ok_or_else(|| StoreError::corrupt("a sum of costs"))
}

impl Window {
    const EVER: Self = Self {
        start: 0,
        end: i64::MAX,
    };

    fn at(reset: Option<Period>, now: Micros) -> Self {
        reset.map_or(Self::EVER, |period| Self {
            start: period.start(now).get(),
            end: period.next(now).get(),
        })
    }

    /// Windows start and end at midnight UTC, so that they are whole days.
    fn first_day(self) -> String {
        Micros::new(self.start).day()
    }

    fn day_after(self) -> String {
        if self == Self::EVER {
            "9999-99-99".to_owned()
        } else {
            Micros::new(self.end).day()
        }
    }
}
