use crate::fixtures::{NOW, user};
use store::email_tokens::{Purpose, create, take};

on_both! {
    async fn a_token_works_once_for_its_purpose(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        create(&mut tx, Purpose::Reset, "hash", &ada.id, NOW.plus(10), NOW).await.unwrap();
        assert_eq!(take(&mut tx, Purpose::Verify, "hash", NOW).await.unwrap(), None);
        assert_eq!(take(&mut tx, Purpose::Reset, "other", NOW).await.unwrap(), None);
        assert_eq!(take(&mut tx, Purpose::Reset, "hash", NOW).await.unwrap(), Some(ada.id));
        assert_eq!(take(&mut tx, Purpose::Reset, "hash", NOW).await.unwrap(), None);
    }

    async fn a_token_expires(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        create(&mut tx, Purpose::Verify, "hash", &ada.id, NOW.plus(10), NOW).await.unwrap();
        assert_eq!(take(&mut tx, Purpose::Verify, "hash", NOW.plus(10)).await.unwrap(), None);
    }

    async fn using_a_token_ends_older_ones_of_its_purpose(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        create(&mut tx, Purpose::Reset, "older", &ada.id, NOW.plus(10), NOW).await.unwrap();
        create(&mut tx, Purpose::Reset, "newer", &ada.id, NOW.plus(10), NOW).await.unwrap();
        create(&mut tx, Purpose::Verify, "verify", &ada.id, NOW.plus(10), NOW).await.unwrap();
        assert!(take(&mut tx, Purpose::Reset, "newer", NOW).await.unwrap().is_some());
        assert!(take(&mut tx, Purpose::Reset, "older", NOW).await.unwrap().is_none());
        assert!(take(&mut tx, Purpose::Verify, "verify", NOW).await.unwrap().is_some());
    }

    async fn of_two_who_use_a_token_at_once_one_succeeds(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        create(&mut tx, Purpose::Reset, "hash", &ada.id, NOW.plus(10), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let db = db.clone();
            tasks.spawn(async move {
                let mut tx = db.begin().await;
                let user = take(&mut tx, Purpose::Reset, "hash", NOW).await.unwrap();
                tx.commit().await.unwrap();
                user.is_some()
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|taken| *taken).count(), 1);
    }
}
