//! The two databases behind one door: pools, transactions, migrations.

use crate::error::Result;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A database. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
    transactions: Arc<AtomicU64>,
}

/// A transaction. Dropped without [`Tx::commit`] it is rolled back.
pub struct Tx {
    pub(crate) on: On,
}

/// The databases a transaction can run on.
pub(crate) enum On {
    Sqlite(Transaction<'static, Sqlite>),
    Pg(Transaction<'static, Postgres>),
}

#[derive(Clone, Debug)]
enum Pools {
    /// SQLite has one writer at a time: a pool of exactly one connection makes writers queue here, in order, instead of
    /// polling for the file lock.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Pg(PgPool),
}

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// SQLite's writer keeps this much of the database in memory: settlement comes back to the same pages (KiB, below zero as
/// the pragma wants it).
const WRITER_CACHE: &str = "-65536";
/// Pages of the write-ahead log before they go into the database: the more, the less often one page is written, and the
/// longer the start after a crash, here well below a second.
const CHECKPOINT_PAGES: &str = "8192";
/// Statements kept prepared per connection; bulk statements come in several sizes on SQLite.
const STATEMENTS_MAX: usize = 256;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

impl Store {
    /// Opens `sqlite:PATH` (created when missing, never in memory) or `postgres://…` and makes a first connection.
    /// `connections_max` bounds PostgreSQL's connections, and SQLite's for reading.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be reached, `Database` when `url` makes no sense.
    pub async fn connect(url: &str, connections_max: u32) -> Result<Self> {
        let pools = if url.starts_with("sqlite:") {
            connect_sqlite(url, connections_max).await?
        } else {
            connect_postgres(url, connections_max).await?
        };
        Ok(Self {
            pools,
            transactions: Arc::default(),
        })
    }

    /// The same database, counting its own transactions from zero.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self {
            pools: self.pools.clone(),
            transactions: Arc::default(),
        }
    }

    /// How many transactions were begun through this store and its clones, reading ones too.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Brings the schema up to date; without effect when it is. Safe to run from several nodes at once.
    ///
    /// # Errors
    /// `Database` when a migration that was applied before has changed or is unknown to this version.
    pub async fn migrate(&self) -> Result<()> {
        match &self.pools {
            Pools::Sqlite { write, .. } => MIGRATIONS.run(write).await?,
            Pools::Pg(pool) => MIGRATIONS.run(pool).await?,
        }
        Ok(())
    }

    /// A transaction that may write. On SQLite it holds the write lock from the start.
    ///
    /// # Errors
    /// `Unavailable` when no connection is free within ten seconds.
    pub async fn begin(&self) -> Result<Tx> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let on = match &self.pools {
            Pools::Sqlite { write, .. } => On::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Pg(pool) => On::Pg(pool.begin().await?),
        };
        Ok(Tx { on })
    }

    /// A transaction that only reads, and sees one moment throughout.
    ///
    /// # Errors
    /// `Unavailable` when no connection is free within ten seconds.
    pub async fn read(&self) -> Result<Tx> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let on = match &self.pools {
            Pools::Sqlite { read, .. } => On::Sqlite(read.begin().await?),
            Pools::Pg(pool) => On::Pg(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?,
            ),
        };
        Ok(Tx { on })
    }

    /// Waits for running transactions and closes all connections.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                // Last, so that closing it checkpoints the write-ahead log.
                write.close().await;
            }
            Pools::Pg(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Whether rows must be locked before they are read and changed: SQLite has but one writer.
    pub(crate) fn locks_rows(&self) -> bool {
        matches!(self.on, On::Pg(_))
    }

    /// # Errors
    /// When the commit may not have happened.
    pub async fn commit(self) -> Result<()> {
        match self.on {
            On::Sqlite(tx) => tx.commit().await?,
            On::Pg(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

async fn connect_sqlite(url: &str, connections_max: u32) -> Result<Pools> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        let reason = "a SQLite database in memory cannot be shared by several connections; name a file";
        return Err(sqlx::Error::Configuration(reason.into()).into());
    }
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_MAX);
    let one = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    let writer = options
        .clone()
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
    let write = one.connect_with(writer).await?;
    let many = SqlitePoolOptions::new()
        .max_connections(connections_max.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT);
    let read = many.connect_with(options.pragma("query_only", "on")).await?;
    Ok(Pools::Sqlite { write, read })
}

async fn connect_postgres(url: &str, connections_max: u32) -> Result<Pools> {
    let options = PgConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENTS_MAX);
    let pool = PgPoolOptions::new()
        .max_connections(connections_max.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(prepare_postgres(connection)));
    Ok(Pools::Pg(pool.connect_with(options).await?))
}

/// All statements here are short or run rarely: compiling them to machine code takes seconds and gains none.
async fn prepare_postgres(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET jit = off").execute(connection).await?;
    Ok(())
}
