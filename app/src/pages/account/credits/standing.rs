//! The balance, what it is made of, and why some of it cannot be spent.

use super::purchases::{Purchases, is_open};
use crate::components::price::cents;
use crate::components::time::At;
use crate::fail::Fail;
use domain::id::AccountId;
use domain::lot::{Lot, LotKind};
use domain::money::NanoUsd;
use domain::purchase::RefundState;
use leptos::prelude::*;
use store::Tx;
use store::disputes::Dispute;
use store::fraud_warnings::Warning;
use store::ledger::Credits;

pub(super) struct Standing {
    credits: Credits,
    /// Refunds on their way, each with its amount.
    returning: Vec<NanoUsd>,
    disputes: Vec<Dispute>,
    warnings: Vec<Warning>,
}

impl Standing {
    pub(super) async fn load(tx: &mut Tx, account: &AccountId, purchases: &Purchases) -> Result<Self, Fail> {
        let is_on_its_way = |state| matches!(state, RefundState::Requested | RefundState::Sent);
        let returning = purchases.refunds.iter().filter(|refund| is_on_its_way(refund.state));
        let disputes = purchases.disputes.iter().filter(|dispute| is_open(dispute.status));
        Ok(Self {
            credits: store::ledger::credits(tx, account).await?,
            returning: returning.map(|refund| refund.amount).collect(),
            disputes: disputes.cloned().collect(),
            warnings: store::fraud_warnings::held(tx, account).await?,
        })
    }

    pub(super) fn view(&self, lots: &[Lot]) -> impl IntoView + use<> {
        let balance = self.credits.available.saturating_add(self.credits.in_escrow);
        let promotional = lots.iter().filter(|lot| lot.kind == LotKind::Promotional);
        let promotional: NanoUsd = promotional.map(|lot| lot.remaining).sum();
        let is_frozen = self.credits.frozen != NanoUsd::ZERO;
        let figures: Vec<_> = [
            ("Balance", "balance", balance, true),
            ("Spendable now", "spendable", self.credits.available, true),
            (
                "Set aside for running requests",
                "in-escrow",
                self.credits.in_escrow,
                true,
            ),
            ("Frozen", "frozen", self.credits.frozen, is_frozen),
            (
                "Of it promotional",
                "promotional",
                promotional,
                promotional.is_positive(),
            ),
        ]
        .into_iter()
        .filter(|(.., is_shown)| *is_shown)
        .map(|(name, testid, amount, _)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd data-testid=testid title=amount.to_dollars()>{cents(amount)}</dd>
                </div>
            }
        })
        .collect();
        view! {
            {balance.is_negative().then(below_zero)}
            <dl class="figures many">
                {figures}
                <div>
                    <dt>"Used so far"</dt>
                    <dd data-testid="used">{self.credits.used.to_dollars()}</dd>
                </div>
            </dl>
            {self.reasons()}
        }
    }

    /// Why credits cannot be spent, a sentence for each reason.
    fn reasons(&self) -> impl IntoView + use<> {
        let disputes = self.disputes.iter().map(|dispute| {
            let amount = dispute.amount.to_dollars();
            view! {
                <li>
                    {amount} ": the bank of the card disputes a payment (since " <At time=dispute.created/>
                    "). The bank decides; when it ends well, the credits come back."
                </li>
            }
            .into_any()
        });
        let warnings = self.warnings.iter().map(|warning| {
            let amount = warning.held.to_dollars();
            view! { <li>{amount} ": the bank of the card warned that a payment may not be yours. Write to us to have it released."</li> }
                .into_any()
        });
        let refunds = self.returning.iter().map(|amount| {
            let amount = amount.to_dollars();
            view! { <li>{amount} ": on its way back to you as a refund."</li> }.into_any()
        });
        let items: Vec<_> = disputes.chain(warnings).chain(refunds).collect();
        (!items.is_empty()).then(|| {
            view! {
                <div class="notice warn" data-testid="frozen-reasons">
                    <p><strong>"Frozen credits cannot be spent for now"</strong></p>
                    <ul class="bullets small">{items}</ul>
                </div>
            }
        })
    }
}

fn below_zero() -> impl IntoView {
    view! {
        <div class="notice bad" role="status" data-testid="below-zero">
            <p>"The balance is below zero, so requests are refused. The next credits you buy settle the rest first."</p>
        </div>
    }
}
