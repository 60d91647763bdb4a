//! Payments: opens a checkout at the processor, takes its webhooks, and asks it for what they did not bring.

use crate::clock;
use crate::config::{Config, Fee, Secret};
use crate::error::ApiError;
use app::site::CheckoutOptions;
use axum::body::Bytes;
use domain::error_type::ErrorType;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, Refund};
use http::HeaderMap;
use std::sync::Arc;
use store::topups::{self, PaymentMethod};
use store::{Store, purchases, webhooks};
use tokio::sync::Notify;

mod converge;
pub mod dev;
mod hint;
pub mod pages;
mod reconcile;
mod signature;
mod stripe;
mod top_up;

use converge::{CURRENCY, Place, Seen};
use hint::{Event, Hint};
pub use reconcile::ReconcileError;

/// The configured way to take money.
pub struct Checkout {
    processor: Option<Processor>,
    store: Store,
    fee: Fee,
    place: Place,
    mail_queued: Arc<Notify>,
}

/// Who takes the money.
pub enum Processor {
    /// A checkout page of our own that moves no money.
    Dev(dev::Dev),
    Stripe(Box<stripe::Stripe>),
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Dev(#[from] reqwest::Error),
    #[error("TOLLWAY_STRIPE_SECRET_KEY or TOLLWAY_STRIPE_API_URL: {0}")]
    Stripe(#[from] ::stripe::StripeError),
}

pub const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
const SIGNATURE_HEADER: &str = "stripe-signature";

impl Checkout {
    /// # Errors
    /// When the client for payments cannot be built.
    pub fn new(config: &Config, store: Store, mail_queued: Arc<Notify>) -> Result<Self, StartError> {
        let processor = processor(config)?;
        Ok(Self {
            place: Place {
                processor: processor.as_ref().map_or(stripe::NAME, Processor::name),
                base_url: config.base_url.clone(),
            },
            processor,
            store,
            fee: config.payments.fee,
            mail_queued,
        })
    }

    /// Opens a checkout for a stored purchase; gives the address to send its buyer to.
    ///
    /// # Errors
    /// A sentence for the log when there is no processor or it refuses.
    pub async fn start(&self, purchase: &Purchase, options: &CheckoutOptions) -> Result<String, String> {
        let Some(processor) = &self.processor else {
            return Err("no payment processor is configured".to_owned());
        };
        if purchase.processor != processor.name() {
            return Err(format!("the purchase is for the processor {}", purchase.processor));
        }
        let (reference, url) = match processor {
            Processor::Dev(dev) => dev.start(purchase),
            Processor::Stripe(stripe) => {
                let customer = self.customer(purchase).await.map_err(|error| error.to_string())?;
                let opened = stripe.open_checkout(purchase, options, customer.as_deref()).await;
                let opened = opened.map_err(|error| error.to_string())?;
                (opened.reference, opened.url)
            }
        };
        self.opened(&purchase.id, &reference)
            .await
            .map_err(|error| error.to_string())?;
        Ok(url)
    }

    /// Asks the processor what has become of a purchase.
    ///
    /// # Errors
    /// A sentence for the log.
    pub async fn check(&self, purchase: &Purchase) -> Result<(), String> {
        match self.stripe() {
            Some(stripe) => self.check_at(stripe, purchase).await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Has the processor forget a saved method.
    ///
    /// # Errors
    /// A sentence for the log.
    pub async fn forget_method(&self, method: &PaymentMethod) -> Result<(), String> {
        match self.stripe() {
            Some(stripe) if method.processor == stripe::NAME => stripe
                .forget(&method.method_ref)
                .await
                .map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    /// Sends a stored refund to the processor.
    ///
    /// # Errors
    /// A sentence for the log; the reconciler sends it again.
    pub async fn refund(&self, refund: &Refund) -> Result<(), String> {
        let sent = match &self.processor {
            Some(Processor::Dev(_)) => self.refund_in_dev(refund).await.map_err(|error| error.to_string()),
            Some(Processor::Stripe(stripe)) => self
                .send_refund(stripe, refund)
                .await
                .map_err(|error| error.to_string()),
            None => Err("no payment processor is configured".to_owned()),
        };
        self.mail_queued.notify_one();
        sent
    }

    /// What is paid on top of so many credits.
    #[must_use]
    pub fn fee(&self, amount: NanoUsd) -> NanoUsd {
        self.fee.of(amount)
    }

    #[must_use]
    pub const fn processor(&self) -> Option<&Processor> {
        self.processor.as_ref()
    }

    /// The development checkout, where it exists.
    #[must_use]
    pub fn dev(&self) -> Option<&dev::Dev> {
        match &self.processor {
            Some(Processor::Dev(dev)) => Some(dev),
            _ => None,
        }
    }

    fn stripe(&self) -> Option<&stripe::Stripe> {
        match &self.processor {
            Some(Processor::Stripe(stripe)) => Some(stripe),
            _ => None,
        }
    }

    /// Takes one webhook: believes it only when signed, looks at what it points at, and answers when the store agrees.
    ///
    /// # Errors
    /// 404 for a processor that is not configured or has no secret, 400 for what is unsigned, forged, stale or unreadable,
    /// 422 when the payment does not fit our purchase, 503 when the store or the processor is down, so that the processor
    /// tries again.
    pub async fn webhook(&self, name: &str, headers: &HeaderMap, body: &Bytes) -> Result<(), ApiError> {
        let known = self.processor.as_ref().filter(|known| known.name() == name);
        let Some(processor) = known.filter(|known| !known.secrets().is_empty()) else {
            return Err(ApiError::new(
                ErrorType::NotFound,
                "No such payment processor is configured here.",
            ));
        };
        let header = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
        signature::verify(processor.secrets(), header, body, clock::now().seconds()).map_err(|error| {
            tracing::warn!(webhook.processor = name, error.cause = %error, "a webhook was refused");
            invalid(error.to_string())
        })?;
        let event: Event =
            serde_json::from_slice(body).map_err(|error| invalid(format!("unreadable event: {error}")))?;
        let seen = match processor {
            Processor::Dev(_) => dev::seen(&event).map_err(invalid)?.into_iter().collect(),
            Processor::Stripe(stripe) => look(stripe, &event).await?,
        };
        if seen.is_empty() {
            return Ok(());
        }
        self.take(name, &event, &seen).await
    }

    async fn take(&self, name: &str, event: &Event, seen: &[Seen]) -> Result<(), ApiError> {
        let mut tx = self.store.begin().await?;
        if webhooks::record(&mut tx, name, &event.id, &event.kind, clock::now()).await? {
            for seen in seen {
                converge::converge(&mut tx, &self.place, seen).await?;
            }
        }
        tx.commit().await?;
        self.mail_queued.notify_one();
        Ok(())
    }

    /// The processor's name for a buyer who has kept a card before.
    async fn customer(&self, purchase: &Purchase) -> Result<Option<String>, store::StoreError> {
        let setting = topups::get(&mut self.store.read().await?, &purchase.account).await?;
        let method = setting.and_then(|setting| setting.method);
        let ours = method.filter(|method| method.processor == purchase.processor);
        Ok(ours.map(|method| method.customer_ref))
    }

    async fn refund_in_dev(&self, refund: &Refund) -> Result<(), converge::ConvergeError> {
        let mut tx = self.store.begin().await?;
        let purchase = purchases::by_id(&mut tx, &refund.purchase).await?;
        if let Some(payment) = purchase.and_then(|purchase| purchase.payment) {
            let seen = Seen::Refund(dev::refund(refund, payment));
            converge::converge(&mut tx, &self.place, &seen).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn opened(&self, id: &domain::id::PurchaseId, reference: &str) -> Result<(), store::StoreError> {
        let mut tx = self.store.begin().await?;
        purchases::open(&mut tx, id, reference, clock::now()).await?;
        tx.commit().await
    }
}

impl Processor {
    /// As in `purchases.processor` and in the webhook's address.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dev(_) => dev::NAME,
            Self::Stripe(_) => stripe::NAME,
        }
    }

    /// What a buyer may choose to pay with.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        match self {
            Self::Dev(_) => Vec::new(),
            Self::Stripe(stripe) => stripe.settings().methods.clone(),
        }
    }

    /// The origin of the pages where buyers pay, unless these are our own.
    #[must_use]
    pub fn payment_pages(&self) -> Option<&str> {
        match self {
            Self::Dev(_) => None,
            Self::Stripe(stripe) => Some(stripe.settings().payment_pages()),
        }
    }

    /// Any of them signs webhooks.
    fn secrets(&self) -> &[Secret] {
        match self {
            Self::Dev(dev) => dev.secrets(),
            Self::Stripe(stripe) => &stripe.settings().webhook_secrets,
        }
    }
}

fn processor(config: &Config) -> Result<Option<Processor>, StartError> {
    if let Some(settings) = &config.payments.stripe {
        if settings.webhook_secrets.is_empty() {
            tracing::warn!(
                "TOLLWAY_STRIPE_WEBHOOK_SECRETS is not set: payments are noticed within a minute, not at once"
            );
        }
        let stripe = stripe::Stripe::new(settings.clone(), config.base_url.clone())?;
        return Ok(Some(Processor::Stripe(Box::new(stripe))));
    }
    if !config.dev || config.webhook_secrets.is_empty() {
        return Ok(None);
    }
    Ok(Some(Processor::Dev(dev::Dev::new(config)?)))
}

/// What an event of Stripe's points at, as it is now.
async fn look(stripe: &stripe::Stripe, event: &Event) -> Result<Vec<Seen>, ApiError> {
    if event.livemode != stripe.settings().is_live() {
        tracing::warn!(
            webhook.event = event.id,
            "an event of the other mode, live or test, means nothing here"
        );
        return Ok(Vec::new());
    }
    let Some(hint) = Hint::of(&event.kind, &event.data.object) else {
        return Ok(Vec::new());
    };
    stripe.look(&hint).await.map_err(|error| {
        tracing::warn!(webhook.event = event.id, error.cause = %error, "what an event points at cannot be looked at");
        ApiError::new(
            ErrorType::ServiceUnavailable,
            "The payment processor cannot be asked right now. Send the event again.",
        )
    })
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorType::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
