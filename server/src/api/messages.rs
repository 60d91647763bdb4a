//! `POST /api/v1/messages` and `/messages/count_tokens`, as Anthropic's clients speak them.

use super::{chat, unknown_model};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use gateway::surface::messages;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub struct Counted {
    input_tokens: u64,
}

pub async fn create(State(state): State<Arc<DataPlane>>, caller: Caller, body: Bytes) -> Response {
    chat::serve(&state, caller, messages::parse(&body)).await
}

/// Counts on our side, with one tokenizer for all models: nothing leaves, and nothing is charged.
pub async fn count_tokens(
    State(state): State<Arc<DataPlane>>,
    _caller: Caller,
    body: Bytes,
) -> Result<Json<Counted>, ApiError> {
    let counted = tokio::task::spawn_blocking(move || messages::count_tokens(&body)).await;
    let counted = counted.map_err(|error| ApiError::internal(&error))?;
    let (request, input_tokens) = counted.map_err(|error| chat::bad_request(&error))?;
    let (catalog, wanted) = (state.catalog.load(), &request.models[0].slug);
    if catalog.model(wanted).is_none() {
        return Err(unknown_model(&catalog, wanted.as_str()));
    }
    Ok(Json(Counted { input_tokens }))
}
