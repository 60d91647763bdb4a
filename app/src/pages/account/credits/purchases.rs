//! What was bought, given back and disputed.

use crate::components::badge::{Badge, Tone};
use crate::components::price::cents;
use crate::components::table::{Listing, Row, cells, number, words};
use crate::components::time::At;
use crate::fail::Fail;
use crate::query::Query;
use domain::id::{AccountId, PurchaseId};
use domain::ledger::TransferKind;
use domain::money::NanoUsd;
use domain::purchase::{DisputeStatus, Purchase, PurchaseKind, PurchaseState, Refund, RefundState};
use leptos::prelude::*;
use std::collections::HashMap;
use store::Tx;
use store::disputes::Dispute;
use store::ledger::HistoryLine;

const ROWS_MAX: i64 = 100;

pub(super) struct Purchases {
    pub(super) purchases: Vec<Purchase>,
    pub(super) refunds: Vec<Refund>,
    pub(super) disputes: Vec<Dispute>,
    /// Of those that were paid.
    refundable: HashMap<PurchaseId, NanoUsd>,
    others: Vec<HistoryLine>,
}

impl Purchases {
    pub(super) async fn load(tx: &mut Tx, account: &AccountId) -> Result<Self, Fail> {
        let purchases = store::purchases::list(tx, account, ROWS_MAX).await?;
        let mut refundable = HashMap::new();
        for purchase in purchases
            .iter()
            .filter(|purchase| purchase.state == PurchaseState::Paid)
        {
            refundable.insert(purchase.id.clone(), store::refunds::refundable(tx, &purchase.id).await?);
        }
        let history = store::ledger::history(tx, account, ROWS_MAX).await?;
        Ok(Self {
            purchases,
            refunds: store::refunds::list(tx, account, ROWS_MAX).await?,
            disputes: store::disputes::list(tx, account).await?,
            refundable,
            others: history
                .into_iter()
                .filter(|line| line.kind != TransferKind::Purchase)
                .collect(),
        })
    }

    /// How the purchase went that the buyer comes back from.
    pub(super) fn outcome(&self, query: &Query) -> Option<impl IntoView + use<>> {
        let wanted = query.get("purchase");
        let purchase = self.purchases.iter().find(|purchase| purchase.id.as_str() == wanted)?;
        let amount = purchase.amount;
        let (class, text) = match purchase.state {
            PurchaseState::Paid => ("notice", format!("Thank you. {amount} is in your balance.")),
            PurchaseState::Pending => (
                "notice warn",
                format!(
                    "The payment is on its way. {amount} is in your balance as soon as it arrives; that can take some days."
                ),
            ),
            PurchaseState::Cancelled => (
                "notice warn",
                "The checkout was closed and nothing was charged.".to_owned(),
            ),
            PurchaseState::Failed => ("notice bad", "The payment failed, and nothing was charged.".to_owned()),
            _ if !query.get("left").is_empty() => (
                "notice warn",
                "You left the checkout, and nothing was charged.".to_owned(),
            ),
            _ => (
                "notice warn",
                "The payment is not confirmed yet. Reload this page in a moment.".to_owned(),
            ),
        };
        Some(view! {
            <div class=class role="status" data-testid="purchase-outcome">
                <p>{text}</p>
            </div>
        })
    }

    /// The newest automatic top-up that failed.
    pub(super) fn last_failed_top_up(&self) -> Option<&Purchase> {
        let mut top_ups = self
            .purchases
            .iter()
            .filter(|purchase| purchase.kind == PurchaseKind::TopUp);
        top_ups.find(|purchase| purchase.state == PurchaseState::Failed)
    }

    pub(super) fn view(self) -> impl IntoView {
        let rows: Vec<_> = self.purchases.iter().map(|purchase| self.row(purchase)).collect();
        let refunds: Vec<_> = self.refunds.iter().map(refund_row).collect();
        let disputes: Vec<_> = self.disputes.iter().map(dispute_row).collect();
        let others: Vec<_> = self.others.iter().map(other_row).collect();
        view! {
            <Listing
                title="Purchases"
                columns=[
                    words("Time (UTC)"),
                    number("Credits"),
                    number("Fee"),
                    number("Paid"),
                    number("Refundable"),
                    words("State"),
                    words("Receipt"),
                ]
                rows
                empty="Nothing was bought yet. The smallest purchase pays for millions of tokens of a small model."
            />
            {(!refunds.is_empty())
                .then(|| {
                    view! {
                        <Listing
                            title="Refunds"
                            columns=[words("Time (UTC)"), number("Amount"), words("State"), words("Purchase")]
                            rows=refunds
                            empty=""
                        />
                    }
                })}
            {(!disputes.is_empty())
                .then(|| {
                    view! {
                        <Listing
                            title="Disputes"
                            columns=[words("Since (UTC)"), number("Amount"), words("State"), words("Purchase")]
                            rows=disputes
                            empty=""
                        />
                    }
                })}
            {(!others.is_empty())
                .then(|| {
                    view! {
                        <Listing
                            title="Other movements"
                            columns=[words("Time (UTC)"), words("What"), number("Amount")]
                            rows=others
                            empty=""
                        />
                    }
                })}
        }
    }

    fn row(&self, purchase: &Purchase) -> Row {
        let was_paid = purchase.state == PurchaseState::Paid;
        let if_paid = |text: String| if was_paid { text } else { "–".to_owned() };
        let refundable = self.refundable.get(&purchase.id).copied().unwrap_or_default();
        let receipt = format!("/account/credits/receipts/{}", purchase.id);
        let refund = refundable
            .is_positive()
            .then(|| view! { <a href=format!("{receipt}#refund") data-testid="refund-link">"Refund"</a> });
        let links = was_paid.then(|| {
            view! { <span class="row"><a href=receipt.clone() data-testid="receipt-link">"Receipt"</a> {refund}</span> }
        });
        Row {
            testid: "purchase-row",
            id: purchase.id.as_str().to_owned(),
            cells: cells![
                view! { <At time=purchase.created/> },
                purchase.amount.to_dollars(),
                purchase.fee.to_dollars(),
                if_paid(purchase.price().to_dollars()),
                if_paid(cents(refundable)),
                self.state(purchase),
                links,
            ],
        }
    }

    fn state(&self, purchase: &Purchase) -> impl IntoView + use<> {
        let is_disputed = self.disputes.iter().any(|dispute| dispute.purchase == purchase.id);
        let is_automatic = purchase.kind == PurchaseKind::TopUp;
        view! {
            <span class="badges">
                {purchase_badges(purchase)}
                {is_automatic.then(|| view! { <Badge text="automatic"/> })}
                {is_disputed.then(|| view! { <Badge text="disputed" tone=Tone::Bad/> })}
            </span>
        }
    }
}

/// Its state, and what of it went back.
pub(in crate::pages) fn purchase_badges(purchase: &Purchase) -> impl IntoView + use<> {
    let tone = match purchase.state {
        PurchaseState::Paid => Tone::Good,
        PurchaseState::Failed => Tone::Bad,
        PurchaseState::Cancelled => Tone::Plain,
        _ => Tone::Warn,
    };
    let refunded = purchase.refunded;
    view! {
        <Badge text=purchase.state.name() tone/>
        {refunded.is_positive().then(|| view! { <Badge text=format!("{refunded} refunded") tone=Tone::Warn/> })}
    }
}

/// Whether the bank has not decided yet.
pub(in crate::pages) const fn is_open(status: DisputeStatus) -> bool {
    matches!(
        status,
        DisputeStatus::Warning | DisputeStatus::NeedsResponse | DisputeStatus::UnderReview
    )
}

pub(in crate::pages) fn refund_badge(state: RefundState) -> impl IntoView {
    let (text, tone) = match state {
        RefundState::Requested => ("asked for", Tone::Warn),
        RefundState::Sent => ("on its way", Tone::Warn),
        RefundState::Succeeded => ("paid back", Tone::Good),
        RefundState::Failed => ("failed, credits are back", Tone::Bad),
    };
    view! { <Badge text tone/> }
}

pub(in crate::pages) fn dispute_badge(status: DisputeStatus) -> impl IntoView {
    let (text, tone) = match status {
        DisputeStatus::Warning => ("inquiry", Tone::Warn),
        DisputeStatus::NeedsResponse => ("open", Tone::Bad),
        DisputeStatus::UnderReview => ("with the bank", Tone::Warn),
        DisputeStatus::WarningClosed => ("inquiry closed", Tone::Plain),
        DisputeStatus::Lost => ("lost", Tone::Bad),
        DisputeStatus::Won => ("won, credits are back", Tone::Good),
    };
    view! { <Badge text tone/> }
}

fn refund_row(refund: &Refund) -> Row {
    Row {
        testid: "refund-row",
        id: refund.id.as_str().to_owned(),
        cells: cells![
            view! { <At time=refund.created/> },
            refund.amount.to_dollars(),
            refund_badge(refund.state),
            receipt_link(&refund.purchase),
        ],
    }
}

fn dispute_row(dispute: &Dispute) -> Row {
    Row {
        testid: "dispute-row",
        id: dispute.reference.clone(),
        cells: cells![
            view! { <At time=dispute.created/> },
            dispute.amount.to_dollars(),
            dispute_badge(dispute.status),
            receipt_link(&dispute.purchase),
        ],
    }
}

fn receipt_link(purchase: &PurchaseId) -> impl IntoView + use<> {
    let short = purchase.as_str().get(..12).unwrap_or_default().to_owned();
    view! { <a href=format!("/account/credits/receipts/{purchase}")><code class="tiny">{short}"…"</code></a> }
}

fn other_row(line: &HistoryLine) -> Row {
    let what = match line.kind {
        TransferKind::Grant => "Given",
        TransferKind::Freeze if line.refund.is_some() => "Refunded",
        TransferKind::Freeze => "Frozen",
        TransferKind::Release => "Released",
        TransferKind::Expiry => "Ended",
        TransferKind::WriteOff => "Debt forgiven",
        _ => "Corrected",
    };
    Row {
        testid: "movement-row",
        id: line.transfer.as_str().to_owned(),
        cells: cells![view! { <At time=line.created/> }, what, line.amount.to_dollars()],
    }
}
