//! What holds for any bytes whatever. Each function is a fuzz target: it panics when it does not hold.

pub mod dialect;
pub mod framing;

pub use domain::catalog::Dialect;
