//! What the operator looks at: the books by account, who is in debt, and what the house pays itself.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::account::Email;
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::time::Micros;

/// The ledger accounts of one kind and name; those of customers are one line for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookLine {
    /// As in `LedgerAccount::kind`.
    pub kind: String,
    /// The id of the ledger account for those of the house, empty for those of customers.
    pub account: String,
    pub accounts: u64,
    pub balance: NanoUsd,
}

/// Who has spent more than they had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debtor {
    pub account: AccountId,
    pub email: Option<Email>,
    /// What can be spent and what nodes hold together: below zero.
    pub balance: NanoUsd,
}

/// What the house paid to one provider on one day without charging anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HouseCost {
    /// `YYYY-MM-DD`.
    pub day: String,
    pub provider: String,
    pub generations: u64,
    pub cost: NanoUsd,
}

/// Generations of one endpoint whose tokens we counted ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimates {
    pub endpoint: String,
    pub generations: u64,
    /// What was charged for them.
    pub charged: NanoUsd,
}

/// # Errors
/// Of the database only.
pub async fn books(tx: &mut Tx) -> Result<Vec<BookLine>> {
    let rows = fetch_all!(
        (String, String, i64, i64),
        tx,
        "SELECT kind, CASE WHEN account_id IS NULL THEN id ELSE '' END AS name, COUNT(*),
                CAST(SUM(balance_nano) AS BIGINT)
         FROM ledger_accounts GROUP BY kind, CASE WHEN account_id IS NULL THEN id ELSE '' END ORDER BY kind, name",
    )?;
    rows.into_iter()
        .map(|(kind, account, accounts, balance)| {
            Ok(BookLine {
                kind,
                account,
                accounts: column::count(accounts)?,
                balance: NanoUsd::new(balance),
            })
        })
        .collect()
}

/// The deepest in debt first.
///
/// # Errors
/// Of the database only.
pub async fn debtors(tx: &mut Tx, limit: i64) -> Result<Vec<Debtor>> {
    let rows = fetch_all!(
        (String, i64),
        tx,
        "SELECT l.account_id, CAST(SUM(l.balance_nano) AS BIGINT) AS balance FROM ledger_accounts l
         WHERE l.kind IN ('customer', 'escrow') GROUP BY l.account_id HAVING SUM(l.balance_nano) < 0
         ORDER BY balance, l.account_id LIMIT $1",
        limit,
    )?;
    let mut debtors = Vec::with_capacity(rows.len());
    for (account, balance) in rows {
        let account = AccountId::stored(account);
        debtors.push(Debtor {
            email: email_of(tx, &account).await?,
            account,
            balance: NanoUsd::new(balance),
        });
    }
    Ok(debtors)
}

/// The address of the account's first user.
///
/// # Errors
/// Of the database only.
pub async fn email_of(tx: &mut Tx, account: &AccountId) -> Result<Option<Email>> {
    let row = fetch_optional!(
        (String,),
        tx,
        "SELECT email FROM users WHERE account_id = $1 ORDER BY created_us, id LIMIT 1",
        account.as_str(),
    )?;
    row.map(|(email,)| column::email(&email)).transpose()
}

/// Since `from`, the newest day first, in it the dearest provider.
///
/// # Errors
/// Of the database only.
pub async fn house_costs(tx: &mut Tx, from: Micros, limit: i64) -> Result<Vec<HouseCost>> {
    let rows = fetch_all!(
        (String, String, i64, i64),
        tx,
        "SELECT day, provider, COUNT(*), CAST(SUM(house_cost_nano) AS BIGINT) AS cost FROM generations
         WHERE created_us >= $1 AND (house_cost_nano > 0 OR estimated = 1) AND house_cost_nano > 0
         GROUP BY day, provider ORDER BY day DESC, cost DESC, provider LIMIT $2",
        from.get(),
        limit,
    )?;
    rows.into_iter()
        .map(|(day, provider, generations, cost)| {
            Ok(HouseCost {
                day,
                provider,
                generations: column::count(generations)?,
                cost: NanoUsd::new(cost),
            })
        })
        .collect()
}

/// Since `from`, the endpoint with the most first.
///
/// # Errors
/// Of the database only.
pub async fn estimates(tx: &mut Tx, from: Micros, limit: i64) -> Result<Vec<Estimates>> {
    let rows = fetch_all!(
        (String, i64, i64),
        tx,
        "SELECT endpoint, COUNT(*) AS generations, CAST(SUM(cost_nano) AS BIGINT) FROM generations
         WHERE created_us >= $1 AND (house_cost_nano > 0 OR estimated = 1) AND estimated = 1
         GROUP BY endpoint ORDER BY generations DESC, endpoint LIMIT $2",
        from.get(),
        limit,
    )?;
    rows.into_iter()
        .map(|(endpoint, generations, charged)| {
            Ok(Estimates {
                endpoint,
                generations: column::count(generations)?,
                charged: NanoUsd::new(charged),
            })
        })
        .collect()
}
