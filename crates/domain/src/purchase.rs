//! Buying credits.

use crate::id::{AccountId, PurchaseId, UserId};
use crate::money::NanoUsd;
use crate::time::Micros;
use serde::{Deserialize, Serialize};

/// The least and most that one purchase may be, in dollars.
pub const PURCHASE_MIN: NanoUsd = NanoUsd::new(5_000_000_000);
pub const PURCHASE_MAX: NanoUsd = NanoUsd::new(10_000_000_000_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// Stored, before the payment processor knows of it.
    Created,
    /// The processor has a checkout open for it.
    Open,
    /// Paid and credited.
    Paid,
    /// Closed without payment.
    Cancelled,
}

/// One purchase of credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    pub id: PurchaseId,
    pub account: AccountId,
    pub user: UserId,
    pub amount: NanoUsd,
    pub state: PurchaseState,
    /// `dev` or `stripe`.
    pub processor: String,
    /// The processor's own name for the payment, once it has one.
    pub processor_ref: Option<String>,
    pub created: Micros,
    pub updated: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("Enter an amount in dollars, such as 20.")]
    NotAnAmount,
    #[error("Whole cents only.")]
    NotCents,
    #[error("Between {} and {}, please.", PURCHASE_MIN, PURCHASE_MAX)]
    OutOfRange,
}

/// Parses the amount typed into the purchase form.
pub fn parse_amount(text: &str) -> Result<NanoUsd, AmountError> {
    let amount = NanoUsd::parse_usd(text).map_err(|_| AmountError::NotAnAmount)?;
    if amount.to_cents().is_none() {
        return Err(AmountError::NotCents);
    }
    if amount < PURCHASE_MIN || amount > PURCHASE_MAX {
        return Err(AmountError::OutOfRange);
    }
    Ok(amount)
}

impl PurchaseState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Created, Self::Open, Self::Paid, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_cents_within_range() {
        assert_eq!(parse_amount("20"), Ok(NanoUsd::new(20_000_000_000)));
        assert_eq!(parse_amount("$ 20"), Err(AmountError::NotAnAmount));
        assert_eq!(parse_amount("20.001"), Err(AmountError::NotCents));
        assert_eq!(parse_amount("4.99"), Err(AmountError::OutOfRange));
        assert_eq!(parse_amount("-20"), Err(AmountError::OutOfRange));
    }
}
