//! A map that many cores read at once: split, so that they seldom meet at the same lock.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub struct Shards<K, V> {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<K, Arc<V>>>>,
}

/// A power of two.
const SHARDS: usize = 64;

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

impl<K: Hash + Eq + Clone, V> Shards<K, V> {
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        read(self.shard(key)).get(key).cloned()
    }

    /// The value, made by its default where there is none.
    pub fn entry(&self, key: &K) -> Arc<V>
    where
        V: Default,
    {
        self.entry_with(key, V::default)
    }

    pub fn entry_with(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(found) = self.get(key) {
            return found;
        }
        let mut shard = write(self.shard(key));
        Arc::clone(shard.entry(key.clone()).or_insert_with(|| Arc::new(make())))
    }

    /// Takes the value out if it still is this one.
    pub fn remove(&self, key: &K, value: &Arc<V>) -> bool {
        let mut shard = write(self.shard(key));
        let is_same = shard.get(key).is_some_and(|found| Arc::ptr_eq(found, value));
        is_same && shard.remove(key).is_some()
    }

    pub fn snapshot(&self) -> Vec<(K, Arc<V>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(read(shard).iter().map(|(key, value)| (key.clone(), Arc::clone(value))));
        }
        all
    }

    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| write(shard).clear());
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, Arc<V>>> {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[place]
    }
}

fn read<K, V>(shard: &RwLock<HashMap<K, Arc<V>>>) -> RwLockReadGuard<'_, HashMap<K, Arc<V>>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K, V>(shard: &RwLock<HashMap<K, Arc<V>>>) -> RwLockWriteGuard<'_, HashMap<K, Arc<V>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_get_the_same_value_until_it_is_taken_out() {
        let shards = Shards::<String, u32>::default();
        let keys: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        for key in &keys {
            assert!(Arc::ptr_eq(&shards.entry(key), &shards.entry(key)));
        }
        assert_eq!(shards.snapshot().len(), 1_000);
        let first = shards.entry(&keys[0]);
        assert!(shards.remove(&keys[0], &first) && !shards.remove(&keys[0], &first));
        assert!(shards.get(&keys[0]).is_none());
        shards.clear();
        assert!(shards.snapshot().is_empty());
    }
}
