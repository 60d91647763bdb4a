//! Buying by Stripe, played by its stand-in: what is told twice, late, in the wrong order or never ends in the same books.

use crate::support::shop::{Checkout, NEW_SECRET, Shop};
use crate::support::{Db, Reply, eventually};
use domain::id::{RefundId, TransferId};
use domain::money::NanoUsd;
use domain::purchase::{PurchaseKind, PurchaseState, Refund, RefundState};
use fake_stripe::SECRET_KEY;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;
use store::refunds::RequestOutcome;
use store::topups::Setting;

mod torture;

on_both_databases!(
    a_purchase_is_paid_on_the_processors_page,
    a_call_that_fails_for_a_moment_is_repeated_with_its_key,
    what_is_not_signed_by_the_processor_is_refused,
    a_payment_that_does_not_fit_is_left_to_people,
    a_saved_card_tops_up_until_the_cap,
    a_card_that_declines_ends_top_ups_with_a_mail,
    a_card_under_dispute_is_not_charged_again,
    a_refund_that_was_not_sent_is_sent_once,
    a_purchase_whose_answer_was_lost_is_found,
);

async fn a_purchase_is_paid_on_the_processors_page(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    shop.webhooks(json!({})).await;
    let checkout = shop.checkout("ada", "20", &[]).await;
    let session = shop.get(&format!("checkout/sessions/{}", checkout.session)).await;
    assert_eq!(session["amount_total"], 2_100, "the fee is on top");
    assert_eq!(session["payment_method_types"], json!(["card", "crypto"]));
    assert!(
        session["success_url"]
            .as_str()
            .unwrap()
            .contains(checkout.purchase.as_str())
    );
    assert_eq!(shop.purchase(&checkout.purchase).await.state, PurchaseState::Open);

    let order = json!({"session": checkout.session, "choice": "pay", "card": "crypto"});
    shop.control("choose", order).await;
    eventually_paid(&shop, &checkout).await;
    assert_eq!(dollars(&shop, "customer:ada").await, 20_00);
    assert_eq!(dollars(&shop, "fees").await, 1_00);
    assert_eq!(dollars(&shop, "processor_clearing:stripe").await, -21_00);
    let requests = shop.requests().await;
    let creation = requests.iter().find(|call| call["method"] == "POST").unwrap();
    assert_eq!(creation["idempotency_key"], checkout.purchase.as_str());
    assert_eq!(creation["version"], "2026-09-30.endive");
    shop.close().await;
}

async fn a_call_that_fails_for_a_moment_is_repeated_with_its_key(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    shop.control("outage", json!({"calls": 2, "status": 503})).await;
    let checkout = shop.checkout("ada", "20", &[]).await;
    assert_eq!(shop.purchase(&checkout.purchase).await.state, PurchaseState::Open);
    shop.close().await;
}

async fn what_is_not_signed_by_the_processor_is_refused(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    shop.buy("ada", "20").await;
    for demand in [
        json!({"signature": "missing"}),
        json!({"signature": "wrong"}),
        json!({"signature": "empty"}),
        json!({"age_secs": 301}),
        json!({"age_secs": -301}),
    ] {
        let statuses = shop.deliver(demand.clone()).await;
        assert!(statuses.iter().all(|status| *status == 400), "{demand} {statuses:?}");
    }
    // What a forger invents is looked up, and is not there.
    let invented = json!({"id": "evt_x", "object": "event", "type": "checkout.session.completed", "livemode": false,
        "data": {"object": {"id": "cs_test_invented", "payment_status": "paid"}}});
    assert_eq!(signed(&shop, "stripe", &invented.to_string()).await, 200);
    let live = json!({"id": "evt_y", "object": "event", "type": "checkout.session.completed", "livemode": true,
        "data": {"object": {"id": "cs_live_1", "payment_status": "paid"}}});
    assert_eq!(signed(&shop, "stripe", &live.to_string()).await, 200);
    assert_eq!(signed(&shop, "stripe", "{}").await, 400);
    assert_eq!(
        signed(&shop, "dev", &invented.to_string()).await,
        404,
        "only one processor is configured"
    );
    assert_eq!(shop.balances().await, BTreeMap::new());
    let statuses = shop.deliver(json!({})).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(dollars(&shop, "customer:ada").await, 20_00);
    shop.close().await;
}

async fn a_payment_that_does_not_fit_is_left_to_people(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    let checkout = shop.checkout("ada", "20", &[]).await;
    let dearer = format!(
        "UPDATE purchases SET amount_nano = 9000000000000 WHERE id = '{}'",
        checkout.purchase
    );
    shop.app.database.execute(&dearer).await;
    shop.control("choose", json!({"session": checkout.session, "choice": "pay"}))
        .await;
    let statuses = shop.deliver(json!({})).await;
    assert!(statuses.contains(&422), "{statuses:?}");
    shop.reconcile();
    assert_eq!(shop.balances().await, BTreeMap::new());
    shop.close().await;
}

async fn a_saved_card_tops_up_until_the_cap(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    shop.buy_with("ada", "10", &[("save", "1")], "pm_card_visa").await;
    shop.deliver_news().await;
    let method = setting(&shop, "ada").await.method.expect("the card is kept");
    assert_eq!((method.brand.as_str(), method.last4.as_str()), ("visa", "4242"));
    // Two top-ups of $15 fit below the cap; each is wanted, since the threshold is never reached.
    switch_on(&shop, "ada", 15, 30).await;
    eventually("the cap is reached", || async {
        (dollars(&shop, "customer:ada").await == 40_00).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(dollars(&shop, "customer:ada").await, 40_00, "not above the cap");
    assert_eq!(dollars(&shop, "fees").await, 2_00);
    let charges: Vec<_> = shop
        .requests()
        .await
        .into_iter()
        .filter(|call| call["path"] == "payment_intents")
        .collect();
    assert_eq!(charges.len(), 2);
    for charge in charges {
        assert_eq!(charge["idempotency_key"], charge["parameters"]["metadata"]["purchase"]);
        assert_eq!(charge["parameters"]["off_session"], "true");
    }
    shop.close().await;
}

async fn a_card_under_dispute_is_not_charged_again(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    let payment = shop.buy_with("ada", "10", &[("save", "1")], "pm_card_visa").await;
    shop.control("dispute", json!({"payment_intent": payment})).await;
    shop.deliver_news().await;
    switch_on(&shop, "ada", 15, 30).await;
    // Longer than the worker waits between two looks.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    assert_eq!(dollars(&shop, "customer:ada").await, 0);
    let calls = shop.requests().await;
    assert!(
        calls
            .iter()
            .all(|call| call["method"] != "POST" || call["path"] != "payment_intents")
    );
    shop.close().await;
}

async fn a_card_that_declines_ends_top_ups_with_a_mail(db: Db) {
    for (card, name) in [
        ("pm_card_chargeCustomerFail", "bob"),
        ("pm_card_authenticationRequired", "eve"),
    ] {
        let mut shop = Shop::open(db, &[name]).await;
        shop.buy_with(name, "10", &[("save", "1")], card).await;
        shop.deliver_news().await;
        switch_on(&shop, name, 15, 1_000).await;
        eventually("top-ups are switched off", || async {
            // A declined card is left alone for a while: time passes.
            shop.app
                .database
                .execute("UPDATE topup_settings SET updated_us = updated_us - 3600000000")
                .await;
            (!setting(&shop, name).await.enabled).then_some(())
        })
        .await;
        // Every failure is told by webhook as well, and counts once.
        shop.deliver_news().await;
        assert_eq!(setting(&shop, name).await.failures, 3);
        assert_eq!(dollars(&shop, &format!("customer:{name}")).await, 10_00);
        let mailbox = shop.browser(name).open("/dev/mailbox").await.expect_ok();
        assert!(
            mailbox.text.contains("Automatic top-ups are switched off"),
            "{}",
            mailbox.text
        );
        shop.close().await;
    }
}

async fn a_refund_that_was_not_sent_is_sent_once(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    let payment = shop.buy("ada", "20").await;
    shop.deliver_news().await;
    let refund = refund_of(&shop, "ada", 5_00).await;
    assert_eq!(dollars(&shop, "frozen:ada").await, 5_00);
    assert!(shop.reconcile().contains("1 refunds"));
    assert_eq!(dollars(&shop, "customer:ada").await, 15_00);
    assert_eq!(shop.balances().await.get("frozen:ada"), None);
    // The answer got lost, and the processor has forgotten the key: it is found by our name for it.
    let forget = format!(
        "UPDATE refunds SET state = 'requested', processor_ref = NULL WHERE id = '{}'",
        refund.id
    );
    shop.app.database.execute(&forget).await;
    shop.reconcile();
    let made = shop.get(&format!("refunds?payment_intent={payment}")).await;
    assert_eq!(made["data"].as_array().unwrap().len(), 1);
    assert_eq!(dollars(&shop, "customer:ada").await, 15_00);

    // What the processor refuses for good is the customer's again.
    let all = shop.post("refunds", &[("payment_intent", &payment)]).await;
    assert_eq!(all.status.as_u16(), 200, "{}", all.text);
    let refused = refund_of(&shop, "ada", 10_00).await;
    shop.reconcile();
    let mut tx = shop.app.store.read().await.unwrap();
    let refused = store::refunds::by_id(&mut tx, &refused.id).await.unwrap().unwrap();
    drop(tx);
    assert_eq!(refused.state, RefundState::Failed);
    shop.close().await;
}

async fn a_purchase_whose_answer_was_lost_is_found(db: Db) {
    let mut shop = Shop::open(db, &["ada"]).await;
    let checkout = shop.checkout("ada", "20", &[]).await;
    let lost = shop.checkout("ada", "30", &[]).await;
    shop.control("choose", json!({"session": checkout.session, "choice": "pay"}))
        .await;
    for (purchase, minutes) in [(&checkout.purchase, 10), (&lost.purchase, 40)] {
        let forget = format!(
            "UPDATE purchases SET state = 'created', processor_ref = NULL, created_us = created_us - {}
             WHERE id = '{purchase}'",
            minutes * domain::time::Micros::MINUTE
        );
        shop.app.database.execute(&forget).await;
    }
    shop.reconcile();
    assert_eq!(shop.purchase(&checkout.purchase).await.state, PurchaseState::Paid);
    assert_eq!(
        shop.purchase(&lost.purchase).await.state,
        PurchaseState::Cancelled,
        "nobody will look for it"
    );
    assert_eq!(dollars(&shop, "customer:ada").await, 20_00);
    shop.close().await;
}

async fn eventually_paid(shop: &Shop, checkout: &Checkout) {
    eventually("the purchase is paid", || async {
        (shop.purchase(&checkout.purchase).await.state == PurchaseState::Paid).then_some(())
    })
    .await;
}

/// The balance of a ledger account in cents.
async fn dollars(shop: &Shop, ledger_account: &str) -> i64 {
    let balance = shop.balances().await.get(ledger_account).copied().unwrap_or(0);
    assert_eq!(balance % 10_000_000, 0, "{ledger_account} has whole cents");
    balance / 10_000_000
}

async fn setting(shop: &Shop, name: &str) -> Setting {
    let mut tx = shop.app.store.read().await.unwrap();
    let setting = store::topups::get(&mut tx, shop.account(name)).await.unwrap();
    setting.expect("there is a setting")
}

/// Top-ups of so many dollars for ever, up to so many on a day.
async fn switch_on(shop: &Shop, name: &str, amount: i64, daily_cap: i64) {
    let dollars = |dollars: i64| NanoUsd::from_cents(dollars * 100).unwrap();
    let mut tx = shop.app.store.begin().await.unwrap();
    let wanted = Setting {
        enabled: true,
        threshold: dollars(500),
        amount: dollars(amount),
        daily_cap: dollars(daily_cap),
        ..setting(shop, name).await
    };
    store::topups::set(&mut tx, &wanted).await.unwrap();
    tx.commit().await.unwrap();
}

/// A refund of the newest paid purchase as the page asks for it, some minutes ago, and not sent.
async fn refund_of(shop: &Shop, name: &str, cents: i64) -> Refund {
    let mut tx = shop.app.store.begin().await.unwrap();
    let purchases = store::purchases::list(&mut tx, shop.account(name), 10).await.unwrap();
    let purchase = purchases
        .iter()
        .find(|one| one.state == PurchaseState::Paid && one.kind == PurchaseKind::Checkout);
    let asked = crate::support::customer::now().plus(-5 * domain::time::Micros::MINUTE);
    let refund = Refund {
        id: RefundId::new(random()),
        purchase: purchase.unwrap().id.clone(),
        account: shop.account(name).clone(),
        amount: NanoUsd::from_cents(cents).unwrap(),
        state: RefundState::Requested,
        processor_ref: None,
        by_customer: true,
        created: asked,
        updated: asked,
    };
    let mut ids = || TransferId::new(random());
    let outcome = store::refunds::request(&mut tx, &refund, &mut ids, asked)
        .await
        .unwrap();
    assert_eq!(outcome, RequestOutcome::Requested);
    tx.commit().await.unwrap();
    refund
}

/// Delivers `body` to a processor's webhook, signed with the newer secret; gives the status.
async fn signed(shop: &Shop, processor: &str, body: &str) -> u16 {
    let time = crate::support::customer::now().seconds();
    let mut mac = Hmac::<Sha256>::new_from_slice(NEW_SECRET.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let code = domain::id::hex(&mac.finalize().into_bytes());
    let request = shop.app.http.post(shop.app.url(&format!("/webhooks/{processor}")));
    let request = request.header("stripe-signature", format!("t={time},v1={code}"));
    Reply::read(request.body(body.to_owned()).send().await.unwrap())
        .await
        .status
        .as_u16()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_server_does_not_start_with_a_secret_that_anybody_could_guess() {
    for secrets in [
        "",
        "short",
        "whsec_the_newer_of_two_secrets,",
        ",",
        "whsec_the_newer_of_two_secrets,short",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tollway"))
            .arg("serve")
            .env_clear()
            .env("TOLLWAY_DATA_DIR", dir.path())
            .env("TOLLWAY_ADDR", "127.0.0.1:0")
            .env("TOLLWAY_STRIPE_SECRET_KEY", SECRET_KEY)
            .env("TOLLWAY_STRIPE_WEBHOOK_SECRETS", secrets)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{secrets:?}");
        assert!(
            said.contains("TOLLWAY_STRIPE_WEBHOOK_SECRETS") && said.contains("at least 24"),
            "{said}"
        );
    }
}
