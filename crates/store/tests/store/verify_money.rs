//! Each way in which lots, refunds, disputes and the like can be wrong, as `verify` names it.

use crate::both::Db;
use crate::fixtures::{NOW, generation, key, nano, node, pay, proof, purchase, settle, take, transfer_id, user};
use domain::id::{GrantId, PurchaseId, RefundId, UserId};
use domain::purchase::{DisputeStatus, Purchase, Refund, RefundState};
use store::budgets::{self, Budget};
use store::disputes::{self, DisputeSeen};
use store::fraud_warnings::{self, WarningSeen};
use store::grants::{self, Code, Grant};
use store::keys::{self, LimitOwner};
use store::ledger::{Difference, verify};
use store::nodes;
use store::refunds::{self, RefundSeen};

/// Four purchases with a fee: one with a refund asked for, one refunded, one disputed, one with a warning. A grant, a code,
/// a budget, a charge, and one that came late.
async fn busy(db: &Db) {
    let ada = user(db, "ada").await;
    let made = key(db, &ada, "k", None, None).await;
    let mut tx = db.begin().await;
    for id in ["pur_1", "pur_2", "pur_3", "pur_4"] {
        let new = Purchase {
            fee: nano(6),
            ..purchase(&ada, id, 100)
        };
        store::purchases::create(&mut tx, &new).await.unwrap();
        pay(&mut tx, id, &format!("pi_{id}")).await;
    }
    let refund = |id: &str, purchase: &str| Refund {
        id: RefundId::stored(id),
        purchase: PurchaseId::stored(purchase),
        account: ada.account.clone(),
        amount: nano(30),
        state: RefundState::Requested,
        processor_ref: None,
        by_customer: true,
        created: NOW,
        updated: NOW,
    };
    for (id, purchase) in [("ref_1", "pur_1"), ("ref_2", "pur_2")] {
        refunds::request(&mut tx, &refund(id, purchase), &mut transfer_id, NOW)
            .await
            .unwrap();
    }
    let seen = RefundSeen {
        processor: "dev".to_owned(),
        reference: "re_2".to_owned(),
        ours: Some(RefundId::stored("ref_2")),
        payment: "pi_pur_2".to_owned(),
        amount: nano(30),
        state: RefundState::Succeeded,
    };
    refunds::converge(&mut tx, &seen, &mut transfer_id, NOW).await.unwrap();
    let seen = DisputeSeen {
        processor: "dev".to_owned(),
        reference: "dp_3".to_owned(),
        payment: "pi_pur_3".to_owned(),
        amount: nano(106),
        fee: nano(15),
        status: DisputeStatus::NeedsResponse,
        withdrawn: true,
        reinstated: false,
    };
    disputes::converge(&mut tx, &seen, &mut transfer_id, NOW).await.unwrap();
    let seen = WarningSeen {
        processor: "dev".to_owned(),
        reference: "efw_4".to_owned(),
        payment: "pi_pur_4".to_owned(),
        actionable: true,
    };
    fraud_warnings::converge(&mut tx, &seen, &mut transfer_id, NOW)
        .await
        .unwrap();
    let grant = Grant {
        id: GrantId::stored("g_1"),
        account: ada.account.clone(),
        amount: nano(50),
        expires: None,
        note: String::new(),
        by: UserId::stored("usr_ada"),
        created: NOW,
    };
    grants::grant(&mut tx, &grant, &mut transfer_id, NOW).await.unwrap();
    let code = Code {
        hash: "c0de".to_owned(),
        label: String::new(),
        amount: nano(9),
        expires: None,
        lot_days: None,
        redemptions: 0,
        redemptions_max: 5,
        created: NOW,
    };
    grants::create_code(&mut tx, &code).await.unwrap();
    grants::redeem(&mut tx, "c0de", &ada.account, &mut transfer_id, NOW)
        .await
        .unwrap();
    let budget = Budget {
        limit: nano(900),
        reset: None,
    };
    budgets::set(&mut tx, &ada.account, Some(&budget)).await.unwrap();
    keys::lease(&mut tx, &node("a"), LimitOwner::Account(&ada.account), nano(100), NOW)
        .await
        .unwrap();
    nodes::start(&mut tx, &node("b"), NOW).await.unwrap();
    tx.commit().await.unwrap();
    take(db, &node("a"), &ada, 90).await;
    settle(db, &node("a"), &[generation("gen-1", &made, 65)]).await;
    let mut tx = db.begin().await;
    nodes::fence(&mut tx, &node("b"), 0, &mut transfer_id, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    settle(db, &node("b"), &[generation("gen-2", &made, 2_000)]).await;
    proof(db).await;
}

/// What `verify` says after `sql` was run behind the store's back.
async fn after(db: &Db, sql: &'static str) -> Difference {
    busy(db).await;
    db.tamper(sql).await;
    verify(&mut db.read().await).await.unwrap().unwrap_err()
}

async fn check(db: &Db, sql: &'static str, expected: &str) {
    assert_eq!(after(db, sql).await.to_string(), expected);
}

on_both! {
    async fn nothing_is_wrong_at_first(db: Db) {
        busy(&db).await;
        let proof = proof(&db).await;
        assert_eq!((proof.frozen_total, proof.fees_total, proof.processor_costs_total), (nano(130), nano(18), nano(-15)));
        assert_eq!(proof.lots_total, proof.customer_total.saturating_add(proof.escrow_total));
    }

    async fn a_changed_fee(db: Db) {
        check(
            &db,
            "UPDATE purchases SET fee_nano = 7 WHERE id = 'pur_1'",
            "purchase pur_1 costs $0.000000107; the processor owes $0.000000106 for it, and $0.000000006 are booked as its fee",
        ).await;
    }

    async fn a_purchase_with_other_refunds(db: Db) {
        check(
            &db,
            "UPDATE purchases SET refunded_nano = 31 WHERE id = 'pur_1'",
            "purchase pur_1 is stored with $0.000000031 refunded, and its refunds sum to $0.00000003",
        ).await;
    }

    async fn a_refund_that_was_not_paid(db: Db) {
        check(
            &db,
            "UPDATE refunds SET state = 'succeeded' WHERE id = 'ref_1'",
            "refund ref_1 of $0.00000003 is succeeded; $0.00000003 are frozen for it, and $0.00 were given to the processor",
        ).await;
    }

    async fn a_refund_that_was_paid_and_is_forgotten(db: Db) {
        check(
            &db,
            "UPDATE refunds SET state = 'sent' WHERE id = 'ref_2'",
            "refund ref_2 of $0.00000003 is sent; $0.00 are frozen for it, and $0.00000003 were given to the processor",
        ).await;
    }

    async fn a_dispute_that_says_something_else(db: Db) {
        check(
            &db,
            "UPDATE disputes SET reinstated = 1",
            "dispute dp_3 over $0.000000106 has $0.00 frozen, and $0.000000121 withdrawn, which is not what its row says",
        ).await;
    }

    async fn a_dispute_with_another_fee(db: Db) {
        assert!(matches!(after(&db, "UPDATE disputes SET fee_nano = 14").await, Difference::Dispute { .. }));
    }

    async fn a_warning_that_holds_more_than_it_says(db: Db) {
        check(
            &db,
            "UPDATE fraud_warnings SET amount_nano = 90",
            "fraud warning efw_4 is stored with $0.00000009 held, and $0.0000001 are frozen for it",
        ).await;
    }

    async fn credits_frozen_for_nothing(db: Db) {
        check(
            &db,
            "DELETE FROM fraud_warnings",
            "account acc_ada has $0.00000013 frozen, and its refunds, disputes and warnings freeze $0.00000003",
        ).await;
    }

    async fn a_grant_of_another_amount(db: Db) {
        check(
            &db,
            "UPDATE grants SET amount_nano = 51",
            "grant g_1 gives $0.000000051, and $0.00000005 were credited",
        ).await;
    }

    async fn a_code_that_was_redeemed_more_often(db: Db) {
        check(
            &db,
            "UPDATE codes SET redemptions = 2",
            "code c0de is stored as redeemed 2 times, and 1 redemptions were credited",
        ).await;
    }

    async fn a_changed_use_of_a_budget(db: Db) {
        let difference = after(&db, "UPDATE spend_limits SET used_nano = used_nano + 1").await;
        assert!(matches!(difference, Difference::LimitUsed { owner, .. } if owner == "account:acc_ada"));
    }

    async fn a_changed_lease_of_a_budget(db: Db) {
        let difference = after(&db, "UPDATE spend_leases SET leased_nano = leased_nano + 1").await;
        assert!(matches!(difference, Difference::LimitLeased { owner, .. } if owner == "account:acc_ada"));
    }

    async fn a_house_that_bears_more_of_a_late_settlement(db: Db) {
        let difference = after(&db, "UPDATE generations SET house_cost_nano = house_cost_nano - 1 WHERE late = 1").await;
        assert!(matches!(difference, Difference::Cost { generation, .. } if generation == "gen-2"));
    }

    async fn a_late_settlement_that_was_not_late(db: Db) {
        let difference = after(&db, "UPDATE generations SET late = 0").await;
        assert!(matches!(difference, Difference::Cost { generation, .. } if generation == "gen-2"));
    }

    async fn a_lot_with_more_than_its_entries_leave(db: Db) {
        let sql = "UPDATE lots SET remaining_nano = remaining_nano + 1 WHERE source_key = 'grant:g_1'";
        let difference = after(&db, sql).await;
        assert!(matches!(difference, Difference::LotRemaining { stored, entries, .. } if stored > entries));
    }

    async fn a_deleted_entry_of_a_lot(db: Db) {
        let difference = after(&db, "DELETE FROM lot_entries WHERE key = 'refund:ref_1:freeze'").await;
        assert!(matches!(difference, Difference::LotRemaining { entries, stored, .. } if stored < entries));
    }

    async fn a_lot_of_another_amount(db: Db) {
        let sql = "UPDATE lots SET amount_nano = amount_nano + 1 WHERE source_key = 'grant:g_1';
                   INSERT INTO lot_entries SELECT id, 'charge:gen-1', -1, 0 FROM lots WHERE source_key = 'grant:g_1'";
        assert!(matches!(after(&db, sql).await, Difference::LotSource { brought, .. } if brought == nano(50)));
    }

    async fn a_missing_lot(db: Db) {
        let sql = "DELETE FROM lot_entries WHERE lot_id IN (SELECT id FROM lots WHERE source_key = 'grant:g_1');
                   DELETE FROM lots WHERE source_key = 'grant:g_1'";
        let idempotency_key = "grant:g_1".to_owned();
        assert_eq!(after(&db, sql).await, Difference::MissingLot { idempotency_key });
    }

    async fn an_entry_for_nothing(db: Db) {
        let sql = "UPDATE lot_entries SET key = 'settle:gen-9' WHERE key = 'settle:gen-1'";
        assert!(matches!(after(&db, sql).await, Difference::StrayLotEntry { key, .. } if key == "settle:gen-9"));
    }

    async fn lots_that_hold_more_than_there_is(db: Db) {
        let sql = "DELETE FROM lot_entries WHERE key LIKE 'settle:%';
                   UPDATE lots SET remaining_nano = amount_nano + COALESCE(
                       (SELECT SUM(amount_nano) FROM lot_entries WHERE lot_id = lots.id), 0)";
        let difference = after(&db, sql).await;
        assert!(
            matches!(&difference, Difference::Lots { account, remaining, credits }
                if account == "acc_ada" && *remaining == nano(199) && *credits == nano(25)),
            "{difference:?}"
        );
    }

    async fn a_transfer_that_became_another(db: Db) {
        let sql = "UPDATE transfers SET kind = 'reversal' WHERE idempotency_key = 'dev:dp:dp_3:fee'";
        let idempotency_key = "dev:dp:dp_3:fee".to_owned();
        assert_eq!(after(&db, sql).await, Difference::RequestHash { idempotency_key });
    }

    async fn a_frozen_account_below_zero(db: Db) {
        busy(&db).await;
        db.ignore_checks().await;
        db.tamper(
            "INSERT INTO transfers (id, kind, idempotency_key, created_us) VALUES ('tr_x', 'release', 'x', 0);
             INSERT INTO legs (transfer_id, position, ledger_account_id, amount_nano)
             VALUES ('tr_x', 0, 'frozen:acc_ada', -200), ('tr_x', 1, 'fees', 200);
             UPDATE ledger_accounts SET balance_nano = balance_nano - 200 WHERE id = 'frozen:acc_ada';
             UPDATE ledger_accounts SET balance_nano = balance_nano + 200 WHERE id = 'fees'",
        )
        .await;
        let difference = verify(&mut db.read().await).await.unwrap().unwrap_err();
        let account = "frozen:acc_ada".to_owned();
        assert_eq!(difference, Difference::BelowZero { account, balance: nano(-70) });
    }
}
