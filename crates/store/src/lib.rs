//! All SQL of Tollway, one file per noun, the same text for SQLite and PostgreSQL.
//!
//! Architecture invariant: functions are named for the business verb, take `&mut Tx` and never open a transaction of
//! their own; the caller begins and commits. After an error the transaction must be dropped, which rolls it back.
//!
//! Architecture invariant: rows are locked in one order everywhere (nodes, API keys, accounts, spend limits, spend leases,
//! purchases and what belongs to them, ledger accounts, lots, rollups; by primary key within a table), so that transactions
//! of several nodes do not deadlock. For callers this means: leases from limits come first, and a transaction makes one
//! entry in the ledger (`post`, `take`, `settle`, `settle_paid`, one `converge` …). One that does otherwise is still right;
//! PostgreSQL may end it as a deadlock, which is `Unavailable`: try again.

#![cfg_attr(
    not(test),
    deny(clippy::as_conversions, clippy::float_arithmetic, clippy::arithmetic_side_effects)
)]

#[macro_use]
mod sql;
mod column;
mod database;
mod error;

pub mod budgets;
pub mod catalog;
pub mod checkpoints;
pub mod cuts;
pub mod disputes;
pub mod email_tokens;
pub mod fraud_warnings;
pub mod generations;
pub mod grants;
pub mod invoices;
pub mod keys;
pub mod ledger;
pub mod lots;
pub mod nodes;
pub mod outbox;
pub mod oversight;
pub mod purchases;
pub mod quotas;
pub mod rankings;
pub mod refunds;
pub mod responses;
mod rollups;
pub mod sessions;
pub mod settlement;
pub mod topups;
pub mod users;
pub mod webhooks;

pub use database::{Store, Tx};
pub use error::{Result, StoreError};

/// Gives ids for transfers: chance is the caller's.
pub type Ids<'a> = dyn FnMut() -> domain::id::TransferId + Send + 'a;

/// What came of telling the store what a processor's object looks like now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Converged {
    /// The ledger or the row changed.
    Changed,
    /// All of it was known.
    Unchanged,
    /// The payment belongs to no purchase that is stored here.
    UnknownPayment,
}
