//! How many requests of one key run at once, on this node.

use crate::allowance::shards::Shards;
use domain::api_key::KeyHash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Seats {
    per_key: u32,
    taken: Shards<KeyHash, AtomicU32>,
}

/// One running request. Dropped when it is over.
#[derive(Debug)]
pub struct Seat {
    taken: Arc<AtomicU32>,
    /// Seats its key had left when it was taken.
    pub left: u32,
}

impl Seats {
    #[must_use]
    pub fn new(per_key: u32) -> Self {
        Self {
            per_key,
            taken: Shards::default(),
        }
    }

    #[must_use]
    pub fn per_key(&self) -> u32 {
        self.per_key
    }

    /// `None` when all of the key's seats are taken.
    pub fn take(&self, key: &KeyHash) -> Option<Seat> {
        let taken = self.taken.entry(key);
        let one_more = |taken: u32| (taken < self.per_key).then_some(taken + 1);
        let before = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Seat {
            taken,
            left: self.per_key - before - 1,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_seats_and_gets_them_back() {
        let seats = Seats::new(2);
        let (one, other) = (KeyHash::stored("a"), KeyHash::stored("b"));
        let first = seats.take(&one).unwrap();
        let second = seats.take(&one).unwrap();
        assert_eq!((first.left, second.left), (1, 0));
        assert!(seats.take(&one).is_none() && seats.take(&other).is_some());
        drop(first);
        assert_eq!(seats.take(&one).unwrap().left, 0);
    }
}
