//! The one process: configuration → state → serve → shutdown.

mod auth;
mod clock;
mod config;
mod data_plane;
mod error;

fn main() {}
