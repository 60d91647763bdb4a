//! Buying credits.

use crate::id::{AccountId, PurchaseId, RefundId, UserId};
use crate::ledger::{self, LedgerAccount, Leg};
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
    /// The buyer has done what there was to do; the money is still on its way.
    Pending,
    /// Paid and credited.
    Paid,
    /// Closed without payment.
    Cancelled,
    /// The payment was tried and did not come.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseKind {
    /// By a buyer at the processor's page.
    Checkout,
    /// By us, with the payment method the customer saved.
    TopUp,
}

/// One purchase of credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    pub id: PurchaseId,
    pub account: AccountId,
    pub user: UserId,
    /// The credits bought.
    pub amount: NanoUsd,
    /// What is paid on top and buys nothing.
    pub fee: NanoUsd,
    pub kind: PurchaseKind,
    pub state: PurchaseState,
    /// `dev` or `stripe`.
    pub processor: String,
    /// The processor's own name for the checkout, once it has one.
    pub processor_ref: Option<String>,
    /// The processor's own name for the payment, once it has one: refunds and disputes name it.
    pub payment: Option<String>,
    /// Refunded or on its way back.
    pub refunded: NanoUsd,
    pub created: Micros,
    pub updated: Micros,
}

/// Money of a purchase on its way back to the buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub id: RefundId,
    pub purchase: PurchaseId,
    pub account: AccountId,
    pub amount: NanoUsd,
    pub state: RefundState,
    /// The processor's own name for the refund, once it has one.
    pub processor_ref: Option<String>,
    /// Asked for by the customer; else by the operator, here or at the processor.
    pub by_customer: bool,
    pub created: Micros,
    pub updated: Micros,
}

/// In the order they are gone through; a refund that succeeded can still fail later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// Its credits are frozen; the processor does not know of it yet.
    Requested,
    /// The processor has it.
    Sent,
    /// The buyer has the money.
    Succeeded,
    /// The credits are back.
    Failed,
}

/// How far a dispute has come, in an order that only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry: no money was taken yet.
    Warning,
    NeedsResponse,
    UnderReview,
    /// The inquiry ended without a dispute.
    WarningClosed,
    Lost,
    Won,
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

impl Purchase {
    /// What the buyer pays.
    #[must_use]
    pub fn price(&self) -> NanoUsd {
        self.amount.saturating_add(self.fee)
    }

    /// The legs that enter the payment: the processor owes the price, the customer has the credits, the house its fee.
    #[must_use]
    pub fn payment_legs(&self) -> Vec<Leg> {
        let fee = Leg {
            account: LedgerAccount::Fees,
            amount: self.fee,
        };
        let mut legs = ledger::legs(
            LedgerAccount::ProcessorClearing(self.processor.clone()),
            LedgerAccount::Customer(self.account.clone()),
            self.amount,
        );
        if self.fee.is_positive() {
            for leg in legs.iter_mut().filter(|leg| leg.amount.is_negative()) {
                leg.amount = self.price().negated();
            }
            legs.push(fee);
        }
        legs
    }

    /// The legs that freeze `amount` of the money paid: the customer's credits up to what was bought, and what is above
    /// that from the fee. Depends on nothing but the purchase, so that the order of refunds and disputes does not matter.
    #[must_use]
    pub fn freeze_legs(&self, amount: NanoUsd) -> Vec<Leg> {
        let credits = amount.min(self.amount);
        let fee = amount.saturating_sub(credits);
        let mut legs = ledger::legs(
            LedgerAccount::Customer(self.account.clone()),
            LedgerAccount::Frozen(self.account.clone()),
            credits,
        );
        if fee.is_positive() {
            for leg in legs.iter_mut().filter(|leg| leg.amount.is_positive()) {
                leg.amount = amount;
            }
            legs.push(Leg {
                account: LedgerAccount::Fees,
                amount: fee.negated(),
            });
        }
        legs
    }

    /// Idempotency key of its transfer, and name of the lot that it brought.
    #[must_use]
    pub fn source(&self) -> String {
        format!("purchase:{}", self.id)
    }
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// As it is stored.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

words! {
    PurchaseState {
        Created = "created",
        Open = "open",
        Pending = "pending",
        Paid = "paid",
        Cancelled = "cancelled",
        Failed = "failed",
    }
    PurchaseKind {
        Checkout = "checkout",
        TopUp = "top_up",
    }
    RefundState {
        Requested = "requested",
        Sent = "sent",
        Succeeded = "succeeded",
        Failed = "failed",
    }
    DisputeStatus {
        Warning = "warning",
        NeedsResponse = "needs_response",
        UnderReview = "under_review",
        WarningClosed = "warning_closed",
        Lost = "lost",
        Won = "won",
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

    fn text(legs: &[Leg]) -> String {
        let legs: Vec<String> = legs
            .iter()
            .map(|leg| format!("{} {}", leg.account, leg.amount.get()))
            .collect();
        legs.join(", ")
    }

    #[test]
    fn a_fee_is_paid_on_top_and_goes_back_last() {
        let mut purchase = Purchase {
            id: PurchaseId::stored("pur_1"),
            account: AccountId::stored("a"),
            user: UserId::stored("u"),
            amount: NanoUsd::new(100),
            fee: NanoUsd::ZERO,
            kind: PurchaseKind::Checkout,
            state: PurchaseState::Paid,
            processor: "p".to_owned(),
            processor_ref: None,
            payment: None,
            refunded: NanoUsd::ZERO,
            created: Micros::new(0),
            updated: Micros::new(0),
        };
        assert_eq!(
            text(&purchase.payment_legs()),
            "processor_clearing:p -100, customer:a 100"
        );
        purchase.fee = NanoUsd::new(6);
        assert_eq!(
            text(&purchase.payment_legs()),
            "processor_clearing:p -106, customer:a 100, fees 6"
        );
        let freeze = |amount| text(&purchase.freeze_legs(NanoUsd::new(amount)));
        assert_eq!(freeze(100), "customer:a -100, frozen:a 100");
        assert_eq!(freeze(106), "customer:a -100, frozen:a 106, fees -6");
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in ["created", "open", "pending", "paid", "cancelled", "failed"] {
            assert_eq!(PurchaseState::parse(state).map(PurchaseState::name), Some(state));
        }
        assert!(RefundState::Requested < RefundState::Sent && RefundState::Succeeded < RefundState::Failed);
        assert!(DisputeStatus::UnderReview < DisputeStatus::Lost && DisputeStatus::Lost < DisputeStatus::Won);
    }
}
