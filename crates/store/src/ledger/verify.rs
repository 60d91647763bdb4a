//! The proof that the books are right, or the first difference found when they are not.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::generation::Outcome;
use domain::money::NanoUsd;
use domain::price::Prices;
use domain::time::Micros;
use domain::usage::Usage;

/// Counts and totals of books that were found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    pub transfers: u64,
    pub legs: u64,
    pub ledger_accounts: u64,
    pub generations: u64,
    pub purchases_paid: u64,
    /// What customers own, without what nodes have taken.
    pub customer_total: NanoUsd,
    /// What nodes have taken and not spent.
    pub escrow_total: NanoUsd,
    /// What providers are owed.
    pub provider_total: NanoUsd,
    /// What payment processors have taken in: negative.
    pub processor_total: NanoUsd,
    /// What the house has borne: negative.
    pub house_total: NanoUsd,
    /// What was given away: negative.
    pub promotions_total: NanoUsd,
}

/// The first thing found wrong. Amounts are what is stored and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("the {legs} legs of transfer {transfer} sum to {sum} instead of zero")]
    Unbalanced { transfer: String, legs: u64, sum: NanoUsd },
    #[error("a leg belongs to transfer {transfer}, which does not exist")]
    StrayLeg { transfer: String },
    #[error("the balance of {account} is stored as {stored}, and its legs sum to {legs}")]
    Balance {
        account: String,
        stored: NanoUsd,
        legs: NanoUsd,
    },
    #[error("all balances sum to {sum} instead of zero")]
    NotZero { sum: NanoUsd },
    #[error("{account} is below zero: {balance}")]
    NegativeEscrow { account: String, balance: NanoUsd },
    #[error("generation {generation} is stored with the cost {stored}, and its usage and prices give {recomputed}")]
    Cost {
        generation: String,
        stored: NanoUsd,
        recomputed: NanoUsd,
    },
    #[error("generation {generation} is filed under the day {day}, on which it was not created")]
    Day { generation: String, day: String },
    #[error(
        "generation {generation} cost {cost}; {paid} were taken from the customer, and {received} given to the provider"
    )]
    Charge {
        generation: String,
        cost: NanoUsd,
        paid: NanoUsd,
        received: NanoUsd,
    },
    #[error("generation {generation} cost the house {cost}; {paid} were booked, and {received} given to the provider")]
    HouseCost {
        generation: String,
        cost: NanoUsd,
        paid: NanoUsd,
        received: NanoUsd,
    },
    #[error("transfer {idempotency_key} charges for nothing: there is no such generation, or it cost nothing")]
    StrayCharge { idempotency_key: String },
    #[error("purchase {purchase} of {amount} was paid, and {credited} were credited")]
    Purchase {
        purchase: String,
        amount: NanoUsd,
        credited: NanoUsd,
    },
    #[error("transfer {idempotency_key} credits a purchase that was not paid or does not exist")]
    StrayPurchase { idempotency_key: String },
    #[error("the row {row} of {table} differs from the generations it sums up")]
    Rollup { table: &'static str, row: String },
    #[error("key {key} is stored as having used {stored}, and its generations cost {generations}")]
    KeyUsed {
        key: String,
        stored: NanoUsd,
        generations: NanoUsd,
    },
    #[error("key {key} is stored as having lent {stored}, and its leases sum to {leases}")]
    KeyLeased {
        key: String,
        stored: NanoUsd,
        leases: NanoUsd,
    },
}

/// Generations read at a time.
const PAGE_ROWS: i64 = 500;

/// Checks every transfer, balance, charge, purchase, rollup and key limit. Reads everything: for a reading transaction,
/// off the hot path.
///
/// # Errors
/// Of the database, and `Corrupt` for rows that cannot be read.
pub async fn verify(tx: &mut Tx) -> Result<Result<Proof, Difference>> {
    let difference = match ledger_difference(tx).await? {
        None => generation_difference(tx).await?,
        found => found,
    };
    let difference = match difference {
        None => purchase_difference(tx).await?,
        found => found,
    };
    let difference = match difference {
        None => rollup_difference(tx).await?,
        found => found,
    };
    let difference = match difference {
        None => key_difference(tx).await?,
        found => found,
    };
    match difference {
        None => Ok(Ok(proof(tx).await?)),
        Some(difference) => Ok(Err(difference)),
    }
}

async fn ledger_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let unbalanced = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT t.id, COUNT(l.transfer_id), CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
         FROM transfers t LEFT JOIN legs l ON l.transfer_id = t.id
         GROUP BY t.id HAVING COUNT(l.transfer_id) < 2 OR SUM(l.amount_nano) <> 0 ORDER BY t.id LIMIT 1",
    )?;
    if let Some((transfer, legs, sum)) = unbalanced {
        let legs = column::count(legs)?;
        return Ok(Some(Difference::Unbalanced {
            transfer,
            legs,
            sum: NanoUsd::new(sum),
        }));
    }
    let stray = fetch_optional!(
        (String,),
        tx,
        "SELECT l.transfer_id FROM legs l LEFT JOIN transfers t ON t.id = l.transfer_id WHERE t.id IS NULL LIMIT 1",
    )?;
    if let Some((transfer,)) = stray {
        return Ok(Some(Difference::StrayLeg { transfer }));
    }
    let balance = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT a.id, a.balance_nano, CAST(COALESCE(s.total, 0) AS BIGINT)
         FROM ledger_accounts a LEFT JOIN (
             SELECT ledger_account_id, SUM(amount_nano) AS total FROM legs GROUP BY ledger_account_id
         ) s ON s.ledger_account_id = a.id
         WHERE a.balance_nano <> COALESCE(s.total, 0) ORDER BY a.id LIMIT 1",
    )?;
    if let Some((account, stored, legs)) = balance {
        return Ok(Some(Difference::Balance {
            account,
            stored: NanoUsd::new(stored),
            legs: NanoUsd::new(legs),
        }));
    }
    let (sum,) = fetch_one!(
        (i64,),
        tx,
        "SELECT CAST(COALESCE(SUM(balance_nano), 0) AS BIGINT) FROM ledger_accounts"
    )?;
    if sum != 0 {
        return Ok(Some(Difference::NotZero { sum: NanoUsd::new(sum) }));
    }
    let negative = fetch_optional!(
        (String, i64),
        tx,
        "SELECT id, balance_nano FROM ledger_accounts WHERE kind = 'escrow' AND balance_nano < 0 ORDER BY id LIMIT 1",
    )?;
    Ok(negative.map(|(account, balance)| Difference::NegativeEscrow {
        account,
        balance: NanoUsd::new(balance),
    }))
}

async fn generation_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let mut after = String::new();
    loop {
        let page = fetch_all!(
            ChargedRow,
            tx,
            "SELECT g.id, g.prompt_tokens, g.completion_tokens, g.reasoning_tokens, g.cache_read_tokens,
                    g.cache_write_tokens, g.images, g.prices, g.outcome, g.day, g.created_us, g.cost_nano,
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

async fn purchase_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let credited = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT id, amount_nano, credited FROM (
             SELECT p.id, p.amount_nano,
                    (SELECT CAST(COALESCE(SUM(l.amount_nano), 0) AS BIGINT)
                     FROM transfers t JOIN legs l ON l.transfer_id = t.id
                     WHERE t.idempotency_key = 'purchase:' || p.id AND t.kind = 'purchase'
                       AND l.ledger_account_id = 'customer:' || p.account_id) AS credited
             FROM purchases p WHERE p.state = 'paid'
         ) AS paid WHERE amount_nano <> credited ORDER BY id LIMIT 1",
    )?;
    if let Some((purchase, amount, credited)) = credited {
        return Ok(Some(Difference::Purchase {
            purchase,
            amount: NanoUsd::new(amount),
            credited: NanoUsd::new(credited),
        }));
    }
    let stray = fetch_optional!(
        (String,),
        tx,
        "SELECT t.idempotency_key FROM transfers t
         LEFT JOIN purchases p ON p.id = SUBSTR(t.idempotency_key, 10) AND p.state = 'paid'
         WHERE t.kind = 'purchase' AND (p.id IS NULL OR t.idempotency_key <> 'purchase:' || p.id) LIMIT 1",
    )?;
    Ok(stray.map(|(idempotency_key,)| Difference::StrayPurchase { idempotency_key }))
}

/// Each rollup less its generations must be zero in every column, for every key that either side has.
async fn rollup_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let by_model = fetch_optional!(
        (String,),
        tx,
        "SELECT day || ' ' || model || ' ' || provider FROM (
             SELECT day, model, provider, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM rollups_daily
             UNION ALL
             SELECT day, model, provider, -1, -prompt_tokens, -completion_tokens, -reasoning_tokens, -cost_nano
             FROM generations
         ) AS both_sides GROUP BY day, model, provider
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let by_account = fetch_optional!(
        (String,),
        tx,
        "SELECT account_id || ' ' || day || ' ' || key_hash || ' ' || model FROM (
             SELECT account_id, day, key_hash, model, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM account_rollups_daily
             UNION ALL
             SELECT account_id, day, key_hash, model, -1, -prompt_tokens, -completion_tokens, -reasoning_tokens,
                    -cost_nano
             FROM generations
         ) AS both_sides GROUP BY account_id, day, key_hash, model
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let by_app = fetch_optional!(
        (String,),
        tx,
        "SELECT day || ' ' || app_name || ' ' || app_url FROM (
             SELECT day, app_name, app_url, requests AS r, prompt_tokens AS p, completion_tokens AS c,
                    reasoning_tokens AS t, cost_nano AS n FROM app_rollups_daily
             UNION ALL
             SELECT day, app_name, COALESCE(app_url, ''), -1, -prompt_tokens, -completion_tokens, -reasoning_tokens,
                    -cost_nano
             FROM generations WHERE app_name IS NOT NULL
         ) AS both_sides GROUP BY day, app_name, app_url
         HAVING SUM(r) <> 0 OR SUM(p) <> 0 OR SUM(c) <> 0 OR SUM(t) <> 0 OR SUM(n) <> 0 LIMIT 1",
    )?;
    let found = [
        ("rollups_daily", by_model),
        ("account_rollups_daily", by_account),
        ("app_rollups_daily", by_app),
    ];
    Ok(found
        .into_iter()
        .find_map(|(table, row)| row.map(|(row,)| Difference::Rollup { table, row })))
}

async fn key_difference(tx: &mut Tx) -> Result<Option<Difference>> {
    let used = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT owner, used_nano, generations_nano FROM (
             SELECT l.owner, l.used_nano,
                    (SELECT CAST(COALESCE(SUM(g.cost_nano), 0) AS BIGINT) FROM generations g
                     WHERE g.key_hash = l.owner AND g.created_us >= l.period_start_us
                       AND g.created_us < l.period_end_us) AS generations_nano
             FROM spend_limits l WHERE l.owner NOT LIKE 'account:%'
             UNION ALL
             SELECT l.owner, l.used_nano,
                    (SELECT CAST(COALESCE(SUM(g.cost_nano), 0) AS BIGINT) FROM generations g
                     WHERE g.account_id = SUBSTR(l.owner, 9) AND g.created_us >= l.period_start_us
                       AND g.created_us < l.period_end_us)
             FROM spend_limits l WHERE l.owner LIKE 'account:%'
         ) AS periods WHERE used_nano <> generations_nano ORDER BY owner LIMIT 1",
    )?;
    if let Some((key, stored, generations)) = used {
        return Ok(Some(Difference::KeyUsed {
            key,
            stored: NanoUsd::new(stored),
            generations: NanoUsd::new(generations),
        }));
    }
    let leased = fetch_optional!(
        (String, i64, i64),
        tx,
        "SELECT owner, leased_nano, leases_nano FROM (
             SELECT l.owner, l.leased_nano,
                    (SELECT CAST(COALESCE(SUM(n.leased_nano), 0) AS BIGINT) FROM spend_leases n
                     WHERE n.owner = l.owner AND n.period_start_us = l.period_start_us
                       AND n.period_end_us = l.period_end_us) AS leases_nano
             FROM spend_limits l
         ) AS periods WHERE leased_nano <> leases_nano ORDER BY owner LIMIT 1",
    )?;
    Ok(leased.map(|(key, stored, leases)| Difference::KeyLeased {
        key,
        stored: NanoUsd::new(stored),
        leases: NanoUsd::new(leases),
    }))
}

async fn proof(tx: &mut Tx) -> Result<Proof> {
    let (transfers, legs, ledger_accounts, generations, purchases_paid) = fetch_one!(
        (i64, i64, i64, i64, i64),
        tx,
        "SELECT (SELECT COUNT(*) FROM transfers), (SELECT COUNT(*) FROM legs), (SELECT COUNT(*) FROM ledger_accounts),
                (SELECT COUNT(*) FROM generations), (SELECT COUNT(*) FROM purchases WHERE state = 'paid')",
    )?;
    let totals = fetch_all!(
        (String, i64),
        tx,
        "SELECT kind, CAST(SUM(balance_nano) AS BIGINT) FROM ledger_accounts GROUP BY kind",
    )?;
    let total = |kind: &str| {
        let found = totals.iter().find(|(other, _)| other == kind);
        NanoUsd::new(found.map_or(0, |(_, total)| *total))
    };
    Ok(Proof {
        transfers: column::count(transfers)?,
        legs: column::count(legs)?,
        ledger_accounts: column::count(ledger_accounts)?,
        generations: column::count(generations)?,
        purchases_paid: column::count(purchases_paid)?,
        customer_total: total("customer"),
        escrow_total: total("escrow"),
        provider_total: total("provider_payable"),
        processor_total: total("processor_clearing"),
        house_total: total("house_cost"),
        promotions_total: total("promotions"),
    })
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
