//! `/account/credits`: the balance, buying more, and what was bought.

use super::AccountFrame;
use crate::components::badge::{Badge, Tone};
use crate::components::fault::{FormFault, fail_of};
use crate::components::field::Field;
use crate::components::layout::loaded;
use crate::components::price::cents;
use crate::components::time::At;
use crate::fail::Fail;
use crate::wire::data;
use domain::ledger::TransferKind;
use domain::money::NanoUsd;
use domain::purchase::{PURCHASE_MAX, PURCHASE_MIN, PurchaseState};
use domain::time::Micros;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditsPage {
    pub balance: NanoUsd,
    /// The part of the balance that is set aside for running requests.
    pub in_escrow: NanoUsd,
    pub purchased: NanoUsd,
    pub used: NanoUsd,
    pub purchases: Vec<PurchaseRow>,
    /// Grants and reversals.
    pub others: Vec<OtherRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseRow {
    pub id: String,
    pub amount: NanoUsd,
    pub state: PurchaseState,
    pub processor: String,
    pub created: Micros,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRow {
    pub kind: TransferKind,
    pub amount: NanoUsd,
    pub created: Micros,
}

#[cfg(feature = "ssr")]
const ROWS_MAX: i64 = 100;

#[server(endpoint = "credits")]
pub async fn load_credits() -> Result<CreditsPage, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        let mut tx = site.store.read().await?;
        let credits = store::ledger::credits(&mut tx, &user.account).await?;
        let purchases = store::purchases::list(&mut tx, &user.account, ROWS_MAX).await?;
        let history = store::ledger::history(&mut tx, &user.account, ROWS_MAX).await?;
        Ok(CreditsPage {
            balance: credits.available.saturating_add(credits.in_escrow),
            in_escrow: credits.in_escrow,
            purchased: credits.purchased,
            used: credits.used,
            purchases: purchases
                .into_iter()
                .map(|purchase| PurchaseRow {
                    id: purchase.id.as_str().to_owned(),
                    amount: purchase.amount,
                    state: purchase.state,
                    processor: purchase.processor,
                    created: purchase.created,
                })
                .collect(),
            others: history
                .into_iter()
                .filter(|line| line.kind != TransferKind::Purchase)
                .map(|line| OtherRow {
                    kind: line.kind,
                    amount: line.amount,
                    created: line.created,
                })
                .collect(),
        })
    })
    .await
}

/// Stores the purchase and sends the buyer to the payment processor's page.
#[server(endpoint = "buy_credits")]
pub async fn buy_credits(amount: String) -> Result<(), Fail> {
    use crate::attempts::Action;
    use crate::site::{CheckoutOptions, answer, client_ip, parts, site};
    use domain::id::PurchaseId;
    use domain::purchase::{Purchase, PurchaseKind, parse_amount};
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        if !site.allow(Action::Checkout, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let (now, amount) = ((site.now)(), parse_amount(&amount)?);
        let purchase = Purchase {
            id: PurchaseId::new(site.bytes()),
            account: user.account,
            user: user.id,
            amount,
            fee: (site.fee)(amount),
            kind: PurchaseKind::Checkout,
            state: PurchaseState::Created,
            processor: site.processor.to_owned(),
            processor_ref: None,
            payment: None,
            refunded: NanoUsd::ZERO,
            created: now,
            updated: now,
        };
        let mut tx = site.store.begin().await?;
        store::purchases::create(&mut tx, &purchase).await?;
        tx.commit().await?;
        let address = (site.start_checkout)(&purchase, CheckoutOptions::default())
            .await
            .map_err(|error| {
            tracing::error!(purchase = %purchase.id, error, "a checkout could not be started");
            Fail::CheckoutUnavailable
        })?;
        leptos_axum::redirect(&address);
        Ok(())
    })
    .await
}

#[component]
pub fn CreditsPageView() -> impl IntoView {
    let page = data(|| (), |()| load_credits());
    view! {
        <AccountFrame title="Credits" lead="Credits pay for tokens at the providers' own prices. They do not expire.">
            {loaded(page, |page| view! { <Credits page/> })}
        </AccountFrame>
    }
}

#[component]
fn Credits(page: CreditsPage) -> impl IntoView {
    view! {
        <Outcome purchases=page.purchases.clone()/>
        <dl class="figures">
            <div>
                <dt>"Balance"</dt>
                <dd data-testid="balance" title=page.balance.to_dollars()>
                    {cents(page.balance)}
                </dd>
            </div>
            <div>
                <dt>"Bought and granted"</dt>
                <dd>{page.purchased.to_dollars()}</dd>
            </div>
            <div>
                <dt>"Used"</dt>
                <dd data-testid="used">{page.used.to_dollars()}</dd>
            </div>
            <div>
                <dt>"Set aside for running requests"</dt>
                <dd>{cents(page.in_escrow)}</dd>
            </div>
        </dl>
        <Buy/>
        <Purchases rows=page.purchases/>
        <Others rows=page.others/>
    }
}

/// How the purchase went that the buyer comes back from.
#[component]
fn Outcome(purchases: Vec<PurchaseRow>) -> impl IntoView {
    let query = use_query_map();
    move || {
        let id = query.read().get("purchase")?;
        let row = purchases.iter().find(|row| row.id == id)?;
        let (class, text) = match row.state {
            PurchaseState::Paid => ("notice", format!("Thank you. {} is in your balance.", row.amount)),
            PurchaseState::Cancelled => (
                "notice warn",
                "The checkout was closed and nothing was charged.".to_owned(),
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
}

/// A plain form: the checkout is a page of its own, often on another host.
#[component]
fn Buy() -> impl IntoView {
    let action = ServerAction::<BuyCredits>::new();
    let amounts = ["10", "25", "100"].map(|amount| {
        view! {
            <button class="button quiet" name="amount" value=amount formnovalidate=true data-testid=format!("buy-{amount}")>
                {format!("${amount}")}
            </button>
        }
    });
    view! {
        <section class="stack" id="buy">
            <h2>"Buy credits"</h2>
            <FormFault fail=fail_of(action)/>
            <form class="row" method="post" action=BuyCredits::url()>
                {amounts}
            </form>
            <form class="row buy-form" method="post" action=BuyCredits::url()>
                <Field
                    name="amount"
                    label="Another amount"
                    money=true
                    inputmode="decimal"
                    autocomplete="off"
                    placeholder="20"
                    required=true
                    testid="buy-amount"
                />
                <button class="button" data-testid="buy-submit">
                    "Go to checkout"
                </button>
            </form>
            <p class="small faint">
                {format!("Between {PURCHASE_MIN} and {PURCHASE_MAX}, without a fee of ours on top.")}
            </p>
        </section>
    }
}

#[component]
fn Purchases(rows: Vec<PurchaseRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! {
            <div class="empty">
                <h2>"No purchases yet"</h2>
                <p class="soft">"The smallest one pays for millions of tokens of a small model."</p>
            </div>
        }
        .into_any();
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let tone = match row.state {
                PurchaseState::Paid => Tone::Good,
                PurchaseState::Cancelled => Tone::Plain,
                _ => Tone::Warn,
            };
            view! {
                <tr data-testid="purchase-row">
                    <th scope="row"><At time=row.created/></th>
                    <td class="number" data-label="Amount">{row.amount.to_dollars()}</td>
                    <td data-label="State"><Badge text=row.state.name() tone/></td>
                    <td data-label="Paid with">{row.processor}</td>
                    <td data-label="Purchase"><code class="tiny break">{row.id}</code></td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <h2>"Purchases"</h2>
            <div class="table-box">
                <table class="table cards">
                    <thead>
                        <tr>
                            <th scope="col">"Time (UTC)"</th>
                            <th scope="col" class="number">"Amount"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Paid with"</th>
                            <th scope="col">"Purchase"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Others(rows: Vec<OtherRow>) -> impl IntoView {
    (!rows.is_empty()).then(|| {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let what = if row.kind == TransferKind::Grant {
                    "Granted"
                } else {
                    "Corrected"
                };
                view! {
                    <tr>
                        <th scope="row"><At time=row.created/></th>
                        <td data-label="What">{what}</td>
                        <td class="number" data-label="Amount">{row.amount.to_dollars()}</td>
                    </tr>
                }
            })
            .collect();
        view! {
            <section class="stack">
                <h2>"Other movements"</h2>
                <div class="table-box">
                    <table class="table cards">
                        <thead>
                            <tr>
                                <th scope="col">"Time (UTC)"</th>
                                <th scope="col">"What"</th>
                                <th scope="col" class="number">"Amount"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </section>
        }
    })
}
