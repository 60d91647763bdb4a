//! Limits of keys and budgets of accounts as deductions: nodes take slices of what an owner may still spend, so that
//! together they never exceed it.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::nodes;
use domain::api_key::KeyHash;
use domain::generation::Generation;
use domain::id::{AccountId, NodeId};
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use std::collections::{BTreeMap, BTreeSet};

/// Whose spending is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOwner<'a> {
    /// By its own limit.
    Key(&'a KeyHash),
    /// By its budget, which all its keys share.
    Account(&'a AccountId),
}

/// The period a limit holds for, `[start, end)` in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    start: i64,
    end: i64,
}

/// What a settlement takes from one window of one owner.
struct Spent {
    owner: String,
    window: Window,
    cost: i64,
    /// The part of `cost` that the node had leased before.
    from_lease: i64,
}

/// Takes `amount` for the node out of what the owner may still spend in the period that `now` lies in. True without any
/// deduction when the owner has no limit; false when the rest is less than `amount`, or there is no such owner.
/// A lease is good for its period only: a node lets go of it when the period ends.
///
/// # Errors
/// `Unavailable` for a node that was fenced.
pub fn lease<'a>(
    tx: &'a mut Tx,
    node: &'a NodeId,
    owner: impl Into<LimitOwner<'a>>,
    amount: NanoUsd,
    now: Micros,
) -> impl Future<Output = Result<bool>> + Send + 'a {
    lease_from(tx, node, owner.into(), amount, now)
}

/// The most that [`lease`] would give now, never below zero. `None` when the owner has no limit or there is no such owner.
///
/// # Errors
/// Of the database only.
pub fn lease_available<'a>(
    tx: &'a mut Tx,
    owner: impl Into<LimitOwner<'a>>,
    now: Micros,
) -> impl Future<Output = Result<Option<NanoUsd>>> + Send + 'a {
    available(tx, owner.into(), now)
}

/// Gives back up to `amount` of what the node has leased from the owner, oldest period first.
///
/// # Errors
/// Of the database only.
pub fn return_lease<'a>(
    tx: &'a mut Tx,
    node: &'a NodeId,
    owner: impl Into<LimitOwner<'a>>,
    amount: NanoUsd,
) -> impl Future<Output = Result<()>> + Send + 'a {
    return_to(tx, node, owner.into().stored(), amount)
}

/// Gives back all that the node has leased from limits: at its end, and at its start in case it died.
///
/// # Errors
/// Of the database only.
pub async fn return_all(tx: &mut Tx, node: &NodeId) -> Result<()> {
    execute!(
        tx,
        "UPDATE spend_limits SET leased_nano = leased_nano - (
             SELECT n.leased_nano FROM spend_leases n
             WHERE n.node_id = $1 AND n.owner = spend_limits.owner
               AND n.period_start_us = spend_limits.period_start_us AND n.period_end_us = spend_limits.period_end_us)
         WHERE EXISTS (
             SELECT 1 FROM spend_leases n
             WHERE n.node_id = $1 AND n.owner = spend_limits.owner
               AND n.period_start_us = spend_limits.period_start_us AND n.period_end_us = spend_limits.period_end_us)",
        node.as_str(),
    )?;
    execute!(tx, "DELETE FROM spend_leases WHERE node_id = $1", node.as_str())?;
    Ok(())
}

/// Counts generations as used by their keys and accounts, in the periods they were created in, and lets the node's leases
/// shrink by as much. Costs above the leases count too.
pub(crate) async fn spend(tx: &mut Tx, node: &NodeId, generations: &[&Generation]) -> Result<()> {
    lock(tx, generations).await?;
    mark_used(tx, generations).await?;
    let spent = spent(tx, node, generations).await?;
    apply(tx, node, &spent).await
}

/// Locks the keys and accounts, so that no window opens meanwhile.
pub(crate) async fn lock(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    if !tx.locks_rows() {
        return Ok(());
    }
    let keys: BTreeSet<&str> = generations.iter().map(|g| g.key.as_str()).collect();
    let accounts: BTreeSet<&str> = generations.iter().map(|g| g.account.as_str()).collect();
    fetch_rows!(
        (String,),
        tx,
        &keys.into_iter().collect::<Vec<_>>(),
        "SELECT hash FROM api_keys WHERE hash IN (",
        |hash| [*hash],
        ")",
        ") ORDER BY hash COLLATE \"C\" FOR NO KEY UPDATE"
    )?;
    fetch_rows!(
        (String,),
        tx,
        &accounts.into_iter().collect::<Vec<_>>(),
        "SELECT id FROM accounts WHERE id IN (",
        |id| [*id],
        ")",
        ") ORDER BY id COLLATE \"C\" FOR NO KEY UPDATE"
    )?;
    Ok(())
}

async fn lease_from(tx: &mut Tx, node: &NodeId, owner: LimitOwner<'_>, amount: NanoUsd, now: Micros) -> Result<bool> {
    let Some((limit, reset)) = limit_of(tx, owner).await? else {
        return Ok(false);
    };
    let Some(limit) = limit else { return Ok(true) };
    if !amount.is_positive() {
        return Ok(true);
    }
    nodes::refuse_fenced(tx, node).await?;
    let window = Window::at(reset, now);
    if !deduct(tx, owner, window, amount, limit).await? {
        // Either the limit is reached or the window has no row yet; another node may be making it now.
        open(tx, owner, window).await?;
        if !deduct(tx, owner, window, amount, limit).await? {
            return Ok(false);
        }
    }
    execute!(
        tx,
        "INSERT INTO spend_leases (node_id, owner, period_start_us, period_end_us, leased_nano)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (node_id, owner, period_start_us, period_end_us)
         DO UPDATE SET leased_nano = spend_leases.leased_nano + excluded.leased_nano",
        node.as_str(),
        owner.stored(),
        window.start,
        window.end,
        amount.get(),
    )?;
    Ok(true)
}

async fn available(tx: &mut Tx, owner: LimitOwner<'_>, now: Micros) -> Result<Option<NanoUsd>> {
    let Some((Some(limit), reset)) = limit_of(tx, owner).await? else {
        return Ok(None);
    };
    let window = Window::at(reset, now);
    let (used, leased) = match taken_in(tx, owner, window).await? {
        Some(row) => row,
        None => (used_in(tx, owner, window).await?, 0),
    };
    let rest = limit.get().saturating_sub(used).saturating_sub(leased);
    Ok(Some(NanoUsd::new(rest.max(0))))
}

async fn return_to(tx: &mut Tx, node: &NodeId, owner: String, amount: NanoUsd) -> Result<()> {
    // Writes nothing new: locks the rows in the order that everyone locks them in.
    execute!(
        tx,
        "UPDATE spend_limits SET leased_nano = leased_nano WHERE owner = $1 AND leased_nano > 0",
        owner.as_str()
    )?;
    let leases = fetch_all!(
        (i64, i64, i64),
        tx,
        "SELECT period_start_us, period_end_us, leased_nano FROM spend_leases
         WHERE node_id = $1 AND owner = $2 AND leased_nano > 0 ORDER BY period_start_us, period_end_us",
        node.as_str(),
        owner.as_str(),
    )?;
    let mut left = amount.get();
    for (start, end, leased) in leases {
        let returned = leased.min(left);
        if returned <= 0 {
            break;
        }
        left = left.saturating_sub(returned);
        let spent = Spent {
            owner: owner.clone(),
            window: Window { start, end },
            cost: 0,
            from_lease: returned,
        };
        apply(tx, node, &[spent]).await?;
    }
    Ok(())
}

/// Notes when keys were last used.
async fn mark_used(tx: &mut Tx, generations: &[&Generation]) -> Result<()> {
    let mut last_used: BTreeMap<&str, i64> = BTreeMap::new();
    for generation in generations {
        let at = last_used.entry(generation.key.as_str()).or_insert(i64::MIN);
        *at = generation.created.get().max(*at);
    }
    let last_used: Vec<(&str, i64)> = last_used.into_iter().collect();
    execute_rows!(
        tx,
        &last_used,
        "UPDATE api_keys SET last_used_us = v.column2 FROM (",
        |(key, at)| [*key, *at],
        ") AS v WHERE hash = v.column1 AND (last_used_us IS NULL OR last_used_us < v.column2)"
    )?;
    Ok(())
}

async fn spent(tx: &mut Tx, node: &NodeId, generations: &[&Generation]) -> Result<Vec<Spent>> {
    let mut owners: BTreeMap<String, Vec<&Generation>> = BTreeMap::new();
    for generation in generations {
        for owner in [
            LimitOwner::Key(&generation.key),
            LimitOwner::Account(&generation.account),
        ] {
            owners.entry(owner.stored()).or_default().push(generation);
        }
    }
    let since: Vec<(&str, i64)> = owners
        .iter()
        .filter_map(|(owner, generations)| Some((owner.as_str(), generations.iter().map(|g| g.created.get()).min()?)))
        .collect();
    let windows = fetch_rows!(
        (String, i64, i64),
        tx,
        &since,
        "SELECT l.owner, l.period_start_us, l.period_end_us FROM spend_limits l JOIN (",
        |(owner, since)| [*owner, *since],
        ") AS v ON l.owner = v.column1 AND l.period_end_us > v.column2",
        ") AS v ON l.owner = v.column1 AND l.period_end_us > v.column2
         ORDER BY l.owner COLLATE \"C\", l.period_start_us, l.period_end_us FOR NO KEY UPDATE OF l"
    )?;
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let leases = leases(tx, node, &windows).await?;
    let mut spent = Vec::new();
    for (owner, start, end) in windows {
        let window = Window { start, end };
        let cost = cost_in(window, owners.get(&owner).map_or(&[], Vec::as_slice))?;
        let leased = leases.get(&(owner.clone(), window)).copied().unwrap_or(0);
        if cost > 0 {
            spent.push(Spent {
                owner,
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
        "SELECT n.owner, n.period_start_us, n.period_end_us, n.leased_nano FROM spend_leases n JOIN (",
        |(owner, start, end)| [node.as_str(), owner.as_str(), *start, *end],
        ") AS v ON n.node_id = v.column1 AND n.owner = v.column2
            AND n.period_start_us = v.column3 AND n.period_end_us = v.column4",
        ") AS v ON n.node_id = v.column1 AND n.owner = v.column2
            AND n.period_start_us = v.column3 AND n.period_end_us = v.column4"
    )?;
    Ok(rows
        .into_iter()
        .map(|(owner, start, end, leased)| ((owner, Window { start, end }), leased))
        .collect())
}

async fn apply(tx: &mut Tx, node: &NodeId, spent: &[Spent]) -> Result<()> {
    execute_rows!(
        tx,
        spent,
        "UPDATE spend_limits SET used_nano = used_nano + v.column4, leased_nano = leased_nano - v.column5 FROM (",
        |one| [
            one.owner.as_str(),
            one.window.start,
            one.window.end,
            one.cost,
            one.from_lease
        ],
        ") AS v WHERE owner = v.column1 AND period_start_us = v.column2 AND period_end_us = v.column3"
    )?;
    let leased: Vec<&Spent> = spent.iter().filter(|one| one.from_lease > 0).collect();
    execute_rows!(
        tx,
        &leased,
        "UPDATE spend_leases SET leased_nano = leased_nano - v.column5 FROM (",
        |one| [
            node.as_str(),
            one.owner.as_str(),
            one.window.start,
            one.window.end,
            one.from_lease
        ],
        ") AS v WHERE node_id = v.column1 AND owner = v.column2
           AND period_start_us = v.column3 AND period_end_us = v.column4"
    )?;
    Ok(())
}

/// The owner's limit and when it starts anew. `None` when there is no such owner.
async fn limit_of(tx: &mut Tx, owner: LimitOwner<'_>) -> Result<Option<(Option<NanoUsd>, Option<Period>)>> {
    let row = match owner {
        LimitOwner::Key(hash) => fetch_optional!(
            (Option<i64>, Option<String>),
            tx,
            "SELECT limit_nano, reset_period FROM api_keys WHERE hash = $1",
            hash.as_str(),
        )?,
        LimitOwner::Account(id) => fetch_optional!(
            (Option<i64>, Option<String>),
            tx,
            "SELECT budget_nano, budget_reset FROM accounts WHERE id = $1",
            id.as_str(),
        )?,
    };
    let Some((limit, reset)) = row else { return Ok(None) };
    let reset = reset.map(|text| column::word(&text, Period::parse)).transpose()?;
    Ok(Some((column::nano(limit), reset)))
}

async fn deduct(tx: &mut Tx, owner: LimitOwner<'_>, window: Window, amount: NanoUsd, limit: NanoUsd) -> Result<bool> {
    let deducted = execute!(
        tx,
        "UPDATE spend_limits SET leased_nano = leased_nano + $4
         WHERE owner = $1 AND period_start_us = $2 AND period_end_us = $3 AND used_nano + leased_nano + $4 <= $5",
        owner.stored(),
        window.start,
        window.end,
        amount.get(),
        limit.get(),
    )?;
    Ok(deducted == 1)
}

/// Makes the row of a window if it is missing, with what the owner has used in it so far.
async fn open(tx: &mut Tx, owner: LimitOwner<'_>, window: Window) -> Result<()> {
    if taken_in(tx, owner, window).await?.is_some() {
        return Ok(());
    }
    // Writes nothing new: waits for settlements of this owner, whose rollups must be in the sum below.
    match owner {
        LimitOwner::Key(hash) => execute!(
            tx,
            "UPDATE api_keys SET updated_us = updated_us WHERE hash = $1",
            hash.as_str(),
        )?,
        LimitOwner::Account(id) => execute!(
            tx,
            "UPDATE accounts SET created_us = created_us WHERE id = $1",
            id.as_str(),
        )?,
    };
    let used = used_in(tx, owner, window).await?;
    execute!(
        tx,
        "INSERT INTO spend_limits (owner, period_start_us, period_end_us, used_nano, leased_nano)
         VALUES ($1, $2, $3, $4, 0) ON CONFLICT (owner, period_start_us, period_end_us) DO NOTHING",
        owner.stored(),
        window.start,
        window.end,
        used,
    )?;
    Ok(())
}

/// Used and leased in a window that has a row.
async fn taken_in(tx: &mut Tx, owner: LimitOwner<'_>, window: Window) -> Result<Option<(i64, i64)>> {
    fetch_optional!(
        (i64, i64),
        tx,
        "SELECT used_nano, leased_nano FROM spend_limits
         WHERE owner = $1 AND period_start_us = $2 AND period_end_us = $3",
        owner.stored(),
        window.start,
        window.end,
    )
}

async fn used_in(tx: &mut Tx, owner: LimitOwner<'_>, window: Window) -> Result<i64> {
    let (used,) = match owner {
        LimitOwner::Key(hash) => fetch_one!(
            (i64,),
            tx,
            "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM account_rollups_daily
             WHERE key_hash = $1 AND day >= $2 AND day < $3",
            hash.as_str(),
            window.first_day(),
            window.day_after(),
        )?,
        LimitOwner::Account(id) => fetch_one!(
            (i64,),
            tx,
            "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM account_rollups_daily
             WHERE account_id = $1 AND day >= $2 AND day < $3",
            id.as_str(),
            window.first_day(),
            window.day_after(),
        )?,
    };
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

impl LimitOwner<'_> {
    /// As in the column `owner`. Hashes of keys are hexadecimal, so that the two never meet.
    fn stored(self) -> String {
        match self {
            Self::Key(hash) => hash.as_str().to_owned(),
            Self::Account(id) => format!("account:{id}"),
        }
    }
}

impl<'a> From<&'a KeyHash> for LimitOwner<'a> {
    fn from(hash: &'a KeyHash) -> Self {
        Self::Key(hash)
    }
}

impl<'a> From<&'a AccountId> for LimitOwner<'a> {
    fn from(id: &'a AccountId) -> Self {
        Self::Account(id)
    }
}

impl<'a> From<&LimitOwner<'a>> for LimitOwner<'a> {
    fn from(owner: &LimitOwner<'a>) -> Self {
        *owner
    }
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
