//! Outcomes of generations become rows, charges and rollups, in one transaction, each once.

use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::ledger::{Book, LedgerError};
use crate::{Ids, generations, keys, nodes, rollups};
use domain::generation::Generation;
use domain::id::{AccountId, GenerationId, NodeId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a settlement did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that had not been settled before, in the order they were given.
    pub new: Vec<GenerationId>,
    /// Accounts whose costs were above the node's escrow, and by how much: taken from the customer, even below zero. None
    /// of a fenced node.
    pub overruns: Vec<(AccountId, NanoUsd)>,
    /// What the house bears because the node was fenced and customers' balances did not cover it.
    pub late: NanoUsd,
}

/// Settles generations that `node` served, as many at once as there are: the cost per generation falls with their
/// number. A generation that was settled before, by its id, changes nothing.
///
/// Costs are charged to the node's escrow of the account; where that is too small the customer pays the rest first, even
/// below zero, because a cost that occurred is always recorded. House costs go to the house.
///
/// # Errors
/// `Store`: `Corrupt` for a negative cost, a cost of an outcome that is not charged, or a count above `i64::MAX`.
pub async fn settle(
    tx: &mut Tx,
    node: &NodeId,
    generations: &[Generation],
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Settled, LedgerError> {
    let storable: Vec<Cow<'_, Generation>> = generations.iter().map(storable).collect();
    let generations = distinct(&storable);
    for generation in &generations {
        check(generation)?;
    }
    if nodes::is_fenced(tx, node).await? {
        let (covered, late) = covered(tx, node, &generations).await?;
        let settled = settle_checked(tx, node, covered.iter().collect(), ids, now).await?;
        // They went to nothing that the node still has: it must not count them to its next lease.
        let overruns = Vec::new();
        return Ok(Settled {
            late,
            overruns,
            ..settled
        });
    }
    settle_checked(tx, node, generations, ids, now).await
}

async fn settle_checked(
    tx: &mut Tx,
    node: &NodeId,
    generations: Vec<&Generation>,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Settled, LedgerError> {
    let inserted = generations::insert(tx, node, &generations, now).await?;
    let new: Vec<&Generation> = generations
        .into_iter()
        .filter(|g| inserted.contains(g.id.as_str()))
        .collect();
    if new.is_empty() {
        return Ok(Settled::default());
    }
    let mut book = Book::default();
    for generation in &new {
        if generation.cost.is_positive() {
            book.add(charge_of(generation, node, ids(), now));
        }
        if generation.house_cost.is_positive() {
            book.add(house_cost_of(generation, ids(), now));
        }
    }
    // Most of the work, while other nodes can settle for the same accounts.
    book.enter(tx).await?;
    keys::spend(tx, node, &new).await?;
    let overruns = charge(tx, node, &new, book, ids, now).await?;
    rollups::add(tx, &new).await?;
    Ok(Settled {
        new: new.iter().map(|generation| generation.id.clone()).collect(),
        overruns,
        late: NanoUsd::ZERO,
    })
}

/// The generations that are not settled yet, each charged only as far as the customer's balance and what the node still
/// holds go, in the order given; and how much of their costs that leaves to the house.
async fn covered(
    tx: &mut Tx,
    node: &NodeId,
    generations: &[&Generation],
) -> Result<(Vec<Generation>, NanoUsd), LedgerError> {
    keys::lock(tx, generations).await?;
    let mut book = Book::default();
    for generation in generations {
        book.include(LedgerAccount::Customer(generation.account.clone()));
        book.include(LedgerAccount::Escrow(node.clone(), generation.account.clone()));
    }
    let balances = book.lock(tx).await?;
    let settled = generations::settled(tx, generations).await?;
    let mut left: BTreeMap<&AccountId, NanoUsd> = BTreeMap::new();
    let mut late = NanoUsd::ZERO;
    let mut covered = Vec::new();
    for generation in generations.iter().filter(|g| !settled.contains(g.id.as_str())) {
        let account = &generation.account;
        let left = left.entry(account).or_insert_with(|| {
            let held = book.balance_after(&balances, &LedgerAccount::Escrow(node.clone(), account.clone()));
            let available = book.balance_after(&balances, &LedgerAccount::Customer(account.clone()));
            held.saturating_add(available.max(NanoUsd::ZERO))
        });
        let cost = generation.cost.min(*left);
        let rest = generation.cost.saturating_sub(cost);
        *left = left.saturating_sub(cost);
        late = late.saturating_add(rest);
        covered.push(Generation {
            cost,
            house_cost: generation.house_cost.saturating_add(rest),
            ..(*generation).clone()
        });
    }
    Ok((covered, late))
}

/// Moves what the charges in the book take; where the node's escrow is too small, the customer pays the rest.
async fn charge(
    tx: &mut Tx,
    node: &NodeId,
    generations: &[&Generation],
    mut book: Book,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Vec<(AccountId, NanoUsd)>, LedgerError> {
    let mut owing: BTreeMap<&AccountId, &GenerationId> = BTreeMap::new();
    for generation in generations.iter().filter(|generation| generation.cost.is_positive()) {
        owing.entry(&generation.account).or_insert(&generation.id);
    }
    // An overrun is known only when the escrow is locked, and by then it would be too late to lock the customer in order.
    for account in owing.keys() {
        book.include(LedgerAccount::Customer((*account).clone()));
    }
    let balances = book.lock(tx).await?;
    let mut overruns = Vec::new();
    for (account, first) in owing {
        let escrow = LedgerAccount::Escrow(node.clone(), account.clone());
        let after = book.balance_after(&balances, &escrow);
        if after.is_negative() {
            let overrun = Transfer {
                id: ids(),
                kind: TransferKind::Overrun,
                idempotency_key: format!("overrun:{first}"),
                legs: legs(LedgerAccount::Customer(account.clone()), escrow, after.negated()),
                created: now,
            };
            book.add(overrun);
            overruns.push((account.clone(), after.negated()));
        }
    }
    book.write(tx).await?;
    Ok(overruns)
}

fn charge_of(generation: &Generation, node: &NodeId, id: TransferId, now: Micros) -> Transfer {
    let escrow = LedgerAccount::Escrow(node.clone(), generation.account.clone());
    let provider = LedgerAccount::ProviderPayable(generation.provider.clone());
    Transfer {
        id,
        kind: TransferKind::Charge,
        idempotency_key: format!("charge:{}", generation.id),
        legs: legs(escrow, provider, generation.cost),
        created: now,
    }
}

fn house_cost_of(generation: &Generation, id: TransferId, now: Micros) -> Transfer {
    let provider = LedgerAccount::ProviderPayable(generation.provider.clone());
    Transfer {
        id,
        kind: TransferKind::HouseCost,
        idempotency_key: format!("house:{}", generation.id),
        legs: legs(LedgerAccount::HouseCost, provider, generation.house_cost),
        created: now,
    }
}

/// The first of each id.
fn distinct<'a>(generations: &'a [Cow<'_, Generation>]) -> Vec<&'a Generation> {
    let mut seen = BTreeSet::new();
    generations
        .iter()
        .map(AsRef::as_ref)
        .filter(|generation: &&Generation| seen.insert(&generation.id))
        .collect()
}

/// With what a provider or caller wrote in a form that every database takes: PostgreSQL knows no NUL, and one answer that
/// cannot be stored would keep all others waiting.
fn storable(generation: &Generation) -> Cow<'_, Generation> {
    let texts = [
        &generation.finish_reason,
        &generation.native_finish_reason,
        &generation.upstream_id,
        &generation.app_name,
        &generation.app_url,
    ];
    if !texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return Cow::Borrowed(generation);
    }
    let mut generation = generation.clone();
    let texts = [
        &mut generation.finish_reason,
        &mut generation.native_finish_reason,
        &mut generation.upstream_id,
        &mut generation.app_name,
        &mut generation.app_url,
    ];
    for text in texts.into_iter().flatten() {
        *text = text.replace('\0', "\u{fffd}");
    }
    Cow::Owned(generation)
}

fn check(generation: &Generation) -> Result<()> {
    let id = &generation.id;
    if generation.cost.is_negative() || generation.house_cost.is_negative() {
        return Err(StoreError::corrupt(format!("generation {id} with a negative cost")));
    }
    if generation.cost.is_positive() && !generation.outcome.is_charged() {
        return Err(StoreError::corrupt(format!(
            "generation {id} with a cost although it was not charged"
        )));
    }
    Ok(())
}
