//! The gateway's core without I/O: what a request asks for, where it may go, what is sent to a provider, and what comes back.
//!
//! Architecture invariant: bytes in, bytes out. No sockets, no clocks, no randomness, so everything is tested with plain text.

pub mod aws_events;
pub mod calibration;
pub mod chunk;
pub mod completion;
pub mod dialect;
pub mod estimate;
pub mod lines;
pub mod linked;
pub mod meter;
pub mod openai;
pub mod rate_limit;
pub mod request;
pub mod route;
pub mod sse;
pub mod surface;
pub mod tokenizer;
pub mod upstream_error;
