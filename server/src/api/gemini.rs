//! `POST /api/v1beta/models/{model}:generateContent`, `:streamGenerateContent` and `:countTokens`, as Google's clients
//! speak them. Slashes of a model's name may stand as they are or encoded.

use super::{chat, unknown_model};
use crate::auth::Caller;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::error_type::ErrorType;
use domain::slug::ModelRef;
use gateway::surface::gemini::{self, Sending};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

#[derive(Deserialize)]
pub struct Asked {
    alt: Option<String>,
}

/// `/models/{model}:{action}`.
pub async fn act(
    State(state): State<Arc<DataPlane>>,
    caller: Caller,
    Path(rest): Path<String>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Response {
    let is_events = asked.alt.as_deref() == Some("sse");
    match rest.rsplit_once(':') {
        Some((model, "generateContent")) => {
            chat::serve(&state, caller, gemini::parse(&body, model, Sending::AtOnce)).await
        }
        Some((model, "streamGenerateContent")) => {
            let sending = if is_events { Sending::Events } else { Sending::List };
            chat::serve(&state, caller, gemini::parse(&body, model, sending)).await
        }
        Some((model, "countTokens")) => count_tokens(&state, model, body).await.into_response(),
        _ => {
            let message = format!(
                "There is nothing at models/{rest}. Known are :generateContent, :streamGenerateContent and :countTokens."
            );
            ApiError::new(ErrorType::NotFound, message).into_response()
        }
    }
}

/// `/models/{author}/{slug}:{action}`, where two segments are told apart.
pub async fn act_on_two(
    state: State<Arc<DataPlane>>,
    caller: Caller,
    Path((author, slug)): Path<(String, String)>,
    asked: Query<Asked>,
    body: Bytes,
) -> Response {
    act(state, caller, Path(format!("{author}/{slug}")), asked, body).await
}

/// Google's clients may put the key into the address.
pub async fn key_of_query(mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_told = headers.contains_key(AUTHORIZATION) || headers.contains_key(KEY) || headers.contains_key("x-api-key");
    let query = request.uri().query().unwrap_or_default();
    let key = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key");
    if let Some(key) = key
        .filter(|_| !is_told)
        .and_then(|(_, key)| HeaderValue::from_str(&key).ok())
    {
        request.headers_mut().insert(KEY, key);
    }
    next.run(request).await
}

/// Counts on our side, with one tokenizer for all models: nothing leaves, and nothing is charged.
async fn count_tokens(state: &DataPlane, model: &str, body: Bytes) -> Result<Response, ApiError> {
    let catalog = state.catalog.load();
    let slug = ModelRef::parse(model).ok().map(|wanted| wanted.slug);
    if slug.and_then(|slug| catalog.model(&slug).map(|_| ())).is_none() {
        return Err(unknown_model(&catalog, model));
    }
    let counted = tokio::task::spawn_blocking(move || gemini::count_tokens(&body)).await;
    let counted = counted.map_err(|error| ApiError::internal(&error))?;
    let tokens = counted.map_err(|error| chat::bad_request(&error))?;
    Ok(Json(json!({"totalTokens": tokens})).into_response())
}
