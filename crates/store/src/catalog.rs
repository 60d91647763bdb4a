//! The catalog as rows of JSON documents, replaced as a whole.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::catalog::CatalogData;
use domain::time::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Grows with every change; 0 when no catalog was loaded yet.
///
/// # Errors
/// Of the database only.
pub async fn version(tx: &mut Tx) -> Result<i64> {
    let (version,) = fetch_one!((i64,), tx, "SELECT version FROM catalog WHERE id = 1")?;
    Ok(version)
}

/// What the current catalog was read from, as given to [`replace`]; empty when no catalog was loaded yet.
///
/// # Errors
/// Of the database only.
pub async fn source(tx: &mut Tx) -> Result<String> {
    let (source,) = fetch_one!((String,), tx, "SELECT source FROM catalog WHERE id = 1")?;
    Ok(source)
}

/// Replaces the catalog and gives its new version; the current version, and no change, when `sha256` (of what `data` was
/// read from) is that of the current catalog.
///
/// # Errors
/// `Conflict` when a provider, model or endpoint is listed twice.
pub async fn replace(tx: &mut Tx, data: &CatalogData, source: &str, sha256: &str, now: Micros) -> Result<i64> {
    let replaced = fetch_optional!(
        (i64,),
        tx,
        "UPDATE catalog SET version = version + 1, source = $1, sha256 = $2, replaced_us = $3
         WHERE id = 1 AND sha256 <> $2 RETURNING version",
        source,
        sha256,
        now.get(),
    )?;
    let Some((new_version,)) = replaced else {
        return version(tx).await;
    };
    execute!(tx, "DELETE FROM catalog_endpoints")?;
    execute!(tx, "DELETE FROM catalog_models")?;
    execute!(tx, "DELETE FROM catalog_providers")?;
    insert(tx, data).await?;
    Ok(new_version)
}

/// The catalog as it was given to [`replace`], in the same order, with its version.
///
/// # Errors
/// `Corrupt` when a document was written by a newer version.
pub async fn load(tx: &mut Tx) -> Result<(i64, CatalogData)> {
    let version = version(tx).await?;
    let providers = fetch_all!((String,), tx, "SELECT doc FROM catalog_providers ORDER BY position")?;
    let models = fetch_all!((String,), tx, "SELECT doc FROM catalog_models ORDER BY position")?;
    let endpoints = fetch_all!((String,), tx, "SELECT doc FROM catalog_endpoints ORDER BY position")?;
    let data = CatalogData {
        providers: documents(&providers)?,
        models: documents(&models)?,
        endpoints: documents(&endpoints)?,
    };
    Ok((version, data))
}

async fn insert(tx: &mut Tx, data: &CatalogData) -> Result<()> {
    let providers = rows(&data.providers)?;
    execute_rows!(
        tx,
        &providers,
        "INSERT INTO catalog_providers (slug, position, doc) ",
        |(position, provider, doc)| [provider.slug.as_str(), *position, doc.as_str()],
        ""
    )?;
    let models = rows(&data.models)?;
    execute_rows!(
        tx,
        &models,
        "INSERT INTO catalog_models (slug, position, doc) ",
        |(position, model, doc)| [model.slug.as_str(), *position, doc.as_str()],
        ""
    )?;
    let endpoints = rows(&data.endpoints)?;
    execute_rows!(
        tx,
        &endpoints,
        "INSERT INTO catalog_endpoints (id, model, provider, position, doc) ",
        |(position, endpoint, doc)| [
            endpoint.id.as_str(),
            endpoint.model.as_str(),
            endpoint.provider.as_str(),
            *position,
            doc.as_str(),
        ],
        ""
    )?;
    Ok(())
}

/// Each item with its position and its document.
fn rows<T: Serialize>(items: &[T]) -> Result<Vec<(i64, &T, String)>> {
    (0_i64..)
        .zip(items)
        .map(|(position, item)| Ok((position, item, column::to_json(item)?)))
        .collect()
}

fn documents<T: DeserializeOwned>(rows: &[(String,)]) -> Result<Vec<T>> {
    rows.iter().map(|(doc,)| column::from_json(doc)).collect()
}
