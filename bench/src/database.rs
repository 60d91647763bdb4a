//! Fresh databases on a PostgreSQL cluster.

use crate::random;
use anyhow::{Context as _, Result};
use domain::id::hex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use std::str::FromStr as _;

/// Makes a database and gives its URL; `cluster` is a superuser's.
pub async fn create(cluster: &str) -> Result<String> {
    let name = format!("tollway_bench_{}", hex(&random::bytes::<6>()));
    let options = PgConnectOptions::from_str(cluster)?;
    let mut admin = PgConnection::connect_with(&options).await.context("PostgreSQL")?;
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut admin).await?;
    admin.close().await?;
    Ok(options.database(&name).to_url_lossy().to_string())
}
