use crate::both::Db;
use crate::fixtures::{
    NOW, balance, bought, customer, escrow, generation, grant, key, nano, node, proof, settle, take, transfer,
    transfer_id, user,
};
use domain::id::{GrantId, UserId};
use domain::ledger::{LedgerAccount, TransferKind};
use domain::time::Micros;
use store::grants::Grant;
use store::users::User;
use store::{grants, ledger, lots};

/// Gives credits that end after `days`.
async fn given(db: &Db, user: &User, id: &str, amount: i64, days: Option<i64>) {
    let grant = Grant {
        id: GrantId::stored(id),
        account: user.account.clone(),
        amount: nano(amount),
        expires: days.map(|days| NOW.plus(days * Micros::DAY)),
        note: String::new(),
        by: UserId::stored("usr_root"),
        created: NOW,
    };
    let mut tx = db.begin().await;
    assert!(grants::grant(&mut tx, &grant, &mut transfer_id, NOW).await.unwrap());
    assert!(!grants::grant(&mut tx, &grant, &mut transfer_id, NOW).await.unwrap());
    tx.commit().await.unwrap();
}

/// What remains in the account's lots, in the order they are spent.
async fn left(db: &Db, user: &User) -> String {
    let lots = lots::open(&mut db.read().await, &user.account).await.unwrap();
    let lots: Vec<String> = lots
        .iter()
        .map(|lot| format!("{}={}", lot.source, lot.remaining.get()))
        .collect();
    lots.join(" ")
}

async fn expire(db: &Db, now: Micros) -> u64 {
    let mut tx = db.begin().await;
    let expired = lots::expire(&mut tx, now, &mut transfer_id).await.unwrap();
    tx.commit().await.unwrap();
    expired
}

on_both! {
    async fn given_credits_are_spent_before_bought_ones(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        bought(&db, &ada, "pur_1", 100).await;
        given(&db, &ada, "endless", 50, None).await;
        given(&db, &ada, "month", 50, Some(30)).await;
        given(&db, &ada, "week", 50, Some(7)).await;
        take(&db, &node("a"), &ada, 200).await;
        assert_eq!(left(&db, &ada).await, "grant:week=50 grant:month=50 grant:endless=50 purchase:pur_1=100");
        settle(&db, &node("a"), &[generation("gen-1", &made, 40), generation("gen-2", &made, 30)]).await;
        assert_eq!(left(&db, &ada).await, "grant:month=30 grant:endless=50 purchase:pur_1=100");
        // One entry for each lot and batch.
        assert_eq!(db.number("SELECT COUNT(*) FROM lot_entries WHERE key = 'settle:gen-1'").await, 2);
        settle(&db, &node("a"), &[generation("gen-3", &made, 90)]).await;
        assert_eq!(left(&db, &ada).await, "purchase:pur_1=90");
        let proof = proof(&db).await;
        assert_eq!((proof.lots, proof.lots_total), (4, nano(90)));
    }

    async fn a_debt_is_paid_by_the_next_lot(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        grant(&db, &ada, 10).await;
        settle(&db, &node("a"), &[generation("gen-1", &made, 150)]).await;
        assert_eq!(balance(&db, &customer(&ada)).await, -140);
        given(&db, &ada, "small", 40, None).await;
        assert_eq!(left(&db, &ada).await, "");
        bought(&db, &ada, "pur_1", 300).await;
        assert_eq!(left(&db, &ada).await, "purchase:pur_1=200");
        proof(&db).await;
    }

    async fn what_is_held_by_nodes_expires_when_it_comes_back(db: Db) {
        let ada = user(&db, "ada").await;
        given(&db, &ada, "week", 100, Some(7)).await;
        bought(&db, &ada, "pur_1", 50).await;
        take(&db, &node("a"), &ada, 120).await;
        let later = NOW.plus(8 * Micros::DAY);
        assert_eq!(expire(&db, NOW).await, 0);
        // 30 are not held; the rest of the lot stays spendable.
        assert_eq!(expire(&db, later).await, 1);
        assert_eq!(left(&db, &ada).await, "grant:week=70 purchase:pur_1=50");
        assert_eq!(expire(&db, later).await, 0);
        let mut tx = db.begin().await;
        let from = escrow(&node("a"), &ada);
        let back = transfer(TransferKind::LeaseReturned, "back", &from, &customer(&ada), 120);
        assert!(ledger::take(&mut tx, &from, &back).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(expire(&db, later).await, 1);
        assert_eq!(left(&db, &ada).await, "purchase:pur_1=50");
        assert_eq!(balance(&db, &LedgerAccount::Promotions).await, 0);
        let history = ledger::history(&mut db.read().await, &ada.account, 9).await.unwrap();
        assert_eq!(history.iter().filter(|line| line.kind == TransferKind::Expiry).count(), 2);
        proof(&db).await;
    }

    async fn lots_of_many_accounts_expire_at_once(db: Db) {
        let mut users = Vec::new();
        for name in ["ada", "bob", "cyd"] {
            let user = user(&db, name).await;
            given(&db, &user, &format!("{name}-1"), 10, Some(1)).await;
            given(&db, &user, &format!("{name}-2"), 20, Some(2)).await;
            users.push(user);
        }
        assert_eq!(expire(&db, NOW.plus(Micros::DAY)).await, 3);
        assert_eq!(expire(&db, NOW.plus(5 * Micros::DAY)).await, 3);
        assert_eq!(left(&db, &users[0]).await, "");
        assert_eq!(proof(&db).await.customer_total, nano(0));
    }

    async fn a_correction_in_favour_of_the_customer_fills_lots_or_makes_one(db: Db) {
        let ada = user(&db, "ada").await;
        let made = key(&db, &ada, "k", None, None).await;
        bought(&db, &ada, "pur_1", 100).await;
        take(&db, &node("a"), &ada, 100).await;
        settle(&db, &node("a"), &[generation("gen-1", &made, 80)]).await;
        let fix = |key: &str, amount| transfer(TransferKind::Reversal, key, &LedgerAccount::HouseCost, &customer(&ada), amount);
        let mut tx = db.begin().await;
        ledger::post(&mut tx, &fix("fix:1", 50)).await.unwrap();
        ledger::post(&mut tx, &fix("fix:2", 45)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(left(&db, &ada).await, "fix:2=15 purchase:pur_1=100");
        proof(&db).await;
    }
}
