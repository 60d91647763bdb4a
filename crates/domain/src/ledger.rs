//! The rules of the ledger: which accounts there are, and what a transfer must be.

use crate::id::{AccountId, NodeId, TransferId, hex};
use crate::money::NanoUsd;
use crate::time::Micros;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// An account of the ledger, named by its kind and owner. A positive balance is value held there; all balances sum to zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerAccount {
    /// Credits a customer can spend.
    Customer(AccountId),
    /// Credits of a customer that a node has taken to spend from memory: its lease.
    Escrow(NodeId, AccountId),
    /// What the house owes a provider.
    ProviderPayable(String),
    /// What a payment processor has taken from customers and owes the house: negative until it pays out.
    ProcessorClearing(String),
    /// Costs the house bears itself: answers that failed after the provider worked. Negative.
    HouseCost,
    /// Credits given away. Negative.
    Promotions,
    /// Credits of a customer that nobody can spend: disputed, under a fraud warning, or on their way back as a refund.
    Frozen(AccountId),
    /// Fees earned on purchases, and paid credits that expired. Positive.
    Fees,
    /// What a payment processor keeps for its services. Negative.
    ProcessorCosts(String),
    /// The house's bank account seen from outside: payouts received are negative, invoices paid positive.
    Bank,
}

/// A movement of value: two or more legs that sum to zero. Never changed once posted; corrected by a reversal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub id: TransferId,
    pub kind: TransferKind,
    /// The same key posts at most once; with other legs it is an error.
    pub idempotency_key: String,
    pub legs: Vec<Leg>,
    pub created: Micros,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub account: LedgerAccount,
    pub amount: NanoUsd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    Purchase,
    Grant,
    /// Customer → escrow.
    LeaseTaken,
    /// Escrow → customer.
    LeaseReturned,
    /// Customer → escrow without a guard: a cost that occurred is recorded even below zero.
    Overrun,
    Charge,
    HouseCost,
    Reversal,
    /// Customer → frozen; for a refund or dispute without a guard: what the processor took is taken even below zero.
    Freeze,
    /// Frozen → customer.
    Release,
    /// Frozen → processor: the money went back to the buyer.
    Refund,
    /// Frozen → processor: a buyer's bank took the money back; and what the processor asks for that.
    DisputeWithdrawn,
    /// Processor → frozen: the money of a dispute came back.
    DisputeReinstated,
    /// House → customer: a debt that nobody will pay.
    WriteOff,
    /// Customer → promotions or fees: a lot's time is over.
    Expiry,
    /// Bank → processor: the processor paid out what it owed.
    Payout,
    /// Provider → bank: the house paid a provider.
    InvoicePaid,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("a transfer has at least two legs")]
    TooFewLegs,
    #[error("a leg moves nothing")]
    EmptyLeg,
    #[error("the legs sum to {0} instead of zero")]
    Unbalanced(i128),
}

impl Transfer {
    /// The invariant of double entry: two or more legs, none empty, sum zero.
    pub fn check(&self) -> Result<(), TransferError> {
        if self.legs.len() < 2 {
            return Err(TransferError::TooFewLegs);
        }
        if self.legs.iter().any(|leg| leg.amount == NanoUsd::ZERO) {
            return Err(TransferError::EmptyLeg);
        }
        match sum(&self.legs) {
            0 => Ok(()),
            rest => Err(TransferError::Unbalanced(rest)),
        }
    }

    /// What must be equal when the same idempotency key comes again: kind and legs, independent of their order.
    #[must_use]
    pub fn body(&self) -> String {
        let legs = self.legs.iter();
        body(
            self.kind.name(),
            legs.map(|leg| (leg.account.to_string(), leg.amount.get())),
        )
    }

    /// SHA-256 of [`Transfer::body`] in lowercase hex: what is stored to tell a repetition from a mistake.
    #[must_use]
    pub fn request_hash(&self) -> String {
        hex(&Sha256::digest(self.body().as_bytes()))
    }

    /// What the transfer changes each customer's credits by, spent or held for spending by a node; zeros are left out.
    #[must_use]
    pub fn credit_changes(&self) -> BTreeMap<&AccountId, i128> {
        let mut changes: BTreeMap<&AccountId, i128> = BTreeMap::new();
        for leg in &self.legs {
            if let LedgerAccount::Customer(owner) | LedgerAccount::Escrow(_, owner) = &leg.account {
                let change = changes.entry(owner).or_default();
                *change = change.saturating_add(i128::from(leg.amount.get()));
            }
        }
        changes.retain(|_, change| *change != 0);
        changes
    }
}

/// Moves `amount` from one account to another: the two legs of the commonest transfer.
#[must_use]
pub fn legs(from: LedgerAccount, to: LedgerAccount, amount: NanoUsd) -> Vec<Leg> {
    vec![
        Leg {
            account: from,
            amount: amount.negated(),
        },
        Leg { account: to, amount },
    ]
}

/// [`Transfer::request_hash`] of a transfer as it is stored: the name of its kind, and its legs as accounts and amounts in
/// nano-dollars.
#[must_use]
pub fn request_hash(kind: &str, legs: impl IntoIterator<Item = (String, i64)>) -> String {
    hex(&Sha256::digest(body(kind, legs).as_bytes()))
}

/// The same legs the other way round.
#[must_use]
pub fn reversed(legs: &[Leg]) -> Vec<Leg> {
    legs.iter()
        .map(|leg| Leg {
            account: leg.account.clone(),
            amount: leg.amount.negated(),
        })
        .collect()
}

impl TransferKind {
    pub const ALL: [Self; 17] = [
        Self::Purchase,
        Self::Grant,
        Self::LeaseTaken,
        Self::LeaseReturned,
        Self::Overrun,
        Self::Charge,
        Self::HouseCost,
        Self::Reversal,
        Self::Freeze,
        Self::Release,
        Self::Refund,
        Self::DisputeWithdrawn,
        Self::DisputeReinstated,
        Self::WriteOff,
        Self::Expiry,
        Self::Payout,
        Self::InvoicePaid,
    ];

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Whether transfers of this kind appear in the history of a customer whose credits they move: not leases and
    /// charges, which are too many to list.
    #[must_use]
    pub const fn is_listed(self) -> bool {
        matches!(
            self,
            Self::Purchase
                | Self::Grant
                | Self::Reversal
                | Self::Freeze
                | Self::Release
                | Self::WriteOff
                | Self::Expiry
        )
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Grant => "grant",
            Self::LeaseTaken => "lease_taken",
            Self::LeaseReturned => "lease_returned",
            Self::Overrun => "overrun",
            Self::Charge => "charge",
            Self::HouseCost => "house_cost",
            Self::Reversal => "reversal",
            Self::Freeze => "freeze",
            Self::Release => "release",
            Self::Refund => "refund",
            Self::DisputeWithdrawn => "dispute_withdrawn",
            Self::DisputeReinstated => "dispute_reinstated",
            Self::WriteOff => "write_off",
            Self::Expiry => "expiry",
            Self::Payout => "payout",
            Self::InvoicePaid => "invoice_paid",
        }
    }
}

impl LedgerAccount {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Customer(_) => "customer",
            Self::Escrow(..) => "escrow",
            Self::ProviderPayable(_) => "provider_payable",
            Self::ProcessorClearing(_) => "processor_clearing",
            Self::HouseCost => "house_cost",
            Self::Promotions => "promotions",
            Self::Frozen(_) => "frozen",
            Self::Fees => "fees",
            Self::ProcessorCosts(_) => "processor_costs",
            Self::Bank => "bank",
        }
    }

    /// The customer whose credits these are, if they are a customer's.
    #[must_use]
    pub fn owner(&self) -> Option<&AccountId> {
        match self {
            Self::Customer(owner) | Self::Escrow(_, owner) | Self::Frozen(owner) => Some(owner),
            _ => None,
        }
    }
}

/// The primary key of the account in the store.
impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Customer(owner) | Self::Frozen(owner) => write!(f, "{kind}:{owner}"),
            Self::Escrow(node, owner) => write!(f, "{kind}:{node}:{owner}"),
            Self::ProviderPayable(name) | Self::ProcessorClearing(name) | Self::ProcessorCosts(name) => {
                write!(f, "{kind}:{name}")
            }
            Self::HouseCost | Self::Promotions | Self::Fees | Self::Bank => f.write_str(kind),
        }
    }
}

fn body(kind: &str, legs: impl IntoIterator<Item = (String, i64)>) -> String {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for (account, amount) in legs {
        let sum = sums.entry(account).or_default();
        *sum = sum.saturating_add(i128::from(amount));
    }
    let legs: Vec<String> = sums
        .into_iter()
        .map(|(account, amount)| format!("{account}={amount}"))
        .collect();
    format!("{kind}:{}", legs.join(","))
}

fn sum(legs: &[Leg]) -> i128 {
    legs.iter()
        .fold(0, |total, leg| total.saturating_add(i128::from(leg.amount.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(amounts: &[i64]) -> Transfer {
        let legs = amounts.iter().map(|nano| Leg {
            account: LedgerAccount::HouseCost,
            amount: NanoUsd::new(*nano),
        });
        Transfer {
            id: TransferId::stored("tr_1"),
            kind: TransferKind::Grant,
            idempotency_key: "k".to_owned(),
            legs: legs.collect(),
            created: Micros::new(0),
        }
    }

    fn check(amounts: &[i64], expected: &Result<(), TransferError>) {
        assert_eq!(&transfer(amounts).check(), expected);
    }

    #[test]
    fn a_transfer_sums_to_zero() {
        check(&[5, -5], &Ok(()));
        check(&[5, -3, -2], &Ok(()));
        check(&[5], &Err(TransferError::TooFewLegs));
        check(&[5, -5, 0], &Err(TransferError::EmptyLeg));
        check(&[5, -4], &Err(TransferError::Unbalanced(1)));
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in TransferKind::ALL {
            assert_eq!(TransferKind::parse(kind.name()), Some(kind));
        }
    }

    #[test]
    fn a_lease_changes_no_credits_and_a_charge_does() {
        let owner = AccountId::stored("acc_1");
        let escrow = LedgerAccount::Escrow(NodeId::stored("node_1"), owner.clone());
        let moved = |from: LedgerAccount, to: LedgerAccount| Transfer {
            legs: legs(from, to, NanoUsd::new(5)),
            ..transfer(&[])
        };
        let lease = moved(LedgerAccount::Customer(owner.clone()), escrow.clone());
        assert!(lease.credit_changes().is_empty());
        let charge = moved(escrow, LedgerAccount::ProviderPayable("p".to_owned()));
        assert_eq!(charge.credit_changes(), BTreeMap::from([(&owner, -5)]));
        let freeze = moved(
            LedgerAccount::Customer(owner.clone()),
            LedgerAccount::Frozen(owner.clone()),
        );
        assert_eq!(freeze.credit_changes(), BTreeMap::from([(&owner, -5)]));
    }

    #[test]
    fn the_order_of_legs_does_not_change_the_body() {
        let to = |amount| Leg {
            account: LedgerAccount::Promotions,
            amount: NanoUsd::new(amount),
        };
        let from = |amount| Leg {
            account: LedgerAccount::HouseCost,
            amount: NanoUsd::new(amount),
        };
        let body = |legs: Vec<Leg>| Transfer { legs, ..transfer(&[]) }.body();
        assert_eq!(body(vec![to(5), from(-5)]), body(vec![from(-5), to(5)]));
        assert_ne!(body(vec![to(5), from(-5)]), body(vec![from(-6), to(6)]));
        let stored = [("promotions".to_owned(), 5), ("house_cost".to_owned(), -5)];
        let legs = vec![to(2), from(-5), to(3)];
        let transfer = Transfer { legs, ..transfer(&[]) };
        assert_eq!(request_hash("grant", stored), transfer.request_hash());
    }
}
