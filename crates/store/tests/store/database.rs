use crate::fixtures::{NOW, create_user, email, node};
use store::{Store, StoreError, nodes, users};

on_both! {
    async fn migrations_apply_twice_without_effect(db: Db) {
        crate::fixtures::user(&db, "ada").await;
        db.store.migrate().await.unwrap();
        assert_eq!(db.number("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn a_dropped_transaction_leaves_nothing(db: Db) {
        let mut tx = db.begin().await;
        create_user(&mut tx, "ada").await.unwrap();
        drop(tx);
        assert!(users::by_email(&mut db.read().await, &email("ada")).await.unwrap().is_none());
    }

    async fn a_reading_transaction_sees_one_moment(db: Db) {
        let mut before = db.read().await;
        assert_eq!(users::list(&mut before, 9).await.unwrap().len(), 0);
        crate::fixtures::user(&db, "ada").await;
        assert_eq!(users::list(&mut before, 9).await.unwrap().len(), 0);
        assert_eq!(users::list(&mut db.read().await, 9).await.unwrap().len(), 1);
    }

    async fn a_reading_transaction_cannot_write(db: Db) {
        let mut tx = db.read().await;
        assert!(matches!(create_user(&mut tx, "ada").await, Err(StoreError::Database(_))));
    }

    async fn a_closed_store_is_unavailable(db: Db) {
        db.store.close().await;
        assert!(matches!(db.store.begin().await, Err(StoreError::Unavailable(_))));
    }

    async fn a_node_starts_again_under_its_name(db: Db) {
        let mut tx = db.begin().await;
        nodes::start(&mut tx, &node("a"), NOW).await.unwrap();
        nodes::start(&mut tx, &node("a"), NOW.plus(5)).await.unwrap();
        nodes::heartbeat(&mut tx, &node("a"), NOW.plus(9)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(db.number("SELECT MAX(heartbeat_us - started_us) FROM nodes").await, 4);
    }

    async fn a_value_that_breaks_a_check_is_refused(db: Db) {
        let mut tx = db.begin().await;
        let user = create_user(&mut tx, "ada").await.unwrap();
        let negative = crate::fixtures::purchase(&user, "pur_1", -5);
        let refused = store::purchases::create(&mut tx, &negative).await;
        assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let refused = Store::connect("postgres://tollway@127.0.0.1:1/tollway", 1).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    let refused = Store::connect("sqlite::memory:", 1).await;
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
}
