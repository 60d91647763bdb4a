//! `POST /api/v1/completions`: OpenAI's older completions of a text.

use super::chat;
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use gateway::surface::completions;
use std::sync::Arc;

pub async fn create(State(state): State<Arc<DataPlane>>, caller: Caller, body: Bytes) -> Response {
    chat::serve(&state, caller, completions::parse(&body)).await
}
