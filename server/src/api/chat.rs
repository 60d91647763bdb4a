//! `POST /api/v1/chat/completions`.

use super::openapi::completion::{ChatChunk, ChatCompletion, ChatRequest as Body};
use super::openapi::failure::Failure;
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::inference;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::error_type::ErrorType;
use gateway::request::{ChatRequest, RequestError};
use std::sync::Arc;

/// Chat completion
#[utoipa::path(
    post,
    path = "/chat/completions",
    operation_id = "createChatCompletion",
    tag = "Inference",
    request_body = Body,
    responses(
        (status = 200, description = "The answer, or with `stream` its pieces and then `[DONE]`.",
            content((ChatCompletion = "application/json"), (ChatChunk = "text/event-stream"))),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn create(State(state): State<Arc<DataPlane>>, caller: Caller, body: Bytes) -> Response {
    complete(&state, caller, &body).await
}

/// The same for callers who were recognised in another way than by a key.
pub async fn complete(state: &Arc<DataPlane>, caller: Caller, body: &Bytes) -> Response {
    serve(state, caller, ChatRequest::parse(body)).await
}

/// Answers a request that was read, or says what is wrong with it.
pub async fn serve(state: &Arc<DataPlane>, caller: Caller, request: Result<ChatRequest, RequestError>) -> Response {
    match request {
        Ok(request) => inference::serve(state, caller, request)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(error) => bad_request(&error).into_response(),
    }
}

pub fn bad_request(error: &RequestError) -> ApiError {
    let refused = ApiError::new(ErrorType::InvalidRequest, error.to_string());
    match error {
        RequestError::Json { line, column, .. } => refused.with("line", *line).with("column", *column),
        RequestError::Field { field, .. } => refused.with("field", *field),
        RequestError::Duplicate(field) => refused.with("field", field.as_str()),
        RequestError::Unclear(what) => refused.with("field", what.field.as_str()),
        RequestError::NotAnObject => refused,
    }
}
