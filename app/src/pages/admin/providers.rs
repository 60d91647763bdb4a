//! What the house owes providers against what they invoice, and what processors owe the house.

use super::{admin, cuts};
use crate::components::badge::{Badge, Tone};
use crate::components::price::whole_cents;
use crate::components::table::{Listing, Row, cells, number, words};
use crate::fail::Fail;
use crate::site::{Site, answer};
use domain::id::TransferId;
use domain::money::NanoUsd;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::invoices::{self, Compared, InvoiceLine};
use store::ledger::{LedgerError, Posted};
use store::oversight::BookLine;

const LINES_MAX: usize = 5_000;
const NAME_CHARS_MAX: usize = 100;

/// `provider,period,amount` per line; a first line of these words, and empty lines, are passed over. All or nothing.
#[server(endpoint = "admin_invoices")]
pub async fn import_invoices(csv: String) -> Result<(), Fail> {
    answer(async {
        let (site, _) = admin().await?;
        let lines = parse_csv(&csv).ok_or(Fail::InvoiceLines)?;
        let mut tx = site.store.begin().await?;
        invoices::import(&mut tx, &lines, (site.now)()).await?;
        tx.commit().await?;
        leptos_axum::redirect("/admin/providers?done=imported");
        Ok(())
    })
    .await
}

/// The house has paid a provider.
#[server(endpoint = "admin_paid")]
pub async fn record_payment(provider: String, amount: String, reference: String) -> Result<(), Fail> {
    answer(async {
        let (site, _) = admin().await?;
        let (provider, reference) = (parse_name(&provider)?, parse_name(&reference)?);
        let amount = parse_positive(&amount)?;
        let mut tx = site.store.begin().await?;
        let mut ids = || TransferId::new(site.bytes());
        let posted = invoices::invoice_paid(&mut tx, provider, reference, amount, &mut ids, (site.now)()).await;
        ensure_new(posted)?;
        tx.commit().await?;
        leptos_axum::redirect("/admin/providers?done=paid");
        Ok(())
    })
    .await
}

/// A processor has paid out to the house, less what it keeps for its services.
#[server(endpoint = "admin_payout")]
pub async fn record_payout(
    processor: String,
    amount: String,
    #[server(default)] costs: String,
    reference: String,
) -> Result<(), Fail> {
    answer(async {
        let (site, _) = admin().await?;
        let (processor, reference) = (parse_name(&processor)?, parse_name(&reference)?);
        let amount = parse_positive(&amount)?;
        let costs = parse_costs(&costs)?;
        let mut tx = site.store.begin().await?;
        let mut ids = || TransferId::new(site.bytes());
        let posted = invoices::payout(&mut tx, processor, reference, amount, costs, &mut ids, (site.now)()).await;
        ensure_new(posted)?;
        tx.commit().await?;
        leptos_axum::redirect("/admin/providers?done=payout");
        Ok(())
    })
    .await
}

pub(super) async fn view(site: &Site) -> Result<AnyView, Fail> {
    let mut tx = site.store.read().await?;
    let comparison = invoices::comparison(&mut tx).await?;
    let books = store::oversight::books(&mut tx).await?;
    let evidence = store::cuts::evidence(&mut tx, (site.now)()).await?;
    drop(tx);
    let of_kind = |kind: &str| -> Vec<Row> { books.iter().filter(|line| line.kind == kind).map(book_row).collect() };
    let mut processors = of_kind("processor_clearing");
    processors.extend(of_kind("processor_costs"));
    let compared: Vec<_> = comparison.iter().map(comparison_row).collect();
    let view = view! {
        <Listing
            title="Months and invoices"
            note="What the metered tokens of each month cost by our prices, against what the provider asks for. A difference means wrong prices, missing generations or a wrong invoice."
            columns=[
                words("Month"),
                words("Provider"),
                number("Metered"),
                number("Invoiced"),
                number("Difference"),
                words("Verdict"),
            ]
            rows=compared
            empty="Nothing was metered and nothing invoiced."
        />
        {import_form()}
        <Listing
            title="Owed to providers"
            columns=[words("Provider"), words("Account"), number("Owed")]
            rows=of_kind("provider_payable")
            empty="Nothing is owed."
        />
        {movement_form("payment", "Record a payment to a provider", RecordPayment::url(), &["provider", "amount", "reference"])}
        <Listing
            title="With payment processors"
            note="Negative: the processor has taken it from customers and not paid it out yet, or keeps it for its services."
            columns=[words("Processor"), words("Account"), number("Balance")]
            rows=processors
            empty="No processor has taken anything."
        />
        {movement_form("payout", "Record a payout of a processor", RecordPayout::url(), &["processor", "amount", "costs", "reference"])}
        {cuts::view(&evidence)}
    };
    Ok(view.into_any())
}

fn import_form() -> impl IntoView {
    view! {
        <section class="card tight stack-s">
            <h2>"Import invoices"</h2>
            <form class="fields" method="post" action=ImportInvoices::url()>
                <div class="field">
                    <label for="csv">"CSV, one invoice per line: provider,period,amount"</label>
                    <textarea
                        class="input mono"
                        id="csv"
                        name="csv"
                        rows="5"
                        required=true
                        placeholder="openai,2026-11,1234.56"
                        data-testid="invoices-csv"
                    ></textarea>
                    <p class="hint">"An invoice for the same provider and month replaces the earlier one."</p>
                </div>
                <div><button class="button" data-testid="invoices-import">"Import"</button></div>
            </form>
        </section>
    }
}

fn movement_form(
    id: &'static str,
    title: &'static str,
    action: &'static str,
    fields: &[&'static str],
) -> impl IntoView + use<> {
    let fields: Vec<_> = fields.iter().map(|name| movement_field(id, name)).collect();
    view! {
        <section class="card tight stack-s">
            <h2>{title}</h2>
            <form class="fields" method="post" action=action>
                <div class="fields across">{fields}</div>
                <div><button class="button" data-testid=format!("{id}-submit")>"Record"</button></div>
            </form>
        </section>
    }
}

fn movement_field(form: &'static str, name: &'static str) -> impl IntoView {
    let id = format!("{form}-{name}");
    let (label, placeholder) = match name {
        "provider" => ("Provider", "openai"),
        "processor" => ("Processor", "stripe"),
        "amount" => ("Dollars", "1234.56"),
        "costs" => ("Kept by the processor", "none"),
        _ => ("Reference of the payment", "TR-2026-11-23"),
    };
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                class="input"
                id=id.clone()
                name=name
                placeholder=placeholder
                autocomplete="off"
                required=name != "costs"
                data-testid=id
            />
        </div>
    }
}

fn comparison_row(line: &Compared) -> Row {
    let or_dash = |amount: Option<NanoUsd>| amount.map_or_else(|| "–".to_owned(), NanoUsd::to_dollars);
    let difference = line.invoiced.map(|invoiced| invoiced.saturating_sub(line.charged));
    // Invoices are in whole cents.
    let agrees = difference.is_some_and(|difference| whole_cents(difference) == NanoUsd::ZERO);
    let verdict = match difference {
        None => view! { <Badge text="no invoice yet"/> },
        Some(_) if agrees => view! { <Badge text="agrees" tone=Tone::Good/> },
        Some(_) => view! { <Badge text="differs" tone=Tone::Bad/> },
    };
    Row {
        testid: "comparison-row",
        id: format!("{} {}", line.provider, line.period),
        cells: cells![
            line.period.clone(),
            line.provider.clone(),
            line.charged.to_dollars(),
            or_dash(line.invoiced),
            or_dash(difference),
            verdict,
        ],
    }
}

fn book_row(line: &BookLine) -> Row {
    let (kind, owner) = line.account.split_once(':').unwrap_or((line.kind.as_str(), ""));
    let what = match kind {
        "processor_clearing" => "to be paid out",
        "processor_costs" => "kept for its services",
        _ => "to be paid",
    };
    Row {
        testid: "owed-row",
        id: line.account.clone(),
        cells: cells![owner.to_owned(), what, line.balance.to_dollars()],
    }
}

/// The same reference again, with the same amount or another, is refused.
fn ensure_new(posted: Result<Posted, LedgerError>) -> Result<(), Fail> {
    match posted {
        Ok(Posted::New) => Ok(()),
        Ok(Posted::Already) | Err(LedgerError::KeyReused { .. }) => Err(Fail::Recorded),
        Err(error) => Err(error.into()),
    }
}

fn parse_csv(text: &str) -> Option<Vec<InvoiceLine>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_head = |line: &str| line.eq_ignore_ascii_case("provider,period,amount");
    let lines: Option<Vec<_>> = lines
        .enumerate()
        .filter(|(at, line)| *at > 0 || !is_head(line))
        .map(|(_, line)| parse_line(line))
        .collect();
    lines.filter(|lines| !lines.is_empty() && lines.len() <= LINES_MAX)
}

fn parse_line(line: &str) -> Option<InvoiceLine> {
    let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
    let (provider, period, amount) = (fields.next()?, fields.next()?, fields.next()?);
    let amount = NanoUsd::parse_usd(amount).ok().filter(|amount| !amount.is_negative())?;
    let fits = fields.next().is_none() && is_name(provider) && is_month(period);
    fits.then(|| InvoiceLine {
        provider: provider.to_owned(),
        period: period.to_owned(),
        amount,
    })
}

/// `2026-11`.
fn is_month(text: &str) -> bool {
    text.len() == "2026-11".len() && format!("{text}-01").parse::<chrono::NaiveDate>().is_ok()
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}

fn parse_name(text: &str) -> Result<&str, Fail> {
    Some(text.trim()).filter(|name| is_name(name)).ok_or(Fail::Reference)
}

fn parse_positive(text: &str) -> Result<NanoUsd, Fail> {
    let amount = NanoUsd::parse_usd(text.trim()).ok();
    amount
        .filter(|amount| amount.is_positive())
        .ok_or(Fail::AmountNotANumber)
}

/// Nothing for an empty field.
fn parse_costs(text: &str) -> Result<NanoUsd, Fail> {
    if text.trim().is_empty() {
        return Ok(NanoUsd::ZERO);
    }
    let costs = NanoUsd::parse_usd(text.trim()).ok();
    costs.filter(|costs| !costs.is_negative()).ok_or(Fail::AmountNotANumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(provider: &str, period: &str, nano: i64) -> InvoiceLine {
        InvoiceLine {
            provider: provider.to_owned(),
            period: period.to_owned(),
            amount: NanoUsd::new(nano),
        }
    }

    #[test]
    fn invoices_are_read_line_by_line() {
        let text = "provider,period,amount\r\nopenai,2026-11,1234.56\n\n\"acme\", 2026-10 ,0\n";
        let expected = vec![line("openai", "2026-11", 1_234_560_000_000), line("acme", "2026-10", 0)];
        assert_eq!(parse_csv(text), Some(expected));
    }

    #[test]
    fn one_bad_line_refuses_the_whole_import() {
        for bad in [
            "openai,2026-11",
            "openai,2026-13,5",
            "openai,2026-11,-5",
            "openai,2026-11,5,6",
            ",2026-11,5",
        ] {
            assert_eq!(parse_csv(&format!("openai,2026-11,5\n{bad}")), None, "{bad}");
        }
        assert_eq!(parse_csv("provider,period,amount\n"), None);
    }
}
