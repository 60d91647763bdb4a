//! Purchases of everybody, refunds on their behalf, disputes, fraud warnings and debts.

use super::admin;
use crate::components::badge::{Badge, Tone};
use crate::components::price::whole_cents;
use crate::components::refund_form::RefundForm;
use crate::components::table::{Listing, Row, cells, number, words};
use crate::components::time::At;
use crate::fail::Fail;
use crate::pages::account::credits::purchases::{dispute_badge, purchase_badges, refund_badge};
use crate::pages::account::credits::refund::send;
use crate::query::Query;
use crate::site::{Site, answer};
use domain::account::Email;
use domain::id::{AccountId, PurchaseId, TransferId};
use domain::money::NanoUsd;
use domain::purchase::{Purchase, Refund};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::Tx;
use store::disputes::Dispute;
use store::fraud_warnings::{Warning, WarningState};
use store::oversight::{Debtor, email_of};

const ROWS_MAX: i64 = 100;

#[server(endpoint = "admin_refund")]
pub async fn refund_for(purchase: String, amount: String, #[server(default)] confirmed: String) -> Result<(), Fail> {
    answer(async {
        let (site, user) = admin().await?;
        let id = PurchaseId::stored(purchase);
        let found = store::purchases::by_id(&mut site.store.read().await?, &id).await?;
        let purchase = found.ok_or(Fail::NotFound)?;
        if confirmed.is_empty() {
            return Err(Fail::NotConfirmed);
        }
        send(&site, &purchase, &amount, false).await?;
        tracing::info!(purchase.id = %purchase.id, admin = %user.id, "an administrator gives a purchase back");
        leptos_axum::redirect("/admin/purchases?done=refunded");
        Ok(())
    })
    .await
}

#[server(endpoint = "admin_release_warning")]
pub async fn release_warning(processor: String, reference: String) -> Result<(), Fail> {
    answer(async {
        let (site, user) = admin().await?;
        let mut tx = site.store.begin().await?;
        let mut ids = || TransferId::new(site.bytes());
        if !store::fraud_warnings::release(&mut tx, &processor, &reference, &mut ids, (site.now)()).await? {
            return Err(Fail::NotFound);
        }
        tx.commit().await?;
        tracing::info!(warning = reference, admin = %user.id, "an administrator releases what a fraud warning held");
        leptos_axum::redirect("/admin/purchases?done=released");
        Ok(())
    })
    .await
}

/// The house pays the debt of an account.
#[server(endpoint = "admin_write_off")]
pub async fn write_off(account: String, #[server(default)] confirmed: String) -> Result<(), Fail> {
    answer(async {
        let (site, user) = admin().await?;
        if confirmed.is_empty() {
            return Err(Fail::NotConfirmed);
        }
        (site.settled)().await;
        let account = AccountId::stored(account);
        let mut tx = site.store.begin().await?;
        let credits = store::ledger::credits(&mut tx, &account).await?;
        let debt = credits.available.saturating_add(credits.in_escrow).negated();
        let mut ids = || TransferId::new(site.bytes());
        if !store::disputes::write_off(&mut tx, &account, debt, &mut ids, (site.now)()).await? {
            return Err(Fail::NotFound);
        }
        tx.commit().await?;
        tracing::info!(account.id = %account, admin = %user.id, "an administrator writes a debt off");
        leptos_axum::redirect("/admin/purchases?done=written-off");
        Ok(())
    })
    .await
}

pub(super) async fn view(site: &Site, query: &Query) -> Result<AnyView, Fail> {
    let mut tx = site.store.read().await?;
    let chosen = chosen(&mut tx, query.get("purchase")).await?;
    let mut purchases = Vec::new();
    for purchase in found(&mut tx, query.get("email")).await? {
        let email = email_of(&mut tx, &purchase.account).await?;
        purchases.push(purchase_row(&purchase, email.as_ref()));
    }
    let mut refunds = Vec::new();
    for refund in store::refunds::recent(&mut tx, ROWS_MAX).await? {
        let email = email_of(&mut tx, &refund.account).await?;
        refunds.push(refund_row(&refund, email.as_ref()));
    }
    let disputes = store::disputes::recent(&mut tx, ROWS_MAX).await?;
    let disputes = dispute_rows(&mut tx, &disputes).await?;
    let warnings = store::fraud_warnings::recent(&mut tx, ROWS_MAX).await?;
    let warnings = warning_rows(&mut tx, &warnings).await?;
    let debtors = store::oversight::debtors(&mut tx, ROWS_MAX).await?;
    drop(tx);
    let debtors: Vec<_> = debtors.iter().map(debtor_row).collect();
    let view = view! {
        {chosen}
        {search(query.get("email"))}
        <Listing
            title="Newest purchases"
            columns=[
                words("Time (UTC)"),
                words("By"),
                number("Credits"),
                number("Fee"),
                words("State"),
                words("Payment"),
                words("Refund"),
            ]
            rows=purchases
            empty="No purchases."
        />
        <Listing
            title="Refunds"
            columns=[words("Time (UTC)"), words("To"), number("Amount"), words("State"), words("Asked for by")]
            rows=refunds
            empty="No refunds."
        />
        <Listing
            title="Disputes"
            columns=[words("Since (UTC)"), words("Of"), number("Amount"), words("State"), words("Reference")]
            rows=disputes
            empty="No disputes."
        />
        <Listing
            title="Fraud warnings"
            columns=[words("Since (UTC)"), words("About"), number("Held"), words("State"), words("Release")]
            rows=warnings
            empty="No fraud warnings."
        />
        <Listing
            title="Below zero"
            note="Costs that occurred are recorded even where no credits were left. The next purchase settles them first; a debt that nobody will pay can be written off."
            columns=[words("Account"), number("Balance"), words("Write off")]
            rows=debtors
            empty="Nobody is in debt."
        />
    };
    Ok(view.into_any())
}

/// The purchase that the address names, with the form that gives it back.
async fn chosen(tx: &mut Tx, id: &str) -> Result<Option<AnyView>, Fail> {
    let Some(purchase) = store::purchases::by_id(tx, &PurchaseId::stored(id)).await? else {
        return Ok(None);
    };
    let refundable = store::refunds::refundable(tx, &purchase.id).await?;
    let email = email_of(tx, &purchase.account).await?;
    Ok(Some(one(&purchase, email.as_ref(), whole_cents(refundable)).into_any()))
}

/// The purchases of somebody, or the newest of all.
async fn found(tx: &mut Tx, email: &str) -> Result<Vec<Purchase>, Fail> {
    if email.trim().is_empty() {
        return Ok(store::purchases::recent(tx, ROWS_MAX).await?);
    }
    let Ok(email) = Email::parse(email.trim()) else {
        return Ok(Vec::new());
    };
    match store::users::by_email(tx, &email).await? {
        Some((user, _)) => Ok(store::purchases::list(tx, &user.account, ROWS_MAX).await?),
        None => Ok(Vec::new()),
    }
}

fn search(email: &str) -> impl IntoView + use<> {
    let email = email.to_owned();
    view! {
        <form class="row buy-form" method="get" action="/admin/purchases" role="search">
            <div class="field">
                <label for="email">"Purchases of"</label>
                <input
                    class="input"
                    id="email"
                    name="email"
                    type="email"
                    placeholder="everybody"
                    autocomplete="off"
                    value=email
                    data-testid="purchases-email"
                />
            </div>
            <button class="button quiet">"Show"</button>
        </form>
    }
}

fn one(purchase: &Purchase, email: Option<&Email>, refundable: NanoUsd) -> impl IntoView + use<> {
    let id = purchase.id.as_str().to_owned();
    let or_dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "–".to_owned());
    let facts = [
        ("By", person(email)),
        ("Credits", purchase.amount.to_dollars()),
        ("Fee", purchase.fee.to_dollars()),
        ("Refunded", purchase.refunded.to_dollars()),
        ("Refundable", refundable.to_dollars()),
        ("State", purchase.state.name().to_owned()),
        ("Processor", purchase.processor.clone()),
        ("Checkout", or_dash(purchase.processor_ref.as_ref())),
        ("Payment", or_dash(purchase.payment.as_ref())),
    ]
    .map(|(name, value)| view! { <dt>{name}</dt> <dd>{value}</dd> });
    let form = refundable.is_positive().then(|| {
        view! {
            <RefundForm
                action=RefundFor::url()
                purchase=id.clone()
                most=refundable
                consent="Yes, take the credits out of their balance"
                testid="admin-refund"
            />
        }
    });
    view! {
        <section class="card stack" data-testid="admin-purchase">
            <h2 class="break">"Purchase " <code class="small">{id}</code></h2>
            <dl class="facts">{facts}</dl>
            {form}
        </section>
    }
}

fn purchase_row(purchase: &Purchase, email: Option<&Email>) -> Row {
    let href = format!("/admin/purchases?purchase={}", purchase.id);
    let payment = purchase.payment.clone().unwrap_or_else(|| "–".to_owned());
    Row {
        testid: "admin-purchase-row",
        id: purchase.id.as_str().to_owned(),
        cells: cells![
            view! { <At time=purchase.created/> },
            view! { <span class="break">{person(email)}</span> },
            purchase.amount.to_dollars(),
            purchase.fee.to_dollars(),
            view! { <span class="badges">{purchase_badges(purchase)}</span> },
            view! { <code class="tiny break">{payment}</code> },
            view! { <a href=href data-testid="admin-purchase-open">"Open"</a> },
        ],
    }
}

fn refund_row(refund: &Refund, email: Option<&Email>) -> Row {
    let asked_by = if refund.by_customer {
        "the customer"
    } else {
        "the operator"
    };
    Row {
        testid: "admin-refund-row",
        id: refund.id.as_str().to_owned(),
        cells: cells![
            view! { <At time=refund.created/> },
            view! { <span class="break">{person(email)}</span> },
            refund.amount.to_dollars(),
            refund_badge(refund.state),
            asked_by,
        ],
    }
}

/// Since, of whom, amount, state, reference.
pub(super) async fn dispute_rows(tx: &mut Tx, disputes: &[Dispute]) -> Result<Vec<Row>, Fail> {
    let mut rows = Vec::new();
    for dispute in disputes {
        let email = email_of(tx, &dispute.account).await?;
        rows.push(Row {
            testid: "admin-dispute-row",
            id: dispute.reference.clone(),
            cells: cells![
                view! { <At time=dispute.created/> },
                view! { <span class="break">{person(email.as_ref())}</span> },
                dispute.amount.to_dollars(),
                dispute_badge(dispute.status),
                view! { <code class="tiny break">{dispute.reference.clone()}</code> },
            ],
        });
    }
    Ok(rows)
}

/// Since, about whom, held, state, release.
pub(super) async fn warning_rows(tx: &mut Tx, warnings: &[Warning]) -> Result<Vec<Row>, Fail> {
    let mut rows = Vec::new();
    for warning in warnings {
        let email = email_of(tx, &warning.account).await?;
        let (text, tone) = match warning.state {
            WarningState::Noted => ("noted", Tone::Plain),
            WarningState::Held => ("held", Tone::Bad),
            WarningState::Released => ("released", Tone::Good),
        };
        let is_held = warning.state == WarningState::Held;
        rows.push(Row {
            testid: "admin-warning-row",
            id: warning.reference.clone(),
            cells: cells![
                view! { <At time=warning.created/> },
                view! { <span class="break">{person(email.as_ref())}</span> },
                warning.held.to_dollars(),
                view! { <Badge text tone/> },
                is_held.then(|| release_form(warning)),
            ],
        });
    }
    Ok(rows)
}

fn release_form(warning: &Warning) -> impl IntoView + use<> {
    view! {
        <form method="post" action=ReleaseWarning::url()>
            <input type="hidden" name="processor" value=warning.processor.clone()/>
            <input type="hidden" name="reference" value=warning.reference.clone()/>
            <button class="button quiet compact" data-testid="warning-release">"Release"</button>
        </form>
    }
}

fn debtor_row(debtor: &Debtor) -> Row {
    let account = debtor.account.as_str().to_owned();
    Row {
        testid: "debtor-row",
        id: account.clone(),
        cells: cells![
            view! { <span class="break">{person(debtor.email.as_ref())}</span> },
            debtor.balance.to_dollars(),
            view! {
                <form class="row" method="post" action=WriteOff::url()>
                    <input type="hidden" name="account" value=account/>
                    <label class="check">
                        <input type="checkbox" name="confirmed" value="1" required=true/>
                        "Nobody will pay it"
                    </label>
                    <button class="button danger compact" data-testid="write-off">"Write off"</button>
                </form>
            },
        ],
    }
}

fn person(email: Option<&Email>) -> String {
    email.map_or_else(|| "–".to_owned(), |email| email.as_str().to_owned())
}
