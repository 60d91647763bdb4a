//! The whole store suite, each test on SQLite and on PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

#[macro_use]
mod both;
mod fixtures;

mod catalog;
mod cuts;
mod database;
mod email_tokens;
mod generations;
mod keys;
mod ledger;
mod lots;
mod migration;
mod money;
mod nodes;
mod outbox;
mod oversight;
mod payments;
mod properties;
mod purchases;
mod rankings;
mod sessions;
mod settlement;
mod users;
mod verify;
mod verify_money;
