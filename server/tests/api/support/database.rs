//! A fresh database for each test.

use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Db {
    Sqlite,
    Postgres,
}

pub struct Database {
    url: String,
    kind: Kind,
}

enum Kind {
    Sqlite(TempDir),
    Postgres { server: String, name: String },
}

impl Database {
    pub async fn create(db: Db) -> Self {
        match db {
            Db::Sqlite => {
                let dir = tempfile::tempdir().unwrap();
                let path: PathBuf = dir.path().join("tollway.db");
                let url = format!("sqlite:{}", path.display());
                Self {
                    url,
                    kind: Kind::Sqlite(dir),
                }
            }
            Db::Postgres => Self::create_on_postgres().await,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does what no part of the product does.
    pub async fn execute(&self, sql: &str) {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        match &self.kind {
            Kind::Sqlite(_) => SqliteConnection::connect(&self.url)
                .await
                .unwrap()
                .execute(sql)
                .await
                .unwrap()
                .rows_affected(),
            Kind::Postgres { .. } => PgConnection::connect(&self.url)
                .await
                .unwrap()
                .execute(sql)
                .await
                .unwrap()
                .rows_affected(),
        };
    }

    /// Where PostgreSQL listens, as `host:port`.
    pub fn postgres_address(&self) -> String {
        let url = url::Url::parse(&self.url).unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))
    }

    pub async fn remove(self) {
        match self.kind {
            Kind::Sqlite(dir) => dir.close().unwrap(),
            Kind::Postgres { server, name } => {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
                admin.execute(sqlx::raw_sql(drop)).await.unwrap();
            }
        }
    }

    async fn create_on_postgres() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TOLLWAY_TEST_PG_URL").expect(
            "TOLLWAY_TEST_PG_URL is not set: run these tests with `cargo xtask test`, which starts a PostgreSQL server",
        );
        let name = format!(
            "tollway_test_api_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut admin = PgConnection::connect(&server)
            .await
            .expect("PostgreSQL answers at TOLLWAY_TEST_PG_URL");
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        admin.execute(sqlx::raw_sql(create)).await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self {
            url: url.to_string(),
            kind: Kind::Postgres { server, name },
        }
    }
}

/// Whether whoever runs the tests has no PostgreSQL and says so.
pub fn postgres_is_skipped() -> bool {
    let skipped = std::env::var("TOLLWAY_TEST_SKIP_PG").is_ok_and(|value| value == "1");
    if skipped {
        eprintln!("skipped: TOLLWAY_TEST_SKIP_PG=1");
    }
    skipped
}

/// Stands between the server and its database, and can cut the connection.
pub struct Proxy {
    pub address: String,
    cut: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    listening: AbortHandle,
}

impl Proxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = Arc::new(AtomicBool::new(false));
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (is_cut, open) = (Arc::clone(&cut), Arc::clone(&connections));
        let listening = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let connection = tokio::spawn(forward(near, target.clone()));
                open.lock().unwrap().push(connection.abort_handle());
            }
        });
        Self {
            address,
            cut,
            connections,
            listening: listening.abort_handle(),
        }
    }

    /// Closes all connections and every new one.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.connections
            .lock()
            .unwrap()
            .drain(..)
            .for_each(|connection| connection.abort());
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn forward(mut near: TcpStream, target: String) {
    if let Ok(mut far) = TcpStream::connect(target).await {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
