//! Giving unused credits back.

use crate::attempts::Action;
use crate::fail::Fail;
use crate::site::{Site, answer, client_ip, parts, site};
use domain::id::{PurchaseId, RefundId, TransferId};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, Refund, RefundState};
use leptos::prelude::*;
use store::refunds::RequestOutcome;

/// Freezes the credits and asks the processor to send the money back; the fee stays paid.
#[server(endpoint = "refund")]
pub async fn request_refund(
    purchase: String,
    amount: String,
    #[server(default)] confirmed: String,
) -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        if !site.allow(Action::Checkout, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let id = PurchaseId::stored(purchase);
        let found = store::purchases::by_id(&mut site.store.read().await?, &id).await?;
        let purchase = found
            .filter(|purchase| purchase.account == user.account)
            .ok_or(Fail::NotFound)?;
        if confirmed.is_empty() {
            return Err(Fail::NotConfirmed);
        }
        send(&site, &purchase, &amount, true).await?;
        leptos_axum::redirect("/account/credits?done=refunded");
        Ok(())
    })
    .await
}

/// Takes `amount`, as typed, of what `purchase` bought back to the buyer. Once the credits are frozen the refund is on
/// its way, even if the processor does not answer now: it is asked again until it does.
pub(in crate::pages) async fn send(
    site: &Site,
    purchase: &Purchase,
    amount: &str,
    by_customer: bool,
) -> Result<(), Fail> {
    let now = (site.now)();
    let refund = Refund {
        id: RefundId::new(site.bytes()),
        purchase: purchase.id.clone(),
        account: purchase.account.clone(),
        amount: parse_amount(amount)?,
        state: RefundState::Requested,
        processor_ref: None,
        by_customer,
        created: now,
        updated: now,
    };
    (site.settled)().await;
    let mut tx = site.store.begin().await?;
    let mut ids = || TransferId::new(site.bytes());
    match store::refunds::request(&mut tx, &refund, &mut ids, now).await? {
        RequestOutcome::Requested => tx.commit().await?,
        RequestOutcome::TooMuch { .. } => return Err(Fail::RefundTooMuch),
        RequestOutcome::NotPaid => return Err(Fail::RefundNotPaid),
        RequestOutcome::NotFound => return Err(Fail::NotFound),
    }
    if let Err(error) = (site.refund)(&refund).await {
        tracing::error!(refund = %refund.id, error, "a refund waits, since the processor does not take it now");
    }
    Ok(())
}

/// Any amount of whole cents above zero.
fn parse_amount(text: &str) -> Result<NanoUsd, Fail> {
    let amount = NanoUsd::parse_usd(text.trim()).map_err(|_| Fail::AmountNotANumber)?;
    match amount.to_cents() {
        Some(cents) if cents > 0 => Ok(amount),
        Some(_) => Err(Fail::AmountNotANumber),
        None => Err(Fail::AmountNotCents),
    }
}
