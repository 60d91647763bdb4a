//! What can go wrong between us and the database.

use sqlx::error::ErrorKind;

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, a timeout, a busy or failing database, a deadlock: the same transaction may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Something that must be unique exists already.
    #[error("already exists: {0}")]
    Conflict(String),
    /// A row, or a value to be stored, that this version cannot represent.
    #[error("cannot be represented: {0}")]
    Corrupt(String),
    #[error(transparent)]
    Database(sqlx::Error),
}

impl StoreError {
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            sqlx::Error::Database(database) if database.kind() == ErrorKind::UniqueViolation => {
                Self::Conflict(database.to_string())
            }
            sqlx::Error::Database(database) if is_passing(database.as_ref()) => Self::Unavailable(database.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            other => Self::Database(sqlx::Error::Migrate(Box::new(other))),
        }
    }
}

/// Whether the failure lies in the state of the database server rather than in what was asked of it.
fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return code.parse().is_ok_and(is_passing_on_sqlite);
    }
    is_passing_on_postgres(&code)
}

/// Extended result codes carry the primary one in the low byte: BUSY, LOCKED, IOERR, FULL, CANTOPEN.
fn is_passing_on_sqlite(code: i32) -> bool {
    matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)
}

/// Connection exceptions, lack of resources, operator intervention; serialisation failure, deadlock, lock timeout.
fn is_passing_on_postgres(code: &str) -> bool {
    ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
        || ["40001", "40P01", "55P03", "57014"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_failures_are_told_from_mistakes() {
        assert!([5, 517, 10, 13].into_iter().all(is_passing_on_sqlite));
        assert!(![1, 19, 2067].into_iter().any(is_passing_on_sqlite));
        assert!(
            ["08006", "57P01", "40P01", "53300"]
                .into_iter()
                .all(is_passing_on_postgres)
        );
        assert!(!["23514", "42601"].into_iter().any(is_passing_on_postgres));
    }
}
