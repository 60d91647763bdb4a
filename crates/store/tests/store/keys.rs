use crate::both::Db;
use crate::fixtures::{NOW, Random, generation, grant, key, nano, new_key, node, proof, settle, take, user};
use domain::api_key::KeyHash;
use domain::period::Period;
use domain::time::Micros;
use store::keys::{self, Key, KeyChange, KeyUsage};
use store::{StoreError, Tx};

async fn lease(db: &Db, at: &str, key: &Key, amount: i64, now: Micros) -> bool {
    let mut tx = db.begin().await;
    let leased = keys::lease(&mut tx, &node(at), &key.hash, nano(amount), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    leased
}

async fn available(db: &Db, key: &Key, now: Micros) -> Option<i64> {
    let rest = keys::lease_available(&mut db.read().await, &key.hash, now)
        .await
        .unwrap();
    rest.map(domain::money::NanoUsd::get)
}

async fn change(tx: &mut Tx, key: &Key, change: &KeyChange) -> Option<Key> {
    keys::update(tx, &key.account, &key.hash, change, NOW.plus(9))
        .await
        .unwrap()
}

on_both! {
    async fn a_key_comes_back_as_it_was_made(db: Db) {
        let ada = user(&db, "ada").await;
        let key = Key {
            limit: Some(nano(5)),
            reset: Some(Period::Weekly),
            expires: Some(NOW.plus(1)),
            last_used: Some(NOW),
            ..new_key(&ada, "k")
        };
        let mut tx = db.begin().await;
        keys::create(&mut tx, &key).await.unwrap();
        assert_eq!(keys::by_hash(&mut tx, &key.hash).await.unwrap(), Some(key.clone()));
        assert_eq!(keys::by_hash(&mut tx, &KeyHash::stored("other")).await.unwrap(), None);
        assert!(matches!(keys::create(&mut tx, &key).await, Err(StoreError::Conflict(_))));
    }

    async fn lists_leave_out_deleted_and_internal_keys(db: Db) {
        let ada = user(&db, "ada").await;
        let [one, two] = [key(&db, &ada, "one", None, None).await, key(&db, &ada, "two", None, None).await];
        let internal = Key { internal: true, ..new_key(&ada, "internal") };
        let mut tx = db.begin().await;
        assert_eq!(keys::internal(&mut tx, &ada.account).await.unwrap(), None);
        keys::create(&mut tx, &internal).await.unwrap();
        assert_eq!(keys::internal(&mut tx, &ada.account).await.unwrap(), Some(internal.clone()));
        assert!(keys::delete(&mut tx, &ada.account, &one.hash, NOW).await.unwrap());
        assert!(!keys::delete(&mut tx, &ada.account, &one.hash, NOW).await.unwrap());
        assert!(!keys::delete(&mut tx, &ada.account, &internal.hash, NOW).await.unwrap());
        assert_eq!(keys::list(&mut tx, &ada.account).await.unwrap(), [two]);
        assert!(keys::by_hash(&mut tx, &one.hash).await.unwrap().unwrap().deleted);
    }

    async fn an_account_has_one_internal_key(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        keys::create(&mut tx, &Key { internal: true, ..new_key(&ada, "one") }).await.unwrap();
        let second = keys::create(&mut tx, &Key { internal: true, ..new_key(&ada, "two") }).await;
        assert!(matches!(second, Err(StoreError::Conflict(_))));
    }

    async fn a_change_touches_only_what_it_names(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let made = key(&db, &ada, "k", Some(5), Some(Period::Daily)).await;
        let mut tx = db.begin().await;
        let renamed = change(&mut tx, &made, &KeyChange { name: Some("new".to_owned()), ..KeyChange::default() }).await;
        let expected = Key { name: "new".to_owned(), updated: NOW.plus(9), ..made.clone() };
        assert_eq!(renamed, Some(expected.clone()));
        let emptied = KeyChange {
            disabled: Some(true),
            limit: Some(None),
            reset: Some(None),
            expires: Some(Some(NOW)),
            ..KeyChange::default()
        };
        let expected = Key { disabled: true, limit: None, reset: None, expires: Some(NOW), ..expected };
        assert_eq!(change(&mut tx, &made, &emptied).await, Some(expected));
        let stolen = Key { account: bob.account, ..made };
        assert_eq!(change(&mut tx, &stolen, &emptied).await, None);
    }

    async fn a_revoked_key_cannot_be_changed_back(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let mut tx = db.begin().await;
        assert!(keys::revoke(&mut tx, &made.hash, NOW).await.unwrap());
        assert!(!keys::revoke(&mut tx, &made.hash, NOW).await.unwrap());
        let enable = KeyChange { disabled: Some(false), ..KeyChange::default() };
        assert_eq!(change(&mut tx, &made, &enable).await, None);
    }

    async fn changes_are_seen_by_their_time(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        key(&db, &ada, "other", None, None).await;
        let mut tx = db.begin().await;
        assert_eq!(keys::changed_since(&mut tx, NOW).await.unwrap().len(), 2);
        keys::delete(&mut tx, &ada.account, &made.hash, NOW.plus(5)).await.unwrap();
        let changed = keys::changed_since(&mut tx, NOW.plus(5)).await.unwrap();
        assert_eq!(changed, [Key { deleted: true, updated: NOW.plus(5), ..made }]);
    }

    async fn a_key_without_a_limit_leases_without_a_deduction(db: Db) {
        let ada = user(&db, "ada").await;
        let free = key(&db, &ada, "k", None, None).await;
        assert!(lease(&db, "a", &free, i64::MAX, NOW).await);
        assert_eq!(available(&db, &free, NOW).await, None);
        assert_eq!(db.number("SELECT COUNT(*) FROM spend_limits").await, 0);
        assert!(!lease(&db, "a", &new_key(&ada, "unknown"), 1, NOW).await);
    }

    async fn leases_never_exceed_the_limit(db: Db) {
        let ada = user(&db, "ada").await;
        let limited = key(&db, &ada, "k", Some(100), None).await;
        assert!(lease(&db, "a", &limited, 60, NOW).await);
        assert!(!lease(&db, "b", &limited, 41, NOW).await);
        assert!(lease(&db, "b", &limited, 40, NOW).await);
        assert_eq!(available(&db, &limited, NOW).await, Some(0));
        let mut tx = db.begin().await;
        keys::return_lease(&mut tx, &node("a"), &limited.hash, nano(50)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(available(&db, &limited, NOW).await, Some(50));
        let mut tx = db.begin().await;
        keys::return_lease(&mut tx, &node("a"), &limited.hash, nano(50)).await.unwrap();
        keys::return_all(&mut tx, &node("b")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(available(&db, &limited, NOW).await, Some(100));
        proof(&db).await;
    }

    async fn of_leases_at_once_exactly_what_fits_succeeds(db: Db) {
        let ada = user(&db, "ada").await;
        let limited = key(&db, &ada, "k", Some(1_000), Some(Period::Daily)).await;
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..24_u64 {
            let (db, limited) = (db.clone(), limited.clone());
            tasks.spawn(async move {
                let amount = Random::new(seed).amount(120);
                (lease(&db, &format!("n{}", seed % 3), &limited, amount, NOW).await, amount)
            });
        }
        let results = tasks.join_all().await;
        let leased: i64 = results.iter().filter(|(given, _)| *given).map(|(_, amount)| amount).sum();
        let rest = 1_000 - leased;
        assert_eq!(available(&db, &limited, NOW).await, Some(rest));
        // Whoever was refused would not have fitted into what was left at any time, and so not into the rest.
        assert!(results.iter().filter(|(given, _)| !given).all(|(_, amount)| *amount > rest), "{rest} {results:?}");
        proof(&db).await;
    }

    async fn equal_leases_at_once_use_a_limit_up(db: Db) {
        let ada = user(&db, "ada").await;
        let limited = key(&db, &ada, "k", Some(70), None).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (db, limited) = (db.clone(), limited.clone());
            tasks.spawn(async move { lease(&db, "a", &limited, 7, NOW).await });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|given| *given).count(), 10);
    }

    async fn a_limit_starts_anew_with_its_period(db: Db) {
        let ada = user(&db, "ada").await;
        let daily = key(&db, &ada, "k", Some(100), Some(Period::Daily)).await;
        let tomorrow = Period::Daily.next(NOW);
        assert!(lease(&db, "a", &daily, 100, NOW).await);
        assert!(!lease(&db, "a", &daily, 1, tomorrow.plus(-1)).await);
        assert!(lease(&db, "a", &daily, 100, tomorrow).await);
        assert!(!lease(&db, "a", &daily, 1, tomorrow).await);
    }

    async fn what_was_used_before_a_limit_was_set_counts(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 1_000).await;
        take(&db, &node("a"), &ada, 1_000).await;
        let yesterday = NOW.plus(-Micros::DAY);
        let earlier = domain::generation::Generation { created: yesterday, ..generation("gen-1", &made, 300) };
        settle(&db, &node("a"), &[earlier, generation("gen-2", &made, 30)]).await;

        let mut tx = db.begin().await;
        let limit = KeyChange { limit: Some(Some(nano(400))), ..KeyChange::default() };
        change(&mut tx, &made, &limit).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(available(&db, &made, NOW).await, Some(70));
        assert!(!lease(&db, "a", &made, 71, NOW).await);
        assert!(lease(&db, "a", &made, 70, NOW).await);

        let mut tx = db.begin().await;
        let daily = KeyChange { reset: Some(Some(Period::Daily)), ..KeyChange::default() };
        change(&mut tx, &made, &daily).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(available(&db, &made, NOW).await, Some(370));
        assert!(lease(&db, "a", &made, 370, NOW).await);
        proof(&db).await;
    }

    async fn settling_turns_a_lease_into_use(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", Some(100), Some(Period::Monthly)).await;
        grant(&db, &ada, 1_000).await;
        take(&db, &node("a"), &ada, 1_000).await;
        lease(&db, "a", &made, 60, NOW).await;
        settle(&db, &node("a"), &[generation("gen-1", &made, 10), generation("gen-2", &made, 20)]).await;
        assert_eq!(available(&db, &made, NOW).await, Some(40));
        // A cost above the lease counts in full.
        settle(&db, &node("a"), &[generation("gen-3", &made, 50)]).await;
        assert_eq!(available(&db, &made, NOW).await, Some(20));
        assert_eq!(db.number("SELECT leased_nano FROM spend_leases").await, 0);
        settle(&db, &node("a"), &[generation("gen-4", &made, 50)]).await;
        assert_eq!(available(&db, &made, NOW).await, Some(0));
        let used = keys::by_hash(&mut db.read().await, &made.hash).await.unwrap().unwrap();
        assert_eq!((used.last_used, used.updated), (Some(NOW), made.updated));
        proof(&db).await;
    }

    async fn usage_is_summed_by_period(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let at = |days: i64, id: &str, cost: u32| {
            domain::generation::Generation { created: NOW.plus(-days * Micros::DAY), ..generation(id, &made, cost) }
        };
        // Today is Monday the 23rd.
        let all = [at(0, "gen-1", 1), at(1, "gen-2", 10), at(22, "gen-3", 100), at(23, "gen-4", 1_000)];
        settle(&db, &node("a"), &all).await;
        let usage = |now| {
            let (db, hash) = (db.clone(), made.hash.clone());
            async move { keys::usage(&mut db.read().await, &hash, now).await.unwrap() }
        };
        let expected = KeyUsage { total: nano(1_111), daily: nano(1), weekly: nano(1), monthly: nano(111) };
        assert_eq!(usage(NOW).await, expected);
        let sunday = NOW.plus(-Micros::DAY);
        assert_eq!(usage(sunday).await.weekly, nano(11));
    }
}
