//! `GET /credits`: what the key's account has bought and used.

use super::openapi::failure::Failure;
use super::{Data, Usd, settled};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Dollars since the account exists; what is left is the difference.
#[derive(Serialize, ToSchema)]
pub struct Credits {
    total_credits: Usd,
    total_usage: Usd,
}

/// Credits bought and used
#[utoipa::path(
    get,
    path = "/credits",
    operation_id = "getCredits",
    tag = "Account",
    responses(
        (status = 200, description = "Of the key's account.", body = Data<Credits>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn get(State(state): State<Arc<DataPlane>>, caller: Caller) -> Result<Json<Data<Credits>>, ApiError> {
    settled(&state).await;
    let mut tx = state.store.read().await?;
    let credits = store::ledger::credits(&mut tx, &caller.account).await?;
    Ok(Json(Data {
        data: Credits {
            total_credits: Usd(credits.purchased),
            total_usage: Usd(credits.used),
        },
    }))
}
