//! Refusals that arrive. A request that is refused before its body was read leaves that body on the connection; closing
//! it then resets the connection, and the caller sees a broken pipe instead of the answer.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// What is left unread beyond this is not waited for.
const LEFT_BYTES_MAX: usize = 64 * 1024 * 1024;
const LEFT_WAIT: Duration = Duration::from_secs(5);

/// A request body that can be read on after a handler let go of it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

/// Reads what is left of the body of a request that was refused, and only then answers.
pub async fn linger(request: Request, next: Next) -> Response {
    // Who asks first whether to send a body has not sent it.
    if request.headers().contains_key(EXPECT) || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut rest = Shared(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let _too_slow = tokio::time::timeout(LEFT_WAIT, rest.drain()).await;
    }
    response
}

impl Shared {
    async fn drain(&mut self) {
        let mut left = 0;
        while left <= LEFT_BYTES_MAX {
            match std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
                Some(Ok(frame)) => left += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(Pin<&mut Body>) -> T) -> T {
        act(Pin::new(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::DefaultBodyLimit;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures_util::StreamExt;
    use http::StatusCode;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt;

    /// A body of `frames` × 1 KiB that counts how many were taken.
    fn counted(frames: usize) -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let frames = futures_util::stream::iter(0..frames).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 1024]))
        });
        (Body::from_stream(frames), taken)
    }

    async fn ask(request: Request) -> StatusCode {
        let refuses = post(async || StatusCode::UNAUTHORIZED);
        let reads = post(async |_: Bytes| StatusCode::OK);
        let router = Router::new()
            .route("/refuses", refuses)
            .route("/reads", reads)
            .layer(DefaultBodyLimit::max(4096))
            .layer(from_fn(linger));
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn what_a_refusal_left_unread_is_read() {
        for (path, frames, status) in [("/refuses", 100, 401), ("/reads", 100, 413), ("/reads", 3, 200)] {
            let (body, taken) = counted(frames);
            let request = Request::post(path).body(body).unwrap();
            assert_eq!(ask(request).await, status, "{path}");
            assert_eq!(taken.load(Ordering::Relaxed), frames, "{path} {status}");
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_a_body_they_hold_back() {
        let (body, taken) = counted(100);
        let request = Request::post("/refuses")
            .header(EXPECT, "100-continue")
            .body(body)
            .unwrap();
        assert_eq!(ask(request).await, 401);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
