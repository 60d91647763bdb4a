//! Where the catalog comes from: the embedded files, the operator's files over them, the store, the snapshot.

use crate::clock;
use domain::catalog::{Catalog, CatalogData, CatalogError, Endpoint, Model, Provider};
use domain::id::hex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use store::{Store, StoreError, Tx};

/// Where imported catalogs say they come from.
pub const BUILT_IN: &str = "built-in";

/// The provider whose base URL is a setting of each node rather than a fact of the catalog.
pub const LOCAL_PROVIDER: &str = "local";

#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error("cannot read the catalog file {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("the catalog file {} is not valid: {cause}", path.display())]
    Parse { path: PathBuf, cause: serde_json::Error },
    #[error("the catalog is not consistent: {0}")]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A catalog file of an operator: each part may be left out, and an entry replaces the one of the same slug or id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogFile {
    pub providers: Vec<Provider>,
    pub models: Vec<Model>,
    pub endpoints: Vec<Endpoint>,
}

const PROVIDERS: &str = include_str!("../../catalog/providers.json");
const MODELS: &str = include_str!("../../catalog/models.json");
const ENDPOINTS: &str = include_str!("../../catalog/endpoints.json");

/// The embedded catalog with `files` merged over it in order, checked as a whole.
pub fn configured(files: &[PathBuf]) -> Result<CatalogData, SyncError> {
    let mut data = embedded()?;
    for path in files {
        data = merge(data, read(path)?);
    }
    Catalog::new(0, data.clone())?;
    Ok(data)
}

/// Reads an operator's catalog file.
pub fn read(path: &Path) -> Result<CatalogFile, SyncError> {
    let path = path.to_owned();
    let text = std::fs::read(&path).map_err(|cause| SyncError::Read {
        path: path.clone(),
        cause,
    })?;
    serde_json::from_slice(&text).map_err(|cause| SyncError::Parse { path, cause })
}

/// `file` over `data`: same slug or id replaces, others are appended.
#[must_use]
pub fn merge(data: CatalogData, file: CatalogFile) -> CatalogData {
    CatalogData {
        providers: over(data.providers, file.providers, |provider| provider.slug.clone()),
        models: over(data.models, file.models, |model| model.slug.to_string()),
        endpoints: over(data.endpoints, file.endpoints, |endpoint| endpoint.id.clone()),
    }
}

/// Stores `data` unless the store holds just that; gives the version the store is at.
pub async fn import(tx: &mut Tx, data: &CatalogData, source: &str) -> Result<i64, SyncError> {
    Ok(store::catalog::replace(tx, data, source, &fingerprint(data), clock::now()).await?)
}

/// The catalog as it is in the store, with this node's own address of the local model.
pub async fn load(tx: &mut Tx, local_model_url: Option<&str>) -> Result<Catalog, SyncError> {
    let (version, mut data) = store::catalog::load(tx).await?;
    if let Some(url) = local_model_url {
        let local = data
            .providers
            .iter_mut()
            .filter(|provider| provider.slug == LOCAL_PROVIDER);
        local.for_each(|provider| url.clone_into(&mut provider.base_url));
    }
    Ok(Catalog::new(version, data)?)
}

/// Brings the configured catalog into the store, then loads it. A catalog that an operator has imported by hand stays
/// until `tollway catalog import --built-in`.
pub async fn sync(store: &Store, files: &[PathBuf], local_model_url: Option<&str>) -> Result<Catalog, SyncError> {
    let data = configured(files)?;
    let mut tx = store.begin().await?;
    let source = store::catalog::source(&mut tx).await?;
    if source.is_empty() || source == BUILT_IN {
        import(&mut tx, &data, BUILT_IN).await?;
    } else {
        tracing::info!(catalog.source = %source, "using the catalog imported by hand, not the built-in one");
    }
    tx.commit().await?;
    load(&mut store.read().await?, local_model_url).await
}

fn embedded() -> Result<CatalogData, SyncError> {
    Ok(CatalogData {
        providers: parse("catalog/providers.json", PROVIDERS)?,
        models: parse("catalog/models.json", MODELS)?,
        endpoints: parse("catalog/endpoints.json", ENDPOINTS)?,
    })
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, SyncError> {
    serde_json::from_str(text).map_err(|cause| SyncError::Parse {
        path: name.into(),
        cause,
    })
}

fn over<T>(base: Vec<T>, upper: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut merged = base;
    for (place, entry) in merged.iter().enumerate() {
        places.insert(name(entry), place);
    }
    for entry in upper {
        match places.get(&name(&entry)).and_then(|place| merged.get_mut(*place)) {
            Some(slot) => *slot = entry,
            None => {
                places.insert(name(&entry), merged.len());
                merged.push(entry);
            }
        }
    }
    merged
}

/// SHA-256 of the data in its JSON form.
fn fingerprint(data: &CatalogData) -> String {
    let mut hasher = Hasher(Sha256::new());
    // Hashing cannot fail, and a type that derives `Serialize` with string keys cannot either.
    let _ = serde_json::to_writer(&mut hasher, data);
    hex(&hasher.0.finalize())
}

struct Hasher(Sha256);

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalog_is_consistent_and_callable_without_any_key() {
        let catalog = Catalog::new(1, configured(&[]).unwrap()).unwrap();
        assert!(catalog.models().len() >= 100 && catalog.providers().len() >= 20);
        let local = catalog.provider(LOCAL_PROVIDER).unwrap();
        assert!(local.is_spoken() && local.key_setting.is_none());
    }

    #[test]
    fn an_operators_file_replaces_by_name_and_appends_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.json");
        let provider = |slug: &str| {
            serde_json::json!({"slug": slug, "name": slug, "base_url": "http://127.0.0.1:1", "dialect": "openai-chat",
                "auth": "none"})
        };
        let text = serde_json::json!({"providers": [provider(LOCAL_PROVIDER), provider("mine")]});
        std::fs::write(&path, text.to_string()).unwrap();
        let before = embedded().unwrap().providers.len();
        let data = configured(&[path]).unwrap();
        assert_eq!(data.providers.len(), before + 1);
        let local = data
            .providers
            .iter()
            .find(|provider| provider.slug == LOCAL_PROVIDER)
            .unwrap();
        assert_eq!(local.base_url, "http://127.0.0.1:1");
        assert_ne!(fingerprint(&data), fingerprint(&embedded().unwrap()));
    }

    #[test]
    fn a_broken_file_is_named_with_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.json");
        std::fs::write(&path, "{\"provider\": []}").unwrap();
        let message = configured(&[path]).unwrap_err().to_string();
        assert!(message.contains("mine.json") && message.contains("line 1"), "{message}");
        let missing = configured(&["/nowhere.json".into()]).unwrap_err().to_string();
        assert!(missing.contains("cannot read"), "{missing}");
    }
}
