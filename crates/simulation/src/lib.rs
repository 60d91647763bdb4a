//! Nodes, a ledger and bad luck: the life of leases, holds and settlements as a deterministic story told from a seed.
//!
//! The nodes use the server's own [`domain::lease`]; the ledger is either the model in [`books`], which follows the rules
//! of the store, or the store itself.

pub mod books;
pub mod random;
pub mod world;
