//! The API as its callers meet it: the real server in a process of its own, scripted providers behind it, and SQLite or
//! PostgreSQL below.
//!
//! `cargo xtask test` sets what these tests need: `TOLLWAY_TEST_PG_URL`, the address of a throw-away PostgreSQL server,
//! and `TOLLWAY_TEST_PYTHON`, a Python that has the `openai` package.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[macro_use]
mod support;

mod account;
mod cancel;
mod catalog;
mod chat;
mod command_line;
mod crash;
mod database_down;
mod dialects;
mod errors;
mod failover;
mod limits;
mod limits_free;
mod matrix;
mod payments;
mod python;
mod site;
mod stream;
mod surfaces;
