//! All SQL of Tollway, one file per noun, the same text for SQLite and PostgreSQL.
//!
//! Architecture invariant: functions are named for the business verb, take `&mut Tx` and never open a transaction of
//! their own; the caller begins and commits. After an error the transaction must be dropped, which rolls it back.
//!
//! Architecture invariant: rows are locked in one order everywhere (API keys, key limits, key leases, ledger accounts,
//! rollups; by primary key within a table), so that transactions of several nodes do not deadlock. For callers this means:
//! leases from keys come first, and a transaction makes one entry in the ledger (`post`, `take`, `settle`, `settle_paid`).
//! One that does otherwise is still right; PostgreSQL may end it as a deadlock, which is `Unavailable`: try again.

#![cfg_attr(
    not(test),
    deny(clippy::as_conversions, clippy::float_arithmetic, clippy::arithmetic_side_effects)
)]

#[macro_use]
mod sql;
mod column;
mod database;
mod error;

pub mod catalog;
pub mod email_tokens;
pub mod generations;
pub mod keys;
pub mod ledger;
pub mod nodes;
pub mod outbox;
pub mod purchases;
pub mod rankings;
mod rollups;
pub mod sessions;
pub mod settlement;
pub mod users;
pub mod webhooks;

pub use database::{Store, Tx};
pub use error::{Result, StoreError};
