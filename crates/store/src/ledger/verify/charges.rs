//! Generations, what they cost by their usage and prices, and the transfers that charged them.

use super::Difference;
use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::generation::Outcome;
use domain::money::NanoUsd;
use domain::price::Prices;
use domain::time::Micros;
use domain::usage::Usage;

/// Generations read at a time.
const PAGE_ROWS: i64 = 500;

pub(super) async fn difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let mut after = String::new();
    loop {
        let page = fetch_all!(
            ChargedRow,
            tx,
            "SELECT g.id, g.prompt_tokens, g.completion_tokens, g.reasoning_tokens, g.cache_read_tokens,
                    g.cache_write_tokens, g.images, g.other_usage, g.prices, g.outcome, g.day, g.created_us, g.cost_nano,
                    g.house_cost_nano, g.late,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'charge:' || g.id AND t.kind = 'charge'
                       AND l.ledger_account_id = 'escrow:' || g.node_id || ':' || g.account_id) AS charge_from,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'charge:' || g.id AND t.kind = 'charge'
                       AND l.ledger_account_id = 'provider_payable:' || g.provider) AS charge_to,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'house:' || g.id AND t.kind = 'house_cost'
                       AND l.ledger_account_id = 'house_cost') AS house_from,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'house:' || g.id AND t.kind = 'house_cost'
                       AND l.ledger_account_id = 'provider_payable:' || g.provider) AS house_to
             FROM generations g WHERE g.id > $1 ORDER BY g.id LIMIT $2",
            after.as_str(),
            PAGE_ROWS,
        )?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            if let Some(difference) = row.difference()? {
                return Ok(Some(difference));
            }
        }
    }
    let stray = fetch_optional!(
        (String,),
        tx,
        "SELECT t.idempotency_key FROM transfers t LEFT JOIN generations g ON g.id = SUBSTR(t.idempotency_key, 8)
         WHERE t.kind = 'charge'
           AND (g.id IS NULL OR g.cost_nano = 0 OR t.idempotency_key <> 'charge:' || g.id) LIMIT 1",
    )?;
    let stray = match stray {
        None => fetch_optional!(
            (String,),
            tx,
            "SELECT t.idempotency_key FROM transfers t LEFT JOIN generations g ON g.id = SUBSTR(t.idempotency_key, 7)
             WHERE t.kind = 'house_cost'
               AND (g.id IS NULL OR g.house_cost_nano = 0 OR t.idempotency_key <> 'house:' || g.id) LIMIT 1",
        )?,
        found => found,
    };
    Ok(stray.map(|(idempotency_key,)| Difference::StrayCharge { idempotency_key }))
}

/// A generation with what its transfers moved: out of the customer's escrow or the house, and to the provider.
#[derive(sqlx::FromRow)]
struct ChargedRow {
    id: String,
    prompt_tokens: i64,
    completion_tokens: i64,
    reasoning_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    images: i64,
    other_usage: Option<String>,
    prices: String,
    outcome: String,
    day: String,
    created_us: i64,
    cost_nano: i64,
    house_cost_nano: i64,
    late: i64,
    charge_from: i64,
    charge_to: i64,
    house_from: i64,
    house_to: i64,
}

impl ChargedRow {
    fn difference(self) -> Result<Option<Difference>> {
        let recomputed = self.recomputed_cost()?;
        let paid = |balance_change: i64| NanoUsd::new(balance_change).negated();
        let (cost, house_cost) = (NanoUsd::new(self.cost_nano), NanoUsd::new(self.house_cost_nano));
        let (charged, charge_received) = (paid(self.charge_from), NanoUsd::new(self.charge_to));
        let (borne, house_received) = (paid(self.house_from), NanoUsd::new(self.house_to));
        Ok(if cost != recomputed {
            Some(Difference::Cost {
                generation: self.id,
                stored: cost,
                recomputed,
            })
        } else if Micros::new(self.created_us).day() != self.day {
            Some(Difference::Day {
                generation: self.id,
                day: self.day,
            })
        } else if (charged, charge_received) != (cost, cost) {
            Some(Difference::Charge {
                generation: self.id,
                cost,
                paid: charged,
                received: charge_received,
            })
        } else if (borne, house_received) != (house_cost, house_cost) {
            Some(Difference::HouseCost {
                generation: self.id,
                cost: house_cost,
                paid: borne,
                received: house_received,
            })
        } else {
            None
        })
    }

    /// What the customer is to be charged. A late settlement leaves to the house what it says, and no more than there is.
    fn recomputed_cost(&self) -> Result<NanoUsd> {
        let usage = Usage {
            prompt: column::count(self.prompt_tokens)?,
            completion: column::count(self.completion_tokens)?,
            reasoning: column::count(self.reasoning_tokens)?,
            cache_read: column::count(self.cache_read_tokens)?,
            cache_write: column::count(self.cache_write_tokens)?,
            images: column::count(self.images)?,
            ..column::usage(self.other_usage.as_deref())?
        };
        let prices: Prices = column::from_json(&self.prices)?;
        let outcome = column::word(&self.outcome, Outcome::parse)?;
        let house_cost = NanoUsd::new(self.house_cost_nano);
        Ok(if outcome.is_charged() && self.late != 0 {
            prices.cost(&usage).total.saturating_sub(house_cost)
        } else if outcome.is_charged() {
            prices.cost(&usage).total
        } else {
            NanoUsd::ZERO
        })
    }
}
