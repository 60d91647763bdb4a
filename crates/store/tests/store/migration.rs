//! A database filled under an older schema, as it stands after the upgrade.

use crate::both::Db;
use crate::fixtures::{NOW, generation, nano, node, settle, transfer_id};
use domain::id::AccountId;
use domain::purchase::{PurchaseKind, PurchaseState};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, SqliteConnection, SqlitePool};
use std::str::FromStr;
use store::keys::LimitOwner;
use store::{Store, keys, ledger, lots, purchases, refunds};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Ada bought and was given credits and spent some; Bob is in debt; Cyd bought twice and was corrected.
const OLD: &str = r#"
INSERT INTO accounts VALUES ('acc_ada', 1), ('acc_bob', 1), ('acc_cyd', 1);
INSERT INTO users VALUES ('usr_ada', 'acc_ada', 'ada@example.org', 'x', 1, 1, 1),
    ('usr_bob', 'acc_bob', 'bob@example.org', 'x', 1, 0, 1), ('usr_cyd', 'acc_cyd', 'cyd@example.org', 'x', 1, 0, 1);
INSERT INTO nodes VALUES ('node_a', 1, 1);
INSERT INTO api_keys VALUES ('hash-k', 'acc_ada', 'usr_ada', 'k', 'l', 1000, 'daily', NULL, 0, 0, 0, 1, 1, 1),
    ('hash-b', 'acc_bob', 'usr_bob', 'b', 'l', NULL, NULL, NULL, 0, 0, 0, 1, 1, 1);
INSERT INTO key_limits VALUES ('hash-k', 1795392000000000, 1795478400000000, 350, 40);
INSERT INTO key_leases VALUES ('node_a', 'hash-k', 1795392000000000, 1795478400000000, 40);
INSERT INTO ledger_accounts VALUES ('customer:acc_ada', 'customer', 'acc_ada', NULL, 800),
    ('escrow:node_a:acc_ada', 'escrow', 'acc_ada', 'node_a', 150),
    ('customer:acc_bob', 'customer', 'acc_bob', NULL, -30), ('escrow:node_a:acc_bob', 'escrow', 'acc_bob', 'node_a', 0),
    ('customer:acc_cyd', 'customer', 'acc_cyd', NULL, 800),
    ('promotions', 'promotions', NULL, NULL, -200), ('processor_clearing:dev', 'processor_clearing', NULL, NULL, -2000),
    ('provider_payable:acme', 'provider_payable', NULL, NULL, 480);
INSERT INTO transfers VALUES ('tr_01', 'purchase', 'purchase:pur_1', 'acc_ada', 1),
    ('tr_02', 'grant', 'grant:1', 'acc_ada', 2), ('tr_03', 'lease_taken', 'lease:1', NULL, 3),
    ('tr_04', 'charge', 'charge:gen-1', NULL, 4), ('tr_05', 'grant', 'grant:2', 'acc_bob', 5),
    ('tr_06', 'lease_taken', 'lease:2', NULL, 6), ('tr_07', 'overrun', 'overrun:gen-2', NULL, 7),
    ('tr_08', 'charge', 'charge:gen-2', NULL, 7), ('tr_09', 'purchase', 'purchase:pur_2', 'acc_cyd', 8),
    ('tr_10', 'purchase', 'purchase:pur_3', 'acc_cyd', 9), ('tr_11', 'reversal', 'fix:1', 'acc_cyd', 10);
INSERT INTO legs VALUES ('tr_01', 0, 'processor_clearing:dev', -1000), ('tr_01', 1, 'customer:acc_ada', 1000),
    ('tr_02', 0, 'promotions', -300), ('tr_02', 1, 'customer:acc_ada', 300),
    ('tr_03', 0, 'customer:acc_ada', -500), ('tr_03', 1, 'escrow:node_a:acc_ada', 500),
    ('tr_04', 0, 'escrow:node_a:acc_ada', -350), ('tr_04', 1, 'provider_payable:acme', 350),
    ('tr_05', 0, 'promotions', -100), ('tr_05', 1, 'customer:acc_bob', 100),
    ('tr_06', 0, 'customer:acc_bob', -60), ('tr_06', 1, 'escrow:node_a:acc_bob', 60),
    ('tr_07', 0, 'customer:acc_bob', -70), ('tr_07', 1, 'escrow:node_a:acc_bob', 70),
    ('tr_08', 0, 'escrow:node_a:acc_bob', -130), ('tr_08', 1, 'provider_payable:acme', 130),
    ('tr_09', 0, 'processor_clearing:dev', -500), ('tr_09', 1, 'customer:acc_cyd', 500),
    ('tr_10', 0, 'processor_clearing:dev', -500), ('tr_10', 1, 'customer:acc_cyd', 500),
    ('tr_11', 0, 'customer:acc_cyd', -200), ('tr_11', 1, 'promotions', 200);
INSERT INTO purchases VALUES ('pur_1', 'acc_ada', 'usr_ada', 1000, 'paid', 'dev', 'cs_1', 1, 1),
    ('pur_2', 'acc_cyd', 'usr_cyd', 500, 'paid', 'dev', 'cs_2', 8, 8),
    ('pur_3', 'acc_cyd', 'usr_cyd', 500, 'paid', 'dev', 'cs_3', 9, 9),
    ('pur_4', 'acc_cyd', 'usr_cyd', 500, 'open', 'dev', NULL, 9, 9);
INSERT INTO generations (id, node_id, account_id, key_hash, model, endpoint, provider, surface, streamed, prompt_tokens,
    completion_tokens, reasoning_tokens, cache_read_tokens, cache_write_tokens, images, estimated, cost_nano,
    house_cost_nano, prices, outcome, day, created_us, duration_us, attempts, settled_us)
VALUES ('gen-1', 'node_a', 'acc_ada', 'hash-k', 'm/m', 'm/m|acme', 'acme', 'chat', 1, 350, 0, 0, 0, 0, 0, 0, 350, 0,
        '{"prompt":1000,"completion":0}', 'completed', '2026-11-23', 1795421106000000, 1, '[]', 1),
    ('gen-2', 'node_a', 'acc_bob', 'hash-b', 'm/m', 'm/m|acme', 'acme', 'chat', 1, 130, 0, 0, 0, 0, 0, 0, 130, 0,
        '{"prompt":1000,"completion":0}', 'completed', '2026-11-23', 1795421106000000, 1, '[]', 1);
INSERT INTO rollups_daily VALUES ('2026-11-23', 'm/m', 'acme', 2, 480, 0, 0, 480);
INSERT INTO account_rollups_daily VALUES ('acc_ada', '2026-11-23', 'hash-k', 'm/m', 1, 350, 0, 0, 350),
    ('acc_bob', '2026-11-23', 'hash-b', 'm/m', 1, 130, 0, 0, 130);
"#;

/// A second database beside the test's own, filled under the first schema and then brought up to date.
async fn upgraded(db: &Db) -> Db {
    let url = if db.is_sqlite() {
        let url = format!("{}.old", db.url);
        let pool = SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap();
        MIGRATIONS.run_to(1, &pool).await.unwrap();
        sqlx::raw_sql(OLD).execute(&pool).await.unwrap();
        pool.close().await;
        url
    } else {
        let options = PgConnectOptions::from_str(&db.url).unwrap();
        let name = format!("{}_old", options.get_database().unwrap());
        let mut connection = PgConnection::connect(&db.url).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        let url = options.database(&name).to_url_lossy().to_string();
        let pool = PgPool::connect(&url).await.unwrap();
        MIGRATIONS.run_to(1, &pool).await.unwrap();
        sqlx::raw_sql(OLD).execute(&pool).await.unwrap();
        pool.close().await;
        url
    };
    let store = Store::connect(&url, 4).await.unwrap();
    store.migrate().await.unwrap();
    Db { store, url: url.into() }
}

async fn removed(db: &Db, upgraded: Db) {
    upgraded.store.close().await;
    if !db.is_sqlite() {
        let options = PgConnectOptions::from_str(&upgraded.url).unwrap();
        let name = options.get_database().unwrap().to_owned();
        let mut connection = PgConnection::connect(&db.url).await.unwrap();
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
    }
}

async fn remaining(db: &Db, account: &str) -> Vec<(String, i64)> {
    let lots = lots::open(&mut db.read().await, &AccountId::stored(account))
        .await
        .unwrap();
    lots.into_iter().map(|lot| (lot.source, lot.remaining.get())).collect()
}

on_both! {
    async fn a_filled_database_of_the_first_schema_upgrades(db: Db) {
        let old = upgraded(&db).await;
        let proof = crate::fixtures::proof(&old).await;
        assert_eq!((proof.transfers, proof.legs, proof.generations, proof.purchases_paid), (11, 22, 2, 3));
        assert_eq!((proof.lots, proof.lots_total, proof.customer_total), (5, nano(1_750), nano(1_570)));
        assert_eq!(remaining(&old, "acc_ada").await, [("purchase:pur_1".to_owned(), 950)]);
        assert_eq!(remaining(&old, "acc_bob").await, []);
        let cyd = [("purchase:pur_2".to_owned(), 300), ("purchase:pur_3".to_owned(), 500)];
        assert_eq!(remaining(&old, "acc_cyd").await, cyd);
        let mut tx = old.read().await;
        let bought = purchases::by_id(&mut tx, &domain::id::PurchaseId::stored("pur_4")).await.unwrap().unwrap();
        assert_eq!((bought.state, bought.kind, bought.fee), (PurchaseState::Open, PurchaseKind::Checkout, nano(0)));
        let key = domain::api_key::KeyHash::stored("hash-k");
        let left = keys::lease_available(&mut tx, LimitOwner::Key(&key), NOW).await.unwrap();
        assert_eq!(left, Some(nano(610)));
        drop(tx);
        removed(&db, old).await;
    }

    async fn an_upgraded_database_goes_on(db: Db) {
        let old = upgraded(&db).await;
        let mut tx = old.begin().await;
        let key = keys::by_hash(&mut tx, &domain::api_key::KeyHash::stored("hash-k")).await.unwrap().unwrap();
        let refundable = refunds::refundable(&mut tx, &domain::id::PurchaseId::stored("pur_2")).await.unwrap();
        assert_eq!(refundable, nano(300));
        // A transfer from before the hashes is compared by its legs.
        let again = domain::ledger::Transfer {
            id: transfer_id(),
            kind: domain::ledger::TransferKind::Grant,
            idempotency_key: "grant:1".to_owned(),
            legs: domain::ledger::legs(
                domain::ledger::LedgerAccount::Promotions,
                domain::ledger::LedgerAccount::Customer(AccountId::stored("acc_ada")),
                nano(300),
            ),
            created: NOW,
        };
        assert_eq!(ledger::post(&mut tx, &again).await.unwrap(), ledger::Posted::Already);
        let other = domain::ledger::Transfer { kind: domain::ledger::TransferKind::Reversal, ..again };
        assert!(ledger::post(&mut tx, &other).await.is_err());
        drop(tx);
        settle(&old, &node("a"), &[generation("gen-9", &key, 200)]).await;
        assert_eq!(remaining(&old, "acc_ada").await, [("purchase:pur_1".to_owned(), 750)]);
        assert_eq!(crate::fixtures::proof(&old).await.generations, 3);
        removed(&db, old).await;
    }

    async fn the_rebuilt_tables_guard_themselves(db: Db) {
        let old = upgraded(&db).await;
        for sql in [
            "INSERT INTO legs VALUES ('tr_none', 0, 'promotions', 1)",
            "INSERT INTO legs VALUES ('tr_01', 7, 'nowhere', 1)",
            "INSERT INTO transfers VALUES ('tr_x', 'grant', 'grant:1', NULL, NULL, 1)",
            "INSERT INTO purchases VALUES ('pur_9', 'acc_ada', 'usr_ada', 1, 0, 'checkout', 'paid', 'dev', 'cs_1', NULL, 0, 1, 1)",
            "UPDATE ledger_accounts SET balance_nano = -1 WHERE id = 'escrow:node_a:acc_ada'",
            "UPDATE lots SET remaining_nano = amount_nano + 1",
        ] {
            let refused = if old.is_sqlite() {
                let mut connection = SqliteConnection::connect(&old.url).await.unwrap();
                sqlx::raw_sql("PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.is_err()
            } else {
                let mut connection = PgConnection::connect(&old.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.is_err()
            };
            assert!(refused, "{sql}");
        }
        removed(&db, old).await;
    }
}
