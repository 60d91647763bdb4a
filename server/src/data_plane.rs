//! What every API request shares.

use crate::auth::KeyCache;
use crate::config::Config;
use arc_swap::ArcSwap;
use domain::catalog::Catalog;
use std::sync::Arc;
use store::Store;

pub struct DataPlane {
    pub config: Arc<Config>,
    pub catalog: ArcSwap<Catalog>,
    pub store: Store,
    pub keys: KeyCache,
}
