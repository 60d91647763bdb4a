//! Stripe, called by async-stripe: every call is repeated with one idempotency key until it is known what became of it.

pub use super::converge::PurchaseSeen;
use super::converge::{PaymentState, Seen};
use super::hint::Hint;
use crate::config;
use app::site::CheckoutOptions;
use domain::purchase::{Purchase, PurchaseKind, Refund};
use std::collections::HashMap;
use std::time::Duration;
use store::refunds::RefundSeen;
use store::topups::PaymentMethod;
use stripe::{RequestStrategy, StripeError, StripeRequest};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionAllowedPaymentMethodTypes as MethodType,
    CreateCheckoutSessionCustomerCreation, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, CreateCheckoutSessionPaymentIntentDataSetupFutureUsage,
    ListCheckoutSession, ProductData, RetrieveCheckoutSession,
};
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::dispute::RetrieveDispute;
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::{
    CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods,
    CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects, CreatePaymentIntentOffSession, ListPaymentIntent,
    RetrievePaymentIntent,
};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_fraud::radar_early_fraud_warning::RetrieveRadarEarlyFraudWarning;
use stripe_shared::CheckoutSessionMode;
use stripe_types::{Currency, RangeBoundsTs, RangeQueryTs};

mod call;
mod objects;
mod seen;

use objects::{Dispute, Event, Intent, Keeping, Page, Reading, Session, Warning};

/// As in `purchases.processor` and in the webhook's address.
pub const NAME: &str = "stripe";

/// A Stripe account.
pub struct Stripe {
    client: stripe::Client,
    settings: config::Stripe,
    base_url: String,
}

/// An event from the list, as far as it means something to us.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: String,
    pub kind: String,
    pub hint: Hint,
}

/// A checkout just opened.
#[derive(Clone, Debug)]
pub struct Opened {
    pub reference: String,
    /// Where the buyer pays.
    pub url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Stripe will not do this, however often it is asked.
    #[error("Stripe refuses: {0}")]
    Refused(String),
    /// It is not known whether Stripe did it. Ask again with the same idempotency key, or look.
    #[error("Stripe cannot be asked now: {0}")]
    Failed(String),
    /// Stripe answered in a shape that is not the one agreed on.
    #[error("Stripe's answer cannot be read: {0}")]
    Unreadable(String),
}

/// What our metadata calls the purchase, its kind, and the refund.
const PURCHASE: &str = "purchase";
const KIND: &str = "kind";
const REFUND: &str = "refund";
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const PAGE: i64 = 100;
/// How far around its creation a purchase is looked for: clocks differ, and calls take their time.
const SEARCH_SECS: i64 = 15 * 60;

impl Stripe {
    /// # Errors
    /// When the key or the address cannot be sent.
    pub(super) fn new(settings: config::Stripe, base_url: String) -> Result<Self, StripeError> {
        let mut builder = stripe::ClientBuilder::new(settings.secret_key.reveal())
            .timeout(CALL_TIMEOUT)
            .request_strategy(RequestStrategy::Once);
        if let Some(url) = &settings.api_url {
            // Paths are appended to it as it stands.
            builder = builder.url(format!("{url}/"));
        }
        Ok(Self {
            client: builder.build()?,
            settings,
            base_url,
        })
    }

    #[must_use]
    pub fn settings(&self) -> &config::Stripe {
        &self.settings
    }

    /// Opens a checkout for a stored purchase. `customer` is Stripe's name for a buyer who has kept a card before.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn open_checkout(
        &self,
        purchase: &Purchase,
        options: &CheckoutOptions,
        customer: Option<&str>,
    ) -> Result<Opened, CallError> {
        let back = format!("{}/account/credits?purchase={}", self.base_url, purchase.id);
        let mut request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Payment)
            .client_reference_id(purchase.id.as_str())
            .metadata(metadata(purchase))
            .line_items(line_items(purchase)?)
            .payment_intent_data(intent_data(purchase, options))
            .allowed_payment_method_types(self.methods(options)?)
            .success_url(back.as_str())
            .cancel_url(format!("{back}&left=1"));
        request = match customer {
            Some(customer) => request.customer(customer),
            None if options.save_method => request.customer_creation(CreateCheckoutSessionCustomerCreation::Always),
            None => request,
        };
        let session: Session = self.call(request, Some(purchase.id.as_str())).await?;
        match session.url {
            Some(url) => Ok(Opened {
                reference: session.id,
                url,
            }),
            None => Err(CallError::Refused("the checkout has no page".to_owned())),
        }
    }

    /// Charges a saved method for a stored top-up, without its owner.
    ///
    /// # Errors
    /// `Refused` when nothing was or will be charged.
    pub async fn charge(&self, purchase: &Purchase, method: &PaymentMethod) -> Result<PurchaseSeen, CallError> {
        let request = CreatePaymentIntent::new(cents(purchase)?, Currency::USD)
            .customer(method.customer_ref.as_str())
            .payment_method(method.method_ref.as_str())
            .off_session(CreatePaymentIntentOffSession::Bool(true))
            .confirm(true)
            .automatic_payment_methods(CreatePaymentIntentAutomaticPaymentMethods {
                allow_redirects: Some(CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Never),
                enabled: true,
            })
            .description(format!("Credits, automatic top-up {}", purchase.id))
            .metadata(metadata(purchase));
        let key = Some(purchase.id.as_str());
        match self.attempt(&Reading::<_, Intent>::of(request), key).await {
            Ok(intent) => Ok(self.seen_top_up(&intent)),
            Err(StripeError::Stripe(error, 402)) => match &error.payment_intent {
                Some(intent) => Ok(declined(purchase, intent.id.to_string())),
                None => Err(StripeError::Stripe(error, 402).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// See [`CallError`].
    pub async fn refund(&self, payment: &str, refund: &Refund) -> Result<RefundSeen, CallError> {
        let cents = refund.amount.to_cents();
        let cents = cents.ok_or_else(|| CallError::Refused("not whole cents".to_owned()))?;
        let metadata = HashMap::from([(REFUND.to_owned(), refund.id.to_string())]);
        let request = CreateRefund::new()
            .payment_intent(payment)
            .amount(cents)
            .metadata(metadata);
        let made = self.call(request, Some(refund.id.as_str())).await?;
        seen::refund(&made).ok_or_else(|| CallError::Failed("the refund names no payment".to_owned()))
    }

    /// Forgets a saved method; one that is gone already is fine.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn forget(&self, method: &str) -> Result<(), CallError> {
        let key = format!("detach:{method}");
        match self.attempt(&Detach(method.to_owned()), Some(&key)).await {
            Ok(_) | Err(StripeError::Stripe(_, 404)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What there is to see where an event points at. Empty when it is gone, or none of ours. A purchase comes before what
    /// happened to it, since it may be news as well.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn look(&self, hint: &Hint) -> Result<Vec<Seen>, CallError> {
        match hint {
            Hint::Checkout(id) => Ok(self.checkout(id).await?.map(Seen::Purchase).into_iter().collect()),
            Hint::Payment(id) => Ok(self.payment(id).await?.map(Seen::Purchase).into_iter().collect()),
            Hint::Refund(id) => {
                let found = self.find(RetrieveRefund::new(id.as_str())).await?;
                self.after_payment(found.as_ref().and_then(seen::refund).map(Seen::Refund))
                    .await
            }
            Hint::RefundsOf(payment) => {
                let mut seen: Vec<Seen> = self.payment(payment).await?.map(Seen::Purchase).into_iter().collect();
                let refunds = self.refunds_of(payment).await?;
                seen.extend(refunds.iter().filter_map(seen::refund).map(Seen::Refund));
                Ok(seen)
            }
            Hint::Dispute(id) => {
                let found: Option<Dispute> = self.find(RetrieveDispute::new(id.as_str())).await?;
                self.after_payment(found.as_ref().and_then(seen::dispute).map(Seen::Dispute))
                    .await
            }
            Hint::FraudWarning(id) => {
                let found: Option<Warning> = self.find(RetrieveRadarEarlyFraudWarning::new(id.as_str())).await?;
                self.after_payment(found.as_ref().and_then(seen::warning).map(Seen::FraudWarning))
                    .await
            }
        }
    }

    /// A checkout by its id.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn checkout(&self, id: &str) -> Result<Option<PurchaseSeen>, CallError> {
        match self.find(RetrieveCheckoutSession::new(id)).await? {
            Some(session) => self.seen_checkout(&session).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a payment says about the purchase it belongs to. `None` when it is none of ours.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn payment(&self, id: &str) -> Result<Option<PurchaseSeen>, CallError> {
        let Some(intent): Option<Intent> = self.find(RetrievePaymentIntent::new(id)).await? else {
            return Ok(None);
        };
        match intent.metadata.get(KIND).map(String::as_str) {
            Some(kind) if kind == PurchaseKind::TopUp.name() => Ok(Some(self.seen_top_up(&intent))),
            Some(_) => {
                let request = ListCheckoutSession::new().payment_intent(id);
                let found: Page<Session> = self.call(request, None).await?;
                match found.data.first() {
                    Some(session) => self.seen_checkout(session).await.map(Some),
                    None => Ok(None),
                }
            }
            None => Ok(None),
        }
    }

    /// The checkout of a purchase whose answer never came.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn find_checkout(&self, purchase: &Purchase) -> Result<Option<PurchaseSeen>, CallError> {
        let request = ListCheckoutSession::new().created(around(purchase)).limit(PAGE);
        let sessions: Vec<Session> = self.pages(request, ListCheckoutSession::starting_after).await?;
        let is_its = |session: &&Session| session.client_reference_id.as_deref() == Some(purchase.id.as_str());
        match sessions.iter().find(is_its) {
            Some(session) => self.seen_checkout(session).await.map(Some),
            None => Ok(None),
        }
    }

    /// The payment of a top-up whose answer never came.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn find_payment(&self, purchase: &Purchase) -> Result<Option<PurchaseSeen>, CallError> {
        let request = ListPaymentIntent::new().created(around(purchase)).limit(PAGE);
        let intents: Vec<Intent> = self.pages(request, ListPaymentIntent::starting_after).await?;
        let is_its = |intent: &&Intent| {
            intent
                .metadata
                .get(PURCHASE)
                .is_some_and(|id| id == purchase.id.as_str())
        };
        Ok(intents.iter().find(is_its).map(|intent| self.seen_top_up(intent)))
    }

    /// The refund that `refund` became, if it was sent.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn find_refund(&self, payment: &str, refund: &Refund) -> Result<Option<RefundSeen>, CallError> {
        let made = self.refunds_of(payment).await?;
        let mut seen = made.iter().filter_map(seen::refund);
        Ok(seen.find(|seen| seen.ours.as_ref() == Some(&refund.id)))
    }

    /// What happened from one second to another, both included, as far as it means something to us.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn events(&self, from: i64, to: i64) -> Result<Vec<Told>, CallError> {
        let request = ListEvent::new().created(between(from, to)).limit(PAGE);
        let events: Vec<Event> = self.pages(request, ListEvent::starting_after).await?;
        Ok(events.iter().filter_map(seen::told).collect())
    }

    async fn refunds_of(&self, payment: &str) -> Result<Vec<objects::Refund>, CallError> {
        let request = ListRefund::new().payment_intent(payment).limit(PAGE);
        self.pages(request, ListRefund::starting_after).await
    }

    /// `seen` with the purchase that it happened to.
    async fn after_payment(&self, seen: Option<Seen>) -> Result<Vec<Seen>, CallError> {
        let payment = match &seen {
            Some(Seen::Refund(seen)) => Some(&seen.payment),
            Some(Seen::Dispute(seen)) => Some(&seen.payment),
            Some(Seen::FraudWarning(seen)) => Some(&seen.payment),
            Some(Seen::Purchase(_)) | None => None,
        };
        let purchase = match payment {
            Some(payment) => self.payment(payment).await?,
            None => None,
        };
        Ok(purchase.map(Seen::Purchase).into_iter().chain(seen).collect())
    }

    async fn seen_checkout(&self, session: &Session) -> Result<PurchaseSeen, CallError> {
        let intent: Option<Intent> = match &session.payment_intent {
            Some(intent) => self.find(RetrievePaymentIntent::new(intent.as_str())).await?,
            None => None,
        };
        let mut seen = seen::checkout(session, intent.as_ref(), self.settings.is_live());
        if let Some(intent) = intent.filter(|intent| intent.setup_future_usage.is_some())
            && seen.state == PaymentState::Paid
        {
            let request = RetrievePaymentIntent::new(intent.id.as_str()).expand(vec!["payment_method".to_owned()]);
            let keeping: Option<Keeping> = self.find(request).await?;
            seen.kept = keeping.and_then(seen::kept);
        }
        Ok(seen)
    }

    fn seen_top_up(&self, intent: &Intent) -> PurchaseSeen {
        seen::top_up(intent, self.settings.is_live())
    }

    fn methods(&self, options: &CheckoutOptions) -> Result<Vec<MethodType>, CallError> {
        let allowed = self.settings.methods.iter().filter(|method| {
            let is_wanted = options.method.as_deref().is_none_or(|wanted| wanted == **method);
            // Only cards can be kept.
            is_wanted && (!options.save_method || **method == "card")
        });
        let types: Vec<MethodType> = allowed
            .map(|method| match *method {
                "crypto" => MethodType::Crypto,
                _ => MethodType::Card,
            })
            .collect();
        if types.is_empty() {
            return Err(CallError::Refused(
                "nothing that is switched on can pay for this".to_owned(),
            ));
        }
        Ok(types)
    }
}

/// Takes a payment method from its customer; the one call for which a whole crate would be too much.
struct Detach(String);

impl StripeRequest for Detach {
    type Output = objects::Method;

    fn build(&self) -> RequestBuilder {
        RequestBuilder::new(StripeMethod::Post, format!("/payment_methods/{}/detach", self.0))
    }
}

fn metadata(purchase: &Purchase) -> HashMap<String, String> {
    HashMap::from([
        (PURCHASE.to_owned(), purchase.id.to_string()),
        (KIND.to_owned(), purchase.kind.name().to_owned()),
    ])
}

fn line_items(purchase: &Purchase) -> Result<Vec<CreateCheckoutSessionLineItems>, CallError> {
    let item = |name: &str, cents: i64| {
        let mut price = CreateCheckoutSessionLineItemsPriceData::new(Currency::USD);
        price.unit_amount = Some(cents);
        price.product_data = Some(ProductData::new(name));
        let mut item = CreateCheckoutSessionLineItems::new();
        item.price_data = Some(price);
        item.quantity = Some(1);
        item
    };
    let not_cents = || CallError::Refused("not whole cents".to_owned());
    let mut items = vec![item("Credits", purchase.amount.to_cents().ok_or_else(not_cents)?)];
    let fee = purchase.fee.to_cents().ok_or_else(not_cents)?;
    if fee > 0 {
        items.push(item("Fee", fee));
    }
    Ok(items)
}

fn intent_data(purchase: &Purchase, options: &CheckoutOptions) -> CreateCheckoutSessionPaymentIntentData {
    let mut data = CreateCheckoutSessionPaymentIntentData::new();
    data.metadata = Some(metadata(purchase));
    data.description = Some(format!("Credits, purchase {}", purchase.id));
    if options.save_method {
        data.setup_future_usage = Some(CreateCheckoutSessionPaymentIntentDataSetupFutureUsage::OffSession);
    }
    data
}

/// A payment that was tried, under this name, in vain.
fn declined(purchase: &Purchase, payment: String) -> PurchaseSeen {
    PurchaseSeen {
        kind: PurchaseKind::TopUp,
        reference: payment.clone(),
        purchase: Some(purchase.id.clone()),
        state: PaymentState::Failed,
        cents: None,
        currency: None,
        fits: true,
        payment: Some(payment),
        kept: None,
    }
}

fn cents(purchase: &Purchase) -> Result<i64, CallError> {
    let cents = purchase.price().to_cents();
    cents.ok_or_else(|| CallError::Refused("not whole cents".to_owned()))
}

fn around(purchase: &Purchase) -> RangeQueryTs {
    let created = purchase.created.seconds();
    between(created - SEARCH_SECS, created + SEARCH_SECS)
}

fn between(from: i64, to: i64) -> RangeQueryTs {
    RangeQueryTs::Bounds(RangeBoundsTs {
        gte: Some(from),
        lte: Some(to),
        ..RangeBoundsTs::default()
    })
}
