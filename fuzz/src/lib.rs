//! What holds for any bytes whatever. Each function is a fuzz target: it panics when it does not hold.

pub mod dialect;
pub mod framing;
pub mod surface;

pub use domain::catalog::Dialect;
pub use gateway::surface::Surface;
