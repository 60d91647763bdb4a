//! Automatic top-ups: charges the saved method of whoever runs low.

use super::Checkout;
use super::converge::{PaymentState, PurchaseSeen, Seen, converge};
use super::reconcile::ReconcileError;
use super::stripe::{self, CallError, Stripe};
use crate::clock;
use domain::id::PurchaseId;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState};
use domain::time::Micros;
use store::topups::{self, PaymentMethod, Setting};
use store::users;

/// How long a card is left alone after its first failure; after each further one, that much longer.
const PATIENCE_US: i64 = 15 * Micros::MINUTE;
/// Accounts served in one run; the next run serves the rest.
const ACCOUNTS_MAX: i64 = 100;

impl Checkout {
    /// Tops up every account that wants it now. How many payments were tried.
    ///
    /// # Errors
    /// Of the store; or of the processor when it is not known whether it took a payment, which the reconciler finds out.
    pub async fn top_up(&self) -> Result<usize, ReconcileError> {
        let Some(stripe) = self.stripe() else { return Ok(0) };
        let mut tx = self.store.read().await?;
        let due = topups::due(&mut tx, clock::now(), ACCOUNTS_MAX).await?;
        drop(tx);
        let (mut tried, mut failure) = (0, Ok(()));
        for setting in due.iter().filter(|setting| may_try(setting, clock::now())) {
            let Some(method) = setting
                .method
                .as_ref()
                .filter(|method| method.processor == stripe::NAME)
            else {
                continue;
            };
            // One account's trouble must not keep credits from the others.
            match self.top_up_one(stripe, setting, method).await {
                Ok(was_tried) => tried += usize::from(was_tried),
                Err(error) => failure = Err(error),
            }
        }
        failure.map(|()| tried)
    }

    async fn top_up_one(
        &self,
        stripe: &Stripe,
        setting: &Setting,
        method: &PaymentMethod,
    ) -> Result<bool, ReconcileError> {
        let Some(purchase) = self.begin_top_up(setting).await? else {
            return Ok(false);
        };
        let seen = match stripe.charge(&purchase, method).await {
            Ok(seen) => seen,
            Err(CallError::Refused(reason)) => {
                tracing::warn!(purchase.id = %purchase.id, error.cause = reason, "a top-up was refused");
                declined(&purchase)
            }
            Err(other) => return Err(other.into()),
        };
        let mut tx = self.store.begin().await?;
        converge(&mut tx, &self.place, &Seen::Purchase(seen)).await?;
        tx.commit().await?;
        self.mail_queued.notify_one();
        Ok(true)
    }

    /// The purchase is stored before anybody is charged. `None` when another top-up of the account is under way.
    async fn begin_top_up(&self, setting: &Setting) -> Result<Option<Purchase>, ReconcileError> {
        let now = clock::now();
        let mut tx = self.store.begin().await?;
        let Some(user) = users::of_account(&mut tx, &setting.account).await? else {
            return Ok(None);
        };
        let purchase = Purchase {
            id: PurchaseId::new(clock::random()),
            account: setting.account.clone(),
            user: user.id,
            amount: setting.amount,
            fee: self.fee.of(setting.amount),
            kind: PurchaseKind::TopUp,
            state: PurchaseState::Created,
            processor: stripe::NAME.to_owned(),
            processor_ref: None,
            payment: None,
            refunded: NanoUsd::ZERO,
            created: now,
            updated: now,
        };
        if !topups::begin(&mut tx, &purchase).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(purchase))
    }
}

/// A card that was declined a moment ago is declined again; in an hour it may be covered.
fn may_try(setting: &Setting, now: Micros) -> bool {
    let failures = i64::try_from(setting.failures).unwrap_or(i64::MAX);
    setting.updated.plus(PATIENCE_US.saturating_mul(failures)) <= now
}

fn declined(purchase: &Purchase) -> PurchaseSeen {
    PurchaseSeen {
        kind: PurchaseKind::TopUp,
        reference: String::new(),
        purchase: Some(purchase.id.clone()),
        state: PaymentState::Failed,
        cents: None,
        currency: None,
        fits: true,
        payment: None,
        kept: None,
    }
}
