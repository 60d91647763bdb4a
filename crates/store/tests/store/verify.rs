use crate::both::Db;
use crate::fixtures::{
    NOW, failed_generation, generation, grant, key, nano, node, pay, proof, purchase, settle, take, user,
};
use domain::period::Period;
use store::ledger::{Difference, verify};
use store::{keys, purchases};

/// One of everything: a purchase, a grant, a lease, a charge, a house cost, an overrun, a key with a limit, an app.
async fn busy(db: &Db) {
    let ada = user(db, "ada").await;
    let made = key(db, &ada, "k", Some(1_000), Some(Period::Daily)).await;
    let mut tx = db.begin().await;
    let bought = purchase(&ada, "pur_1", 5_000);
    purchases::create(&mut tx, &bought).await.unwrap();
    pay(&mut tx, "pur_1", "pi_1").await;
    purchases::create(&mut tx, &purchase(&ada, "pur_2", 100)).await.unwrap();
    keys::lease(&mut tx, &node("a"), &made.hash, nano(100), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    grant(db, &ada, 50).await;
    take(db, &node("a"), &ada, 100).await;
    let batch = [
        generation("gen-1", &made, 40),
        generation("gen-2", &made, 90),
        failed_generation("gen-3", &made, 8),
    ];
    settle(db, &node("a"), &batch).await;
    proof(db).await;
}

async fn found(db: &Db) -> Difference {
    verify(&mut db.read().await).await.unwrap().unwrap_err()
}

/// What `verify` says after `sql` was run behind the store's back.
async fn after(db: &Db, sql: &'static str) -> Difference {
    busy(db).await;
    db.tamper(sql).await;
    found(db).await
}

on_both! {
    async fn empty_books_are_right(db: Db) {
        assert_eq!(proof(&db).await, store::ledger::Proof::default());
    }

    async fn a_changed_balance(db: Db) {
        let sql = "UPDATE ledger_accounts SET balance_nano = balance_nano + 1 WHERE id = 'customer:acc_ada'";
        let difference = after(&db, sql).await;
        let expected = Difference::Balance {
            account: "customer:acc_ada".to_owned(),
            stored: nano(4_921),
            legs: nano(4_920),
        };
        assert_eq!(difference, expected);
        assert_eq!(
            difference.to_string(),
            "the balance of customer:acc_ada is stored as $0.000004921, and its legs sum to $0.00000492"
        );
    }

    async fn a_deleted_leg(db: Db) {
        let sql = "DELETE FROM legs WHERE ledger_account_id = 'promotions'";
        assert!(matches!(after(&db, sql).await, Difference::Unbalanced { legs: 1, sum, .. } if sum == nano(50)));
    }

    async fn a_changed_leg(db: Db) {
        let sql = "UPDATE legs SET amount_nano = amount_nano - 1 WHERE ledger_account_id = 'promotions'";
        assert!(matches!(after(&db, sql).await, Difference::Unbalanced { legs: 2, sum, .. } if sum == nano(-1)));
    }

    async fn a_deleted_transfer(db: Db) {
        let sql = "DELETE FROM transfers WHERE kind = 'grant'";
        assert!(matches!(after(&db, sql).await, Difference::StrayLeg { .. }));
    }

    async fn a_transfer_without_legs(db: Db) {
        let sql = "INSERT INTO transfers (id, kind, idempotency_key, created_us) VALUES ('tr_x', 'grant', 'x', 0)";
        let expected = Difference::Unbalanced { transfer: "tr_x".to_owned(), legs: 0, sum: nano(0) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_leg_on_an_account_that_does_not_exist(db: Db) {
        let sql = "UPDATE legs SET ledger_account_id = 'customer:ghost' WHERE amount_nano = 50;
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 50 WHERE id = 'customer:acc_ada'";
        assert_eq!(after(&db, sql).await, Difference::NotZero { sum: nano(-50) });
    }

    async fn a_negative_escrow(db: Db) {
        busy(&db).await;
        db.ignore_checks().await;
        db.tamper(
            "INSERT INTO transfers (id, kind, idempotency_key, created_us) VALUES ('tr_x', 'lease_returned', 'x', 0);
             INSERT INTO legs (transfer_id, position, ledger_account_id, amount_nano)
             VALUES ('tr_x', 0, 'escrow:node_a:acc_ada', -5), ('tr_x', 1, 'customer:acc_ada', 5);
             UPDATE ledger_accounts SET balance_nano = balance_nano - 5 WHERE id = 'escrow:node_a:acc_ada';
             UPDATE ledger_accounts SET balance_nano = balance_nano + 5 WHERE id = 'customer:acc_ada'",
        )
        .await;
        let account = "escrow:node_a:acc_ada".to_owned();
        assert_eq!(found(&db).await, Difference::BelowZero { account, balance: nano(-5) });
    }

    async fn a_changed_cost(db: Db) {
        let sql = "UPDATE generations SET cost_nano = 41 WHERE id = 'gen-1'";
        let generation = "gen-1".to_owned();
        let expected = Difference::Cost { generation, stored: nano(41), recomputed: nano(40) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_changed_usage(db: Db) {
        let sql = "UPDATE generations SET prompt_tokens = 39 WHERE id = 'gen-1'";
        let generation = "gen-1".to_owned();
        let expected = Difference::Cost { generation, stored: nano(40), recomputed: nano(39) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_changed_count_of_another_unit(db: Db) {
        let sql = r#"UPDATE generations SET other_usage = '{"audio_ms":1500}',
                         prices = '{"prompt":1000,"completion":0,"audio_second":2000}' WHERE id = 'gen-1'"#;
        assert!(matches!(after(&db, sql).await, Difference::Cost { recomputed, .. } if recomputed == nano(43)));
    }

    async fn a_changed_price(db: Db) {
        let sql = "UPDATE generations SET prices = REPLACE(prices, '1000', '2000') WHERE id = 'gen-1'";
        assert!(matches!(after(&db, sql).await, Difference::Cost { recomputed, .. } if recomputed == nano(80)));
    }

    async fn a_changed_day(db: Db) {
        let sql = "UPDATE generations SET day = '2026-11-24' WHERE id = 'gen-1'";
        assert!(matches!(after(&db, sql).await, Difference::Day { generation, .. } if generation == "gen-1"));
    }

    async fn a_missing_charge(db: Db) {
        let sql = "UPDATE ledger_accounts SET balance_nano = balance_nano + 40 WHERE id = 'escrow:node_a:acc_ada';
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 40 WHERE id = 'provider_payable:acme';
                   DELETE FROM legs WHERE transfer_id IN (SELECT id FROM transfers WHERE idempotency_key = 'charge:gen-1');
                   DELETE FROM transfers WHERE idempotency_key = 'charge:gen-1'";
        let generation = "gen-1".to_owned();
        let expected = Difference::Charge { generation, cost: nano(40), paid: nano(0), received: nano(0) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_charge_of_another_amount(db: Db) {
        let sql = "UPDATE ledger_accounts SET balance_nano = balance_nano + 1 WHERE id = 'escrow:node_a:acc_ada';
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 1 WHERE id = 'provider_payable:acme';
                   UPDATE legs SET amount_nano = CASE WHEN amount_nano > 0 THEN amount_nano - 1 ELSE amount_nano + 1 END
                   WHERE transfer_id IN (SELECT id FROM transfers WHERE idempotency_key = 'charge:gen-1')";
        let generation = "gen-1".to_owned();
        let expected = Difference::Charge { generation, cost: nano(40), paid: nano(39), received: nano(39) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_charge_to_somebody_else(db: Db) {
        let sql = "UPDATE ledger_accounts SET balance_nano = balance_nano + 40 WHERE id = 'escrow:node_a:acc_ada';
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 40 WHERE id = 'customer:acc_ada';
                   UPDATE legs SET ledger_account_id = 'customer:acc_ada' WHERE ledger_account_id = 'escrow:node_a:acc_ada'
                   AND transfer_id IN (SELECT id FROM transfers WHERE idempotency_key = 'charge:gen-1')";
        let generation = "gen-1".to_owned();
        let expected = Difference::Charge { generation, cost: nano(40), paid: nano(0), received: nano(40) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_charge_without_its_generation(db: Db) {
        let sql = "DELETE FROM generations WHERE id = 'gen-1'";
        let idempotency_key = "charge:gen-1".to_owned();
        assert_eq!(after(&db, sql).await, Difference::StrayCharge { idempotency_key });
    }

    async fn a_second_charge_under_another_key(db: Db) {
        let sql = "INSERT INTO transfers (id, kind, idempotency_key, created_us) VALUES ('tr_x', 'charge', 'charge;gen-1', 0);
                   INSERT INTO legs (transfer_id, position, ledger_account_id, amount_nano)
                   VALUES ('tr_x', 0, 'customer:acc_ada', -5), ('tr_x', 1, 'provider_payable:acme', 5);
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 5 WHERE id = 'customer:acc_ada';
                   UPDATE ledger_accounts SET balance_nano = balance_nano + 5 WHERE id = 'provider_payable:acme'";
        let idempotency_key = "charge;gen-1".to_owned();
        assert_eq!(after(&db, sql).await, Difference::StrayCharge { idempotency_key });
    }

    async fn a_missing_house_cost(db: Db) {
        let sql = "UPDATE ledger_accounts SET balance_nano = balance_nano + 8 WHERE id = 'house_cost';
                   UPDATE ledger_accounts SET balance_nano = balance_nano - 8 WHERE id = 'provider_payable:acme';
                   DELETE FROM legs WHERE transfer_id IN (SELECT id FROM transfers WHERE idempotency_key = 'house:gen-3');
                   DELETE FROM transfers WHERE idempotency_key = 'house:gen-3'";
        let generation = "gen-3".to_owned();
        let expected = Difference::HouseCost { generation, cost: nano(8), paid: nano(0), received: nano(0) };
        assert_eq!(after(&db, sql).await, expected);
    }

    async fn a_house_cost_without_its_generation(db: Db) {
        let sql = "DELETE FROM generations WHERE id = 'gen-3'";
        let idempotency_key = "house:gen-3".to_owned();
        assert_eq!(after(&db, sql).await, Difference::StrayCharge { idempotency_key });
    }

    async fn a_purchase_marked_paid_without_money(db: Db) {
        let sql = "UPDATE purchases SET state = 'paid' WHERE id = 'pur_2'";
        let purchase = "pur_2".to_owned();
        assert_eq!(after(&db, sql).await, Difference::Purchase { purchase, amount: nano(100), credited: nano(0) });
    }

    async fn a_paid_purchase_of_another_amount(db: Db) {
        let sql = "UPDATE purchases SET amount_nano = 6000 WHERE id = 'pur_1'";
        let purchase = "pur_1".to_owned();
        assert_eq!(after(&db, sql).await, Difference::Purchase { purchase, amount: nano(6_000), credited: nano(5_000) });
    }

    async fn a_credit_for_a_purchase_that_was_not_paid(db: Db) {
        let sql = "UPDATE purchases SET state = 'open' WHERE id = 'pur_1'";
        let idempotency_key = "purchase:pur_1".to_owned();
        assert_eq!(after(&db, sql).await, Difference::StrayPurchase { idempotency_key });
    }

    async fn a_changed_rollup(db: Db) {
        let sql = "UPDATE rollups_daily SET prompt_tokens = prompt_tokens + 1";
        let row = "2026-11-23 maker/model acme".to_owned();
        assert_eq!(after(&db, sql).await, Difference::Rollup { table: "rollups_daily", row });
    }

    async fn a_missing_rollup(db: Db) {
        let difference = after(&db, "DELETE FROM account_rollups_daily").await;
        assert!(matches!(difference, Difference::Rollup { table: "account_rollups_daily", .. }));
    }

    async fn a_rollup_of_nothing(db: Db) {
        let sql = "INSERT INTO app_rollups_daily VALUES ('2026-11-20', 'Ghost', '', 1, 0, 0, 0, 0)";
        let row = "2026-11-20 Ghost ".to_owned();
        assert_eq!(after(&db, sql).await, Difference::Rollup { table: "app_rollups_daily", row });
    }

    async fn a_changed_use_of_a_key(db: Db) {
        let sql = "UPDATE spend_limits SET used_nano = used_nano - 1";
        let owner = "hash-k".to_owned();
        assert_eq!(after(&db, sql).await, Difference::LimitUsed { owner, stored: nano(129), generations: nano(130) });
    }

    async fn a_changed_lease_of_a_key(db: Db) {
        let sql = "UPDATE spend_limits SET leased_nano = 7";
        let owner = "hash-k".to_owned();
        assert_eq!(after(&db, sql).await, Difference::LimitLeased { owner, stored: nano(7), leases: nano(0) });
    }
}
