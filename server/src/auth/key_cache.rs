//! Keys in memory: the hot path asks the database once per key, and keeps known keys when the database is gone.

use crate::error::ApiError;
use domain::api_key::KeyHash;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::keys::Key;
use store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Keyed by the full hash, bounded, one lookup at a time per key. Changes arrive through [`KeyCache::invalidate`] and
/// [`KeyCache::put`]; the time to live is only the second line.
pub struct KeyCache {
    slots: Mutex<HashMap<KeyHash, Arc<Slot>>>,
    lookups: Semaphore,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by the one who asks the store.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The last answer of the store; an unknown key is `Some(None)`.
    known: Option<Option<Arc<Key>>>,
    /// Why the store could not answer, when nothing is known.
    failure: Option<ApiError>,
    fresh_until: Option<Instant>,
    /// Counts invalidations, so that an answer read before one is not kept after it.
    epoch: u64,
}

const SLOTS_MAX: usize = 100_000;
const LOOKUPS_MAX: usize = 8;
const KNOWN_FOR: Duration = Duration::from_secs(60);
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
const FAILED_FOR: Duration = Duration::from_millis(250);
/// How long a known key is served unchecked after the store failed, before the store is asked again.
const STALE_FOR: Duration = Duration::from_secs(1);
/// How long a request with a known key waits for a slow store.
const STALE_AFTER: Duration = Duration::from_millis(500);
const RELOADS_MAX: usize = 3;

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
        }
    }
}

impl KeyCache {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The key with this hash, deleted and disabled ones included; `None` when there is none.
    ///
    /// # Errors
    /// 503 when the store cannot be reached and the key is not known from before.
    pub async fn get(&self, store: &Store, hash: &KeyHash) -> Result<Option<Arc<Key>>, ApiError> {
        self.get_with(hash, || load(store, hash)).await
    }

    /// Forgets the key: the next request asks the store, and is refused if the store cannot be asked.
    pub fn invalidate(&self, hash: &KeyHash) {
        if let Some(slot) = lock(&self.slots).get(hash) {
            slot.change(|state| {
                state.known = None;
                state.fresh_until = None;
            });
        }
    }

    /// Replaces what is known about a key by a row just read, if the key is held here at all. Tells whether a known key
    /// has changed.
    pub fn put(&self, key: Key) -> bool {
        let slot = lock(&self.slots).get(&key.hash).cloned();
        slot.is_some_and(|slot| slot.put(key))
    }

    async fn get_with<F>(&self, hash: &KeyHash, load: impl Fn() -> F) -> Result<Option<Arc<Key>>, ApiError>
    where
        F: Future<Output = Result<Option<Key>, StoreError>>,
    {
        let slot = self.slot(hash);
        if let Some(answer) = slot.fresh() {
            return answer;
        }
        let _flight = slot.flight.lock().await;
        for _ in 0..RELOADS_MAX {
            if let Some(answer) = slot.fresh() {
                return answer;
            }
            let epoch = slot.epoch();
            let loaded = self.lookup(&slot, &load).await;
            if let Some(answer) = slot.settle(epoch, hash, loaded) {
                return answer;
            }
        }
        Err(busy("The key is being changed right now. Try again."))
    }

    async fn lookup<F>(&self, slot: &Slot, load: impl Fn() -> F) -> Result<Option<Key>, ApiError>
    where
        F: Future<Output = Result<Option<Key>, StoreError>>,
    {
        let asked = async {
            let _permit = self.lookups.acquire().await;
            load().await.map_err(ApiError::from)
        };
        if !slot.has_key() {
            return asked.await;
        }
        let waited = tokio::time::timeout(STALE_AFTER, asked).await;
        waited.unwrap_or_else(|_| Err(busy("The database is slow.")))
    }

    fn slot(&self, hash: &KeyHash) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(hash) {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS_MAX {
            make_room(&mut slots);
        }
        Arc::clone(slots.entry(hash.clone()).or_default())
    }
}

impl Slot {
    fn fresh(&self) -> Option<Result<Option<Arc<Key>>, ApiError>> {
        let state = lock(&self.state);
        state.fresh_until.filter(|until| Instant::now() < *until)?;
        match (&state.known, &state.failure) {
            (Some(key), _) => Some(Ok(key.clone())),
            (None, Some(failure)) => Some(Err(failure.clone())),
            (None, None) => None,
        }
    }

    /// Keeps an answer of the store and returns it; `None` when the key was changed meanwhile and must be read again.
    fn settle(
        &self,
        epoch: u64,
        hash: &KeyHash,
        loaded: Result<Option<Key>, ApiError>,
    ) -> Option<Result<Option<Arc<Key>>, ApiError>> {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return None;
        }
        let (answer, fresh_for) = match (loaded, state.known.as_ref().and_then(Option::as_ref)) {
            (Ok(key), _) => {
                let fresh_for = if key.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
                (Ok(key.map(Arc::new)), jittered(fresh_for, hash))
            }
            (Err(_), Some(known)) => (Ok(Some(Arc::clone(known))), STALE_FOR),
            (Err(error), None) => (Err(error), FAILED_FOR),
        };
        state.fresh_until = Some(Instant::now() + fresh_for);
        state.known = answer.as_ref().ok().cloned();
        state.failure = answer.as_ref().err().cloned();
        Some(answer)
    }

    fn put(&self, key: Key) -> bool {
        let mut state = lock(&self.state);
        let known = state.known.as_ref().and_then(Option::as_ref).map(|known| known.updated);
        if known.is_some_and(|known| known >= key.updated) {
            return false;
        }
        state.epoch = state.epoch.wrapping_add(1);
        state.failure = None;
        state.fresh_until = Some(Instant::now() + jittered(KNOWN_FOR, &key.hash));
        state.known = Some(Some(Arc::new(key)));
        known.is_some()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        state.epoch = state.epoch.wrapping_add(1);
        state.failure = None;
        change(&mut state);
    }

    fn epoch(&self) -> u64 {
        lock(&self.state).epoch
    }

    fn has_key(&self) -> bool {
        matches!(lock(&self.state).known, Some(Some(_)))
    }
}

/// In a task of its own: a caller who hangs up must not leave a transaction half begun on a connection.
async fn load(store: &Store, hash: &KeyHash) -> Result<Option<Key>, StoreError> {
    let (store, hash) = (store.clone(), hash.clone());
    let lookup = tokio::spawn(async move {
        let mut tx = store.read().await?;
        store::keys::by_hash(&mut tx, &hash).await
    });
    lookup.await.map_err(|died| StoreError::Unavailable(died.to_string()))?
}

/// Drops what is not a known key first, so that guessing cannot push out real keys; then, if all are real, some of them.
fn make_room(slots: &mut HashMap<KeyHash, Arc<Slot>>) {
    slots.retain(|_, slot| slot.has_key());
    if slots.len() >= SLOTS_MAX {
        let mut count = 0usize;
        slots.retain(|_, _| {
            count = count.wrapping_add(1);
            !count.is_multiple_of(8)
        });
    }
}

/// Between three and five quarters of `time`, by the key, so that keys learnt together are not asked for together.
fn jittered(time: Duration, hash: &KeyHash) -> Duration {
    let last = hash.as_str().bytes().next_back().unwrap_or_default();
    let sixteenths = u32::from(last % 16).saturating_add(24);
    time.saturating_mul(sixteenths) / 32
}

fn busy(message: &str) -> ApiError {
    ApiError::new(domain::error_type::ErrorType::ServiceUnavailable, message).retry_after_secs(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
