//! The handlers of payments: the development checkout's page, and every processor's webhook.

use super::dev;
use crate::clock;
use crate::error::ApiError;
use crate::web::Web;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::error_type::ErrorType;
use domain::id::PurchaseId;
use domain::purchase::{Purchase, PurchaseState};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use std::sync::Arc;
use store::purchases;

/// `POST /webhooks/{processor}`: 200 once the effect is committed.
pub async fn webhook(
    State(web): State<Arc<Web>>,
    Path(processor): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, ApiError> {
    web.checkout.webhook(&processor, &headers, &body).await?;
    Ok("ok\n")
}

/// The page where a developer pays or not. Only the buyer sees it.
pub async fn show(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let purchase = own_purchase(&web, id, &headers).await?;
    let headers = [
        (CONTENT_SECURITY_POLICY, dev::CONTENT_SECURITY_POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Html(dev::page(&purchase))).into_response())
}

/// Has the webhook delivered, then sends the buyer back.
pub async fn pay(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let purchase = own_purchase(&web, id, &headers).await?;
    if let (PurchaseState::Created | PurchaseState::Open, Some(dev)) = (purchase.state, web.checkout.dev()) {
        dev.pay(&purchase).await.map_err(|error| {
            tracing::error!(purchase.id = %purchase.id, error.cause = error, "the development payment was not delivered");
            let message = "The payment could not be delivered, and nothing was credited. Go back and try again.";
            ApiError::new(ErrorType::ProviderUnavailable, message).into_response()
        })?;
    }
    Ok(back(&purchase))
}

/// Closes the purchase unpaid.
pub async fn cancel(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let purchase = own_purchase(&web, id, &headers).await?;
    let cancelled = async {
        let mut tx = web.site.store.begin().await?;
        purchases::cancel(&mut tx, &purchase.id, clock::now()).await?;
        tx.commit().await
    };
    cancelled.await.map_err(|error| ApiError::from(error).into_response())?;
    Ok(back(&purchase))
}

fn back(purchase: &Purchase) -> Response {
    Redirect::to(&format!("/account/credits?purchase={}", purchase.id)).into_response()
}

/// The purchase, if the one who asks is signed in and made it. Otherwise the way to sign in, or 404.
async fn own_purchase(web: &Web, id: String, headers: &HeaderMap) -> Result<Purchase, Response> {
    let id = PurchaseId::stored(id);
    let Some((_, user)) = app::session::user_from_headers(&web.site, headers).await else {
        return Err(Redirect::to(&format!("/sign-in?next=/checkout/{}", url_path(id.as_str()))).into_response());
    };
    let found = async { purchases::by_id(&mut web.site.store.read().await?, &id).await };
    let found = found.await.map_err(|error| ApiError::from(error).into_response())?;
    let own = found.filter(|purchase| purchase.user == user.id && purchase.processor == dev::NAME);
    own.ok_or_else(|| ApiError::new(ErrorType::NotFound, "There is no such checkout.").into_response())
}

fn url_path(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
