use super::super::tests::key;
use super::*;
use domain::api_key::ApiKey;
use domain::time::Micros;
use std::sync::atomic::{AtomicUsize, Ordering};

fn hash(seed: u8) -> (ApiKey, KeyHash) {
    let api_key = ApiKey::new(&[seed; 32]);
    let hash = api_key.hash();
    (api_key, hash)
}

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("refused".into()))
}

#[tokio::test]
async fn a_miss_is_looked_up_once_however_many_wait() {
    let (api_key, hash) = hash(1);
    let (cache, count) = (KeyCache::new(), AtomicUsize::new(0));
    let load = || async {
        count.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(Some(key(&api_key)))
    };
    let asked = futures_util::future::join_all((0..50).map(|_| cache.get_with(&hash, load))).await;
    assert!(asked.into_iter().all(|key| key.unwrap().unwrap().hash == hash));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_key_works_while_the_database_is_down_and_an_unknown_one_is_503() {
    let (api_key, hash) = hash(1);
    let cache = KeyCache::new();
    cache
        .get_with(&hash, || async { Ok(Some(key(&api_key))) })
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert!(cache.get_with(&hash, || async { down() }).await.unwrap().is_some());
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let hangs = || std::future::pending::<Result<Option<Key>, StoreError>>();
    assert!(cache.get_with(&hash, hangs).await.unwrap().is_some());

    let (_, other) = self::hash(2);
    let error = cache.get_with(&other, || async { down() }).await.unwrap_err();
    assert_eq!(error.code(), 503);
    cache.get_with(&other, || async { Ok(None) }).await.unwrap_err();
    tokio::time::advance(FAILED_FOR).await;
    assert!(cache.get_with(&other, || async { Ok(None) }).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_key_is_read_again_and_refused_when_it_cannot_be() {
    let (api_key, hash) = hash(1);
    let cache = KeyCache::new();
    let load = || async { Ok(Some(key(&api_key))) };
    cache.get_with(&hash, load).await.unwrap();
    cache.invalidate(&hash);
    assert_eq!(
        cache.get_with(&hash, || async { down() }).await.unwrap_err().code(),
        503
    );
    tokio::time::advance(FAILED_FOR).await;
    let mut disabled = key(&api_key);
    disabled.disabled = true;
    let now = cache
        .get_with(&hash, || async { Ok(Some(disabled.clone())) })
        .await
        .unwrap()
        .unwrap();
    assert!(now.disabled);
}

#[tokio::test]
async fn an_answer_read_before_an_invalidation_is_not_kept() {
    let (api_key, hash) = hash(1);
    let (cache, count) = (KeyCache::new(), AtomicUsize::new(0));
    let load = || async {
        let mut row = key(&api_key);
        row.disabled = count.fetch_add(1, Ordering::SeqCst) > 0;
        if !row.disabled {
            cache.invalidate(&hash);
        }
        Ok(Some(row))
    };
    assert!(cache.get_with(&hash, load).await.unwrap().unwrap().disabled);
}

#[tokio::test]
async fn a_polled_row_replaces_an_older_one_only() {
    let (api_key, hash) = hash(1);
    let cache = KeyCache::new();
    let row = |updated, disabled| Key {
        updated: Micros::new(updated),
        disabled,
        ..key(&api_key)
    };
    assert!(!cache.put(row(9, true)));
    cache
        .get_with(&hash, || async { Ok(Some(row(5, false))) })
        .await
        .unwrap();
    assert!(!cache.put(row(4, true)));
    let known = || async { cache.get_with(&hash, || async { down() }).await.unwrap().unwrap() };
    assert!(!known().await.disabled);
    assert!(cache.put(row(6, true)));
    assert!(known().await.disabled);
}

#[tokio::test(start_paused = true)]
async fn a_key_made_after_a_miss_is_found_soon() {
    let (api_key, hash) = hash(1);
    let cache = KeyCache::new();
    assert!(cache.get_with(&hash, || async { Ok(None) }).await.unwrap().is_none());
    tokio::time::advance(UNKNOWN_FOR * 2).await;
    assert!(
        cache
            .get_with(&hash, || async { Ok(Some(key(&api_key))) })
            .await
            .unwrap()
            .is_some()
    );
}

#[test]
fn guesses_never_push_out_real_keys() {
    let cache = KeyCache::new();
    let (api_key, hash) = hash(1);
    let slot = cache.slot(&hash);
    slot.change(|state| state.known = Some(Some(Arc::new(key(&api_key)))));
    for guess in 0..=SLOTS_MAX {
        cache.slot(&KeyHash::stored(guess.to_string()));
    }
    assert!(lock(&cache.slots).len() <= SLOTS_MAX);
    assert!(Arc::ptr_eq(&cache.slot(&hash), &slot));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_asked_in_whatever_order_the_answer_is_the_asked_key(asks in proptest::collection::vec((0u8..6, 0u8..4), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let cache = KeyCache::new();
            for (seed, event) in asks {
                let (api_key, hash) = hash(seed);
                match event {
                    0 => cache.invalidate(&hash),
                    1 => drop(cache.put(key(&api_key))),
                    _ => {}
                }
                let load = || async { if event == 3 { down() } else { Ok((seed % 2 == 0).then(|| key(&api_key))) } };
                if let Ok(Some(found)) = cache.get_with(&hash, load).await {
                    assert_eq!(found.hash, hash);
                    assert_eq!(&found.account, &key(&api_key).account);
                }
            }
        });
    }
}
