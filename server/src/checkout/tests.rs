use super::*;
use domain::account::Email;
use domain::id::{AccountId, PurchaseId, UserId};
use domain::money::NanoUsd;
use domain::purchase::{PurchaseKind, PurchaseState};
use http::HeaderValue;
use serde_json::{Value, json};
use store::users::{self, NewUser};

const CENTS: i64 = 2_000;

struct Fixture {
    checkout: Checkout,
    purchase: Purchase,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    crate::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let env = [("TOLLWAY_DEV", "1"), ("TOLLWAY_DATA_DIR", dir.path().to_str().unwrap())];
    let env = env
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let config = Config::from_parts(None, env).unwrap();
    let store = Store::connect(config.database_url.reveal(), 2).await.unwrap();
    store.migrate().await.unwrap();
    let purchase = Purchase {
        id: PurchaseId::new([1; 16]),
        account: AccountId::new([2; 16]),
        user: UserId::new([3; 16]),
        amount: NanoUsd::from_cents(CENTS).unwrap(),
        fee: NanoUsd::ZERO,
        kind: PurchaseKind::Checkout,
        state: PurchaseState::Created,
        processor: dev::NAME.to_owned(),
        processor_ref: None,
        payment: None,
        refunded: NanoUsd::ZERO,
        created: clock::now(),
        updated: clock::now(),
    };
    let mut tx = store.begin().await.unwrap();
    let user = NewUser {
        id: purchase.user.clone(),
        account: purchase.account.clone(),
        email: &Email::parse("ada@example.org").unwrap(),
        password_hash: "x",
        created: clock::now(),
    };
    users::create(&mut tx, &user).await.unwrap();
    purchases::create(&mut tx, &purchase).await.unwrap();
    tx.commit().await.unwrap();
    let checkout = Checkout::new(&config, store, Arc::default()).unwrap();
    Fixture {
        checkout,
        purchase,
        _dir: dir,
    }
}

impl Fixture {
    fn event(&self, id: &str, kind: &str, change: impl Fn(&mut Value)) -> Value {
        let mut object = json!({
            "id": "cs_1", "client_reference_id": self.purchase.id, "amount_total": CENTS, "currency": "usd",
            "payment_status": "paid"
        });
        change(&mut object);
        json!({"id": id, "type": kind, "data": {"object": object}})
    }

    async fn deliver(&self, event: &Value) -> u16 {
        let body = event.to_string();
        let header = signature::sign(
            &self.checkout.dev().unwrap().secrets()[0],
            clock::now().seconds(),
            body.as_bytes(),
        );
        self.deliver_signed("dev", &body, &header).await
    }

    async fn deliver_signed(&self, processor: &str, body: &str, header: &str) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(header).unwrap());
        let body = Bytes::from(body.to_owned());
        self.checkout
            .webhook(processor, &headers, &body)
            .await
            .err()
            .map_or(200, |error| error.code())
    }

    async fn balance(&self) -> i64 {
        let mut tx = self.checkout.store.read().await.unwrap();
        store::ledger::credits(&mut tx, &self.purchase.account)
            .await
            .unwrap()
            .available
            .get()
    }

    async fn state(&self) -> PurchaseState {
        let mut tx = self.checkout.store.read().await.unwrap();
        purchases::by_id(&mut tx, &self.purchase.id)
            .await
            .unwrap()
            .unwrap()
            .state
    }
}

const COMPLETED: &str = "checkout.session.completed";

#[tokio::test]
async fn a_payment_is_credited_once_however_often_it_is_told() {
    let fixture = fixture().await;
    let event = fixture.event("evt_1", COMPLETED, |_| {});
    assert_eq!(fixture.deliver(&event).await, 200);
    assert_eq!(fixture.deliver(&event).await, 200);
    assert_eq!(
        fixture
            .deliver(&fixture.event("evt_2", "checkout.session.async_payment_succeeded", |_| {}))
            .await,
        200
    );
    assert_eq!(fixture.balance().await, fixture.purchase.amount.get());
    assert_eq!(fixture.state().await, PurchaseState::Paid);
}

#[tokio::test]
async fn what_is_not_signed_for_us_changes_nothing() {
    let fixture = fixture().await;
    let body = fixture.event("evt_1", COMPLETED, |_| {}).to_string();
    let now = clock::now().seconds();
    let forged = signature::sign(&Secret::new("another secret altogether"), now, body.as_bytes());
    let stale = signature::sign(
        &fixture.checkout.dev().unwrap().secrets()[0],
        now - 301,
        body.as_bytes(),
    );
    let fresh = signature::sign(&fixture.checkout.dev().unwrap().secrets()[0], now, body.as_bytes());
    for header in ["", "t=1,v1=00", &forged, &stale] {
        assert_eq!(fixture.deliver_signed("dev", &body, header).await, 400, "{header}");
    }
    assert_eq!(
        fixture
            .deliver_signed("dev", &body.replace("2000", "9000"), &fresh)
            .await,
        400
    );
    assert_eq!(fixture.deliver_signed("stripe", &body, &fresh).await, 404);
    assert_eq!(fixture.balance().await, 0);
}

#[tokio::test]
async fn a_payment_that_does_not_fit_the_purchase_is_not_credited() {
    let fixture = fixture().await;
    for (id, change) in [
        (
            "evt_1",
            (|object| object["amount_total"] = json!(CENTS + 1)) as fn(&mut Value),
        ),
        ("evt_2", |object| object["amount_total"] = json!(null)),
        ("evt_3", |object| object["currency"] = json!("eur")),
    ] {
        assert_eq!(
            fixture.deliver(&fixture.event(id, COMPLETED, change)).await,
            422,
            "{id}"
        );
    }
    let pending = fixture.event("evt_4", COMPLETED, |object| object["payment_status"] = json!("unpaid"));
    assert_eq!(fixture.deliver(&pending).await, 200);
    let others = fixture.event("evt_5", COMPLETED, |object| {
        object["client_reference_id"] = json!("pur_other");
    });
    assert_eq!(fixture.deliver(&others).await, 200);
    assert_eq!(fixture.balance().await, 0);
    assert_eq!(
        fixture.deliver(&fixture.event("evt_1", COMPLETED, |_| {})).await,
        200,
        "a refused event can come again"
    );
    assert_eq!(fixture.balance().await, fixture.purchase.amount.get());
}

#[tokio::test]
async fn an_expired_checkout_is_closed_and_unknown_events_are_taken() {
    let fixture = fixture().await;
    assert_eq!(
        fixture
            .deliver(&json!({"id": "evt_0", "type": "customer.created", "data": {"object": {}}}))
            .await,
        200
    );
    assert_eq!(
        fixture
            .deliver(&fixture.event("evt_1", "checkout.session.expired", |_| {}))
            .await,
        200
    );
    assert_eq!(fixture.state().await, PurchaseState::Cancelled);
    assert_eq!(fixture.deliver(&json!({"id": 7})).await, 400);
}

#[tokio::test]
async fn without_a_secret_there_is_no_webhook() {
    let mut fixture = fixture().await;
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("TOLLWAY_STRIPE_SECRET_KEY", "sk_test_standin"),
        ("TOLLWAY_DATA_DIR", dir.path().to_str().unwrap()),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_parts(None, env.collect()).unwrap();
    fixture.checkout = Checkout::new(&config, fixture.checkout.store.clone(), Arc::default()).unwrap();
    let now = clock::now().seconds();
    let by_nobody = signature::sign(&Secret::new("whsec_of_somebody_else_altogether"), now, b"{}");
    for header in ["", &by_nobody] {
        assert_eq!(fixture.deliver_signed("stripe", "{}", header).await, 404, "{header}");
    }
}

#[tokio::test]
async fn a_checkout_is_opened_at_the_configured_processor_only() {
    let mut fixture = fixture().await;
    assert_eq!(
        fixture
            .checkout
            .start(&fixture.purchase, &CheckoutOptions::default())
            .await
            .unwrap(),
        format!("/checkout/{}", fixture.purchase.id)
    );
    assert_eq!(fixture.state().await, PurchaseState::Open);
    fixture.purchase.processor = "stripe".to_owned();
    assert!(
        fixture
            .checkout
            .start(&fixture.purchase, &CheckoutOptions::default())
            .await
            .is_err()
    );
}
