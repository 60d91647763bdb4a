//! `GET /health`: for load balancers.

use http::header::CACHE_CONTROL;

/// 200 while this process serves. It says nothing of the database: with it gone, known keys still work.
pub async fn get() -> impl axum::response::IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "ok\n")
}
