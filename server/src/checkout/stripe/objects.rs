//! Of Stripe's objects only what we use. The library's own types want every field of the agreed API version: one that is
//! missing where it means nothing to us would keep credits from people who have paid.

use miniserde::Deserialize;
use miniserde::json::Value;
use std::collections::HashMap;
use std::marker::PhantomData;
use stripe::StripeRequest;
use stripe_client_core::RequestBuilder;

/// Asks as `R` does, and reads the answer as `T`.
pub(super) struct Reading<R, T>(R, PhantomData<fn() -> T>);

#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

/// What a list is paged by.
pub(super) trait Listed {
    fn id(&self) -> &str;
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) url: Option<String>,
    pub(super) client_reference_id: Option<String>,
    /// Cents.
    pub(super) amount_total: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) livemode: bool,
    pub(super) mode: String,
    pub(super) status: Option<String>,
    pub(super) payment_status: String,
    pub(super) payment_intent: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: String,
    /// Cents.
    pub(super) amount_received: i64,
    pub(super) currency: String,
    pub(super) livemode: bool,
    pub(super) metadata: HashMap<String, String>,
    pub(super) setup_future_usage: Option<String>,
}

/// An intent with its method expanded.
#[derive(Debug, Deserialize)]
pub(super) struct Keeping {
    pub(super) customer: Option<String>,
    pub(super) payment_method: Option<Method>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Method {
    pub(super) id: String,
    pub(super) card: Option<Card>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Card {
    pub(super) brand: String,
    pub(super) last4: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    /// Cents.
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) payment_intent: Option<String>,
    pub(super) status: Option<String>,
    pub(super) metadata: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    /// Cents.
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) payment_intent: Option<String>,
    pub(super) status: String,
    pub(super) balance_transactions: Vec<Movement>,
}

/// Cents that moved to us, or from us when negative, and what that cost.
#[derive(Debug, Deserialize)]
pub(super) struct Movement {
    pub(super) amount: i64,
    pub(super) fee: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Warning {
    pub(super) id: String,
    pub(super) payment_intent: Option<String>,
    pub(super) actionable: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: EventData,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventData {
    pub(super) object: Value,
}

impl<R: StripeRequest, T> Reading<R, T> {
    pub(super) const fn of(request: R) -> Self {
        Self(request, PhantomData)
    }
}

impl<R: StripeRequest, T> StripeRequest for Reading<R, T> {
    type Output = T;

    fn build(&self) -> RequestBuilder {
        self.0.build()
    }
}

macro_rules! listed {
    ($($name:ident)*) => {$(
        impl Listed for $name {
            fn id(&self) -> &str {
                &self.id
            }
        }
    )*};
}

listed!(Session Intent Refund Event);
