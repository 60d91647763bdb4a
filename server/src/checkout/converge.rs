//! Brings the store to what the processor says is so now. Nothing here depends on which event told of it, on their order,
//! or on how often they came.

use crate::clock;
use crate::error::ApiError;
use domain::error_type::ErrorType;
use domain::id::{MailId, PurchaseId, TransferId};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseKind};
use store::disputes::{self, DisputeSeen};
use store::fraud_warnings::{self, WarningSeen};
use store::ledger::LedgerError;
use store::outbox::{self, Mail};
use store::purchases::{self, Paid, PaidOutcome};
use store::refunds::{self, RefundSeen};
use store::topups::{self, PaymentMethod};
use store::{StoreError, Tx, users};

/// An object of the processor as it is now.
#[derive(Clone, Debug)]
pub enum Seen {
    Purchase(PurchaseSeen),
    Refund(RefundSeen),
    Dispute(DisputeSeen),
    FraudWarning(WarningSeen),
}

/// A checkout, or a payment by a saved method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseSeen {
    pub kind: PurchaseKind,
    /// The processor's name for the checkout, or for the payment where there is no checkout.
    pub reference: String,
    /// The purchase of ours that the object names.
    pub purchase: Option<PurchaseId>,
    pub state: PaymentState,
    pub cents: Option<i64>,
    pub currency: Option<String>,
    /// Whether it is what we sell and in the mode we are in: one payment, with or without real money.
    pub fits: bool,
    pub payment: Option<String>,
    /// The method that the buyer wanted to keep.
    pub kept: Option<PaymentMethod>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Nothing was tried yet.
    Open,
    /// The buyer is done, the money is on its way.
    Pending,
    Paid,
    /// Tried in vain.
    Failed,
    /// Closed without a try.
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum ConvergeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was paid is not what was bought. Somebody has to look at it.
    #[error("a payment does not fit its purchase: {0}")]
    Misfit(String),
}

/// Whose objects are looked at, and what mails say.
#[derive(Clone, Debug)]
pub struct Place {
    pub processor: &'static str,
    pub base_url: String,
}

pub const CURRENCY: &str = "usd";
/// Automatic top-ups end after so many failures in a row.
pub const FAILURES_MAX: u64 = 3;

/// Does what is missing. Whatever is there already stays as it is.
///
/// # Errors
/// [`ConvergeError::Misfit`] changes nothing; others want the whole transaction to be dropped and tried again.
pub async fn converge(tx: &mut Tx, place: &Place, seen: &Seen) -> Result<(), ConvergeError> {
    let (now, mut ids) = (clock::now(), || TransferId::new(clock::random()));
    match seen {
        Seen::Purchase(seen) => return purchase(tx, place, seen).await,
        Seen::Refund(seen) => {
            refunds::converge(tx, seen, &mut ids, now).await?;
        }
        Seen::Dispute(seen) => {
            disputes::converge(tx, seen, &mut ids, now).await?;
        }
        Seen::FraudWarning(seen) => {
            fraud_warnings::converge(tx, seen, &mut ids, now).await?;
        }
    }
    Ok(())
}

async fn purchase(tx: &mut Tx, place: &Place, seen: &PurchaseSeen) -> Result<(), ConvergeError> {
    let Some(purchase) = ours(tx, place, seen).await? else {
        tracing::debug!(
            payment.reference = seen.reference,
            "a payment names no purchase of ours"
        );
        return Ok(());
    };
    let (now, payment) = (clock::now(), seen.payment.as_deref());
    match seen.state {
        PaymentState::Open => {
            purchases::open(tx, &purchase.id, &seen.reference, now).await?;
        }
        PaymentState::Pending => {
            purchases::pending(tx, &purchase.id, &seen.reference, payment, now).await?;
        }
        PaymentState::Closed => {
            purchases::cancel(tx, &purchase.id, now).await?;
        }
        PaymentState::Failed => failed(tx, place, &purchase).await?,
        PaymentState::Paid => paid(tx, &purchase, seen).await?,
    }
    Ok(())
}

async fn ours(tx: &mut Tx, place: &Place, seen: &PurchaseSeen) -> Result<Option<Purchase>, StoreError> {
    let Some(id) = &seen.purchase else { return Ok(None) };
    let found = purchases::by_id(tx, id).await?;
    Ok(found.filter(|purchase| purchase.processor == place.processor && purchase.kind == seen.kind))
}

/// Credits what was bought, if what was paid is just that.
async fn paid(tx: &mut Tx, purchase: &Purchase, seen: &PurchaseSeen) -> Result<(), ConvergeError> {
    let price = purchase.price().to_cents();
    let fits = seen.fits && seen.cents.is_some() && seen.cents == price && seen.currency.as_deref() == Some(CURRENCY);
    if !fits {
        let (paid, currency) = (seen.cents, seen.currency.as_deref().unwrap_or("no currency"));
        let misfit = format!(
            "{} costs {price:?} cents, {paid:?} of {currency} were paid",
            purchase.id
        );
        tracing::error!(purchase.id = %purchase.id, payment.cents = seen.cents, "a payment does not fit its purchase");
        return Err(ConvergeError::Misfit(misfit));
    }
    let money = Paid {
        reference: &seen.reference,
        payment: seen.payment.as_deref(),
    };
    let mut ids = || TransferId::new(clock::random());
    let outcome = purchases::settle_paid(tx, &purchase.id, &money, &mut ids, clock::now()).await?;
    if matches!(outcome, PaidOutcome::Credited(_)) {
        tracing::info!(purchase.id = %purchase.id, purchase.amount = %purchase.amount, "credits bought");
        if let Some(method) = &seen.kept {
            topups::save_method(tx, &purchase.account, method, clock::now()).await?;
        }
    }
    Ok(())
}

/// A payment that failed counts once, however often it is told.
async fn failed(tx: &mut Tx, place: &Place, purchase: &Purchase) -> Result<(), ConvergeError> {
    let now = clock::now();
    if !purchases::fail(tx, &purchase.id, now).await? || purchase.kind != PurchaseKind::TopUp {
        return Ok(());
    }
    let counted = topups::failed(tx, &purchase.account, FAILURES_MAX, now).await?;
    tracing::warn!(purchase.id = %purchase.id, failures = counted.failures, "an automatic top-up failed");
    if counted.disabled {
        tell_of_end(tx, place, purchase).await?;
    }
    Ok(())
}

async fn tell_of_end(tx: &mut Tx, place: &Place, purchase: &Purchase) -> Result<(), StoreError> {
    let Some(user) = users::by_id(tx, &purchase.user).await? else {
        return Ok(());
    };
    let mail = Mail {
        id: MailId::new(clock::random()),
        to: user.email,
        subject: "Automatic top-ups are switched off".to_owned(),
        body: end_of_top_ups(purchase.price(), &place.base_url),
        created: clock::now(),
        sent: None,
        attempts: 0,
    };
    outbox::enqueue(tx, &mail).await
}

fn end_of_top_ups(price: NanoUsd, base_url: &str) -> String {
    format!(
        "Your saved payment method could not be charged {price}, {FAILURES_MAX} times in a row, so automatic top-ups are \
         switched off. Nothing was charged.\n\n\
         Requests go on until your credits are used up. To buy credits, or to save another payment method:\n\
         {base_url}/account/credits\n"
    )
}

impl From<ConvergeError> for ApiError {
    fn from(error: ConvergeError) -> Self {
        match error {
            ConvergeError::Store(error) | ConvergeError::Ledger(LedgerError::Store(error)) => error.into(),
            ConvergeError::Ledger(other) => Self::internal(&other),
            ConvergeError::Misfit(_) => Self::new(
                ErrorType::Unprocessable,
                "The amount or currency paid is not that of the purchase.",
            ),
        }
    }
}
