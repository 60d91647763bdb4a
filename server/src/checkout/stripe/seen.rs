//! What Stripe's objects say, in our words.

use super::objects::{Dispute, Event, Intent, Keeping, Refund, Session, Warning};
use super::{KIND, NAME, PURCHASE, REFUND, Told};
use crate::checkout::converge::{CURRENCY, PaymentState, PurchaseSeen};
use crate::checkout::hint::Hint;
use domain::id::{PurchaseId, RefundId};
use domain::money::NanoUsd;
use domain::purchase::{DisputeStatus, PurchaseKind, RefundState};
use serde_json::Value;
use std::collections::HashMap;
use store::disputes::DisputeSeen;
use store::fraud_warnings::WarningSeen;
use store::refunds::RefundSeen;
use store::topups::PaymentMethod;

/// A checkout with its payment. `is_live` is the mode we are in.
pub(super) fn checkout(session: &Session, intent: Option<&Intent>, is_live: bool) -> PurchaseSeen {
    let payment = intent.map(|intent| intent.status.as_str());
    let state = match (session.status.as_deref(), session.payment_status.as_str(), payment) {
        (_, "paid", _) => PaymentState::Paid,
        (Some("expired"), ..) => PaymentState::Closed,
        (Some("complete"), _, Some("requires_payment_method" | "canceled")) => PaymentState::Failed,
        (Some("complete"), ..) => PaymentState::Pending,
        _ => PaymentState::Open,
    };
    PurchaseSeen {
        kind: PurchaseKind::Checkout,
        reference: session.id.clone(),
        purchase: session.client_reference_id.clone().map(PurchaseId::stored),
        state,
        cents: session.amount_total,
        currency: session.currency.clone(),
        fits: session.mode == "payment" && session.livemode == is_live,
        payment: session.payment_intent.clone(),
        kept: None,
    }
}

/// A payment by a saved method.
pub(super) fn top_up(intent: &Intent, is_live: bool) -> PurchaseSeen {
    PurchaseSeen {
        kind: PurchaseKind::TopUp,
        reference: intent.id.clone(),
        purchase: text(&intent.metadata, PURCHASE).map(PurchaseId::stored),
        state: match intent.status.as_str() {
            "succeeded" => PaymentState::Paid,
            "processing" => PaymentState::Pending,
            // Nobody is there to do what would be asked for.
            _ => PaymentState::Failed,
        },
        cents: Some(intent.amount_received),
        currency: Some(intent.currency.clone()),
        fits: intent.livemode == is_live && text(&intent.metadata, KIND) == Some(PurchaseKind::TopUp.name()),
        payment: Some(intent.id.clone()),
        kept: None,
    }
}

/// `None` when it belongs to no payment, or is in a currency we never took.
pub(super) fn refund(refund: &Refund) -> Option<RefundSeen> {
    let ours = refund.metadata.as_ref().and_then(|metadata| text(metadata, REFUND));
    Some(RefundSeen {
        processor: NAME.to_owned(),
        reference: refund.id.clone(),
        ours: ours.map(RefundId::stored),
        payment: refund.payment_intent.clone()?,
        amount: dollars(&refund.id, refund.amount, &refund.currency)?,
        state: match refund.status.as_deref() {
            Some("succeeded") => RefundState::Succeeded,
            Some("failed" | "canceled") => RefundState::Failed,
            _ => RefundState::Sent,
        },
    })
}

pub(super) fn dispute(dispute: &Dispute) -> Option<DisputeSeen> {
    let moves = &dispute.balance_transactions;
    let fee = moves.iter().find(|one| one.amount < 0).map_or(0, |one| one.fee);
    Some(DisputeSeen {
        processor: NAME.to_owned(),
        reference: dispute.id.clone(),
        payment: dispute.payment_intent.clone()?,
        amount: dollars(&dispute.id, dispute.amount, &dispute.currency)?,
        fee: NanoUsd::from_cents(fee)?,
        status: match dispute.status.as_str() {
            "warning_needs_response" | "warning_under_review" => DisputeStatus::Warning,
            "warning_closed" | "prevented" => DisputeStatus::WarningClosed,
            "needs_response" => DisputeStatus::NeedsResponse,
            "won" => DisputeStatus::Won,
            "lost" => DisputeStatus::Lost,
            // Under review, or a word newer than this list: nothing has ended.
            _ => DisputeStatus::UnderReview,
        },
        withdrawn: moves.iter().any(|one| one.amount < 0),
        reinstated: moves.iter().any(|one| one.amount > 0),
    })
}

pub(super) fn warning(warning: &Warning) -> Option<WarningSeen> {
    Some(WarningSeen {
        processor: NAME.to_owned(),
        reference: warning.id.clone(),
        payment: warning.payment_intent.clone()?,
        actionable: warning.actionable,
    })
}

/// The card that its owner wanted to keep.
pub(super) fn kept(keeping: Keeping) -> Option<PaymentMethod> {
    let method = keeping.payment_method?;
    let card = method.card?;
    Some(PaymentMethod {
        processor: NAME.to_owned(),
        customer_ref: keeping.customer?,
        method_ref: method.id,
        brand: card.brand,
        last4: card.last4,
    })
}

/// `None` for events that mean nothing to us.
pub(super) fn told(event: &Event) -> Option<Told> {
    let text = miniserde::json::to_string(&event.data.object);
    let object: Value = serde_json::from_str(&text).ok()?;
    Some(Told {
        id: event.id.clone(),
        kind: event.kind.clone(),
        hint: Hint::of(&event.kind, &object)?,
    })
}

fn dollars(what: &str, cents: i64, currency: &str) -> Option<NanoUsd> {
    if currency != CURRENCY {
        tracing::error!(
            payment.reference = what,
            "an object of Stripe's is in a currency that is never sold in"
        );
        return None;
    }
    NanoUsd::from_cents(cents)
}

fn text<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Option<&'a str> {
    metadata.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(status: &str, payment_status: &str) -> Session {
        let text = format!(
            r#"{{"id": "cs_1", "object": "checkout.session", "client_reference_id": "pur_1", "amount_total": 2100,
                "currency": "usd", "livemode": false, "mode": "payment", "status": "{status}",
                "payment_status": "{payment_status}", "payment_intent": "pi_1", "something_new": {{"a": [1]}}}}"#
        );
        miniserde::json::from_str(&text).unwrap()
    }

    fn intent(status: &str) -> Intent {
        let text = format!(
            r#"{{"id": "pi_1", "status": "{status}", "amount_received": 2100, "currency": "usd", "livemode": false,
                "metadata": {{"purchase": "pur_1", "kind": "top_up"}}, "payment_method": "pm_1"}}"#
        );
        miniserde::json::from_str(&text).unwrap()
    }

    #[test]
    fn a_checkout_is_what_session_and_payment_say_together() {
        let check = |status, payment_status, payment: Option<&str>, expected| {
            let intent = payment.map(intent);
            let seen = checkout(&session(status, payment_status), intent.as_ref(), false);
            assert_eq!(seen.state, expected, "{status} {payment_status} {payment:?}");
        };
        check("open", "unpaid", None, PaymentState::Open);
        check("open", "unpaid", Some("requires_payment_method"), PaymentState::Open);
        check("complete", "paid", Some("succeeded"), PaymentState::Paid);
        check("complete", "unpaid", Some("processing"), PaymentState::Pending);
        check(
            "complete",
            "unpaid",
            Some("requires_payment_method"),
            PaymentState::Failed,
        );
        check("expired", "unpaid", None, PaymentState::Closed);
    }

    #[test]
    fn another_mode_does_not_fit() {
        assert!(checkout(&session("complete", "paid"), None, false).fits);
        assert!(!checkout(&session("complete", "paid"), None, true).fits);
        assert!(top_up(&intent("succeeded"), false).fits);
        assert!(!top_up(&intent("succeeded"), true).fits);
    }

    #[test]
    fn a_dispute_has_moved_what_its_transactions_say() {
        let dispute = |moves: &str| {
            let text = format!(
                r#"{{"id": "dp_1", "amount": 2100, "currency": "usd", "payment_intent": "pi_1", "status": "won",
                    "balance_transactions": [{moves}]}}"#
            );
            super::dispute(&miniserde::json::from_str(&text).unwrap()).unwrap()
        };
        let seen = dispute("");
        assert_eq!(
            (seen.withdrawn, seen.reinstated, seen.fee),
            (false, false, NanoUsd::ZERO)
        );
        let seen = dispute(r#"{"amount": -2100, "fee": 1500}, {"amount": 2100, "fee": 0}"#);
        assert_eq!((seen.withdrawn, seen.reinstated), (true, true));
        assert_eq!(seen.fee.to_cents(), Some(1_500));
    }

    #[test]
    fn money_of_another_currency_is_not_taken_for_dollars() {
        let text =
            r#"{"id": "re_1", "amount": 2100, "currency": "eur", "payment_intent": "pi_1", "status": "succeeded"}"#;
        assert_eq!(refund(&miniserde::json::from_str(text).unwrap()), None);
    }
}
