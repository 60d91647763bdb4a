//! Shared, dumb parts of pages: they show what they are given.

pub mod badge;
pub mod chart;
pub mod code;
pub mod copy;
pub mod example;
pub mod fault;
pub mod field;
pub mod icon;
pub mod layout;
pub mod monogram;
pub mod pager;
pub mod price;
#[cfg(feature = "ssr")]
pub mod refund_form;
pub mod rendered;
#[cfg(feature = "ssr")]
pub mod table;
pub mod time;
