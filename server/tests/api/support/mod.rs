//! One server, its database and its providers, for one test.

pub mod browser;
pub mod customer;
pub mod database;
pub mod http;
pub mod openapi;
pub mod providers;
pub mod server;
pub mod shop;

pub use customer::{Customer, NewKey};
pub use database::Db;
pub use http::{Event, EventStream, Reply};

use database::Database;
use domain::generation::Generation;
use domain::id::GenerationId;
use fake_provider::{Bill, FakeProvider};
use providers::Providers;
use serde_json::Value;
use server::Server;
use std::process::Output;
use std::time::Duration;
use store::Store;
use tempfile::TempDir;

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs each test on both databases, as `sqlite::name` and `postgres::name`.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::support::Db::Sqlite).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if !crate::support::database::postgres_is_skipped() {
                    super::$name(crate::support::Db::Postgres).await;
                }
            })*
        }
    };
}

pub struct TestApp {
    pub server: Server,
    pub providers: Providers,
    pub store: Store,
    pub http: reqwest::Client,
    pub database: Database,
    _dir: TempDir,
}

impl TestApp {
    pub async fn start(db: Db) -> Self {
        Self::start_with(db, &[]).await
    }

    /// With further settings in the server's environment.
    pub async fn start_with(db: Db, settings: &[(&str, &str)]) -> Self {
        let database = Database::create(db).await;
        let url = database.url().to_owned();
        Self::assemble(database, &url, settings).await
    }

    /// With the server reaching its database at `url`, such as through a proxy.
    pub async fn start_at(database: Database, url: &str) -> Self {
        Self::assemble(database, url, &[]).await
    }

    async fn assemble(database: Database, url: &str, settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let providers = Providers::start();
        let catalog = dir.path().join("catalog.json");
        std::fs::write(&catalog, providers.catalog().to_string()).unwrap();
        let mut environment = server::environment(dir.path(), &catalog, url);
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let http = http::client();
        let server = Server::start(environment, dir.path(), &http).await;
        openapi::learn(&server.base_url, &http).await;
        let store = Store::connect(database.url(), 4).await.unwrap();
        Self {
            server,
            providers,
            store,
            http,
            database,
            _dir: dir,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url)
    }

    pub async fn get(&self, key: &str, path: &str) -> Reply {
        let request = self.http.get(self.url(path)).bearer_auth(key);
        Reply::read(request.send().await.unwrap()).await
    }

    /// A chat request answered in one piece.
    pub async fn chat(&self, key: &str, body: &Value) -> Reply {
        Reply::read(self.post_chat(key, body).await).await
    }

    /// A chat request answered as a stream.
    pub async fn stream(&self, key: &str, body: &Value) -> EventStream {
        EventStream::new(self.post_chat(key, body).await)
    }

    pub async fn post_chat(&self, key: &str, body: &Value) -> reqwest::Response {
        let request = self.http.post(self.url("/api/v1/chat/completions")).bearer_auth(key);
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        request.send().await.unwrap()
    }

    /// Somebody with a verified address, a key and `dollars` of credits, given away as decimal text.
    pub async fn customer(&self, dollars: &str) -> Customer {
        Customer::create(&self.store, dollars).await
    }

    /// The generation once it is settled.
    pub async fn generation(&self, id: &str) -> Generation {
        let id = GenerationId::stored(id);
        eventually("the generation is settled", || async {
            let mut tx = self.store.read().await.unwrap();
            store::generations::by_id(&mut tx, &id).await.unwrap()
        })
        .await
    }

    /// All generations of the customer, once there are `count` of them.
    pub async fn generations(&self, customer: &Customer, count: usize) -> Vec<Generation> {
        eventually("all generations are settled", || async {
            let mut tx = self.store.read().await.unwrap();
            let filter = store::generations::Filter::default();
            let list = store::generations::list(&mut tx, &customer.account, &filter, 10_000)
                .await
                .unwrap();
            (list.len() >= count).then_some(list)
        })
        .await
    }

    /// What the provider would bill for a generation.
    pub fn bill(&self, provider: &FakeProvider, generation: &Generation) -> Bill {
        let id = generation
            .upstream_id
            .as_deref()
            .expect("the generation names the provider's answer");
        provider
            .tally()
            .by_id(id)
            .expect("the provider knows its answer")
            .clone()
    }

    /// Runs `tollway` with the server's settings.
    pub fn tollway(&self, args: &[&str]) -> Output {
        self.server.tollway(args)
    }

    /// Proves with `tollway ledger verify` that the books are in order.
    pub fn assert_books_balance(&self) {
        let output = self.tollway(&["ledger", "verify"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Stops the server properly, proves that the books are in order and removes the database.
    pub async fn finish(mut self) {
        self.server.stop().await;
        self.assert_books_balance();
        self.store.close().await;
        self.database.remove().await;
    }
}

/// Asks `probe` until it answers.
pub async fn eventually<T, F, A>(what: &str, probe: F) -> T
where
    F: Fn() -> A,
    A: Future<Output = Option<T>>,
{
    let attempts = async {
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, attempts).await;
    answer.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
