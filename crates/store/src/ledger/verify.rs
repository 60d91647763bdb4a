//! The proof that the books are right, or the first difference found when they are not.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;

mod charges;
mod limits;
mod lots;
mod payments;
mod rollups;
mod transfers;

/// Counts and totals of books that were found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    pub transfers: u64,
    pub legs: u64,
    pub ledger_accounts: u64,
    pub generations: u64,
    pub purchases_paid: u64,
    /// What customers own, without what nodes have taken.
    pub customer_total: NanoUsd,
    /// What nodes have taken and not spent.
    pub escrow_total: NanoUsd,
    /// What providers are owed.
    pub provider_total: NanoUsd,
    /// What payment processors have taken in: negative.
    pub processor_total: NanoUsd,
    /// What the house has borne: negative.
    pub house_total: NanoUsd,
    /// What was given away: negative.
    pub promotions_total: NanoUsd,
    /// What customers own and nobody can spend: disputed, under a fraud warning, or on its way back.
    pub frozen_total: NanoUsd,
    /// Fees earned on purchases.
    pub fees_total: NanoUsd,
    /// What payment processors keep for their services: negative.
    pub processor_costs_total: NanoUsd,
    /// Invoices paid less payouts received.
    pub bank_total: NanoUsd,
    pub lots: u64,
    /// What remains in lots: what customers own and nodes have taken, debts left out.
    pub lots_total: NanoUsd,
}

/// The first thing found wrong. Amounts are what is stored and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("the {legs} legs of transfer {transfer} sum to {sum} instead of zero")]
    Unbalanced { transfer: String, legs: u64, sum: NanoUsd },
    #[error("a leg belongs to transfer {transfer}, which does not exist")]
    StrayLeg { transfer: String },
    #[error("the balance of {account} is stored as {stored}, and its legs sum to {legs}")]
    Balance {
        account: String,
        stored: NanoUsd,
        legs: NanoUsd,
    },
    #[error("all balances sum to {sum} instead of zero")]
    NotZero { sum: NanoUsd },
    #[error("{account} is below zero: {balance}")]
    BelowZero { account: String, balance: NanoUsd },
    #[error("generation {generation} is stored with the cost {stored}, and its usage and prices give {recomputed}")]
    Cost {
        generation: String,
        stored: NanoUsd,
        recomputed: NanoUsd,
    },
    #[error("generation {generation} is filed under the day {day}, on which it was not created")]
    Day { generation: String, day: String },
    #[error(
        "generation {generation} cost {cost}; {paid} were taken from the customer, and {received} given to the provider"
    )]
    Charge {
        generation: String,
        cost: NanoUsd,
        paid: NanoUsd,
        received: NanoUsd,
    },
    #[error("generation {generation} cost the house {cost}; {paid} were booked, and {received} given to the provider")]
    HouseCost {
        generation: String,
        cost: NanoUsd,
        paid: NanoUsd,
        received: NanoUsd,
    },
    #[error("transfer {idempotency_key} charges for nothing: there is no such generation, or it cost nothing")]
    StrayCharge { idempotency_key: String },
    #[error("purchase {purchase} of {amount} was paid, and {credited} were credited")]
    Purchase {
        purchase: String,
        amount: NanoUsd,
        credited: NanoUsd,
    },
    #[error("transfer {idempotency_key} credits a purchase that was not paid or does not exist")]
    StrayPurchase { idempotency_key: String },
    #[error("the row {row} of {table} differs from the generations it sums up")]
    Rollup { table: &'static str, row: String },
    #[error("the limit of {owner} is stored with {stored} used, and its generations cost {generations}")]
    LimitUsed {
        owner: String,
        stored: NanoUsd,
        generations: NanoUsd,
    },
    #[error("the limit of {owner} is stored with {stored} lent, and its leases sum to {leases}")]
    LimitLeased {
        owner: String,
        stored: NanoUsd,
        leases: NanoUsd,
    },
    #[error("purchase {purchase} costs {price}; the processor owes {owed} for it, and {fee} are booked as its fee")]
    Price {
        purchase: String,
        price: NanoUsd,
        owed: NanoUsd,
        fee: NanoUsd,
    },
    #[error("purchase {purchase} is stored with {stored} refunded, and its refunds sum to {refunds}")]
    Refunded {
        purchase: String,
        stored: NanoUsd,
        refunds: NanoUsd,
    },
    #[error(
        "refund {refund} of {amount} is {state}; {frozen} are frozen for it, and {paid} were given to the processor"
    )]
    Refund {
        refund: String,
        amount: NanoUsd,
        state: String,
        frozen: NanoUsd,
        paid: NanoUsd,
    },
    #[error(
        "dispute {dispute} over {amount} has {frozen} frozen, and {withdrawn} withdrawn, which is not what its row says"
    )]
    Dispute {
        dispute: String,
        amount: NanoUsd,
        frozen: NanoUsd,
        withdrawn: NanoUsd,
    },
    #[error("fraud warning {warning} is stored with {stored} held, and {frozen} are frozen for it")]
    Warning {
        warning: String,
        stored: NanoUsd,
        frozen: NanoUsd,
    },
    #[error("account {account} has {stored} frozen, and its refunds, disputes and warnings freeze {expected}")]
    Frozen {
        account: String,
        stored: NanoUsd,
        expected: NanoUsd,
    },
    #[error("grant {grant} gives {amount}, and {given} were credited")]
    Grant {
        grant: String,
        amount: NanoUsd,
        given: NanoUsd,
    },
    #[error("code {code} is stored as redeemed {stored} times, and {redemptions} redemptions were credited")]
    Code {
        code: String,
        stored: u64,
        redemptions: u64,
    },
    #[error("lot {lot} is stored with {stored} remaining, and its entries leave {entries}")]
    LotRemaining {
        lot: String,
        stored: NanoUsd,
        entries: NanoUsd,
    },
    #[error("lot {lot} of {amount} comes from a transfer of {brought}")]
    LotSource {
        lot: String,
        amount: NanoUsd,
        brought: NanoUsd,
    },
    #[error("transfer {idempotency_key} credits a customer without a lot")]
    MissingLot { idempotency_key: String },
    #[error("the entry {key} of lot {lot} belongs to nothing")]
    StrayLotEntry { lot: String, key: String },
    #[error("the lots of account {account} hold {remaining}, and it has {credits}")]
    Lots {
        account: String,
        remaining: NanoUsd,
        credits: NanoUsd,
    },
    #[error("transfer {idempotency_key} is not what was asked for under its key")]
    RequestHash { idempotency_key: String },
}

/// Checks every transfer, balance, charge, purchase, refund, dispute, grant, rollup, limit and lot. Reads everything: for a
/// reading transaction, off the hot path.
///
/// # Errors
/// Of the database, and `Corrupt` for rows that cannot be read.
pub async fn verify(tx: &mut Tx) -> Result<Result<Proof, Difference>> {
    match first_difference(tx).await? {
        None => Ok(Ok(proof(tx).await?)),
        Some(difference) => Ok(Err(difference)),
    }
}

/// From what everything rests on to what is derived from it.
async fn first_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    if let Some(found) = transfers::difference(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = charges::difference(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = payments::difference(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = rollups::difference(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = limits::difference(tx).await? {
        return Ok(Some(found));
    }
    if let Some(found) = lots::difference(tx).await? {
        return Ok(Some(found));
    }
    transfers::changed_request(tx).await
}

async fn proof(tx: &mut Tx) -> Result<Proof> {
    let (transfers, legs, ledger_accounts, generations, purchases_paid, lots, lots_total) = fetch_one!(
        (i64, i64, i64, i64, i64, i64, i64),
        tx,
        "SELECT (SELECT COUNT(*) FROM transfers), (SELECT COUNT(*) FROM legs), (SELECT COUNT(*) FROM ledger_accounts),
                (SELECT COUNT(*) FROM generations), (SELECT COUNT(*) FROM purchases WHERE state = 'paid'),
                (SELECT COUNT(*) FROM lots), (SELECT CAST(COALESCE(SUM(remaining_nano), 0) AS BIGINT) FROM lots)",
    )?;
    let totals = fetch_all!(
        (String, i64),
        tx,
        "SELECT kind, CAST(SUM(balance_nano) AS BIGINT) FROM ledger_accounts GROUP BY kind",
    )?;
    let total = |kind: &str| {
        let found = totals.iter().find(|(other, _)| other == kind);
        NanoUsd::new(found.map_or(0, |(_, total)| *total))
    };
    Ok(Proof {
        transfers: column::count(transfers)?,
        legs: column::count(legs)?,
        ledger_accounts: column::count(ledger_accounts)?,
        generations: column::count(generations)?,
        purchases_paid: column::count(purchases_paid)?,
        customer_total: total("customer"),
        escrow_total: total("escrow"),
        provider_total: total("provider_payable"),
        processor_total: total("processor_clearing"),
        house_total: total("house_cost"),
        promotions_total: total("promotions"),
        frozen_total: total("frozen"),
        fees_total: total("fees"),
        processor_costs_total: total("processor_costs"),
        bank_total: total("bank"),
        lots: column::count(lots)?,
        lots_total: NanoUsd::new(lots_total),
    })
}
