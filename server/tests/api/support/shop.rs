//! A server that sells credits by the stand-in of Stripe.

use super::browser::Browser;
use super::http::Reply;
use super::{Db, TestApp, eventually};
use domain::account::Email;
use domain::id::{AccountId, PurchaseId};
use domain::purchase::Purchase;
use fake_stripe::{FakeStripe, Options, SECRET_KEY};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::collections::BTreeMap;

pub struct Shop {
    pub app: TestApp,
    stripe: FakeStripe,
    people: BTreeMap<&'static str, Person>,
    /// Events that were delivered one by one.
    delivered: usize,
}

struct Person {
    account: AccountId,
    browser: Browser,
}

/// A checkout that was opened by the form.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub purchase: PurchaseId,
    pub session: String,
}

pub const OLD_SECRET: &str = "whsec_the_older_of_two_secrets";
pub const NEW_SECRET: &str = "whsec_the_newer_of_two_secrets";
const PASSWORD: &str = "correct horse battery staple";

impl Shop {
    /// Webhooks wait until they are delivered on demand.
    pub async fn open(db: Db, people: &[&'static str]) -> Self {
        Self::open_with(db, people, &[]).await
    }

    pub async fn open_with(db: Db, people: &[&'static str], settings: &[(&str, &str)]) -> Self {
        let stripe = FakeStripe::start(Options::default()).unwrap();
        let (secrets, url) = (format!("{NEW_SECRET},{OLD_SECRET}"), stripe.url());
        let mut all = vec![
            ("TOLLWAY_STRIPE_SECRET_KEY", SECRET_KEY),
            ("TOLLWAY_STRIPE_API_URL", &url),
            ("TOLLWAY_STRIPE_WEBHOOK_SECRETS", &secrets),
            ("TOLLWAY_PURCHASE_FEE_BASIS_POINTS", "500"),
        ];
        all.extend(settings);
        let app = TestApp::start_with(db, &all).await;
        let mut shop = Self {
            app,
            stripe,
            people: BTreeMap::new(),
            delivered: 0,
        };
        shop.webhooks(json!({"paused": true})).await;
        // The reconciler looks around when the server starts; what a test buys is not for that run to find.
        eventually("the first reconciliation is over", || async {
            let mut tx = shop.app.store.read().await.unwrap();
            store::checkpoints::get(&mut tx, "stripe:events").await.unwrap()
        })
        .await;
        for name in people {
            shop.sign_up(name).await;
        }
        shop
    }

    pub fn account(&self, name: &str) -> &AccountId {
        &self.people[name].account
    }

    pub fn browser(&mut self, name: &str) -> &mut Browser {
        &mut self.people.get_mut(name).unwrap().browser
    }

    /// How events are delivered; `change` goes over a good delivery signed with the older secret.
    pub async fn webhooks(&self, change: Value) {
        let mut webhooks = json!({"url": self.app.url("/webhooks/stripe"), "secrets": [OLD_SECRET]});
        for (key, value) in change.as_object().unwrap() {
            webhooks[key] = value.clone();
        }
        self.control("webhooks", webhooks).await;
    }

    /// Sends the form that buys, with further fields, as far as the payment page.
    pub async fn checkout(&mut self, name: &str, dollars: &str, fields: &[(&str, &str)]) -> Checkout {
        let mut form = vec![("amount", dollars), ("shown", dollars)];
        form.extend(fields);
        let reply = self.browser(name).submit_only("/rpc/buy_credits", &form).await;
        let page = reply.header("location").to_owned();
        assert!(page.starts_with(&self.stripe.url()), "{page} {}", reply.text);
        let session = page.rsplit('/').next().unwrap().to_owned();
        let found = self.get(&format!("checkout/sessions/{session}")).await;
        Checkout {
            purchase: PurchaseId::stored(found["client_reference_id"].as_str().unwrap()),
            session,
        }
    }

    /// Buys and pays at once; gives the payment's name.
    pub async fn buy(&mut self, name: &str, dollars: &str) -> String {
        self.buy_with(name, dollars, &[], "pm_card_visa").await
    }

    pub async fn buy_with(&mut self, name: &str, dollars: &str, fields: &[(&str, &str)], card: &str) -> String {
        let checkout = self.checkout(name, dollars, fields).await;
        let order = json!({"session": checkout.session, "choice": "pay", "card": card});
        let paid = self.control("choose", order).await;
        paid["payment_intent"].as_str().unwrap().to_owned()
    }

    /// Makes something happen at the stand-in.
    pub async fn control(&self, command: &str, order: Value) -> Value {
        let url = format!("{}_control/{command}", self.stripe.url());
        let request = self.app.http.post(url).header("content-type", "application/json");
        let reply = Reply::read(request.body(order.to_string()).send().await.unwrap()).await;
        assert!(reply.status.is_success(), "{command} {order}: {}", reply.text);
        reply.body
    }

    /// Delivers events on demand; gives the status of every delivery.
    pub async fn deliver(&self, demand: Value) -> Vec<u64> {
        let told = self.control("deliver", demand).await;
        let lines = told.as_array().unwrap().iter();
        let statuses = lines.flat_map(|line| line["statuses"].as_array().cloned().unwrap_or_default());
        statuses.map(|status| status.as_u64().unwrap()).collect()
    }

    /// Delivers what has happened since the last time, once and in order.
    pub async fn deliver_news(&mut self) {
        let events = self.events().await;
        let news = events[self.delivered..].to_vec();
        self.delivered = events.len();
        if !news.is_empty() {
            let statuses = self.deliver(json!({"events": news})).await;
            assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        }
    }

    /// Delivers the event that tells that a checkout is complete.
    pub async fn deliver_completion(&self, checkout: &Checkout) {
        let page = self.get("events?limit=100&type=checkout.session.completed").await;
        let events = page["data"].as_array().unwrap().iter();
        let its = events.filter(|event| event["data"]["object"]["id"] == checkout.session.as_str());
        let ids: Vec<&str> = its.map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(self.deliver(json!({"events": ids})).await, [200]);
    }

    /// The ids of all events, oldest first.
    pub async fn events(&self) -> Vec<String> {
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("events?limit=100{after}")).await;
            let data = page["data"].as_array().unwrap();
            ids.extend(data.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
            if page["has_more"] != true {
                ids.reverse();
                return ids;
            }
            after = format!("&starting_after={}", ids.last().unwrap());
        }
    }

    /// Asks the stand-in's API as the server does.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.app.http.get(format!("{}v1/{path}", self.stripe.url()));
        let request = request.bearer_auth(SECRET_KEY);
        Reply::read(request.send().await.unwrap()).await.expect_ok().body
    }

    /// Changes something at the stand-in as its dashboard would.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let request = self.app.http.post(format!("{}v1/{path}", self.stripe.url()));
        let request = request.bearer_auth(SECRET_KEY).body(body.finish());
        Reply::read(request.send().await.unwrap()).await
    }

    /// The calls of the API that the stand-in has received.
    pub async fn requests(&self) -> Vec<Value> {
        let request = self.app.http.get(format!("{}_control/requests", self.stripe.url()));
        let reply = Reply::read(request.send().await.unwrap()).await;
        reply.body.as_array().unwrap().clone()
    }

    pub async fn purchase(&self, id: &PurchaseId) -> Purchase {
        let mut tx = self.app.store.read().await.unwrap();
        store::purchases::by_id(&mut tx, id).await.unwrap().unwrap()
    }

    /// Runs `tollway payments reconcile`; gives what it says.
    pub fn reconcile(&self) -> String {
        let output = self.app.tollway(&["payments", "reconcile"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// The balance of every ledger account in nano-dollars, with people's names for their accounts. Empty ones are left out.
    pub async fn balances(&self) -> BTreeMap<String, i64> {
        let sql =
            "SELECT kind, COALESCE(account_id, ''), balance_nano, id FROM ledger_accounts WHERE balance_nano <> 0";
        let rows: Vec<(String, String, i64, String)> = match self.app.database.url().starts_with("sqlite") {
            true => {
                let mut connection = SqliteConnection::connect(self.app.database.url()).await.unwrap();
                sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
            }
            false => {
                let mut connection = PgConnection::connect(self.app.database.url()).await.unwrap();
                sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
            }
        };
        let name = |account: &str| {
            let found = self
                .people
                .iter()
                .find(|(_, person)| person.account.as_str() == account);
            found.map_or("", |(name, _)| name)
        };
        rows.into_iter()
            .map(|(kind, account, balance, id)| match account.as_str() {
                "" => (id, balance),
                account => (format!("{kind}:{}", name(account)), balance),
            })
            .collect()
    }

    /// Stops everything and proves the books.
    pub async fn close(self) {
        self.app.finish().await;
        drop(self.stripe);
    }

    async fn sign_up(&mut self, name: &'static str) {
        let email = format!("{name}@example.org");
        let mut browser = Browser::new(&self.app.server.base_url, &self.app.http);
        let form = [("email", email.as_str()), ("password", PASSWORD), ("next", "")];
        browser.submit("/rpc/sign_up", &form).await.expect_ok();
        let mut tx = self.app.store.read().await.unwrap();
        let found = store::users::by_email(&mut tx, &Email::parse(&email).unwrap()).await;
        let (user, _) = found.unwrap().unwrap();
        let person = Person {
            account: user.account,
            browser,
        };
        self.people.insert(name, person);
    }
}
