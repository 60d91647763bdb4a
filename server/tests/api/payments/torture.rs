//! Every event of every kind, delivered twice, backwards, shuffled or lost: the books end as if nothing had gone wrong.

use super::{dollars, eventually, refund_of, switch_on};
use crate::support::Db;
use crate::support::shop::Shop;
use serde_json::{Value, json};
use std::collections::BTreeMap;

on_both_databases!(
    events_delivered_backwards_and_twice_end_in_the_same_books,
    events_shuffled_and_lost_are_made_up_for_by_asking,
    events_that_go_wrong_while_things_happen_change_nothing,
    no_event_at_all_is_made_up_for_by_asking,
);

/// How the events of a run reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// Each once and in order, after each step.
    Undisturbed,
    /// Not before everything is over.
    AtTheEnd,
    /// By themselves: twice, late, and some never.
    Wild,
}

const PEOPLE: [&str; 7] = ["ada", "bob", "cleo", "dan", "eve", "fay", "gil"];

async fn events_delivered_backwards_and_twice_end_in_the_same_books(db: Db) {
    let expected = undisturbed(db).await;
    let mut shop = Shop::open(db, &PEOPLE).await;
    live(&mut shop, Delivery::AtTheEnd).await;
    let statuses = shop.deliver(json!({"order": "reversed", "times": 2})).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(shop.balances().await, expected);
    shop.close().await;
}

async fn events_shuffled_and_lost_are_made_up_for_by_asking(db: Db) {
    let expected = undisturbed(db).await;
    for seed in [1, 2] {
        let mut shop = Shop::open(db, &PEOPLE).await;
        live(&mut shop, Delivery::AtTheEnd).await;
        let demand = json!({"order": "shuffled", "times": 2, "loss_percent": 20, "seed": seed});
        let statuses = shop.deliver(demand).await;
        assert!(
            statuses.iter().all(|status| *status == 200),
            "seed {seed}: {statuses:?}"
        );
        shop.reconcile();
        assert_eq!(shop.balances().await, expected, "seed {seed}");
        let again = shop.reconcile();
        assert!(again.starts_with("0 events"), "{again}");
        shop.close().await;
    }
}

async fn events_that_go_wrong_while_things_happen_change_nothing(db: Db) {
    let expected = undisturbed(db).await;
    let mut shop = Shop::open(db, &PEOPLE).await;
    shop.webhooks(json!({"copies": 2, "loss_percent": 20, "jitter_ms": 400, "seed": 7}))
        .await;
    live(&mut shop, Delivery::Wild).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    shop.reconcile();
    assert_eq!(shop.balances().await, expected);
    shop.close().await;
}

async fn no_event_at_all_is_made_up_for_by_asking(db: Db) {
    let expected = undisturbed(db).await;
    let mut shop = Shop::open(db, &PEOPLE).await;
    live(&mut shop, Delivery::AtTheEnd).await;
    shop.reconcile();
    assert_eq!(shop.balances().await, expected);
    shop.close().await;
}

/// The books after everything came once and in order.
async fn undisturbed(db: Db) -> BTreeMap<String, i64> {
    let mut shop = Shop::open(db, &PEOPLE).await;
    live(&mut shop, Delivery::Undisturbed).await;
    let balances = shop.balances().await;
    assert_eq!(balances, by_hand(), "the undisturbed run itself");
    shop.close().await;
    balances
}

/// What people and the processor do. Every kind of event that means something happens here.
async fn live(shop: &mut Shop, delivery: Delivery) {
    checkouts(shop, delivery).await;
    refunds(shop, delivery).await;
    disputes(shop, delivery).await;
    warnings(shop, delivery).await;
    top_ups(shop, delivery).await;
}

/// Ada: one paid at once, one later, one that fails later, one declined and paid after all, one left alone.
async fn checkouts(shop: &mut Shop, delivery: Delivery) {
    shop.buy("ada", "20").await;
    step(shop, delivery).await;
    for (dollars, succeeds) in [("30", true), ("40", false)] {
        let checkout = shop.checkout("ada", dollars, &[]).await;
        shop.control("choose", json!({"session": checkout.session, "choice": "later"}))
            .await;
        step(shop, delivery).await;
        let order = json!({"session": checkout.session, "succeeds": succeeds});
        shop.control("finish_later", order).await;
        step(shop, delivery).await;
    }
    let checkout = shop.checkout("ada", "50", &[]).await;
    for choice in ["decline", "pay"] {
        shop.control("choose", json!({"session": checkout.session, "choice": choice}))
            .await;
        step(shop, delivery).await;
    }
    let checkout = shop.checkout("ada", "60", &[]).await;
    shop.control("expire", json!({"session": checkout.session})).await;
    step(shop, delivery).await;
}

/// Bob: one made at the processor, one that fails after all, one that comes late, one of his own.
async fn refunds(shop: &mut Shop, delivery: Delivery) {
    let payment = shop.buy("bob", "100").await;
    step(shop, delivery).await;
    let refund = async |shop: &Shop, cents: &str| -> Value {
        let form = [("payment_intent", payment.as_str()), ("amount", cents)];
        shop.post("refunds", &form).await.expect_ok().body["id"].clone()
    };
    refund(shop, "1000").await;
    step(shop, delivery).await;
    shop.control("refunds_pending", json!({"pending": true})).await;
    for (cents, succeeds) in [("2000", true), ("3000", false)] {
        let id = refund(shop, cents).await;
        step(shop, delivery).await;
        shop.control("finish_refund", json!({"refund": id, "succeeds": succeeds}))
            .await;
        step(shop, delivery).await;
    }
    shop.control("refunds_pending", json!({"pending": false})).await;
    let late = refund(shop, "500").await;
    step(shop, delivery).await;
    shop.control("finish_refund", json!({"refund": late, "succeeds": false}))
        .await;
    step(shop, delivery).await;
    if delivery == Delivery::Undisturbed {
        refund_of(shop, "bob", 700).await;
        shop.reconcile();
    } else {
        // Asking would make up for what the events are to bring; so the processor has it already.
        refund(shop, "700").await;
    }
    step(shop, delivery).await;
}

/// Cleo and Dan: won, lost, an inquiry that goes away, one that becomes a dispute.
async fn disputes(shop: &mut Shop, delivery: Delivery) {
    for (name, inquiry, steps) in [
        ("cleo", false, &["review", "win"][..]),
        ("cleo", false, &["lose"]),
        ("dan", true, &["close"]),
        ("dan", true, &["escalate", "lose"]),
    ] {
        let payment = shop.buy(name, "40").await;
        step(shop, delivery).await;
        let dispute = shop
            .control("dispute", json!({"payment_intent": payment, "inquiry": inquiry}))
            .await;
        step(shop, delivery).await;
        for next in steps {
            shop.control("dispute_step", json!({"dispute": dispute["id"], "step": next}))
                .await;
            step(shop, delivery).await;
        }
    }
}

/// Eve and Gil: a warning, and a warning that a dispute follows.
async fn warnings(shop: &mut Shop, delivery: Delivery) {
    for (name, is_disputed) in [("eve", false), ("gil", true)] {
        let payment = shop.buy(name, "25").await;
        step(shop, delivery).await;
        shop.control("early_fraud_warning", json!({"payment_intent": payment}))
            .await;
        step(shop, delivery).await;
        if is_disputed {
            shop.control("dispute", json!({"payment_intent": payment})).await;
            step(shop, delivery).await;
        }
    }
}

/// Fay: one automatic top-up with the card she kept.
async fn top_ups(shop: &mut Shop, delivery: Delivery) {
    let checkout = shop.checkout("fay", "10", &[("save", "1")]).await;
    shop.control("choose", json!({"session": checkout.session, "choice": "pay"}))
        .await;
    step(shop, delivery).await;
    // Without this event there would be no card to go on with; later it comes again like the others.
    shop.deliver_completion(&checkout).await;
    eventually("the card is kept", || async {
        let mut tx = shop.app.store.read().await.unwrap();
        let setting = store::topups::get(&mut tx, shop.account("fay")).await.unwrap();
        setting.filter(|setting| setting.method.is_some())
    })
    .await;
    switch_on(shop, "fay", 15, 15).await;
    eventually("fay is topped up", || async {
        (dollars(shop, "customer:fay").await == 25_00).then_some(())
    })
    .await;
    step(shop, delivery).await;
}

async fn step(shop: &mut Shop, delivery: Delivery) {
    match delivery {
        Delivery::Undisturbed => shop.deliver_news().await,
        Delivery::AtTheEnd => {}
        Delivery::Wild => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
    }
}

/// In nano-dollars. Fees of 5 % are on top of every purchase; a lost dispute takes back both, and costs $15.
fn by_hand() -> BTreeMap<String, i64> {
    let cents = [
        ("customer:ada", 10_000),
        ("customer:bob", 6_300),
        ("customer:cleo", 80_00 - 40_00),
        ("customer:dan", 80_00 - 40_00),
        ("customer:fay", 25_00),
        ("frozen:eve", 25_00),
        ("fees", 5_00 + 5_00 + 2_00 + 2_00 + 1_25 + 1_25),
        ("processor_costs:stripe", -4 * 15_00),
    ];
    let mut all: BTreeMap<String, i64> = cents
        .into_iter()
        .map(|(name, cents)| (name.to_owned(), cents * 10_000_000))
        .collect();
    // Whatever else there is, the processor owes us.
    let clearing = -all.values().sum::<i64>();
    all.insert("processor_clearing:stripe".to_owned(), clearing);
    all
}
