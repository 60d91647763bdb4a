//! What the outside says we owe or get: providers' invoices beside our own count, and money that went over the bank.

use crate::Ids;
use crate::database::Tx;
use crate::error::Result;
use crate::ledger::{self, LedgerError, Posted};
use domain::ledger::{LedgerAccount, Leg, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::time::Micros;

/// What a provider asks for one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    /// Slug.
    pub provider: String,
    /// `YYYY-MM`.
    pub period: String,
    pub amount: NanoUsd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
}

/// One provider's month: what we counted, to customers and to the house, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub provider: String,
    /// `YYYY-MM`.
    pub period: String,
    pub charged: NanoUsd,
    pub invoiced: Option<NanoUsd>,
}

/// Stores invoices; a later one for the same provider and month replaces the earlier.
///
/// # Errors
/// Of the database only.
pub async fn import(tx: &mut Tx, lines: &[InvoiceLine], now: Micros) -> Result<Imported> {
    let mut imported = Imported::default();
    for line in lines {
        let before = fetch_optional!(
            (i64,),
            tx,
            "SELECT amount_nano FROM provider_invoices WHERE provider = $1 AND period = $2",
            line.provider.as_str(),
            line.period.as_str(),
        )?;
        let count = match before {
            None => &mut imported.new,
            Some((amount,)) if amount == line.amount.get() => &mut imported.unchanged,
            Some(_) => &mut imported.changed,
        };
        *count = count.saturating_add(1);
        execute!(
            tx,
            "INSERT INTO provider_invoices (provider, period, amount_nano, imported_us) VALUES ($1, $2, $3, $4)
             ON CONFLICT (provider, period) DO UPDATE SET amount_nano = excluded.amount_nano,
                 imported_us = excluded.imported_us",
            line.provider.as_str(),
            line.period.as_str(),
            line.amount.get(),
            now.get(),
        )?;
    }
    Ok(imported)
}

/// Every provider and month with generations or an invoice, newest month first. Reads all generations: for the operator's
/// page, not for every request.
///
/// # Errors
/// Of the database only.
pub async fn comparison(tx: &mut Tx) -> Result<Vec<Compared>> {
    let rows = fetch_all!(
        (String, String, i64, Option<i64>),
        tx,
        "SELECT provider, period, CAST(SUM(charged) AS BIGINT), CAST(MAX(invoiced) AS BIGINT) FROM (
             SELECT provider, SUBSTR(day, 1, 7) AS period, SUM(cost_nano + house_cost_nano) AS charged,
                    NULL AS invoiced
             FROM generations GROUP BY provider, SUBSTR(day, 1, 7)
             UNION ALL
             SELECT provider, period, 0, amount_nano FROM provider_invoices
         ) AS both_sides GROUP BY provider, period ORDER BY period DESC, provider",
    )?;
    Ok(rows
        .into_iter()
        .map(|(provider, period, charged, invoiced)| Compared {
            provider,
            period,
            charged: NanoUsd::new(charged),
            invoiced: invoiced.map(NanoUsd::new),
        })
        .collect())
}

/// The processor paid `amount` to the bank and kept `costs` for its services: both leave what it owes. Once per
/// `reference`, the processor's own name for the payout.
///
/// # Errors
/// `KeyReused` when the same payout was entered with other amounts, `Transfer` when it moves nothing.
pub async fn payout(
    tx: &mut Tx,
    processor: &str,
    reference: &str,
    amount: NanoUsd,
    costs: NanoUsd,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Posted, LedgerError> {
    let moved = [
        (LedgerAccount::Bank, amount.negated()),
        (LedgerAccount::ProcessorCosts(processor.to_owned()), costs.negated()),
        (
            LedgerAccount::ProcessorClearing(processor.to_owned()),
            amount.saturating_add(costs),
        ),
    ];
    let legs = moved
        .into_iter()
        .filter(|(_, amount)| *amount != NanoUsd::ZERO)
        .map(|(account, amount)| Leg { account, amount })
        .collect();
    let transfer = Transfer {
        id: ids(),
        kind: TransferKind::Payout,
        idempotency_key: format!("{processor}:po:{reference}"),
        legs,
        created: now,
    };
    ledger::post(tx, &transfer).await
}

/// The house paid a provider from the bank, once per `reference`.
///
/// # Errors
/// `KeyReused` when the same payment was entered with another amount, `Transfer` when it moves nothing.
pub async fn invoice_paid(
    tx: &mut Tx,
    provider: &str,
    reference: &str,
    amount: NanoUsd,
    ids: &mut Ids<'_>,
    now: Micros,
) -> Result<Posted, LedgerError> {
    let transfer = Transfer {
        id: ids(),
        kind: TransferKind::InvoicePaid,
        idempotency_key: format!("invoice:{provider}:{reference}"),
        legs: legs(
            LedgerAccount::ProviderPayable(provider.to_owned()),
            LedgerAccount::Bank,
            amount,
        ),
        created: now,
    };
    ledger::post(tx, &transfer).await
}
