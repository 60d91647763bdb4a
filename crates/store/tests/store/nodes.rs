use crate::both::Db;
use crate::fixtures::{
    NOW, balance, customer, escrow, failed_generation, generation, grant, key, lease_of, nano, node, proof, settle,
    take, transfer_id, user,
};
use domain::id::NodeId;
use domain::ledger::LedgerAccount;
use domain::period::Period;
use store::budgets::{self, Budget};
use store::ledger::LedgerError;
use store::nodes::{self, Beat};
use store::{StoreError, checkpoints, keys, ledger, quotas};

async fn started(db: &Db, node: &NodeId) {
    let mut tx = db.begin().await;
    nodes::start(&mut tx, node, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn beats(db: &Db, node: &NodeId) -> u64 {
    let all = nodes::all(&mut db.read().await).await.unwrap();
    all.into_iter().find(|row| row.id == *node).unwrap().beats
}

async fn fence(db: &Db, node: &NodeId, beats: u64) -> bool {
    let mut tx = db.begin().await;
    let fenced = nodes::fence(&mut tx, node, beats, &mut transfer_id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    fenced
}

async fn beat(db: &Db, node: &NodeId) -> Beat {
    let mut tx = db.begin().await;
    let beat = nodes::beat(&mut tx, node, NOW).await.unwrap();
    tx.commit().await.unwrap();
    beat
}

on_both! {
    async fn a_node_that_stands_still_loses_its_leases_to_their_owners(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let limited = key(&db, &ada, "k", Some(100), None).await;
        let (a, b) = (node("a"), node("b"));
        started(&db, &a).await;
        grant(&db, &ada, 100).await;
        grant(&db, &bob, 50).await;
        take(&db, &a, &ada, 70).await;
        take(&db, &a, &bob, 50).await;
        take(&db, &b, &ada, 10).await;
        let mut tx = db.begin().await;
        assert!(keys::lease(&mut tx, &a, &limited.hash, nano(60), NOW).await.unwrap());
        tx.commit().await.unwrap();
        let seen = beats(&db, &a).await;
        assert_eq!(beat(&db, &a).await, Beat::Alive);
        assert!(!fence(&db, &a, seen).await, "it moved");
        assert!(fence(&db, &a, seen + 1).await);
        assert!(!fence(&db, &a, seen + 1).await, "nothing is left to take");
        assert_eq!((balance(&db, &customer(&ada)).await, balance(&db, &customer(&bob)).await), (90, 50));
        assert_eq!(balance(&db, &escrow(&a, &ada)).await, 0);
        let left = keys::lease_available(&mut db.read().await, &limited.hash, NOW).await.unwrap();
        assert_eq!(left, Some(nano(100)));
        assert_eq!(beat(&db, &a).await, Beat::Fenced);
        assert_eq!(beat(&db, &node("unknown")).await, Beat::Fenced);
        // It gets nothing more until it starts again.
        let mut tx = db.begin().await;
        let refused = ledger::take(&mut tx, &customer(&ada), &lease_of(&a, &ada, 1)).await;
        assert!(matches!(refused, Err(LedgerError::Store(StoreError::Unavailable(_)))), "{refused:?}");
        drop(tx);
        let mut tx = db.begin().await;
        let refused = keys::lease(&mut tx, &a, &limited.hash, nano(1), NOW).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        drop(tx);
        started(&db, &a).await;
        assert_eq!(beat(&db, &a).await, Beat::Alive);
        assert!(take(&db, &a, &ada, 1).await);
        proof(&db).await;
    }

    async fn a_late_settlement_takes_no_customer_below_zero(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        let made = key(&db, &ada, "k", Some(1_000), None).await;
        let other = key(&db, &bob, "b", None, None).await;
        let a = node("a");
        started(&db, &a).await;
        grant(&db, &ada, 100).await;
        grant(&db, &bob, 100).await;
        take(&db, &a, &ada, 100).await;
        let mut tx = db.begin().await;
        keys::lease(&mut tx, &a, &made.hash, nano(100), NOW).await.unwrap();
        tx.commit().await.unwrap();
        settle(&db, &a, &[generation("gen-0", &made, 20)]).await;
        assert!(fence(&db, &a, beats(&db, &a).await).await);
        // Another node takes most of what came back.
        take(&db, &node("b"), &ada, 50).await;
        let batch = [
            generation("gen-0", &made, 20),
            generation("gen-1", &made, 25),
            generation("gen-2", &made, 10),
            generation("gen-3", &made, 7),
            failed_generation("gen-4", &made, 9),
            generation("gen-5", &other, 60),
        ];
        let settled = settle(&db, &a, &batch).await;
        assert_eq!((settled.new.len(), settled.late), (5, nano(12)));
        assert_eq!(balance(&db, &customer(&ada)).await, 0);
        assert_eq!(balance(&db, &customer(&bob)).await, 40);
        assert_eq!(balance(&db, &escrow(&node("b"), &ada)).await, 50);
        assert_eq!(balance(&db, &LedgerAccount::HouseCost).await, -21);
        assert_eq!(db.number("SELECT COUNT(*) FROM generations WHERE late = 1").await, 2);
        assert_eq!(db.number("SELECT used_nano FROM spend_limits").await, 50);
        assert_eq!(settle(&db, &a, &batch).await, store::settlement::Settled::default());
        proof(&db).await;
    }

    async fn fencing_and_settling_at_once_lose_nothing(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        let a = node("a");
        started(&db, &a).await;
        grant(&db, &ada, 1_000).await;
        take(&db, &a, &ada, 1_000).await;
        let seen = beats(&db, &a).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (db, made, a) = (db.clone(), made.clone(), a.clone());
            tasks.spawn(async move {
                if number == 3 {
                    fence(&db, &a, seen).await;
                    return 0;
                }
                settle(&db, &a, &[generation(&format!("gen-{number}"), &made, 10)]).await.new.len()
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 7);
        assert_eq!(balance(&db, &customer(&ada)).await, 930);
        proof(&db).await;
    }

    async fn a_budget_limits_all_keys_of_an_account_together(db: Db) {
        let ada = user(&db, "ada").await;
        let [one, two] = [key(&db, &ada, "one", None, None).await, key(&db, &ada, "two", None, None).await];
        grant(&db, &ada, 1_000).await;
        take(&db, &node("a"), &ada, 500).await;
        settle(&db, &node("a"), &[generation("gen-1", &one, 30)]).await;
        let budget = Budget { limit: nano(100), reset: Some(Period::Monthly) };
        let mut tx = db.begin().await;
        let account = keys::LimitOwner::Account(&ada.account);
        assert_eq!(budgets::get(&mut tx, &ada.account).await.unwrap(), None);
        assert!(keys::lease(&mut tx, &node("a"), account, nano(5_000), NOW).await.unwrap());
        budgets::set(&mut tx, &ada.account, Some(&budget)).await.unwrap();
        assert_eq!(budgets::get(&mut tx, &ada.account).await.unwrap(), Some(budget));
        assert!(!keys::lease(&mut tx, &node("a"), account, nano(71), NOW).await.unwrap());
        assert!(keys::lease(&mut tx, &node("a"), account, nano(60), NOW).await.unwrap());
        tx.commit().await.unwrap();
        settle(&db, &node("a"), &[generation("gen-2", &one, 15), generation("gen-3", &two, 25)]).await;
        let mut tx = db.begin().await;
        assert_eq!(keys::lease_available(&mut tx, account, NOW).await.unwrap(), Some(nano(10)));
        keys::return_lease(&mut tx, &node("a"), account, nano(15)).await.unwrap();
        assert_eq!(keys::lease_available(&mut tx, account, NOW).await.unwrap(), Some(nano(25)));
        let next = Period::Monthly.next(NOW);
        assert_eq!(keys::lease_available(&mut tx, account, next).await.unwrap(), Some(nano(100)));
        keys::return_all(&mut tx, &node("a")).await.unwrap();
        budgets::set(&mut tx, &ada.account, None).await.unwrap();
        assert_eq!(keys::lease_available(&mut tx, account, NOW).await.unwrap(), None);
        tx.commit().await.unwrap();
        proof(&db).await;
    }

    async fn free_requests_never_exceed_the_day(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (db, account) = (db.clone(), ada.account.clone());
            tasks.spawn(async move {
                let mut tx = db.begin().await;
                let granted = quotas::take(&mut tx, &account, "2026-11-23", 7, 50).await.unwrap();
                tx.commit().await.unwrap();
                granted
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<i64>(), 50);
        let mut tx = db.begin().await;
        let mut take = async |day, wanted, limit| quotas::take(&mut tx, &ada.account, day, wanted, limit).await.unwrap();
        assert_eq!(take("2026-11-23", 5, 40).await, 0, "the limit may fall");
        assert_eq!(take("2026-11-24", 5, 50).await, 5);
        quotas::give_back(&mut tx, &ada.account, "2026-11-24", 3).await.unwrap();
        assert_eq!(quotas::taken(&mut tx, &ada.account, "2026-11-24").await.unwrap(), 2);
        assert_eq!(quotas::delete_before(&mut tx, "2026-11-24").await.unwrap(), 1);
    }

    async fn a_checkpoint_is_where_a_job_goes_on(db: Db) {
        let mut tx = db.begin().await;
        assert_eq!(checkpoints::get(&mut tx, "events").await.unwrap(), None);
        checkpoints::set(&mut tx, "events", "evt_1", NOW).await.unwrap();
        checkpoints::set(&mut tx, "events", "evt_2", NOW).await.unwrap();
        assert_eq!(checkpoints::get(&mut tx, "events").await.unwrap().as_deref(), Some("evt_2"));
    }

    async fn a_counted_store_counts_its_own_transactions(db: Db) {
        let counted = db.store.counted();
        drop(counted.begin().await.unwrap());
        drop(counted.clone().read().await.unwrap());
        drop(db.begin().await);
        assert_eq!(counted.transactions(), 2);
        assert_eq!(counted.counted().transactions(), 0);
    }
}
