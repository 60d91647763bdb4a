//! A node: what survives its crash, and what does not.

use domain::generation::Generation;
use domain::id::{AccountId, GenerationId, NodeId};
use domain::lease::{Hold, Lease};
use domain::ledger::Transfer;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Node {
    pub(super) id: NodeId,
    /// What its clock shows beyond the true time.
    pub(super) skew: i64,
    /// Survives a crash, as do the slots.
    pub(super) journal: BTreeMap<GenerationId, Record>,
    pub(super) slots: BTreeMap<GenerationId, i64>,
    /// `None` while it is dead.
    pub(super) memory: Option<Memory>,
}

pub(super) enum Record {
    Intent(Generation),
    Settlement(Generation),
}

pub(super) struct Memory {
    pub(super) leases: BTreeMap<AccountId, Arc<Lease>>,
    pub(super) running: Vec<Running>,
    pub(super) queue: Vec<Generation>,
    /// Transfers that may have been entered or not: asked again until it is known.
    pub(super) unknown: Vec<Transfer>,
    /// It knows that its leases are gone.
    pub(super) fenced: bool,
    /// It is too busy to say that it lives.
    pub(super) stalls: bool,
    pub(super) last_beat: i64,
    /// Beats of the others, and since when they stand still.
    pub(super) seen: BTreeMap<NodeId, (i64, i64)>,
}

pub(super) struct Running {
    pub(super) generation: Generation,
    pub(super) hold: Hold,
    pub(super) cost: i64,
}

impl Node {
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            skew: 0,
            journal: BTreeMap::new(),
            slots: BTreeMap::new(),
            memory: Some(Memory::new(1_795_421_106_000_000)),
        }
    }
}

impl Memory {
    pub(super) fn new(local: i64) -> Self {
        Self {
            leases: BTreeMap::new(),
            running: Vec::new(),
            queue: Vec::new(),
            unknown: Vec::new(),
            fenced: false,
            stalls: false,
            last_beat: local,
            seen: BTreeMap::new(),
        }
    }
}
