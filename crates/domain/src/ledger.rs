//! The rules of the ledger: which accounts there are, and what a transfer must be.

use crate::id::{AccountId, NodeId, TransferId};
use crate::money::NanoUsd;
use crate::time::Micros;
use serde::{Deserialize, Serialize};
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
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        for leg in &self.legs {
            let entry = sums.entry(leg.account.to_string()).or_default();
            *entry = entry.saturating_add(i128::from(leg.amount.get()));
        }
        let legs: Vec<String> = sums
            .into_iter()
            .map(|(account, amount)| format!("{account}={amount}"))
            .collect();
        format!("{}:{}", self.kind.name(), legs.join(","))
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

impl TransferKind {
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
        }
    }

    /// The customer whose credits these are, if they are a customer's.
    #[must_use]
    pub fn owner(&self) -> Option<&AccountId> {
        match self {
            Self::Customer(owner) | Self::Escrow(_, owner) => Some(owner),
            _ => None,
        }
    }
}

/// The primary key of the account in the store.
impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Customer(owner) => write!(f, "{kind}:{owner}"),
            Self::Escrow(node, owner) => write!(f, "{kind}:{node}:{owner}"),
            Self::ProviderPayable(name) | Self::ProcessorClearing(name) => write!(f, "{kind}:{name}"),
            Self::HouseCost | Self::Promotions => f.write_str(kind),
        }
    }
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
    }
}
