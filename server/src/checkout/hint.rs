//! Events of a processor are hints: each only says which object is worth looking at.

use serde::Deserialize;
use serde_json::Value;

/// What a processor tells, in the shape of Stripe's events; fields we do not use are left out.
#[derive(Debug, Deserialize)]
pub struct Event {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub livemode: bool,
    pub data: EventData,
}

#[derive(Debug, Deserialize)]
pub struct EventData {
    pub object: Value,
}

/// An object of Stripe's, by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    Checkout(String),
    Payment(String),
    Refund(String),
    /// All refunds of a payment: the event no longer lists them.
    RefundsOf(String),
    Dispute(String),
    FraudWarning(String),
}

impl Hint {
    /// `None` for events that mean nothing to us.
    #[must_use]
    pub fn of(kind: &str, object: &Value) -> Option<Self> {
        let text = |field: &str| object.get(field)?.as_str().map(str::to_owned);
        match kind {
            "checkout.session.completed"
            | "checkout.session.async_payment_succeeded"
            | "checkout.session.async_payment_failed"
            | "checkout.session.expired" => text("id").map(Self::Checkout),
            "payment_intent.succeeded"
            | "payment_intent.payment_failed"
            | "payment_intent.processing"
            | "payment_intent.canceled" => text("id").map(Self::Payment),
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                text("id").map(Self::Refund)
            }
            "charge.refunded" => text("payment_intent").map(Self::RefundsOf),
            "charge.dispute.created"
            | "charge.dispute.updated"
            | "charge.dispute.funds_withdrawn"
            | "charge.dispute.funds_reinstated"
            | "charge.dispute.closed" => text("id").map(Self::Dispute),
            "radar.early_fraud_warning.created" | "radar.early_fraud_warning.updated" => {
                text("id").map(Self::FraudWarning)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_names_the_object_to_look_at() {
        let object = json!({"id": "x_1", "payment_intent": "pi_1"});
        let hint = |kind| Hint::of(kind, &object);
        assert_eq!(hint("checkout.session.expired"), Some(Hint::Checkout("x_1".to_owned())));
        assert_eq!(hint("payment_intent.succeeded"), Some(Hint::Payment("x_1".to_owned())));
        assert_eq!(hint("charge.refunded"), Some(Hint::RefundsOf("pi_1".to_owned())));
        assert_eq!(hint("refund.failed"), Some(Hint::Refund("x_1".to_owned())));
        assert_eq!(hint("charge.dispute.closed"), Some(Hint::Dispute("x_1".to_owned())));
        assert_eq!(
            hint("radar.early_fraud_warning.created"),
            Some(Hint::FraudWarning("x_1".to_owned()))
        );
        assert_eq!(hint("customer.created"), None);
        assert_eq!(Hint::of("refund.created", &json!({})), None);
    }
}
