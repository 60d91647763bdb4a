//! Ledger, callers and providers against each other.

use super::callers::{self, Seen};
use super::providers::ENDS;
use anyhow::{Result, bail, ensure};
use domain::generation::{Generation, Outcome};
use domain::money::NanoUsd;
use domain::usage::Usage;
use fake_provider::Bill;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use store::ledger::Credits;

/// What everybody says about one round.
pub struct Evidence {
    pub seen: Vec<Seen>,
    pub generations: Vec<Generation>,
    /// By the number of the request.
    pub bills: BTreeMap<usize, Vec<Bill>>,
    pub credits: Credits,
}

/// How a round, or several, came out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    pub rounds: u64,
    pub requests: usize,
    /// For want of credits, or because there was too much to do.
    pub refused: usize,
    /// Without an answer: the server died.
    pub cut: usize,
    pub completed: usize,
    pub cancelled: usize,
    /// Cut by the kill and settled from the journal.
    pub recovered: usize,
    pub uncharged: usize,
    pub charged: NanoUsd,
}

/// # Errors
/// The first thing that does not agree.
pub fn check(evidence: &Evidence, credits: NanoUsd) -> Result<Round> {
    let mut round = Round {
        rounds: 1,
        requests: evidence.seen.len(),
        ..Round::default()
    };
    let generations = by_caller(&evidence.generations)?;
    let ids: BTreeSet<&str> = evidence.generations.iter().map(|one| one.id.as_str()).collect();
    ensure!(ids.len() == evidence.generations.len(), "a generation is stored twice");
    for seen in &evidence.seen {
        let generation = generations.get(&seen.number).copied();
        let bills = evidence.bills.get(&seen.number).map_or(&[][..], Vec::as_slice);
        ensure!(
            bills.len() <= 1,
            "{}: the provider was asked {} times",
            name(seen),
            bills.len()
        );
        if let Some(id) = &seen.generation {
            ensure!(
                generation.is_some_and(|one| one.id.as_str() == id),
                "{}: the generation {id} is lost",
                name(seen)
            );
        }
        match (generation, bills.first()) {
            (Some(generation), bill) => {
                compare(seen, generation, bill)?;
                round.count(generation);
            }
            (None, Some(bill)) => bail!("{}: nothing is stored for {bill:?}", name(seen)),
            (None, None) => {
                ensure!(seen.received == 0, "{}: received an answer nobody sent", name(seen));
                round.refused += usize::from(seen.status >= 400);
                round.cut += usize::from(seen.status == 0);
            }
        }
    }
    let known: BTreeSet<usize> = evidence.seen.iter().map(|seen| seen.number).collect();
    ensure!(
        generations.keys().all(|number| known.contains(number)),
        "a charge for nobody"
    );
    check_sum(evidence, credits, round.charged)?;
    Ok(round)
}

fn check_sum(evidence: &Evidence, credits: NanoUsd, charged: NanoUsd) -> Result<()> {
    let Credits {
        available,
        in_escrow,
        used,
        ..
    } = evidence.credits;
    ensure!(
        charged <= credits,
        "{charged} were charged to a customer with {credits}"
    );
    ensure!(
        used == charged,
        "the ledger says {used} used, the generations say {charged}"
    );
    ensure!(!available.is_negative(), "the customer's balance is {available}");
    let balance = available.saturating_add(in_escrow);
    ensure!(
        balance == credits.saturating_sub(charged),
        "the balance is {balance} after {charged} of {credits} were charged"
    );
    Ok(())
}

/// One generation against what its caller saw and what its provider would bill.
fn compare(seen: &Seen, generation: &Generation, bill: Option<&Bill>) -> Result<()> {
    let who = format!(
        "{}, generation {} ({})",
        name(seen),
        generation.id,
        generation.outcome.name()
    );
    let (charged, cost) = (generation.usage.completion, generation.cost);
    if !generation.outcome.is_charged() {
        ensure!(cost == NanoUsd::ZERO, "{who}: charged {cost}");
        ensure!(seen.told.is_none(), "{who}: the caller was told a cost");
        ensure!(
            seen.received == 0,
            "{who}: received {} tokens and was charged nothing",
            seen.received
        );
        return Ok(());
    }
    let Some(bill) = bill else {
        ensure!(
            cost == NanoUsd::ZERO,
            "{who}: charged {cost} for what no provider was asked"
        );
        return Ok(());
    };
    ensure!(
        cost == generation.prices.cost(&generation.usage).total,
        "{who}: {cost} is not the price of its usage"
    );
    let billed = price_of(generation, bill);
    // What bills to its end is followed there when its caller leaves.
    let followed = generation.outcome == Outcome::Cancelled && generation.provider == ENDS;
    let is_exact = generation.outcome == Outcome::Completed || followed;
    if is_exact {
        ensure!(
            cost == billed && charged == bill.billed_completion_tokens,
            "{who}: charged {cost}, the provider's tally is {billed}: {bill:?}"
        );
    }
    ensure!(
        seen.received <= charged,
        "{who}: received {} tokens, charged {charged}",
        seen.received
    );
    ensure!(
        charged <= bill.billed_completion_tokens && cost <= billed,
        "{who}: charged {charged} tokens and {cost}, the provider's tally is {billed}: {bill:?}"
    );
    if let Some(told) = seen.told {
        ensure!(told == cost, "{who}: charged {cost}, the caller was told {told}");
        ensure!(
            generation.outcome == Outcome::Completed,
            "{who}: the caller saw its end"
        );
    }
    Ok(())
}

/// The tally at the prices of the generation.
fn price_of(generation: &Generation, bill: &Bill) -> NanoUsd {
    let usage = Usage {
        prompt: bill.billed_prompt_tokens,
        completion: bill.billed_completion_tokens,
        cache_read: bill.cached_tokens,
        ..Usage::default()
    };
    generation.prices.cost(&usage).total
}

fn by_caller(generations: &[Generation]) -> Result<BTreeMap<usize, &Generation>> {
    let mut by_caller = BTreeMap::new();
    for generation in generations {
        let title = generation.app_name.as_deref().unwrap_or_default();
        let Some(number) = callers::titled(title) else {
            bail!("the generation {} is nobody's", generation.id)
        };
        if let Some(other) = by_caller.insert(number, generation) {
            bail!(
                "request {number} has two generations, {} and {}",
                other.id,
                generation.id
            );
        }
    }
    Ok(by_caller)
}

fn name(seen: &Seen) -> String {
    format!("request {} (status {})", seen.number, seen.status)
}

impl Round {
    fn count(&mut self, generation: &Generation) {
        self.charged = self.charged.saturating_add(generation.cost);
        match generation.outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Recovered => self.recovered += 1,
            Outcome::Failed | Outcome::Empty => self.uncharged += 1,
        }
    }
}

impl AddAssign for Round {
    fn add_assign(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.requests += other.requests;
        self.cut += other.cut;
        self.refused += other.refused;
        self.completed += other.completed;
        self.cancelled += other.cancelled;
        self.recovered += other.recovered;
        self.uncharged += other.uncharged;
        self.charged = self.charged.saturating_add(other.charged);
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rounds > 1 {
            write!(f, "{} rounds, ", self.rounds)?;
        }
        write!(
            f,
            "{} requests, {} refused, {} cut, {} completed, {} cancelled, {} recovered, {} uncharged, {} charged",
            self.requests,
            self.refused,
            self.cut,
            self.completed,
            self.cancelled,
            self.recovered,
            self.uncharged,
            self.charged.to_dollars(),
        )
    }
}
