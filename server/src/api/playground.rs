//! `POST /playground/chat/completions`: the chat page's own way in, by session cookie instead of key.

use super::chat;
use crate::auth::Caller;
use crate::clock;
use crate::error::ApiError;
use crate::web::Web;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::api_key::ApiKey;
use domain::error_type::ErrorType;
use http::HeaderMap;
use std::sync::Arc;
use store::keys::{self, Key};
use store::users::User;
use store::{Store, StoreError};

const KEY_NAME: &str = "Playground";
const APP_NAME: &str = "Tollway Playground";

pub async fn complete(State(web): State<Arc<Web>>, headers: HeaderMap, body: Bytes) -> Response {
    let site = Arc::clone(&web);
    let asked = headers.clone();
    // The session is looked up on the web side's runtime and pool, like any page.
    let caller = web.runtime.spawn(async move { caller(&site, &asked).await }).await;
    match caller.unwrap_or_else(|error| Err(ApiError::internal(&error))) {
        Ok(caller) => chat::complete(&web.data, caller, &body).await,
        Err(error) => error.into_response(),
    }
}

async fn caller(web: &Web, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some((_, user)) = app::session::user_from_headers(&web.site, headers).await else {
        return Err(ApiError::new(
            ErrorType::Authentication,
            "Sign in to use the playground.",
        ));
    };
    let key = internal_key(&web.site.store, &user).await?;
    Ok(Caller {
        account: user.account,
        key: Arc::new(key),
        app_name: Some(APP_NAME.to_owned()),
        app_url: Some(web.site.base_url.clone()),
    })
}

/// The account's own key for its playground, made on first use. Nobody ever sees the key itself.
async fn internal_key(store: &Store, user: &User) -> Result<Key, StoreError> {
    let known = keys::internal(&mut store.read().await?, &user.account).await?;
    if let Some(key) = known {
        return Ok(key);
    }
    let mut tx = store.begin().await?;
    let key = new_key(user);
    match keys::create(&mut tx, &key).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(key)
        }
        // Another tab was faster.
        Err(error @ StoreError::Conflict(_)) => {
            drop(tx);
            keys::internal(&mut store.read().await?, &user.account)
                .await?
                .ok_or(error)
        }
        Err(error) => Err(error),
    }
}

fn new_key(user: &User) -> Key {
    let api_key = ApiKey::new(&clock::random());
    let now = clock::now();
    Key {
        hash: api_key.hash(),
        account: user.account.clone(),
        user: user.id.clone(),
        name: KEY_NAME.to_owned(),
        label: api_key.label(),
        limit: None,
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: true,
        created: now,
        updated: now,
        last_used: None,
    }
}
