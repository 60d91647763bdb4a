//! Outcomes of generations become rows, charges and rollups, in one transaction, each once.

use crate::database::Tx;
use crate::error::StoreError;
use crate::ledger::{Book, LedgerError};
use crate::{generations, keys, rollups};
use domain::generation::Generation;
use domain::id::{AccountId, GenerationId, NodeId, TransferId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;
use std::collections::{BTreeMap, BTreeSet};

/// What a settlement did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that had not been settled before, in the order they were given.
    pub new: Vec<GenerationId>,
    /// Accounts whose costs were above the node's escrow, and by how much: taken from the customer, even below zero.
    pub overruns: Vec<(AccountId, NanoUsd)>,
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
    transfer_id: &mut (dyn FnMut() -> TransferId + Send),
    now: Micros,
) -> Result<Settled, LedgerError> {
    let generations = distinct(generations);
    for generation in &generations {
        check(generation)?;
    }
    let inserted = generations::insert(tx, node, &generations, now).await?;
    let new: Vec<&Generation> = generations
        .into_iter()
        .filter(|g| inserted.contains(g.id.as_str()))
        .collect();
    if new.is_empty() {
        return Ok(Settled::default());
    }
    keys::spend(tx, node, &new).await?;
    let overruns = charge(tx, node, &new, transfer_id, now).await?;
    rollups::add(tx, &new).await?;
    Ok(Settled {
        new: new.iter().map(|generation| generation.id.clone()).collect(),
        overruns,
    })
}

async fn charge(
    tx: &mut Tx,
    node: &NodeId,
    generations: &[&Generation],
    transfer_id: &mut (dyn FnMut() -> TransferId + Send),
    now: Micros,
) -> Result<Vec<(AccountId, NanoUsd)>, LedgerError> {
    let mut book = Book::default();
    let mut owing: BTreeMap<&AccountId, &GenerationId> = BTreeMap::new();
    for generation in generations {
        if generation.cost.is_positive() {
            owing.entry(&generation.account).or_insert(&generation.id);
            book.add(&charge_of(generation, node, transfer_id(), now));
        }
        if generation.house_cost.is_positive() {
            book.add(&house_cost_of(generation, transfer_id(), now));
        }
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
                id: transfer_id(),
                kind: TransferKind::Overrun,
                idempotency_key: format!("overrun:{first}"),
                legs: legs(LedgerAccount::Customer(account.clone()), escrow, after.negated()),
                created: now,
            };
            book.add(&overrun);
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
fn distinct(generations: &[Generation]) -> Vec<&Generation> {
    let mut seen = BTreeSet::new();
    generations
        .iter()
        .filter(|generation| seen.insert(&generation.id))
        .collect()
}

fn check(generation: &Generation) -> Result<(), StoreError> {
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
