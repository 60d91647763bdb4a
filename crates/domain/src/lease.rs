//! Money a node spends from memory: what is left of a lease, and what is set aside of it for one request.
//!
//! What a node has taken of an account in the ledger is at every moment: what is left of the lease, plus all holds, plus
//! costs that are spent and not settled yet.

// By way of `crate::sync`, so that the model check puts its own types in their place and checks this very file.
use crate::money::NanoUsd;
use crate::sync::{Arc, AtomicI64, Ordering};
use crate::time::Micros;

/// What is left of a lease.
#[derive(Debug)]
pub struct Lease {
    /// Nano-dollars; below zero after costs beyond their hold.
    remaining: AtomicI64,
    /// Microseconds since the Unix epoch.
    last_used: AtomicI64,
}

/// Money set aside for one request, in each of the leases that must cover it: of the account, of the key's limit, of the
/// account's budget. Dropped unspent, it goes back whole.
#[derive(Debug, Default)]
pub struct Hold {
    amount: NanoUsd,
    leases: [Option<Arc<Lease>>; LEASES_MAX],
}

/// Leases that one hold can be taken from.
pub const LEASES_MAX: usize = 3;
/// A lease is this part of what there is, within the bound below.
const PART: i64 = 20;
/// One dollar.
const SLICE_MAX: NanoUsd = NanoUsd::new(1_000_000_000);

/// How much to lease when `missing` is needed: that, and more where there is plenty; never more than there is.
#[must_use]
pub fn size(available: NanoUsd, missing: NanoUsd) -> NanoUsd {
    let slice = NanoUsd::new(available.get().checked_div(PART).unwrap_or(0)).min(SLICE_MAX);
    missing.max(slice).min(available)
}

impl Lease {
    #[must_use]
    pub fn remaining(&self) -> NanoUsd {
        NanoUsd::new(self.remaining.load(Ordering::Acquire))
    }

    /// Microseconds since something was last wanted of it.
    #[must_use]
    pub fn idle(&self, now: Micros) -> i64 {
        now.since(Micros::new(self.last_used.load(Ordering::Relaxed)))
    }

    /// All or nothing.
    #[must_use]
    pub fn take(&self, amount: NanoUsd, now: Micros) -> bool {
        self.last_used.store(now.get(), Ordering::Relaxed);
        let enough = |remaining: i64| remaining.checked_sub(amount.get()).filter(|rest| *rest >= 0);
        self.remaining
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enough)
            .is_ok()
    }

    /// As much of `wanted` as there is.
    ///
    /// # Errors
    /// What there is, when that is less than `least` or nothing.
    pub fn take_at_least(&self, wanted: NanoUsd, least: NanoUsd, now: Micros) -> Result<NanoUsd, NanoUsd> {
        self.last_used.store(now.get(), Ordering::Relaxed);
        let part = |remaining: i64| {
            let part = remaining.min(wanted.get());
            (part > 0 && part >= least.get()).then_some(part)
        };
        let taken = self
            .remaining
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |remaining| {
                remaining.checked_sub(part(remaining)?)
            });
        match taken {
            Ok(before) => Ok(NanoUsd::new(before).min(wanted)),
            Err(available) => Err(NanoUsd::new(available).min(wanted).max(NanoUsd::ZERO)),
        }
    }

    /// Everything, to give it back; zero when more was spent than there was.
    #[must_use]
    pub fn take_all(&self) -> NanoUsd {
        let positive = |remaining: i64| (remaining > 0).then_some(0);
        NanoUsd::new(
            self.remaining
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, positive)
                .unwrap_or(0),
        )
    }

    /// Puts money in: from the store, or what is left of a hold. A negative amount is owed.
    pub fn give(&self, amount: NanoUsd) {
        self.remaining.fetch_add(amount.get(), Ordering::AcqRel);
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            remaining: AtomicI64::new(0),
            last_used: AtomicI64::new(0),
        }
    }
}

impl Hold {
    /// For what costs nothing.
    #[must_use]
    pub fn free() -> Self {
        Self::default()
    }

    /// `taken` was taken from `lease` for it. When that is less than was taken from earlier leases, they get the
    /// difference back; more cannot be wanted.
    pub fn join(&mut self, lease: Arc<Lease>, taken: NanoUsd) {
        let first = self.leases.iter().all(Option::is_none);
        if !first {
            let surplus = self.amount.saturating_sub(taken);
            for earlier in self.leases.iter().flatten() {
                earlier.give(surplus);
            }
        }
        self.amount = taken;
        if let Some(place) = self.leases.iter_mut().find(|place| place.is_none()) {
            *place = Some(lease);
        }
    }

    #[must_use]
    pub fn amount(&self) -> NanoUsd {
        self.amount
    }

    /// Sets `more` aside in all of its leases, or nothing: for an answer that outgrows its hold.
    pub fn extend(&mut self, more: NanoUsd, now: Micros) -> bool {
        let took = self.leases.iter().flatten().take_while(|lease| lease.take(more, now));
        let took = took.count();
        if took < self.leases.iter().flatten().count() {
            for lease in self.leases.iter().flatten().take(took) {
                lease.give(more);
            }
            return false;
        }
        self.amount = self.amount.saturating_add(more);
        true
    }

    /// Sets aside what `cost` exceeds the hold by, below zero if it must be: it has occurred already, and whoever asks for
    /// money from now on must not be given it.
    pub fn cover(&mut self, cost: NanoUsd) {
        let more = cost.saturating_sub(self.amount);
        if !more.is_positive() {
            return;
        }
        for lease in self.leases.iter().flatten() {
            lease.give(more.negated());
        }
        self.amount = cost;
    }

    /// Ends the hold: `cost` stays spent, also beyond what was held, and the rest goes back.
    pub fn spend(mut self, cost: NanoUsd) {
        self.amount = self.amount.saturating_sub(cost);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.amount == NanoUsd::ZERO {
            return;
        }
        for lease in self.leases.iter().flatten() {
            lease.give(self.amount);
        }
    }
}
