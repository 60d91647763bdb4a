use crate::fixtures::{NOW, create_user, email, user};
use domain::id::UserId;
use domain::ledger::LedgerAccount;
use domain::money::NanoUsd;
use store::{StoreError, ledger, users};

on_both! {
    async fn the_first_user_is_admin_and_later_ones_are_not(db: Db) {
        assert!(user(&db, "ada").await.is_admin);
        assert!(!user(&db, "bob").await.is_admin);
        let mut tx = db.read().await;
        let (ada, hash) = users::by_email(&mut tx, &email("ada")).await.unwrap().unwrap();
        assert!(ada.is_admin && hash == "$argon2id$hash");
        let names: Vec<String> = users::list(&mut tx, 10).await.unwrap().iter().map(|u| u.id.to_string()).collect();
        assert_eq!(names, ["usr_ada", "usr_bob"]);
    }

    async fn of_users_who_sign_up_at_once_one_is_admin(db: Db) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let db = db.clone();
            tasks.spawn(async move { user(&db, &format!("user{number}")).await.is_admin });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|is_admin| *is_admin).count(), 1);
    }

    async fn a_first_user_who_was_rolled_back_was_not_the_first(db: Db) {
        let mut tx = db.begin().await;
        create_user(&mut tx, "ada").await.unwrap();
        drop(tx);
        assert!(user(&db, "bob").await.is_admin);
    }

    async fn an_address_is_taken_once(db: Db) {
        user(&db, "ada").await;
        let address = email("ada");
        let mut tx = db.begin().await;
        let again = users::create(&mut tx, &users::NewUser {
            id: UserId::stored("usr_2"),
            account: domain::id::AccountId::stored("acc_2"),
            email: &address,
            password_hash: "h",
            created: NOW,
        }).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))));
        drop(tx);
        assert_eq!(db.number("SELECT COUNT(*) FROM accounts").await, 1);
    }

    async fn a_user_has_a_place_in_the_ledger(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.read().await;
        let balance = ledger::balance(&mut tx, &LedgerAccount::Customer(ada.account)).await.unwrap();
        assert_eq!(balance, NanoUsd::ZERO);
        assert_eq!(db.number("SELECT COUNT(*) FROM ledger_accounts WHERE id = 'customer:acc_ada'").await, 1);
    }

    async fn what_changes_about_a_user_is_stored(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        assert!(users::set_password(&mut tx, &ada.id, "new").await.unwrap());
        assert!(users::set_verified(&mut tx, &ada.id, NOW).await.unwrap());
        assert!(users::set_verified(&mut tx, &ada.id, NOW.plus(5)).await.unwrap());
        assert!(users::set_admin(&mut tx, &ada.id, false).await.unwrap());
        assert!(!users::set_password(&mut tx, &UserId::stored("usr_nobody"), "new").await.unwrap());
        tx.commit().await.unwrap();
        let mut tx = db.read().await;
        let (changed, hash) = users::by_email(&mut tx, &ada.email).await.unwrap().unwrap();
        assert_eq!((changed.verified, changed.is_admin, hash.as_str()), (Some(NOW), false, "new"));
        assert_eq!(users::by_id(&mut tx, &ada.id).await.unwrap(), Some(changed));
    }
}
