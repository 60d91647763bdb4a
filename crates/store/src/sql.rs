//! Macros that run one SQL text on whichever database a transaction is on.
//!
//! They are macros because the two drivers share no type that carries arguments and rows; the alternative, `Any`, loses
//! pragmas and the statement cache.

use sqlx::AssertSqlSafe;

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

/// Rows per bulk statement on SQLite. Few sizes, so that the statements stay prepared; the largest keeps 40 columns below
/// the 32766 parameters that SQLite takes.
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

/// A bulk statement for PostgreSQL: its rows come as one array per column, so that the same text serves any number.
pub(crate) fn unnested(head: &str, columns: usize, tail: &str) -> AssertSqlSafe<String> {
    let list = |prefix: &str| {
        let names: Vec<String> = (1..=columns).map(|number| format!("{prefix}{number}")).collect();
        names.join(", ")
    };
    let (arrays, names) = (list("$"), list("column"));
    AssertSqlSafe(format!("{head}SELECT * FROM UNNEST({arrays}) AS list ({names}){tail}"))
}

/// Runs `head (rows) tail`, where the rows stand as `VALUES (…), (…)` or as something that selects them; gives the number
/// of rows changed. `head` and `tail` may put them anywhere: `INSERT INTO t (…)`, or `UPDATE … FROM (` with
/// `) AS v WHERE …`, where their columns are called `column1`, `column2` … on both databases.
macro_rules! execute_rows {
    ($tx:expr, $rows:expr, $head:expr, |$row:pat_param| [$($value:expr),* $(,)?], $tail:expr) => {
        async {
            let rows = &$rows[..];
            let mut changed: u64 = 0;
            if rows.is_empty() {
                return $crate::error::Result::<u64>::Ok(changed);
            }
            match &mut $tx.on {
                $crate::database::On::Sqlite(tx) => {
                    for chunk in $crate::sql::chunks(rows) {
                        let mut sql = values!(chunk, $head, |$row| [$($value),*], $tail);
                        let done = sql.build().execute(&mut **tx).await.map_err($crate::error::StoreError::from)?;
                        changed = changed.saturating_add(done.rows_affected());
                    }
                }
                $crate::database::On::Pg(tx) => {
                    let sql = $crate::sql::unnested($head, columns!($($value),*), $tail);
                    #[allow(unused_variables, reason = "each column takes its part of the row")]
                    let query = sqlx::query(sql)$(.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>()))*;
                    let done = query.execute(&mut **tx).await.map_err($crate::error::StoreError::from)?;
                    changed = done.rows_affected();
                }
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
            let rows = &$rows[..];
            let mut fetched: Vec<$out> = Vec::new();
            if rows.is_empty() {
                return $crate::error::Result::<Vec<$out>>::Ok(fetched);
            }
            match &mut $tx.on {
                $crate::database::On::Sqlite(tx) => {
                    for chunk in $crate::sql::chunks(rows) {
                        let mut sql = values!(chunk, $head, |$row| [$($value),*], $tail);
                        let part = sql.build_query_as::<$out>().fetch_all(&mut **tx).await;
                        fetched.extend(part.map_err($crate::error::StoreError::from)?);
                    }
                }
                $crate::database::On::Pg(tx) => {
                    let sql = $crate::sql::unnested($head, columns!($($value),*), $pg_tail);
                    #[allow(unused_variables, reason = "each column takes its part of the row")]
                    let query = sqlx::query_as::<_, $out>(sql)$(.bind(rows.iter().map(|$row| $value).collect::<Vec<_>>()))*;
                    fetched = query.fetch_all(&mut **tx).await.map_err($crate::error::StoreError::from)?;
                }
            }
            $crate::error::Result::<Vec<$out>>::Ok(fetched)
        }
        .await
    };
}

macro_rules! values {
    ($chunk:expr, $head:expr, |$row:pat_param| [$($value:expr),*], $tail:expr) => {{
        let mut sql = sqlx::QueryBuilder::<sqlx::Sqlite>::new($head);
        sql.push_values($chunk, |mut tuple, $row| {
            $(tuple.push_bind($value);)*
        });
        sql.push($tail);
        sql
    }};
}

/// How many there are.
macro_rules! columns {
    ($($value:expr),*) => { [$(stringify!($value)),*].len() };
}
