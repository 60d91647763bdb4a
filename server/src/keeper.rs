//! Keeps responses for their callers, before the last of them is sent.

use crate::clock;
use crate::data_plane::DataPlane;
use domain::id::AccountId;
use domain::time::Micros;
use gateway::surface::Kept;
use store::{Store, StoreError};

/// For the responses of one account.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    account: AccountId,
    retention_us: i64,
}

impl Keeper {
    pub fn new(state: &DataPlane, account: AccountId) -> Self {
        Self {
            store: state.store.clone(),
            account,
            retention_us: i64::from(state.config.responses_retention_days).saturating_mul(Micros::DAY),
        }
    }

    /// An answer is worth more than its copy: what goes wrong is said in the log only.
    pub async fn keep(self, kept: Kept) {
        let id = kept.id.clone();
        if let Err(error) = self.try_keep(kept).await {
            tracing::error!(error.cause = %error, response.id = id, "a response could not be kept");
        }
    }

    async fn try_keep(self, kept: Kept) -> Result<(), StoreError> {
        let created = clock::now();
        let response = store::responses::Response {
            id: kept.id,
            account: self.account,
            previous: kept.previous,
            input: kept.input,
            response: kept.response,
            created,
            expires: created.plus(self.retention_us),
        };
        let mut tx = self.store.begin().await?;
        store::responses::keep(&mut tx, &response).await?;
        tx.commit().await
    }
}
