//! The books: every account of the house, the proof that all agrees, and what waits to be settled.

use super::purchases::{dispute_rows, warning_rows};
use crate::components::badge::{Badge, Tone};
use crate::components::table::{Listing, Row, cells, number, words};
use crate::components::time::At;
use crate::fail::Fail;
use crate::format;
use crate::pages::account::credits::purchases::is_open;
use crate::site::Site;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, Refund};
use domain::time::Micros;
use leptos::prelude::*;
use store::Tx;
use store::disputes::Dispute;
use store::fraud_warnings::{Warning, WarningState};
use store::ledger::{Difference, Proof};
use store::oversight::BookLine;

const ROWS_MAX: i64 = 200;
/// What is younger is simply on its way.
const UNFINISHED_AFTER_US: i64 = 15 * Micros::MINUTE;

/// What has begun and not come to an end.
struct Unsettled {
    purchases: Vec<Purchase>,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
    warnings: Vec<Warning>,
}

pub(super) async fn view(site: &Site) -> Result<AnyView, Fail> {
    let mut tx = site.store.read().await?;
    let books = store::oversight::books(&mut tx).await?;
    let proof = store::ledger::verify(&mut tx).await?;
    let unsettled = Unsettled::load(&mut tx, site).await?;
    let disputes = dispute_rows(&mut tx, &unsettled.disputes).await?;
    let warnings = warning_rows(&mut tx, &unsettled.warnings).await?;
    drop(tx);
    let view = view! {
        {verdict(&proof)}
        {accounts(&books)}
        {unsettled.view(disputes, warnings)}
    };
    Ok(view.into_any())
}

fn verdict(proof: &Result<Proof, Difference>) -> impl IntoView + use<> {
    match proof {
        Ok(proof) => {
            let facts = format!(
                "{} transfers with {} legs, {} generations and {} paid purchases were checked one by one.",
                format::grouped(proof.transfers),
                format::grouped(proof.legs),
                format::grouped(proof.generations),
                format::grouped(proof.purchases_paid),
            );
            view! {
                <p class="row">
                    <Badge text="the books agree" tone=Tone::Good/>
                    <span class="small soft" data-testid="books-proof">{facts}</span>
                </p>
            }
            .into_any()
        }
        Err(difference) => {
            let difference = difference.to_string();
            view! { <div class="notice bad" role="alert" data-testid="books-difference"><p>{difference}</p></div> }
                .into_any()
        }
    }
}

fn accounts(books: &[BookLine]) -> impl IntoView + use<> {
    let total: NanoUsd = books.iter().map(|line| line.balance).sum();
    let mut lines: Vec<&BookLine> = books.iter().collect();
    lines.sort_by_key(|line| (place(&line.kind), line.account.clone()));
    let rows: Vec<_> = lines.into_iter().map(book_row).collect();
    let sum = Row {
        testid: "books-sum-row",
        id: String::new(),
        cells: cells![
            "Sum",
            "",
            view! { <span data-testid="books-sum">{total.to_dollars()}</span> },
        ],
    };
    view! {
        <Listing
            title="Accounts"
            note="Positive: value held for somebody. Negative: value that somebody owes the house, or that it gave away. Together they are zero."
            columns=[words("Account"), words("What it holds"), number("Balance")]
            rows
            sum=sum
            empty="Nothing was ever moved."
        />
    }
}

/// Customers first, then those outside, then the house's own.
fn place(kind: &str) -> usize {
    const ORDER: [&str; 10] = [
        "customer",
        "escrow",
        "frozen",
        "provider_payable",
        "processor_clearing",
        "processor_costs",
        "bank",
        "fees",
        "promotions",
        "house_cost",
    ];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

fn book_row(line: &BookLine) -> Row {
    let owner = line.account.split_once(':').map_or("", |(_, owner)| owner);
    let (name, what) = match line.kind.as_str() {
        "customer" => ("Customers", "Credits to spend"),
        "escrow" => ("Nodes", "Credits taken for running requests"),
        "frozen" => ("Customers, frozen", "Under dispute or warning, or on their way back"),
        "provider_payable" => (owner, "Owed to the provider"),
        "processor_clearing" => (owner, "Taken by the processor and not paid out"),
        "processor_costs" => (owner, "Kept by the processor for its services"),
        "bank" => ("Bank", "Invoices paid less payouts received"),
        "fees" => ("Fees", "Earned on purchases, and bought credits that ended"),
        "promotions" => ("Promotions", "Given away"),
        "house_cost" => (
            "House",
            "Borne by the house: insurance, late charges, debts written off",
        ),
        other => (other, ""),
    };
    let accounts = (line.accounts > 1).then(|| format!(", {} accounts", format::grouped(line.accounts)));
    let id = if line.account.is_empty() {
        &line.kind
    } else {
        &line.account
    };
    Row {
        testid: "book-row",
        id: id.clone(),
        cells: cells![
            name.to_owned(),
            view! { <span>{what} <span class="faint">{accounts}</span></span> },
            line.balance.to_dollars(),
        ],
    }
}

impl Unsettled {
    async fn load(tx: &mut Tx, site: &Site) -> Result<Self, Fail> {
        let older_than = (site.now)().plus(-UNFINISHED_AFTER_US);
        let mut disputes = store::disputes::recent(tx, ROWS_MAX).await?;
        disputes.retain(|dispute| is_open(dispute.status));
        let mut warnings = store::fraud_warnings::recent(tx, ROWS_MAX).await?;
        warnings.retain(|warning| warning.state == WarningState::Held);
        Ok(Self {
            purchases: store::purchases::unfinished(tx, site.processor, older_than, ROWS_MAX).await?,
            refunds: store::refunds::unsent(tx, older_than, ROWS_MAX).await?,
            disputes,
            warnings,
        })
    }

    fn view(self, disputes: Vec<Row>, warnings: Vec<Row>) -> impl IntoView {
        let mut rows: Vec<_> = self.purchases.iter().map(purchase_row).collect();
        rows.extend(self.refunds.iter().map(refund_row));
        rows.extend(disputes.into_iter().map(|row| unsettled_row("Dispute", row)));
        rows.extend(warnings.into_iter().map(|row| unsettled_row("Fraud warning", row)));
        view! {
            <Listing
                title="Not settled yet"
                note="Purchases that have waited for 15 minutes or more, refunds that the processor has not taken, open disputes and fraud warnings."
                columns=[words("What"), words("Since (UTC)"), words("Whose or which"), number("Amount"), words("State")]
                rows
                empty="Everything that began has come to an end."
            />
        }
    }
}

/// The rows of disputes and warnings begin with time, person, amount and state.
fn unsettled_row(what: &'static str, row: Row) -> Row {
    let mut cells = cells![what];
    cells.extend(row.cells.into_iter().take(4));
    Row {
        testid: "unsettled-row",
        id: row.id,
        cells,
    }
}

fn purchase_row(purchase: &Purchase) -> Row {
    let id = purchase.id.as_str().to_owned();
    let href = format!("/admin/purchases?purchase={id}");
    Row {
        testid: "unsettled-row",
        id: id.clone(),
        cells: cells![
            "Purchase",
            view! { <At time=purchase.created/> },
            view! { <a href=href><code class="tiny break">{id}</code></a> },
            purchase.price().to_dollars(),
            purchase.state.name(),
        ],
    }
}

fn refund_row(refund: &Refund) -> Row {
    let id = refund.id.as_str().to_owned();
    let href = format!("/admin/purchases?purchase={}", refund.purchase);
    Row {
        testid: "unsettled-row",
        id: id.clone(),
        cells: cells![
            "Refund",
            view! { <At time=refund.created/> },
            view! { <a href=href><code class="tiny break">{id}</code></a> },
            refund.amount.to_dollars(),
            refund.state.name(),
        ],
    }
}
