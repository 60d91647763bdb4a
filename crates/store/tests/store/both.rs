//! Runs a test on a fresh SQLite file and on a fresh PostgreSQL database.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use store::{Store, Tx};

/// Connections of a store under test: more than one, so that transactions meet.
const CONNECTIONS_MAX: u32 = 8;

/// Defines tests that run on both databases, as `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($(async fn $name:ident($db:ident: Db) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of its file's imports")]
            use super::*;

            async fn body($db: crate::both::Db) $body

            #[test]
            fn sqlite() {
                crate::both::on_sqlite(body);
            }

            #[test]
            fn postgres() {
                crate::both::on_postgres(body);
            }
        }
    )*};
}

/// A migrated database of one test.
#[derive(Clone)]
pub struct Db {
    pub store: Store,
    pub url: Arc<str>,
}

impl Db {
    pub async fn begin(&self) -> Tx {
        self.store.begin().await.unwrap()
    }

    pub async fn read(&self) -> Tx {
        self.store.read().await.unwrap()
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// Runs statements past the store, without the checks that can be switched off: how tests tamper.
    pub async fn tamper(&self, sql: &'static str) {
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            let lax = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA busy_timeout = 5000;";
            sqlx::raw_sql(lax).execute(&mut connection).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let lax = "SET session_replication_role = replica;";
            sqlx::raw_sql(lax).execute(&mut connection).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// Lets accounts of the ledger hold what their checks forbid. PostgreSQL cannot ignore checks: there they are taken away.
    pub async fn ignore_checks(&self) {
        if !self.is_sqlite() {
            self.tamper(
                "DO $$ DECLARE name text; BEGIN
                   FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'ledger_accounts'::regclass AND contype = 'c'
                   LOOP EXECUTE 'ALTER TABLE ledger_accounts DROP CONSTRAINT ' || name; END LOOP; END $$",
            )
            .await;
        }
    }

    /// One number, past the store.
    pub async fn number(&self, sql: &'static str) -> i64 {
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        }
    }
}

pub fn on_sqlite<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Db) -> F + Send + 'static) {
    on_sqlite_in(tempfile::tempdir().unwrap(), body);
}

/// In a folder that lives in memory, where the system has one: for tests of rules that are not about the disk.
pub fn on_sqlite_in_memory<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Db) -> F + Send + 'static) {
    on_sqlite_in(
        tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap(),
        body,
    );
}

fn on_sqlite_in<F: Future<Output = ()> + Send + 'static>(
    directory: tempfile::TempDir,
    body: impl FnOnce(Db) -> F + Send + 'static,
) {
    run(async move {
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let ended = with_store(&url, body).await;
        directory.close().unwrap();
        ended
    });
}

pub fn on_postgres<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Db) -> F + Send + 'static) {
    if std::env::var("TOLLWAY_TEST_SKIP_PG").is_ok_and(|value| value == "1") {
        eprintln!("skipped: TOLLWAY_TEST_SKIP_PG=1");
        return;
    }
    let server = std::env::var("TOLLWAY_TEST_PG_URL").unwrap_or_else(|_| {
        panic!("TOLLWAY_TEST_PG_URL names no PostgreSQL server: run the tests by `cargo xtask test`, which starts one")
    });
    run(async move {
        let name = format!("tollway_test_{:016x}", RandomState::new().build_hasher().finish());
        let options = sqlx::postgres::PgConnectOptions::from_str(&server).unwrap();
        let url = options.clone().database(&name).to_url_lossy().to_string();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        let ended = with_store(&url, body).await;
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
        ended
    });
}

/// Runs the body as a task of its own, so that a failed test, too, cleans up after itself.
async fn with_store<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    body: impl FnOnce(Db) -> F,
) -> Result<(), tokio::task::JoinError> {
    let store = Store::connect(url, CONNECTIONS_MAX).await.unwrap();
    store.migrate().await.unwrap();
    let db = Db {
        store: store.clone(),
        url: url.into(),
    };
    let ended = tokio::spawn(body(db)).await;
    if ended.is_ok() {
        store.close().await;
    }
    ended
}

fn run(test: impl Future<Output = Result<(), tokio::task::JoinError>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Err(failed) = runtime.block_on(test) {
        std::panic::resume_unwind(failed.into_panic());
    }
}
