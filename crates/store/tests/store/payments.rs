//! What happens to a purchase after it was paid, and what happens by itself.

use crate::both::Db;
use crate::fixtures::{
    NOW, balance, bought, customer, generation, grant, key, nano, node, pay, proof, purchase, settle, take,
    transfer_id, user,
};
use domain::id::RefundId;
use domain::ledger::{LedgerAccount, TransferKind};
use domain::money::NanoUsd;
use domain::purchase::{DisputeStatus, Purchase, PurchaseKind, PurchaseState, Refund, RefundState};
use domain::time::Micros;
use store::disputes::{self, DisputeSeen};
use store::fraud_warnings::{self, WarningSeen, WarningState};
use store::grants::{self, Code, Redeemed};
use store::invoices::{self, InvoiceLine};
use store::purchases::PaidOutcome;
use store::refunds::{self, RefundSeen, RequestOutcome};
use store::topups::{self, PaymentMethod, Setting};
use store::users::User;
use store::{Converged, lots, purchases};

fn frozen(user: &User) -> LedgerAccount {
    LedgerAccount::Frozen(user.account.clone())
}

fn clearing() -> LedgerAccount {
    LedgerAccount::ProcessorClearing("dev".to_owned())
}

/// Customer, frozen, clearing, fees, processor costs.
async fn books(db: &Db, user: &User) -> [i64; 5] {
    proof(db).await;
    let costs = LedgerAccount::ProcessorCosts("dev".to_owned());
    let mut all = [0; 5];
    for (at, account) in [customer(user), frozen(user), clearing(), LedgerAccount::Fees, costs]
        .iter()
        .enumerate()
    {
        all[at] = balance(db, account).await;
    }
    all
}

fn refund(id: &str, purchase: &str, amount: i64) -> Refund {
    Refund {
        id: RefundId::stored(id),
        purchase: domain::id::PurchaseId::stored(purchase),
        account: domain::id::AccountId::stored("acc_ada"),
        amount: nano(amount),
        state: RefundState::Requested,
        processor_ref: None,
        by_customer: true,
        created: NOW,
        updated: NOW,
    }
}

async fn request(db: &Db, refund: &Refund) -> RequestOutcome {
    let mut tx = db.begin().await;
    let outcome = refunds::request(&mut tx, refund, &mut transfer_id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

fn refund_seen(reference: &str, ours: Option<&str>, purchase: &str, amount: i64, state: RefundState) -> RefundSeen {
    RefundSeen {
        processor: "dev".to_owned(),
        reference: reference.to_owned(),
        ours: ours.map(RefundId::stored),
        payment: format!("pi_{purchase}"),
        amount: nano(amount),
        state,
    }
}

async fn see_refund(db: &Db, seen: &RefundSeen) -> Converged {
    let mut tx = db.begin().await;
    let converged = refunds::converge(&mut tx, seen, &mut transfer_id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    converged
}

fn dispute_seen(status: DisputeStatus, withdrawn: bool, reinstated: bool) -> DisputeSeen {
    DisputeSeen {
        processor: "dev".to_owned(),
        reference: "dp_1".to_owned(),
        payment: "pi_pur_1".to_owned(),
        amount: nano(106),
        fee: if withdrawn { nano(15) } else { NanoUsd::ZERO },
        status,
        withdrawn,
        reinstated,
    }
}

async fn see_dispute(db: &Db, seen: &DisputeSeen) -> Converged {
    let mut tx = db.begin().await;
    let converged = disputes::converge(&mut tx, seen, &mut transfer_id, NOW).await.unwrap();
    tx.commit().await.unwrap();
    converged
}

async fn warn(db: &Db, reference: &str, actionable: bool) -> Converged {
    let seen = WarningSeen {
        processor: "dev".to_owned(),
        reference: reference.to_owned(),
        payment: "pi_pur_1".to_owned(),
        actionable,
    };
    let mut tx = db.begin().await;
    let converged = fraud_warnings::converge(&mut tx, &seen, &mut transfer_id, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    converged
}

/// 100 credits for 106.
async fn with_fee(db: &Db, user: &User, id: &str) -> Purchase {
    let mut tx = db.begin().await;
    let new = Purchase {
        fee: nano(6),
        ..purchase(user, id, 100)
    };
    purchases::create(&mut tx, &new).await.unwrap();
    let PaidOutcome::Credited(bought) = pay(&mut tx, id, &format!("pi_{id}")).await else {
        panic!("{id} was paid before")
    };
    tx.commit().await.unwrap();
    bought
}

async fn spend(db: &Db, user: &User, cost: u32) {
    let name = format!("{}-{cost}", user.account);
    let made = key(db, user, &name, None, None).await;
    let id = format!("gen-{name}");
    settle(db, &node("a"), &[generation(&id, &made, cost)]).await;
}

fn top_up(user: &User, id: &str) -> Purchase {
    Purchase {
        kind: PurchaseKind::TopUp,
        ..purchase(user, id, 20)
    }
}

async fn setting(db: &Db, user: &User, daily_cap: i64) -> Setting {
    let setting = Setting {
        account: user.account.clone(),
        enabled: true,
        threshold: nano(10),
        amount: nano(20),
        daily_cap: nano(daily_cap),
        failures: 0,
        method: None,
        updated: NOW,
    };
    let mut tx = db.begin().await;
    topups::set(&mut tx, &setting).await.unwrap();
    let method = PaymentMethod {
        processor: "dev".to_owned(),
        customer_ref: "cus_1".to_owned(),
        method_ref: "pm_1".to_owned(),
        brand: "visa".to_owned(),
        last4: "4242".to_owned(),
    };
    topups::save_method(&mut tx, &user.account, &method, NOW).await.unwrap();
    tx.commit().await.unwrap();
    Setting {
        method: Some(method),
        ..setting
    }
}

async fn begin(db: &Db, purchase: &Purchase) -> bool {
    let mut tx = db.begin().await;
    let begun = topups::begin(&mut tx, purchase).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

async fn due(db: &Db) -> usize {
    topups::due(&mut db.read().await, NOW, 9).await.unwrap().len()
}

on_both! {
    async fn a_fee_is_earned_and_not_credited(db: Db) {
        let ada = user(&db, "ada").await;
        with_fee(&db, &ada, "pur_1").await;
        assert_eq!(books(&db, &ada).await, [100, 0, -106, 6, 0]);
    }

    async fn a_purchase_waits_fails_and_is_still_credited_when_it_comes(db: Db) {
        let ada = user(&db, "ada").await;
        let mut tx = db.begin().await;
        let new = purchase(&ada, "pur_1", 100);
        purchases::create(&mut tx, &new).await.unwrap();
        assert!(purchases::pending(&mut tx, &new.id, "cs_1", Some("pi_1"), NOW).await.unwrap());
        assert!(!purchases::pending(&mut tx, &new.id, "cs_1", Some("pi_1"), NOW).await.unwrap());
        let unfinished = purchases::unfinished(&mut tx, "dev", NOW.plus(1), 9).await.unwrap();
        assert_eq!((unfinished.len(), unfinished[0].state), (1, PurchaseState::Pending));
        assert!(purchases::unfinished(&mut tx, "dev", NOW, 9).await.unwrap().is_empty());
        assert_eq!(purchases::by_payment(&mut tx, "dev", "pi_1").await.unwrap().unwrap().id, new.id);
        assert!(!purchases::cancel(&mut tx, &new.id, NOW).await.unwrap());
        assert!(purchases::fail(&mut tx, &new.id, NOW).await.unwrap());
        assert!(!purchases::fail(&mut tx, &new.id, NOW).await.unwrap());
        assert!(matches!(pay(&mut tx, "pur_1", "pi_1").await, PaidOutcome::Credited(_)));
        assert!(!purchases::fail(&mut tx, &new.id, NOW).await.unwrap());
        assert_eq!(purchases::recent(&mut tx, 9).await.unwrap()[0].state, PurchaseState::Paid);
        tx.commit().await.unwrap();
        assert_eq!(balance(&db, &customer(&ada)).await, 100);
    }

    async fn only_what_is_unspent_of_the_purchase_is_refunded(db: Db) {
        let ada = user(&db, "ada").await;
        bought(&db, &ada, "pur_1", 100).await;
        bought(&db, &ada, "pur_2", 100).await;
        spend(&db, &ada, 70).await;
        take(&db, &node("a"), &ada, 20).await;
        let refundable = async |id: &str| {
            refunds::refundable(&mut db.read().await, &domain::id::PurchaseId::stored(id)).await.unwrap().get()
        };
        assert_eq!((refundable("pur_1").await, refundable("pur_2").await, refundable("pur_3").await), (30, 100, 0));
        let too_much = RequestOutcome::TooMuch { refundable: nano(30) };
        assert_eq!(request(&db, &refund("ref_1", "pur_1", 31)).await, too_much);
        assert_eq!(request(&db, &refund("ref_1", "pur_1", 0)).await, too_much);
        assert_eq!(request(&db, &refund("ref_1", "pur_9", 5)).await, RequestOutcome::NotFound);
        for _ in 0..2 {
            assert_eq!(request(&db, &refund("ref_1", "pur_1", 30)).await, RequestOutcome::Requested);
        }
        assert_eq!(books(&db, &ada).await, [80, 30, -200, 0, 0]);
        // Node a holds 20 of them.
        assert_eq!((refundable("pur_1").await, refundable("pur_2").await), (0, 80));
        let mut tx = db.read().await;
        assert_eq!(refunds::unsent(&mut tx, NOW.plus(1), 9).await.unwrap().len(), 1);
        assert_eq!(refunds::list(&mut tx, &ada.account, 9).await.unwrap().len(), 1);
        let history = store::ledger::history(&mut tx, &ada.account, 9).await.unwrap();
        let frozen = history.iter().find(|line| line.kind == TransferKind::Freeze).unwrap();
        assert_eq!((frozen.amount, frozen.refund.clone()), (nano(-30), Some(RefundId::stored("ref_1"))));
    }

    async fn a_refund_is_paid_once_however_often_it_is_seen(db: Db) {
        let ada = user(&db, "ada").await;
        bought(&db, &ada, "pur_1", 100).await;
        request(&db, &refund("ref_1", "pur_1", 40)).await;
        let sent = refund_seen("re_1", Some("ref_1"), "pur_1", 40, RefundState::Sent);
        let done = RefundSeen { state: RefundState::Succeeded, ..sent.clone() };
        assert_eq!(see_refund(&db, &sent).await, Converged::Changed);
        assert_eq!(see_refund(&db, &done).await, Converged::Changed);
        for seen in [&done, &sent, &done] {
            assert_eq!(see_refund(&db, seen).await, Converged::Unchanged);
        }
        // Without our name for it, too.
        assert_eq!(see_refund(&db, &RefundSeen { ours: None, ..done }).await, Converged::Unchanged);
        assert_eq!(books(&db, &ada).await, [60, 0, -60, 0, 0]);
        let stored = purchases::list(&mut db.read().await, &ada.account, 9).await.unwrap();
        assert_eq!(stored[0].refunded, nano(40));
        assert!(refunds::unsent(&mut db.read().await, NOW.plus(1), 9).await.unwrap().is_empty());
    }

    async fn a_refund_that_fails_gives_the_credits_back_to_their_lot(db: Db) {
        let ada = user(&db, "ada").await;
        bought(&db, &ada, "pur_1", 100).await;
        grant(&db, &ada, 10).await;
        request(&db, &refund("ref_1", "pur_1", 40)).await;
        let seen = |state| refund_seen("re_1", Some("ref_1"), "pur_1", 40, state);
        see_refund(&db, &seen(RefundState::Succeeded)).await;
        assert_eq!(books(&db, &ada).await, [70, 0, -60, 0, 0]);
        assert_eq!(see_refund(&db, &seen(RefundState::Failed)).await, Converged::Changed);
        assert_eq!(see_refund(&db, &seen(RefundState::Succeeded)).await, Converged::Unchanged);
        assert_eq!(books(&db, &ada).await, [110, 0, -100, 0, 0]);
        let lot = lots::by_source(&mut db.read().await, "purchase:pur_1").await.unwrap().unwrap();
        assert_eq!(lot.remaining, nano(100));
        assert_eq!(request(&db, &refund("ref_2", "pur_1", 100)).await, RequestOutcome::Requested);
    }

    async fn a_refund_made_at_the_processor_is_taken_even_below_zero(db: Db) {
        let ada = user(&db, "ada").await;
        with_fee(&db, &ada, "pur_1").await;
        spend(&db, &ada, 90).await;
        let unknown = refund_seen("re_0", None, "pur_9", 5, RefundState::Succeeded);
        assert_eq!(see_refund(&db, &unknown).await, Converged::UnknownPayment);
        let seen = refund_seen("re_1", None, "pur_1", 106, RefundState::Succeeded);
        assert_eq!(see_refund(&db, &seen).await, Converged::Changed);
        assert_eq!(see_refund(&db, &seen).await, Converged::Unchanged);
        assert_eq!(books(&db, &ada).await, [-90, 0, 0, 0, 0]);
        assert_eq!(see_refund(&db, &RefundSeen { state: RefundState::Failed, ..seen }).await, Converged::Changed);
        assert_eq!(books(&db, &ada).await, [10, 0, -106, 6, 0]);
        let failed = refund_seen("re_2", None, "pur_1", 50, RefundState::Failed);
        assert_eq!(see_refund(&db, &failed).await, Converged::Changed);
        assert_eq!(books(&db, &ada).await, [10, 0, -106, 6, 0]);
    }

    async fn a_dispute_ends_in_the_same_books_in_whatever_order_it_is_seen(db: Db) {
        use DisputeStatus::{Lost, NeedsResponse, UnderReview, Warning, WarningClosed, Won};
        let seen = dispute_seen;
        // What a processor shows over time, and the books at the end: customer, frozen, clearing, fees, costs.
        let courses = [
            (vec![seen(Warning, false, false)], [60, 0, -106, 6, 0]),
            (vec![seen(Warning, false, false), seen(WarningClosed, false, false)], [60, 0, -106, 6, 0]),
            (vec![seen(NeedsResponse, false, false)], [-40, 106, -106, 0, 0]),
            (vec![seen(NeedsResponse, true, false), seen(UnderReview, true, false)], [-40, 0, 15, 0, -15]),
            (
                vec![seen(Warning, false, false), seen(NeedsResponse, true, false), seen(Lost, true, false)],
                [-40, 0, 15, 0, -15],
            ),
            (
                vec![seen(NeedsResponse, true, false), seen(UnderReview, true, true), seen(Won, true, true)],
                [60, 0, -91, 6, -15],
            ),
            (vec![seen(NeedsResponse, true, false), seen(Won, true, false)], [-40, 0, 15, 0, -15]),
            (vec![seen(NeedsResponse, false, false), seen(Won, false, false)], [60, 0, -106, 6, 0]),
            // Taken after it was won, and given back later.
            (
                vec![seen(NeedsResponse, false, false), seen(Won, false, false), seen(Won, true, false)],
                [-40, 0, 15, 0, -15],
            ),
            (
                vec![seen(NeedsResponse, false, false), seen(Won, false, false), seen(Won, true, false), seen(Won, true, true)],
                [60, 0, -91, 6, -15],
            ),
        ];
        for (number, (course, expected)) in courses.into_iter().enumerate() {
            for order in 0..3 {
                let ada = user(&db, &format!("ada{number}{order}")).await;
                let id = format!("pur_{number}{order}");
                with_fee(&db, &ada, &id).await;
                spend(&db, &ada, 40).await;
                let before = [clearing(), LedgerAccount::Fees, LedgerAccount::ProcessorCosts("dev".to_owned())];
                let mut base = Vec::new();
                for account in &before {
                    base.push(balance(&db, account).await);
                }
                let mut events: Vec<DisputeSeen> = course
                    .iter()
                    .map(|seen| DisputeSeen {
                        reference: format!("dp_{number}{order}"),
                        payment: format!("pi_{id}"),
                        ..seen.clone()
                    })
                    .collect();
                if order == 1 {
                    events.reverse();
                }
                if order == 2 {
                    events.drain(..events.len() - 1);
                }
                for event in events.iter().chain(&events) {
                    see_dispute(&db, event).await;
                }
                let mut ends = vec![balance(&db, &customer(&ada)).await, balance(&db, &frozen(&ada)).await];
                for (account, base) in before.iter().zip(base) {
                    ends.push(balance(&db, account).await - base);
                }
                let expected = [expected[0], expected[1], expected[2] + 106, expected[3] - 6, expected[4]];
                assert_eq!(ends, expected, "course {number}, order {order}");
            }
        }
        proof(&db).await;
    }

    async fn a_lost_dispute_is_written_off_when_nobody_pays(db: Db) {
        let ada = user(&db, "ada").await;
        with_fee(&db, &ada, "pur_1").await;
        spend(&db, &ada, 100).await;
        see_dispute(&db, &dispute_seen(DisputeStatus::Lost, true, false)).await;
        assert_eq!(books(&db, &ada).await, [-100, 0, 15, 0, -15]);
        assert_eq!(request(&db, &refund("ref_1", "pur_1", 1)).await, RequestOutcome::TooMuch { refundable: nano(0) });
        let mut tx = db.begin().await;
        assert!(!disputes::write_off(&mut tx, &ada.account, nano(101), &mut transfer_id, NOW).await.unwrap());
        assert!(disputes::write_off(&mut tx, &ada.account, nano(100), &mut transfer_id, NOW).await.unwrap());
        assert!(!disputes::write_off(&mut tx, &ada.account, nano(1), &mut transfer_id, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(books(&db, &ada).await, [0, 0, 15, 0, -15]);
        assert_eq!(balance(&db, &LedgerAccount::HouseCost).await, -100);
        let listed = disputes::list(&mut db.read().await, &ada.account).await.unwrap();
        assert_eq!((listed.len(), listed[0].status), (1, DisputeStatus::Lost));
    }

    async fn a_fraud_warning_holds_what_is_unspent_until_a_person_decides(db: Db) {
        let ada = user(&db, "ada").await;
        bought(&db, &ada, "pur_1", 100).await;
        grant(&db, &ada, 10).await;
        spend(&db, &ada, 30).await;
        assert_eq!(warn(&db, "efw_1", true).await, Converged::Changed);
        assert_eq!(warn(&db, "efw_1", true).await, Converged::Unchanged);
        assert_eq!(books(&db, &ada).await, [0, 80, -100, 0, 0]);
        let mut tx = db.begin().await;
        assert!(fraud_warnings::release(&mut tx, "dev", "efw_1", &mut transfer_id, NOW).await.unwrap());
        assert!(!fraud_warnings::release(&mut tx, "dev", "efw_1", &mut transfer_id, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(books(&db, &ada).await, [80, 0, -100, 0, 0]);
        assert_eq!(warn(&db, "efw_2", false).await, Converged::Changed);
        assert_eq!(books(&db, &ada).await, [80, 0, -100, 0, 0]);
    }

    async fn a_dispute_takes_the_place_of_the_warning(db: Db) {
        for warned_first in [true, false] {
            let ada = user(&db, if warned_first { "ada" } else { "bob" }).await;
            let id = if warned_first { "pur_1" } else { "pur_2" };
            bought(&db, &ada, id, 100).await;
            let seen = DisputeSeen {
                reference: format!("dp_{id}"),
                payment: format!("pi_{id}"),
                amount: nano(60),
                ..dispute_seen(DisputeStatus::NeedsResponse, false, false)
            };
            let warning = WarningSeen {
                processor: "dev".to_owned(),
                reference: format!("efw_{id}"),
                payment: format!("pi_{id}"),
                actionable: true,
            };
            let mut tx = db.begin().await;
            if warned_first {
                fraud_warnings::converge(&mut tx, &warning, &mut transfer_id, NOW).await.unwrap();
            }
            disputes::converge(&mut tx, &seen, &mut transfer_id, NOW).await.unwrap();
            fraud_warnings::converge(&mut tx, &warning, &mut transfer_id, NOW).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!((balance(&db, &customer(&ada)).await, balance(&db, &frozen(&ada)).await), (40, 60));
            proof(&db).await;
        }
        let states = fraud_warnings::recent(&mut db.read().await, 9).await.unwrap();
        assert!(states.iter().all(|warning| warning.state != WarningState::Held));
    }

    async fn a_code_gives_its_credits_once_to_each_account(db: Db) {
        let [ada, bob, cyd] = [user(&db, "ada").await, user(&db, "bob").await, user(&db, "cyd").await];
        let code = Code {
            hash: "c0de".to_owned(),
            label: "launch".to_owned(),
            amount: nano(50),
            expires: Some(NOW.plus(Micros::DAY)),
            lot_days: Some(30),
            redemptions: 0,
            redemptions_max: 2,
            created: NOW,
        };
        let mut tx = db.begin().await;
        grants::create_code(&mut tx, &code).await.unwrap();
        let mut redeem = async |hash: &str, user: &User, now| {
            grants::redeem(&mut tx, hash, &user.account, &mut transfer_id, now).await.unwrap()
        };
        assert_eq!(redeem("none", &ada, NOW).await, Redeemed::Unknown);
        assert_eq!(redeem("c0de", &ada, NOW.plus(Micros::DAY)).await, Redeemed::Expired);
        assert_eq!(redeem("c0de", &ada, NOW).await, Redeemed::Ok(nano(50)));
        assert_eq!(redeem("c0de", &ada, NOW).await, Redeemed::Already);
        assert_eq!(redeem("c0de", &bob, NOW).await, Redeemed::Ok(nano(50)));
        assert_eq!(redeem("c0de", &cyd, NOW).await, Redeemed::UsedUp);
        assert_eq!(grants::codes(&mut tx, 9).await.unwrap(), [Code { redemptions: 2, ..code }]);
        tx.commit().await.unwrap();
        let lots = lots::open(&mut db.read().await, &ada.account).await.unwrap();
        assert_eq!(lots[0].expires, Some(NOW.plus(30 * Micros::DAY)));
        proof(&db).await;
    }

    async fn a_top_up_is_due_below_the_threshold_and_within_the_day(db: Db) {
        let ada = user(&db, "ada").await;
        let stored = setting(&db, &ada, 50).await;
        assert_eq!(topups::get(&mut db.read().await, &ada.account).await.unwrap(), Some(stored));
        assert_eq!(due(&db).await, 1);
        grant(&db, &ada, 10).await;
        take(&db, &node("a"), &ada, 10).await;
        assert_eq!(due(&db).await, 0, "what nodes hold counts");
        spend(&db, &ada, 5).await;
        assert_eq!(due(&db).await, 1);
        assert!(begin(&db, &top_up(&ada, "pur_1")).await);
        assert!(!begin(&db, &top_up(&ada, "pur_2")).await, "one in flight");
        assert_eq!(due(&db).await, 0);
        let mut tx = db.begin().await;
        pay(&mut tx, "pur_1", "pi_1").await;
        tx.commit().await.unwrap();
        assert!(!begin(&db, &top_up(&ada, "pur_2")).await, "the balance is above the threshold");
        spend(&db, &ada, 20).await;
        assert!(begin(&db, &top_up(&ada, "pur_2")).await);
        let mut tx = db.begin().await;
        pay(&mut tx, "pur_2", "pi_2").await;
        tx.commit().await.unwrap();
        spend(&db, &ada, 21).await;
        assert_eq!(due(&db).await, 0, "40 of 50 are bought today");
        assert!(!begin(&db, &top_up(&ada, "pur_3")).await);
        let tomorrow = topups::due(&mut db.read().await, NOW.plus(Micros::DAY), 9).await.unwrap();
        assert_eq!(tomorrow.len(), 1);
        proof(&db).await;
    }

    async fn top_ups_at_once_begin_once(db: Db) {
        let ada = user(&db, "ada").await;
        setting(&db, &ada, 500).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (db, new) = (db.clone(), top_up(&ada, &format!("pur_{number}")));
            tasks.spawn(async move { begin(&db, &new).await });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|begun| *begun).count(), 1);
    }

    async fn top_ups_stop_after_failures_and_begin_anew_with_success(db: Db) {
        let ada = user(&db, "ada").await;
        let stored = setting(&db, &ada, 500).await;
        let fail = async |id: &str| {
            let mut tx = db.begin().await;
            purchases::fail(&mut tx, &domain::id::PurchaseId::stored(id), NOW).await.unwrap();
            let failed = topups::failed(&mut tx, &ada.account, 2, NOW).await.unwrap();
            tx.commit().await.unwrap();
            (failed.failures, failed.disabled)
        };
        assert!(begin(&db, &top_up(&ada, "pur_1")).await);
        assert_eq!(fail("pur_1").await, (1, false));
        assert!(begin(&db, &top_up(&ada, "pur_2")).await);
        let mut tx = db.begin().await;
        pay(&mut tx, "pur_2", "pi_2").await;
        tx.commit().await.unwrap();
        spend(&db, &ada, 20).await;
        for (id, expected) in [("pur_3", (1, false)), ("pur_4", (2, true))] {
            assert!(begin(&db, &top_up(&ada, id)).await);
            assert_eq!(fail(id).await, expected);
        }
        assert!(!begin(&db, &top_up(&ada, "pur_5")).await);
        let mut tx = db.begin().await;
        topups::set(&mut tx, &stored).await.unwrap();
        topups::forget_method(&mut tx, &ada.account, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let emptied = topups::get(&mut db.read().await, &ada.account).await.unwrap().unwrap();
        assert_eq!((emptied.enabled, emptied.failures, emptied.method), (false, 0, None));
    }

    async fn invoices_stand_beside_what_was_charged(db: Db) {
        let ada = user(&db, "ada").await;
        spend(&db, &ada, 40).await;
        let line = |provider: &str, amount| InvoiceLine {
            provider: provider.to_owned(),
            period: "2026-11".to_owned(),
            amount: nano(amount),
        };
        let mut tx = db.begin().await;
        let counts = invoices::import(&mut tx, &[line("acme", 39), line("zeta", 7)], NOW).await.unwrap();
        assert_eq!((counts.new, counts.changed, counts.unchanged), (2, 0, 0));
        let counts = invoices::import(&mut tx, &[line("acme", 41), line("zeta", 7)], NOW).await.unwrap();
        assert_eq!((counts.new, counts.changed, counts.unchanged), (0, 1, 1));
        let compared = invoices::comparison(&mut tx).await.unwrap();
        let rows: Vec<_> = compared.iter().map(|row| (row.provider.as_str(), row.charged.get(), row.invoiced)).collect();
        assert_eq!(rows, [("acme", 40, Some(nano(41))), ("zeta", 0, Some(nano(7)))]);
        for _ in 0..2 {
            invoices::invoice_paid(&mut tx, "acme", "inv_1", nano(41), &mut transfer_id, NOW).await.unwrap();
            invoices::payout(&mut tx, "dev", "po_1", nano(90), nano(3), &mut transfer_id, NOW).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(balance(&db, &LedgerAccount::Bank).await, -49);
        assert_eq!(balance(&db, &clearing()).await, 93);
        assert_eq!(proof(&db).await.processor_costs_total, nano(-3));
    }
}
