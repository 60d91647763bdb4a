//! Payments: opens a checkout at the processor and takes its webhooks.

use crate::clock;
use crate::config::{Config, Secret};
use crate::error::ApiError;
use axum::body::Bytes;
use domain::error_type::ErrorType;
use domain::id::{PurchaseId, TransferId};
use domain::purchase::Purchase;
use http::HeaderMap;
use serde::Deserialize;
use store::ledger::LedgerError;
use store::purchases::{self, PaidOutcome};
use store::{Store, Tx, webhooks};

pub mod dev;
pub mod pages;
mod signature;

/// The configured way to take money.
pub struct Checkout {
    processor: Option<Processor>,
    secrets: Vec<Secret>,
    store: Store,
}

/// Who takes the money. A real processor is one more variant.
pub enum Processor {
    /// A checkout page of our own that moves no money.
    Dev(dev::Dev),
}

/// What a processor tells, in the shape of Stripe's events; fields we do not use are left out.
#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: EventData,
}

#[derive(Debug, Deserialize)]
struct EventData {
    object: serde_json::Value,
}

/// A checkout session inside an event.
#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    client_reference_id: Option<String>,
    /// Cents.
    amount_total: Option<i64>,
    currency: Option<String>,
    payment_status: Option<String>,
}

pub const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
const SIGNATURE_HEADER: &str = "stripe-signature";
const CURRENCY: &str = "usd";

impl Checkout {
    /// # Errors
    /// When the client for development payments cannot be built.
    pub fn new(config: &Config, store: Store) -> Result<Self, reqwest::Error> {
        let processor = match config.webhook_secrets.first() {
            Some(secret) if config.dev => Some(Processor::Dev(dev::Dev::new(config, secret.clone())?)),
            _ => None,
        };
        Ok(Self {
            processor,
            secrets: config.webhook_secrets.clone(),
            store,
        })
    }

    /// Opens a checkout for a stored purchase; gives the address to send its buyer to.
    ///
    /// # Errors
    /// A sentence for the log when there is no processor or it refuses.
    pub async fn start(&self, purchase: &Purchase) -> Result<String, String> {
        let Some(processor) = &self.processor else {
            return Err("no payment processor is configured".to_owned());
        };
        if purchase.processor != processor.name() {
            return Err(format!("the purchase is for the processor {}", purchase.processor));
        }
        let (reference, url) = match processor {
            Processor::Dev(dev) => dev.start(purchase),
        };
        self.opened(&purchase.id, &reference)
            .await
            .map_err(|error| error.to_string())?;
        Ok(url)
    }

    /// The development checkout, where it exists.
    #[must_use]
    pub fn dev(&self) -> Option<&dev::Dev> {
        match &self.processor {
            Some(Processor::Dev(dev)) => Some(dev),
            None => None,
        }
    }

    /// Takes one webhook: believes it only when signed, and does what it says at most once.
    ///
    /// # Errors
    /// 404 for a processor that is not configured, 400 for what is unsigned, forged, stale or unreadable, 422 when the
    /// payment does not fit our purchase, 503 when the store is down, so that the processor tries again.
    pub async fn webhook(&self, processor: &str, headers: &HeaderMap, body: &Bytes) -> Result<(), ApiError> {
        let known = self.processor.as_ref().is_some_and(|known| known.name() == processor);
        if !known {
            return Err(ApiError::new(
                ErrorType::NotFound,
                "No such payment processor is configured here.",
            ));
        }
        let header = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
        signature::verify(&self.secrets, header, body, clock::now().seconds()).map_err(|error| {
            tracing::warn!(webhook.processor = processor, error.cause = %error, "a webhook was refused");
            invalid(error.to_string())
        })?;
        let event: Event =
            serde_json::from_slice(body).map_err(|error| invalid(format!("unreadable event: {error}")))?;
        let mut tx = self.store.begin().await?;
        if webhooks::record(&mut tx, processor, &event.id, &event.kind, clock::now()).await? {
            apply(&mut tx, processor, &event).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn opened(&self, id: &PurchaseId, reference: &str) -> Result<(), store::StoreError> {
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
        }
    }
}

async fn apply(tx: &mut Tx, processor: &str, event: &Event) -> Result<(), ApiError> {
    let is_paid = match event.kind.as_str() {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => true,
        "checkout.session.expired" | "checkout.session.async_payment_failed" => false,
        _ => return Ok(()),
    };
    let session: Session = serde_json::from_value(event.data.object.clone())
        .map_err(|error| invalid(format!("unreadable checkout session: {error}")))?;
    let Some(purchase) = purchase_of(tx, processor, &session).await? else {
        tracing::warn!(webhook.event = %event.id, "a webhook names no purchase of ours");
        return Ok(());
    };
    if !is_paid {
        purchases::cancel(tx, &purchase.id, clock::now()).await?;
        return Ok(());
    }
    match session.payment_status.as_deref() {
        Some("paid") => credit(tx, &purchase, &session).await,
        // The money is still on its way; another event will say when it arrives.
        _ => Ok(()),
    }
}

async fn purchase_of(tx: &mut Tx, processor: &str, session: &Session) -> Result<Option<Purchase>, ApiError> {
    let Some(id) = session.client_reference_id.as_deref() else {
        return Ok(None);
    };
    let purchase = purchases::by_id(tx, &PurchaseId::stored(id)).await?;
    Ok(purchase.filter(|purchase| purchase.processor == processor))
}

/// Credits what was bought, if what was paid is just that.
async fn credit(tx: &mut Tx, purchase: &Purchase, session: &Session) -> Result<(), ApiError> {
    let fits = session.amount_total.is_some() && session.amount_total == purchase.amount.to_cents();
    if !fits || session.currency.as_deref() != Some(CURRENCY) {
        tracing::error!(purchase.id = %purchase.id, payment.cents = session.amount_total, "a payment does not fit its purchase");
        return Err(ApiError::new(
            ErrorType::Unprocessable,
            "The amount or currency paid is not that of the purchase.",
        ));
    }
    let transfer = TransferId::new(clock::random());
    match purchases::settle_paid(tx, &purchase.id, &session.id, transfer, clock::now())
        .await
        .map_err(refused)?
    {
        PaidOutcome::Credited(purchase) => {
            tracing::info!(purchase.id = %purchase.id, purchase.amount = %purchase.amount, "credits bought");
        }
        PaidOutcome::AlreadyPaid | PaidOutcome::NotFound => {}
    }
    Ok(())
}

fn refused(error: LedgerError) -> ApiError {
    match error {
        LedgerError::Store(error) => error.into(),
        other => ApiError::internal(&other),
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorType::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
