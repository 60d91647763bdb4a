use crate::fixtures::{NOW, balance, customer, pay, proof, purchase, transfer_id, user};
use domain::id::PurchaseId;
use domain::ledger::{LedgerAccount, TransferKind};
use domain::purchase::PurchaseState;
use store::purchases::{self, Paid, PaidOutcome};
use store::{StoreError, ledger, webhooks};

on_both! {
    async fn a_purchase_goes_from_the_form_to_the_ledger(db: Db) {
        let ada = user(&db, "ada").await;
        let bought = purchase(&ada, "pur_1", 5_000);
        let mut tx = db.begin().await;
        purchases::create(&mut tx, &bought).await.unwrap();
        assert_eq!(purchases::by_id(&mut tx, &bought.id).await.unwrap(), Some(bought.clone()));
        assert!(purchases::open(&mut tx, &bought.id, "cs_1", NOW.plus(1)).await.unwrap());
        assert!(!purchases::open(&mut tx, &bought.id, "cs_2", NOW.plus(1)).await.unwrap());
        assert_eq!(purchases::bought(&mut tx, &ada.account).await.unwrap().get(), 0);
        let paid = pay(&mut tx, "pur_1", "pi_1").await;
        assert_eq!(purchases::bought(&mut tx, &ada.account).await.unwrap().get(), 5_000);
        let PaidOutcome::Credited(paid) = paid else { panic!("{paid:?}") };
        assert_eq!((paid.state, paid.processor_ref.as_deref()), (PurchaseState::Paid, Some("pi_1")));
        let history = ledger::history(&mut tx, &ada.account, 9).await.unwrap();
        assert_eq!((history[0].kind, history[0].amount.get()), (TransferKind::Purchase, 5_000));
        assert_eq!(history[0].purchase, Some(bought.id));
        assert_eq!(purchases::list(&mut tx, &ada.account, 9).await.unwrap(), [paid]);
        tx.commit().await.unwrap();
        assert_eq!(balance(&db, &customer(&ada)).await, 5_000);
        assert_eq!(balance(&db, &LedgerAccount::ProcessorClearing("dev".to_owned())).await, -5_000);
        assert_eq!(proof(&db).await.purchases_paid, 1);
    }

    async fn a_purchase_that_is_paid_many_times_at_once_credits_once(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        purchases::create(&mut tx, &purchase(&ada, "pur_1", 700)).await.unwrap();
        tx.commit().await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let db = db.clone();
            tasks.spawn(async move {
                let mut tx = db.begin().await;
                let paid = pay(&mut tx, "pur_1", "pi_1").await;
                tx.commit().await.unwrap();
                paid == PaidOutcome::AlreadyPaid
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|already| *already).count(), 5);
        assert_eq!(balance(&db, &customer(&ada)).await, 700);
        proof(&db).await;
    }

    async fn a_cancelled_purchase_is_credited_when_its_money_arrives_after_all(db: Db) {
        let ada = user(&db, "ada").await;
        let id = PurchaseId::stored("pur_1");
        let mut tx = db.begin().await;
        purchases::create(&mut tx, &purchase(&ada, "pur_1", 700)).await.unwrap();
        assert!(purchases::cancel(&mut tx, &id, NOW).await.unwrap());
        assert!(!purchases::cancel(&mut tx, &id, NOW).await.unwrap());
        let paid = pay(&mut tx, "pur_1", "pi_1").await;
        assert!(matches!(paid, PaidOutcome::Credited(_)));
        assert!(!purchases::cancel(&mut tx, &id, NOW).await.unwrap());
    }

    async fn an_unknown_purchase_is_not_found(db: Db) {
        let mut tx = db.begin().await;
        let id = PurchaseId::stored("pur_none");
        let paid = pay(&mut tx, "pur_none", "pi_1").await;
        assert_eq!(paid, PaidOutcome::NotFound);
        assert_eq!(purchases::by_id(&mut tx, &id).await.unwrap(), None);
    }

    async fn one_payment_pays_for_one_purchase(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        for id in ["pur_1", "pur_2"] {
            purchases::create(&mut tx, &purchase(&ada, id, 700)).await.unwrap();
        }
        pay(&mut tx, "pur_1", "pi_1").await;
        let second = PurchaseId::stored("pur_2");
        let same = Paid { reference: "cs_2", payment: Some("pi_1") };
        let again = purchases::settle_paid(&mut tx, &second, &same, &mut transfer_id, NOW).await;
        assert!(matches!(again, Err(ledger::LedgerError::Store(StoreError::Conflict(_)))), "{again:?}");
    }

    async fn an_event_is_recorded_once(db: Db) {
        let mut tx = db.begin().await;
        assert!(webhooks::record(&mut tx, "stripe", "evt_1", "paid", NOW).await.unwrap());
        assert!(!webhooks::record(&mut tx, "stripe", "evt_1", "paid", NOW).await.unwrap());
        assert!(webhooks::record(&mut tx, "dev", "evt_1", "paid", NOW).await.unwrap());
    }
}
