//! What Tollway is about, as pure types: money, prices, usage, the catalog, accounts, keys, ledger rules and periods.
//!
//! Architecture invariant: nothing here does I/O, reads a clock or draws a random number, so the browser and the server
//! run the same code and the price shown is the price charged.

#![cfg_attr(
    not(test),
    deny(clippy::as_conversions, clippy::float_arithmetic, clippy::arithmetic_side_effects)
)]

pub mod account;
pub mod api_key;
pub mod catalog;
pub mod error_type;
pub mod generation;
pub mod id;
pub mod lease;
pub mod ledger;
pub mod lot;
pub mod money;
pub mod near;
pub mod period;
pub mod price;
pub mod purchase;
pub mod quirks;
pub mod slug;
pub mod time;
pub mod usage;

/// What is shared between threads.
mod sync {
    pub use std::sync::Arc;
    pub use std::sync::atomic::{AtomicI64, Ordering};
}
