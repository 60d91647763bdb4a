use crate::fixtures::{
    NOW, balance, customer, escrow, grant, grant_of, lease_of, nano, node, proof, provider, take, transfer, user,
};
use domain::ledger::{LedgerAccount, Leg, TransferError, TransferKind};
use store::ledger::{self, Credits, LedgerError, Posted};

on_both! {
    async fn a_transfer_moves_balances_once(db: Db) {
        let ada = user(&db, "ada").await;
        let grant = grant_of(&ada, "grant:1", 500);
        let mut tx = db.begin().await;
        assert_eq!(ledger::post(&mut tx, &grant).await.unwrap(), Posted::New);
        tx.commit().await.unwrap();
        // The same key and legs, as another attempt would send them: another id, another order.
        let mut again = grant_of(&ada, "grant:1", 500);
        again.legs.reverse();
        let mut tx = db.begin().await;
        assert_eq!(ledger::post(&mut tx, &again).await.unwrap(), Posted::Already);
        tx.commit().await.unwrap();
        assert_eq!(balance(&db, &customer(&ada)).await, 500);
        assert_eq!(balance(&db, &LedgerAccount::Promotions).await, -500);
        let proof = proof(&db).await;
        assert_eq!((proof.transfers, proof.legs, proof.customer_total), (1, 2, nano(500)));
        assert_eq!(proof.promotions_total, nano(-500));
    }

    async fn a_key_with_another_body_is_refused(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        ledger::post(&mut tx, &grant_of(&ada, "grant:1", 500)).await.unwrap();
        let more = ledger::post(&mut tx, &grant_of(&ada, "grant:1", 501)).await;
        assert!(matches!(more, Err(LedgerError::KeyReused { key }) if key == "grant:1"));
        let other_kind = domain::ledger::Transfer { kind: TransferKind::Reversal, ..grant_of(&ada, "grant:1", 500) };
        assert!(matches!(ledger::post(&mut tx, &other_kind).await, Err(LedgerError::KeyReused { .. })));
    }

    async fn an_unbalanced_transfer_is_refused(db: Db) {
        let ada = user(&db, "ada").await;
        let mut lopsided = grant_of(&ada, "grant:1", 500);
        lopsided.legs.push(Leg { account: provider(), amount: nano(1) });
        let refused = ledger::post(&mut db.begin().await, &lopsided).await;
        assert!(matches!(refused, Err(LedgerError::Transfer(TransferError::Unbalanced(1)))));
    }

    async fn legs_on_the_same_account_add_up(db: Db) {
        let ada = user(&db, "ada").await;
        let mut split = grant_of(&ada, "grant:1", 500);
        split.legs[1].amount = nano(300);
        split.legs.push(Leg { account: customer(&ada), amount: nano(200) });
        let mut tx = db.begin().await;
        ledger::post(&mut tx, &split).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(balance(&db, &customer(&ada)).await, 500);
        let history = ledger::history(&mut db.read().await, &ada.account, 9).await.unwrap();
        assert_eq!((history.len(), history[0].amount), (1, nano(500)));
        proof(&db).await;
    }

    async fn taking_stops_at_zero(db: Db) {
        let ada = user(&db, "ada").await;
        let a = node("a");
        grant(&db, &ada, 100).await;
        assert!(take(&db, &a, &ada, 60).await);
        assert!(!take(&db, &a, &ada, 41).await);
        assert!(take(&db, &a, &ada, 40).await);
        assert_eq!(balance(&db, &customer(&ada)).await, 0);
        assert_eq!(balance(&db, &escrow(&a, &ada)).await, 100);
        assert_eq!(proof(&db).await.transfers, 3);
    }

    async fn taking_again_by_the_same_key_is_no_second_time(db: Db) {
        let ada = user(&db, "ada").await;
        grant(&db, &ada, 100).await;
        let lease = lease_of(&node("a"), &ada, 100);
        for _ in 0..2 {
            let mut tx = db.begin().await;
            assert!(ledger::take(&mut tx, &customer(&ada), &lease).await.unwrap());
            tx.commit().await.unwrap();
        }
        assert_eq!(balance(&db, &escrow(&node("a"), &ada)).await, 100);
        let other = domain::ledger::Transfer { legs: lease_of(&node("b"), &ada, 100).legs, ..lease };
        let reused = ledger::take(&mut db.begin().await, &customer(&ada), &other).await;
        assert!(matches!(reused, Err(LedgerError::KeyReused { .. })));
    }

    async fn of_takes_at_once_exactly_what_fits_succeeds(db: Db) {
        let ada = user(&db, "ada").await;
        grant(&db, &ada, 100).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..25 {
            let (db, ada) = (db.clone(), ada.clone());
            tasks.spawn(async move { take(&db, &node(&format!("n{}", number % 3)), &ada, 9).await });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|taken| *taken).count(), 11);
        assert_eq!(balance(&db, &customer(&ada)).await, 1);
        assert_eq!(proof(&db).await.escrow_total, nano(99));
    }

    async fn of_the_same_transfer_at_once_one_is_new(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (db, ada) = (db.clone(), ada.clone());
            tasks.spawn(async move {
                let mut tx = db.begin().await;
                let posted = ledger::post(&mut tx, &grant_of(&ada, "grant:1", 500)).await.unwrap();
                tx.commit().await.unwrap();
                posted == Posted::New
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|new| *new).count(), 1);
        assert_eq!(balance(&db, &customer(&ada)).await, 500);
    }

    async fn an_escrow_does_not_fall_below_zero(db: Db) {
        let ada = user(&db, "ada").await;
        let a = node("a");
        grant(&db, &ada, 100).await;
        take(&db, &a, &ada, 50).await;
        let too_much = transfer(TransferKind::LeaseReturned, "return:1", &escrow(&a, &ada), &customer(&ada), 51);
        let mut tx = db.begin().await;
        assert!(!ledger::take(&mut tx, &escrow(&a, &ada), &too_much).await.unwrap());
        assert!(matches!(ledger::post(&mut tx, &too_much).await, Err(LedgerError::Store(_))));
        drop(tx);
        let all = transfer(TransferKind::LeaseReturned, "return:2", &escrow(&a, &ada), &customer(&ada), 50);
        let mut tx = db.begin().await;
        assert!(ledger::take(&mut tx, &escrow(&a, &ada), &all).await.unwrap());
        assert!(ledger::escrows(&mut tx, &a).await.unwrap().is_empty());
    }

    async fn a_balance_too_large_to_count_is_refused(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        ledger::post(&mut tx, &grant_of(&ada, "grant:1", 8_000_000_000_000_000_000)).await.unwrap();
        let refused = ledger::post(&mut tx, &grant_of(&ada, "grant:2", 8_000_000_000_000_000_000)).await;
        assert!(matches!(refused, Err(LedgerError::Store(_))), "{refused:?}");
    }

    async fn credits_add_up(db: Db) {
        let ada = user(&db, "ada").await;
        let bob = user(&db, "bob").await;
        grant(&db, &bob, 9_000).await;
        grant(&db, &ada, 1_000).await;
        let reversal = transfer(TransferKind::Reversal, "rev:1", &customer(&ada), &LedgerAccount::Promotions, 100);
        let mut tx = db.begin().await;
        ledger::post(&mut tx, &reversal).await.unwrap();
        tx.commit().await.unwrap();
        take(&db, &node("a"), &ada, 300).await;
        take(&db, &node("b"), &ada, 200).await;
        let made = crate::fixtures::key(&db, &ada, "k", None, None).await;
        crate::fixtures::settle(&db, &node("a"), &[crate::fixtures::generation("gen-1", &made, 120)]).await;
        let mut tx = db.read().await;
        let expected = Credits {
            available: nano(400),
            in_escrow: nano(380),
            frozen: nano(0),
            purchased: nano(900),
            used: nano(120),
        };
        assert_eq!(ledger::credits(&mut tx, &ada.account).await.unwrap(), expected);
        assert_eq!(ledger::escrows(&mut tx, &node("a")).await.unwrap(), [(ada.account.clone(), nano(180))]);
        let history = ledger::history(&mut tx, &ada.account, 9).await.unwrap();
        let mut amounts: Vec<i64> = history.iter().map(|line| line.amount.get()).collect();
        amounts.sort_unstable();
        assert_eq!(amounts, [-100, 1_000]);
        assert!(history.iter().all(|line| line.created == NOW && line.purchase.is_none()));
    }
}
