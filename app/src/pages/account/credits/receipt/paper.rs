//! The receipt itself, and the form that asks for a refund.

use super::super::refund::RequestRefund;
use crate::components::fault::Notices;
use crate::components::price::whole_cents;
use crate::components::refund_form::RefundForm;
use crate::components::rendered::Markup;
use crate::components::time::At;
use crate::fail::Fail;
use crate::query::Query;
use crate::site::Site;
use domain::id::PurchaseId;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState, Refund, RefundState};
use domain::time::Micros;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::Tx;
use store::users::User;

const ROWS_MAX: i64 = 1_000;

pub(super) async fn render(site: &Site, user: &User, id: String, query: &Query) -> Result<Markup, Fail> {
    let mut tx = site.store.read().await?;
    let found = store::purchases::by_id(&mut tx, &PurchaseId::stored(id)).await?;
    let purchase = found
        .filter(|purchase| purchase.account == user.account && purchase.state == PurchaseState::Paid)
        .ok_or(Fail::NotFound)?;
    let paid_at = paid_at(&mut tx, &purchase).await?;
    let is_shown = |refund: &Refund| refund.purchase == purchase.id && refund.state != RefundState::Failed;
    let mut refunds = store::refunds::list(&mut tx, &user.account, ROWS_MAX).await?;
    refunds.retain(is_shown);
    let refundable = store::refunds::refundable(&mut tx, &purchase.id).await?;
    drop(tx);
    Ok(Markup::of(view! {
        <Notices fail=query.fail() done=None/>
        {receipt(site, user, &purchase, paid_at, &refunds)}
        {give_back(&purchase, refundable)}
    }))
}

/// When the ledger credited it.
async fn paid_at(tx: &mut Tx, purchase: &Purchase) -> Result<Micros, Fail> {
    let history = store::ledger::history(tx, &purchase.account, ROWS_MAX).await?;
    let line = history.iter().find(|line| line.purchase.as_ref() == Some(&purchase.id));
    Ok(line.map_or(purchase.updated, |line| line.created))
}

fn receipt(
    site: &Site,
    user: &User,
    purchase: &Purchase,
    paid_at: Micros,
    refunds: &[Refund],
) -> impl IntoView + use<> {
    let returned: NanoUsd = refunds.iter().map(|refund| refund.amount).sum();
    let refunds: Vec<_> = refunds.iter().map(refund_line).collect();
    let kept = purchase.price().saturating_sub(returned);
    view! {
        <article class="card receipt stack-l" data-testid="receipt">
            {head(site, user, purchase, paid_at)}
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"For"</th>
                        <th scope="col" class="number">"US dollars"</th>
                    </tr>
                </thead>
                <tbody>
                    <tr>
                        <th scope="row">"Credits"</th>
                        <td class="number">{purchase.amount.to_dollars()}</td>
                    </tr>
                    <tr>
                        <th scope="row">"Fee for taking the payment"</th>
                        <td class="number" data-testid="receipt-fee">{purchase.fee.to_dollars()}</td>
                    </tr>
                    <tr class="total">
                        <th scope="row">"Paid"</th>
                        <td class="number" data-testid="receipt-total">{purchase.price().to_dollars()}</td>
                    </tr>
                    {refunds}
                </tbody>
                {returned
                    .is_positive()
                    .then(|| {
                        view! {
                            <tfoot>
                                <tr>
                                    <th scope="row">"Paid after refunds"</th>
                                    <td class="number">{kept.to_dollars()}</td>
                                </tr>
                            </tfoot>
                        }
                    })}
            </table>
        </article>
    }
}

fn head(site: &Site, user: &User, purchase: &Purchase, paid_at: Micros) -> impl IntoView + use<> {
    let seller: Vec<_> = site
        .seller
        .split('|')
        .map(|line| view! { <span>{line.trim().to_owned()}</span> })
        .collect();
    let way = match purchase.kind {
        PurchaseKind::Checkout => "at its checkout",
        PurchaseKind::TopUp => "automatic top-up",
    };
    let reference = purchase.payment.clone().or_else(|| purchase.processor_ref.clone());
    view! {
        <div class="row between top">
            <div class="stack-s seller">{seller}</div>
            <dl class="facts">
                <dt>"Receipt"</dt>
                <dd><code class="tiny">{purchase.id.as_str().to_owned()}</code></dd>
                <dt>"Paid (UTC)"</dt>
                <dd data-testid="receipt-paid"><At time=paid_at/></dd>
                <dt>"Paid by"</dt>
                <dd data-testid="receipt-buyer">{user.email.as_str().to_owned()}</dd>
                <dt>"Paid with"</dt>
                <dd>{format!("{}, {way}", purchase.processor)}</dd>
                {reference
                    .map(|reference| {
                        view! {
                            <dt>"Payment"</dt>
                            <dd><code class="tiny" data-testid="receipt-reference">{reference}</code></dd>
                        }
                    })}
            </dl>
        </div>
    }
}

fn refund_line(refund: &Refund) -> impl IntoView + use<> {
    let state = match refund.state {
        RefundState::Succeeded => "Refund",
        _ => "Refund, on its way",
    };
    view! {
        <tr data-testid="receipt-refund">
            <th scope="row">{state} ", " <At time=refund.created/></th>
            <td class="number">{refund.amount.negated().to_dollars()}</td>
        </tr>
    }
}

fn give_back(purchase: &Purchase, refundable: NanoUsd) -> impl IntoView + use<> {
    let most = whole_cents(refundable);
    if !most.is_positive() {
        return view! {
            <p class="small soft no-print" data-testid="refund-none">
                "Nothing of this purchase can be refunded: its credits are used, set aside for running requests, frozen, or refunded already."
            </p>
        }
        .into_any();
    }
    view! {
        <section class="card stack no-print" id="refund">
            <h2>"Refund"</h2>
            <p class="small soft">
                "Up to " <strong data-testid="refundable">{most.to_dollars()}</strong>
                " of this purchase is unused and can go back the way it came. The fee is not refunded. The credits leave your balance at once."
            </p>
            <RefundForm
                action=RequestRefund::url()
                purchase=purchase.id.as_str().to_owned()
                most
                consent="Yes, take these credits out of my balance and send the money back"
                testid="refund"
            />
        </section>
    }
    .into_any()
}
