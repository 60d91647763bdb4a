//! What Stripe's objects say, in our words.

use super::{KIND, NAME, PURCHASE, REFUND, Told};
use crate::checkout::converge::{PaymentState, PurchaseSeen};
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
use stripe_fraud::RadarEarlyFraudWarning;
use stripe_shared::{
    CheckoutSession, CheckoutSessionMode, CheckoutSessionPaymentStatus, CheckoutSessionStatus, Dispute, Event,
    PaymentIntent, PaymentIntentStatus, Refund,
};
use stripe_types::Expandable;

/// A checkout with its payment, the method expanded. `is_live` is the mode we are in.
pub(super) fn checkout(session: &CheckoutSession, intent: Option<&PaymentIntent>, is_live: bool) -> PurchaseSeen {
    let status = intent.map(|intent| &intent.status);
    PurchaseSeen {
        kind: PurchaseKind::Checkout,
        reference: session.id.to_string(),
        purchase: session.client_reference_id.clone().map(PurchaseId::stored),
        state: match (&session.status, &session.payment_status) {
            (_, CheckoutSessionPaymentStatus::Paid) => PaymentState::Paid,
            (Some(CheckoutSessionStatus::Expired), _) => PaymentState::Closed,
            (Some(CheckoutSessionStatus::Complete), _) => match status {
                Some(PaymentIntentStatus::RequiresPaymentMethod | PaymentIntentStatus::Canceled) => {
                    PaymentState::Failed
                }
                _ => PaymentState::Pending,
            },
            _ => PaymentState::Open,
        },
        cents: session.amount_total,
        currency: session.currency.as_ref().map(ToString::to_string),
        fits: session.mode == CheckoutSessionMode::Payment && session.livemode == is_live,
        payment: session.payment_intent.as_ref().map(|intent| intent.id().to_string()),
        kept: intent.and_then(kept),
    }
}

/// A payment by a saved method.
pub(super) fn top_up(intent: &PaymentIntent, is_live: bool) -> PurchaseSeen {
    let state = match intent.status {
        PaymentIntentStatus::Succeeded => PaymentState::Paid,
        PaymentIntentStatus::Processing => PaymentState::Pending,
        // Nobody is there to do what would be asked for.
        _ => PaymentState::Failed,
    };
    PurchaseSeen {
        kind: PurchaseKind::TopUp,
        reference: intent.id.to_string(),
        purchase: text(&intent.metadata, PURCHASE).map(PurchaseId::stored),
        state,
        cents: Some(intent.amount_received),
        currency: Some(intent.currency.to_string()),
        fits: intent.livemode == is_live && text(&intent.metadata, KIND) == Some(PurchaseKind::TopUp.name()),
        payment: Some(intent.id.to_string()),
        kept: None,
    }
}

/// `None` when it belongs to no payment, or is in a currency we never took.
pub(super) fn refund(refund: &Refund) -> Option<RefundSeen> {
    if !super::is_ours(Some(&refund.currency)) {
        tracing::error!(refund.reference = %refund.id, "a refund is in another currency");
        return None;
    }
    let ours = refund.metadata.as_ref().and_then(|metadata| text(metadata, REFUND));
    Some(RefundSeen {
        processor: NAME.to_owned(),
        reference: refund.id.to_string(),
        ours: ours.map(RefundId::stored),
        payment: refund.payment_intent.as_ref()?.id().to_string(),
        amount: NanoUsd::from_cents(refund.amount)?,
        state: match refund.status.as_deref() {
            Some("succeeded") => RefundState::Succeeded,
            Some("failed" | "canceled") => RefundState::Failed,
            _ => RefundState::Sent,
        },
    })
}

pub(super) fn dispute(dispute: &Dispute) -> Option<DisputeSeen> {
    if !super::is_ours(Some(&dispute.currency)) {
        tracing::error!(dispute.reference = %dispute.id, "a dispute is in another currency");
        return None;
    }
    let moves = &dispute.balance_transactions;
    let fee = moves.iter().find(|one| one.amount < 0).map_or(0, |one| one.fee);
    Some(DisputeSeen {
        processor: NAME.to_owned(),
        reference: dispute.id.to_string(),
        payment: dispute.payment_intent.as_ref()?.id().to_string(),
        amount: NanoUsd::from_cents(dispute.amount)?,
        fee: NanoUsd::from_cents(fee)?,
        status: dispute_status(dispute),
        withdrawn: moves.iter().any(|one| one.amount < 0),
        reinstated: moves.iter().any(|one| one.amount > 0),
    })
}

pub(super) fn warning(warning: &RadarEarlyFraudWarning) -> Option<WarningSeen> {
    Some(WarningSeen {
        processor: NAME.to_owned(),
        reference: warning.id.to_string(),
        payment: warning.payment_intent.as_ref()?.id().to_string(),
        actionable: warning.actionable,
    })
}

/// `None` for events that mean nothing to us.
pub(super) fn told(event: &Event) -> Option<Told> {
    let text = miniserde::json::to_string(&event.data.object);
    let object: Value = serde_json::from_str(&text).ok()?;
    let kind = event.type_.as_str();
    Some(Told {
        id: event.id.to_string(),
        kind: kind.to_owned(),
        hint: Hint::of(kind, &object)?,
    })
}

fn dispute_status(dispute: &Dispute) -> DisputeStatus {
    use stripe_shared::DisputeStatus as Theirs;
    match dispute.status {
        Theirs::WarningNeedsResponse | Theirs::WarningUnderReview => DisputeStatus::Warning,
        Theirs::WarningClosed | Theirs::Prevented => DisputeStatus::WarningClosed,
        Theirs::NeedsResponse => DisputeStatus::NeedsResponse,
        Theirs::Won => DisputeStatus::Won,
        Theirs::Lost => DisputeStatus::Lost,
        // Under review, or a word newer than this list: nothing has ended.
        _ => DisputeStatus::UnderReview,
    }
}

/// The card that its owner wanted to keep.
fn kept(intent: &PaymentIntent) -> Option<PaymentMethod> {
    intent.setup_future_usage.as_ref()?;
    let method = intent.payment_method.as_ref().and_then(Expandable::as_object)?;
    let card = method.card.as_ref()?;
    Some(PaymentMethod {
        processor: NAME.to_owned(),
        customer_ref: intent.customer.as_ref()?.id().to_string(),
        method_ref: method.id.to_string(),
        brand: card.brand.clone(),
        last4: card.last4.clone(),
    })
}

fn text<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Option<&'a str> {
    metadata.get(key).map(String::as_str)
}
