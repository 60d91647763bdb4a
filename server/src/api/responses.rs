//! `POST /api/v1/responses`, and the responses that were kept: `GET`, `DELETE`, `/input_items`.

use super::chat;
use crate::auth::Caller;
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::error_type::ErrorType;
use domain::id::AccountId;
use gateway::surface::responses::Draft;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use store::responses::Response as Kept;

/// Responses in a conversation that is continued.
const CHAIN_MAX: usize = 200;
const PAGE: usize = 20;
const PAGE_MAX: usize = 100;

#[derive(Deserialize)]
pub struct Page {
    limit: Option<usize>,
    /// `asc` or `desc`.
    order: Option<String>,
    /// Id of the item before the first.
    after: Option<String>,
}

pub async fn create(State(state): State<Arc<DataPlane>>, caller: Caller, body: Bytes) -> Response {
    let draft = match Draft::parse(&body) {
        Ok(draft) => draft,
        Err(error) => return chat::bad_request(&error).into_response(),
    };
    let keeps = match keeps(&state, draft.store) {
        Ok(keeps) => keeps,
        Err(error) => return error.into_response(),
    };
    let earlier = match &draft.previous {
        Some(previous) => match earlier(&state, &caller.account, previous).await {
            Ok(earlier) => earlier,
            Err(error) => return error.into_response(),
        },
        None => Vec::new(),
    };
    chat::serve(&state, caller, draft.request(&earlier, keeps)).await
}

pub async fn get(
    State(state): State<Arc<DataPlane>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let kept = kept(&state, &caller.account, &id).await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], kept.response).into_response())
}

pub async fn delete(
    State(state): State<Arc<DataPlane>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let mut tx = state.store.begin().await?;
    let deleted = store::responses::delete(&mut tx, &caller.account, &id).await?;
    tx.commit().await?;
    if !deleted {
        return Err(not_found(&id));
    }
    Ok(Json(json!({"id": id, "object": "response", "deleted": true})))
}

/// The request's own items, the last first unless asked otherwise.
pub async fn input_items(
    State(state): State<Arc<DataPlane>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    let kept = kept(&state, &caller.account, &id).await?;
    let items: Vec<Value> = serde_json::from_str(&kept.input).map_err(|error| ApiError::internal(&error))?;
    let numbered = items.into_iter().enumerate();
    let mut items: Vec<Value> = numbered.map(|(place, item)| told(item, &id, place)).collect();
    if page.order.as_deref() != Some("asc") {
        items.reverse();
    }
    if let Some(after) = page.after {
        let place = items.iter().position(|item| item["id"] == after.as_str());
        items.drain(..place.map_or(items.len(), |place| place + 1));
    }
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    Ok(Json(json!({
        "object": "list", "first_id": id_of(items.first()), "last_id": id_of(items.last()), "has_more": has_more,
        "data": items,
    })))
}

/// As its caller says; otherwise as OpenAI does, if the operator keeps any.
fn keeps(state: &DataPlane, wanted: Option<bool>) -> Result<bool, ApiError> {
    let can = state.config.responses_retention_days > 0;
    if wanted == Some(true) && !can {
        let message = "Responses are not kept on this server. Leave `store` out, or set it to false.";
        return Err(ApiError::new(ErrorType::InvalidRequest, message).with("field", "store"));
    }
    Ok(can && wanted != Some(false))
}

async fn kept(state: &DataPlane, account: &AccountId, id: &str) -> Result<Kept, ApiError> {
    let mut tx = state.store.read().await?;
    let kept = store::responses::by_id(&mut tx, account, id, clock::now()).await?;
    // Somebody else's looks just like one that never was.
    kept.ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> ApiError {
    let message = format!(
        "No response {id:?} is kept for this account. It may have expired, or `store` was false when it was made."
    );
    ApiError::new(ErrorType::NotFound, message)
}

/// Items of the conversation up to the response `last`, the oldest first.
async fn earlier(state: &DataPlane, account: &AccountId, last: &str) -> Result<Vec<String>, ApiError> {
    let mut tx = state.store.read().await?;
    let (mut chain, mut next) = (Vec::new(), Some(last.to_owned()));
    while let Some(id) = next {
        if chain.len() == CHAIN_MAX {
            let message =
                format!("The conversation has more than {CHAIN_MAX} responses. Begin a new one with its items.");
            return Err(ApiError::new(ErrorType::InvalidRequest, message).with("field", "previous_response_id"));
        }
        let kept = store::responses::by_id(&mut tx, account, &id, clock::now()).await?;
        let mut kept = kept.ok_or_else(|| not_found(&id).status(400).with("field", "previous_response_id"))?;
        next = kept.previous.take();
        chain.push(kept);
    }
    drop(tx);
    let mut all = Vec::new();
    for kept in chain.iter().rev() {
        all.extend(items(kept).map_err(|error| ApiError::internal(&error))?);
    }
    Ok(all)
}

/// What was asked and what came of it.
fn items(kept: &Kept) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(borrow)]
        output: Vec<&'a RawValue>,
    }
    let input: Vec<&RawValue> = serde_json::from_str(&kept.input)?;
    let told: Told<'_> = serde_json::from_str(&kept.response)?;
    // Pictures that a model made can't be given back to any as its own.
    let output = told
        .output
        .into_iter()
        .filter(|item| !item.get().contains("\"image_generation_call\""));
    Ok(input
        .into_iter()
        .chain(output)
        .map(|item| item.get().to_owned())
        .collect())
}

/// An item as it is listed: with an id, and its content in parts.
fn told(mut item: Value, response: &str, place: usize) -> Value {
    if item.get("type").is_none() {
        item["type"] = "message".into();
    }
    if item.get("id").is_none_or(Value::is_null) {
        item["id"] = format!("msg_{}_i{place}", response.trim_start_matches("resp_")).into();
    }
    if let Some(text) = item["content"].as_str().filter(|_| item["type"] == "message") {
        let kind = if item["role"] == "assistant" {
            "output_text"
        } else {
            "input_text"
        };
        item["content"] = json!([{"type": kind, "text": text}]);
    }
    item
}
