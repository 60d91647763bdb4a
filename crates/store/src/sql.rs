//! Macros that run one SQL text on whichever database a transaction is on.
//!
//! They are macros because the two drivers share no type that carries arguments and rows; the alternative, `Any`, loses
//! pragmas and the statement cache.

/// Runs a statement; gives the number of rows it changed.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $argument:expr)* $(,)?) => {
        match &mut $tx.on {
            $crate::database::On::Sqlite(tx) => {
                sqlx::query($sql)$(.bind($argument))*.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            $crate::database::On::Pg(tx) => {
                sqlx::query($sql)$(.bind($argument))*.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
        }
        .map_err($crate::error::StoreError::from)
    };
}

/// Fetches at most one row as a tuple or a `FromRow` struct.
macro_rules! fetch_optional {
    ($row:ty, $tx:expr, $sql:expr $(, $argument:expr)* $(,)?) => {
        match &mut $tx.on {
            $crate::database::On::Sqlite(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_optional(&mut **tx).await
            }
            $crate::database::On::Pg(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_optional(&mut **tx).await
            }
        }
        .map_err($crate::error::StoreError::from)
    };
}

/// Fetches exactly one row as a tuple or a `FromRow` struct.
macro_rules! fetch_one {
    ($row:ty, $tx:expr, $sql:expr $(, $argument:expr)* $(,)?) => {
        match &mut $tx.on {
            $crate::database::On::Sqlite(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_one(&mut **tx).await
            }
            $crate::database::On::Pg(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_one(&mut **tx).await
            }
        }
        .map_err($crate::error::StoreError::from)
    };
}

/// Fetches all rows as tuples or `FromRow` structs.
macro_rules! fetch_all {
    ($row:ty, $tx:expr, $sql:expr $(, $argument:expr)* $(,)?) => {
        match &mut $tx.on {
            $crate::database::On::Sqlite(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_all(&mut **tx).await
            }
            $crate::database::On::Pg(tx) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_all(&mut **tx).await
            }
        }
        .map_err($crate::error::StoreError::from)
    };
}

/// Rows per bulk statement. Few sizes, so that the statements stay prepared; the largest keeps 40 columns below the 32766
/// parameters that SQLite takes.
const CHUNK_ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// `rows` cut into the sizes of bulk statements, in order.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNK_ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

/// Runs `head VALUES (…), (…) tail` once per chunk of `rows`; gives the number of rows changed.
/// `head` and `tail` may put the list anywhere: `INSERT INTO t (…)`, or `UPDATE … FROM (` with `) AS v WHERE …`,
/// where its columns are called `column1`, `column2` … on both databases.
macro_rules! execute_rows {
    ($tx:expr, $rows:expr, $head:expr, |$row:pat_param| [$($value:expr),* $(,)?], $tail:expr) => {
        async {
            let mut changed: u64 = 0;
            for chunk in $crate::sql::chunks($rows) {
                let done = match &mut $tx.on {
                    $crate::database::On::Sqlite(tx) => {
                        let mut sql = values!(sqlx::Sqlite, chunk, $head, |$row| [$($value),*], $tail);
                        sql.build().execute(&mut **tx).await.map(|done| done.rows_affected())
                    }
                    $crate::database::On::Pg(tx) => {
                        let mut sql = values!(sqlx::Postgres, chunk, $head, |$row| [$($value),*], $tail);
                        sql.build().execute(&mut **tx).await.map(|done| done.rows_affected())
                    }
                };
                changed = changed.saturating_add(done.map_err($crate::error::StoreError::from)?);
            }
            $crate::error::Result::<u64>::Ok(changed)
        }
        .await
    };
}

/// As `execute_rows!`, and fetches the rows that the statements give. The tails are for SQLite and for PostgreSQL: the
/// latter may end in a lock, which SQLite's single writer does not need.
macro_rules! fetch_rows {
    ($out:ty, $tx:expr, $rows:expr, $head:expr, |$row:pat_param| [$($value:expr),* $(,)?], $tail:expr, $pg_tail:expr) => {
        async {
            let mut fetched: Vec<$out> = Vec::new();
            for chunk in $crate::sql::chunks($rows) {
                let part = match &mut $tx.on {
                    $crate::database::On::Sqlite(tx) => {
                        let mut sql = values!(sqlx::Sqlite, chunk, $head, |$row| [$($value),*], $tail);
                        sql.build_query_as::<$out>().fetch_all(&mut **tx).await
                    }
                    $crate::database::On::Pg(tx) => {
                        let mut sql = values!(sqlx::Postgres, chunk, $head, |$row| [$($value),*], $pg_tail);
                        sql.build_query_as::<$out>().fetch_all(&mut **tx).await
                    }
                };
                fetched.extend(part.map_err($crate::error::StoreError::from)?);
            }
            $crate::error::Result::<Vec<$out>>::Ok(fetched)
        }
        .await
    };
}

macro_rules! values {
    ($database:ty, $chunk:expr, $head:expr, |$row:pat_param| [$($value:expr),*], $tail:expr) => {{
        let mut sql = sqlx::QueryBuilder::<$database>::new($head);
        sql.push_values($chunk, |mut tuple, $row| {
            $(tuple.push_bind($value);)*
        });
        sql.push($tail);
        sql
    }};
}
