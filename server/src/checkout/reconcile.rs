//! Asks the processor for what its webhooks did not tell: runs at start and every minute.

use super::Checkout;
use super::converge::{ConvergeError, PaymentState, PurchaseSeen, Seen, converge};
use super::hint::Hint;
use super::stripe::{CallError, Stripe, Told};
use crate::clock;
use domain::id::TransferId;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState, Refund};
use domain::time::Micros;
use std::collections::BTreeSet;
use store::{StoreError, checkpoints, purchases, refunds, webhooks};

/// What a run found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Events that no webhook had brought.
    pub events: usize,
    /// Purchases that were looked up because nothing had ended them.
    pub purchases: usize,
    /// Refunds sent again.
    pub refunds: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Converge(#[from] ConvergeError),
}

const CHECKPOINT: &str = "stripe:events";
/// Events are listed by their time, in seconds, and can appear late: each run looks back so far beyond the last one.
const OVERLAP_SECS: i64 = 10 * 60;
/// How far back the first run looks: for so long the processor repeats its webhooks.
const FIRST_SECS: i64 = 3 * 24 * 60 * 60;
/// For so long the processor keeps its events.
const KEPT_SECS: i64 = 30 * 24 * 60 * 60;
/// After a long pause events are listed in steps, so that each step is kept when the next one fails.
const STEP_SECS: i64 = 6 * 60 * 60;
/// When a purchase without a word from the processor is looked up.
const UNFINISHED_US: i64 = 5 * Micros::MINUTE;
/// When a checkout that nobody has paid is looked up. Events tell of its end; this is for those that were missed for good.
const ABANDONED_US: i64 = 25 * 60 * Micros::MINUTE;
/// A checkout of which the processor knows nothing after so long was never made.
const UNKNOWN_US: i64 = 30 * Micros::MINUTE;
const UNSENT_US: i64 = Micros::MINUTE;
const ROWS_MAX: i64 = 200;

impl Checkout {
    /// Does what events since the last run ask for, ends purchases that hang, and sends refunds that were not sent.
    ///
    /// # Errors
    /// Of the processor or the store; the next run begins where this one ended.
    pub async fn reconcile(&self) -> Result<Repaired, ReconcileError> {
        let Some(stripe) = self.stripe() else {
            return Ok(Repaired::default());
        };
        // One part's trouble must not hold up the others.
        let events = self.missed_events(stripe).await;
        let purchases = self.unfinished(stripe).await;
        let refunds = self.unsent(stripe).await;
        Ok(Repaired {
            events: events?,
            purchases: purchases?,
            refunds: refunds?,
        })
    }

    async fn missed_events(&self, stripe: &Stripe) -> Result<usize, ReconcileError> {
        let now = clock::now().seconds();
        let mut tx = self.store.read().await?;
        let kept = checkpoints::get(&mut tx, CHECKPOINT).await?;
        drop(tx);
        let kept = kept.and_then(|text| text.parse::<i64>().ok());
        let mut from = kept.map_or(now - FIRST_SECS, |kept| (kept - OVERLAP_SECS).max(now - KEPT_SECS));
        let (mut taken, mut unreadable) = (0, None);
        while from < now {
            // The latest second is not over yet; the overlap covers it.
            let to = now.min(from + STEP_SECS);
            let told = stripe.events(from, to).await?;
            taken += self.take_all(stripe, told, &mut unreadable).await?;
            if unreadable.is_none() {
                let mut tx = self.store.begin().await?;
                checkpoints::set(&mut tx, CHECKPOINT, &to.to_string(), clock::now()).await?;
                tx.commit().await?;
            }
            from = to;
        }
        unreadable.map_or(Ok(taken), |error: CallError| Err(error.into()))
    }

    /// Looks at each object once, however many events name it. What cannot be read is left for the next run.
    async fn take_all(
        &self,
        stripe: &Stripe,
        told: Vec<Told>,
        unreadable: &mut Option<CallError>,
    ) -> Result<usize, ReconcileError> {
        let mut fresh = Vec::new();
        let mut tx = self.store.read().await?;
        for event in told {
            if !webhooks::is_recorded(&mut tx, super::stripe::NAME, &event.id).await? {
                fresh.push(event);
            }
        }
        drop(tx);
        let hints: BTreeSet<&Hint> = fresh.iter().map(|event| &event.hint).collect();
        for hint in hints {
            let seen = match stripe.look(hint).await {
                Err(error @ CallError::Unreadable(_)) => {
                    *unreadable = Some(error);
                    continue;
                }
                other => other?,
            };
            let mut tx = self.store.begin().await?;
            if !self.fits(&mut tx, &seen).await? {
                continue;
            }
            for event in fresh.iter().filter(|event| event.hint == *hint) {
                webhooks::record(&mut tx, super::stripe::NAME, &event.id, &event.kind, clock::now()).await?;
            }
            tx.commit().await?;
        }
        if !fresh.is_empty() {
            tracing::info!(
                payment.events = fresh.len(),
                "events that no webhook had brought were taken"
            );
        }
        Ok(fresh.len())
    }

    /// Converges. False for what does not fit its purchase: that is for people, and must not hold up the rest.
    async fn fits(&self, tx: &mut store::Tx, seen: &[Seen]) -> Result<bool, ConvergeError> {
        for seen in seen {
            match converge(tx, &self.place, seen).await {
                Err(ConvergeError::Misfit(_)) => return Ok(false),
                other => other?,
            }
        }
        Ok(true)
    }

    async fn unfinished(&self, stripe: &Stripe) -> Result<usize, ReconcileError> {
        let now = clock::now();
        let mut tx = self.store.read().await?;
        let hanging = purchases::unfinished(&mut tx, super::stripe::NAME, now.plus(-UNFINISHED_US), ROWS_MAX).await?;
        drop(tx);
        let mut looked_up = 0;
        for purchase in hanging.iter().filter(|purchase| is_worth_a_look(purchase, now)) {
            let found = match self.look_up(stripe, purchase).await {
                Err(ReconcileError::Call(error @ CallError::Unreadable(_))) => {
                    tracing::error!(purchase.id = %purchase.id, error.cause = %error, "a purchase cannot be looked up");
                    continue;
                }
                other => other?,
            };
            let seen = match found {
                Some(seen) => seen,
                None if purchase.created < now.plus(-UNKNOWN_US) || purchase.kind == PurchaseKind::TopUp => {
                    never_made(purchase)
                }
                None => continue,
            };
            let mut tx = self.store.begin().await?;
            if self.fits(&mut tx, &[Seen::Purchase(seen)]).await? {
                tx.commit().await?;
            }
            looked_up += 1;
        }
        Ok(looked_up)
    }

    /// Looks a purchase up and stores what was found.
    pub(super) async fn check_at(&self, stripe: &Stripe, purchase: &Purchase) -> Result<(), ReconcileError> {
        if let Some(seen) = self.look_up(stripe, purchase).await? {
            let mut tx = self.store.begin().await?;
            converge(&mut tx, &self.place, &Seen::Purchase(seen)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn look_up(&self, stripe: &Stripe, purchase: &Purchase) -> Result<Option<PurchaseSeen>, ReconcileError> {
        let known = purchase.payment.as_ref().or(purchase.processor_ref.as_ref());
        let seen = match (purchase.kind, known, &purchase.processor_ref) {
            (PurchaseKind::Checkout, _, Some(checkout)) => stripe.checkout(checkout).await?,
            (PurchaseKind::Checkout, _, None) => stripe.find_checkout(purchase).await?,
            (PurchaseKind::TopUp, Some(payment), _) => stripe.payment(payment).await?,
            (PurchaseKind::TopUp, None, _) => stripe.find_payment(purchase).await?,
        };
        Ok(seen)
    }

    async fn unsent(&self, stripe: &Stripe) -> Result<usize, ReconcileError> {
        let mut tx = self.store.read().await?;
        let unsent = refunds::unsent(&mut tx, clock::now().plus(-UNSENT_US), ROWS_MAX).await?;
        drop(tx);
        for refund in &unsent {
            match self.send_refund(stripe, refund).await {
                Err(ReconcileError::Call(error @ CallError::Unreadable(_))) => {
                    tracing::error!(refund.id = %refund.id, error.cause = %error, "a refund cannot be sent");
                }
                other => other?,
            }
        }
        Ok(unsent.len())
    }

    /// Sends a refund, unless the processor has it already: it forgets idempotency keys after a day.
    pub(super) async fn send_refund(&self, stripe: &Stripe, refund: &Refund) -> Result<(), ReconcileError> {
        let mut tx = self.store.read().await?;
        let purchase = purchases::by_id(&mut tx, &refund.purchase).await?;
        drop(tx);
        let payment = purchase.and_then(|purchase| purchase.payment);
        let sent = match payment {
            Some(payment) => match stripe.find_refund(&payment, refund).await? {
                Some(seen) => Ok(seen),
                None => stripe.refund(&payment, refund).await,
            },
            None => Err(CallError::Refused("the purchase names no payment".to_owned())),
        };
        let mut tx = self.store.begin().await?;
        match sent {
            Ok(seen) => converge(&mut tx, &self.place, &Seen::Refund(seen)).await?,
            Err(CallError::Refused(reason)) => {
                tracing::warn!(refund.id = %refund.id, error.cause = reason, "the processor refused a refund");
                let mut ids = || TransferId::new(clock::random());
                refunds::refused(&mut tx, &refund.id, &mut ids, clock::now())
                    .await
                    .map_err(ConvergeError::from)?;
            }
            Err(other) => return Err(other.into()),
        }
        Ok(tx.commit().await?)
    }
}

fn is_worth_a_look(purchase: &Purchase, now: Micros) -> bool {
    let waits_for_events = purchase.kind == PurchaseKind::Checkout && purchase.processor_ref.is_some();
    let is_pending = purchase.state == PurchaseState::Pending;
    !waits_for_events || is_pending || purchase.created < now.plus(-ABANDONED_US)
}

fn never_made(purchase: &Purchase) -> PurchaseSeen {
    PurchaseSeen {
        kind: purchase.kind,
        reference: String::new(),
        purchase: Some(purchase.id.clone()),
        state: match purchase.kind {
            PurchaseKind::Checkout => PaymentState::Closed,
            PurchaseKind::TopUp => PaymentState::Failed,
        },
        cents: None,
        currency: None,
        fits: true,
        payment: None,
        kept: None,
    }
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Converge(error.into())
    }
}
