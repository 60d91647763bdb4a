//! The site over HTTP, as a browser without JavaScript sees it.

use crate::support::browser::Browser;
use crate::support::providers::ask_stream;
use crate::support::{Db, Reply, TestApp, eventually};
use domain::money::NanoUsd;

on_both_databases!(
    from_nothing_to_a_charged_answer,
    a_form_from_another_site_is_refused,
    a_payment_nobody_signed_is_refused,
    pages_allow_nothing_they_do_not_need,
);

const PASSWORD: &str = "seven otters swim";

async fn sign_up(browser: &mut Browser, email: &str) -> Reply {
    browser
        .submit(
            "/rpc/sign_up",
            &[("email", email), ("password", PASSWORD), ("next", "")],
        )
        .await
}

async fn from_nothing_to_a_charged_answer(db: Db) {
    let app = TestApp::start(db).await;
    let mut browser = Browser::new(&app.server.base_url, &app.http);
    let account = sign_up(&mut browser, "ada@example.org").await.expect_ok();
    assert!(account.text.contains("ada@example.org"), "{}", account.text);

    let checkout = browser
        .submit("/rpc/buy_credits", &[("amount", "20")])
        .await
        .expect_ok();
    let purchase = between(&checkout.text, "/checkout/", "/pay");
    let credits = browser
        .submit(&format!("/checkout/{purchase}/pay"), &[])
        .await
        .expect_ok();
    assert!(
        credits.text.contains("$20.00") && credits.text.contains("is in your balance"),
        "{}",
        credits.text
    );
    // A second click on the button pays nothing.
    browser.submit(&format!("/checkout/{purchase}/pay"), &[]).await;

    // The page redirects back to where the form was, which shows the key.
    let form = [("name", "Laptop"), ("limit", "5"), ("reset", "daily"), ("expires", "")];
    browser.submit("/rpc/create_key", &form).await;
    let keys = browser.open("/account/keys").await.expect_ok();
    let key = format!("sk-tw-v1-{}", &between(&keys.text, "sk-tw-v1-", "<")[..72]);
    let again = browser.open("/account/keys").await.expect_ok();
    assert!(
        !again.text.contains(&key) && again.text.contains("Laptop"),
        "the key is shown once"
    );

    let stream = app.stream(&key, &ask_stream("test/alpha", "12345678")).await;
    let id = stream.generation_id();
    stream.rest().await;
    let generation = app.generation(&id).await;
    let activity = browser.open("/account/activity").await.expect_ok();
    assert!(
        activity.text.contains(&id) && activity.text.contains("$0.000034"),
        "{}",
        activity.text
    );
    let rankings = browser.open("/rankings").await.expect_ok();
    assert!(rankings.text.contains("test/alpha"), "{}", rankings.text);

    let mut tx = app.store.read().await.unwrap();
    let credits = store::ledger::credits(&mut tx, &generation.account).await.unwrap();
    assert_eq!(
        (credits.purchased, credits.used),
        (NanoUsd::new(20_000_000_000), generation.cost)
    );
    drop(tx);
    app.finish().await;
}

async fn a_form_from_another_site_is_refused(db: Db) {
    let app = TestApp::start(db).await;
    let mut browser = Browser::new(&app.server.base_url, &app.http);
    sign_up(&mut browser, "bob@example.org").await.expect_ok();
    for (path, fields) in [
        ("/rpc/buy_credits", &[("amount", "20")][..]),
        ("/rpc/create_key", &[("name", "Theirs")]),
        ("/rpc/sign_out", &[]),
        ("/checkout/pur_1/pay", &[]),
        ("/playground/chat/completions", &[]),
    ] {
        let reply = browser.submit_from_elsewhere(path, fields).await;
        assert_eq!(reply.status.as_u16(), 403, "{path}: {}", reply.text);
    }
    let keys = browser.open("/account/keys").await.expect_ok();
    assert!(!keys.text.contains("Theirs"), "still signed in, and no key was made");
    app.finish().await;
}

async fn a_payment_nobody_signed_is_refused(db: Db) {
    let app = TestApp::start(db).await;
    let mut browser = Browser::new(&app.server.base_url, &app.http);
    sign_up(&mut browser, "eve@example.org").await.expect_ok();
    let checkout = browser
        .submit("/rpc/buy_credits", &[("amount", "20")])
        .await
        .expect_ok();
    let purchase = between(&checkout.text, "/checkout/", "/pay");
    let event = serde_json::json!({"id": "evt_1", "object": "event", "type": "checkout.session.completed",
        "data": {"object": {"id": format!("cs_dev_{purchase}"), "object": "checkout.session", "client_reference_id": purchase,
            "amount_total": 2_000, "currency": "usd", "payment_status": "paid"}}});
    for signature in [None, Some(""), Some("t=1,v1=00"), Some("t=4102444800,v1=00")] {
        let mut request = app
            .http
            .post(app.url("/webhooks/dev"))
            .header("content-type", "application/json");
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        let reply = Reply::read(request.body(event.to_string()).send().await.unwrap()).await;
        assert!(reply.status.is_client_error(), "{signature:?}: {}", reply.text);
    }
    let credits = browser.open("/account/credits").await.expect_ok();
    assert!(!credits.text.contains("$20.00</dd>"), "{}", credits.text);
    app.finish().await;
}

async fn pages_allow_nothing_they_do_not_need(db: Db) {
    let app = TestApp::start(db).await;
    let mut browser = Browser::new(&app.server.base_url, &app.http);
    let page = browser.open("/").await.expect_ok();
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.contains("default-src 'none'") || policy.contains("default-src 'self'"),
        "{policy}"
    );
    assert!(
        policy.contains("'nonce-") && !policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let account = sign_up(&mut browser, "cyd@example.org").await.expect_ok();
    assert!(account.header("cache-control").contains("no-store"), "{account:?}");
    let missing = browser.open("/nobody/no-such-model").await;
    assert_eq!(missing.status.as_u16(), 404);
    eventually("the confirmation is in the mailbox", async || {
        let mut other = Browser::new(&app.server.base_url, &app.http);
        other
            .open("/dev/mailbox")
            .await
            .text
            .contains("cyd@example.org")
            .then_some(())
    })
    .await;
    app.finish().await;
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    let (found, _) = rest
        .split_once(end)
        .unwrap_or_else(|| panic!("no {end} after {start} in {text}"));
    found
}
