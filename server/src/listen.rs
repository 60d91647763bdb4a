//! The listener: accepts connections, bounds them in number, time and size, and lets them finish on shutdown.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tower::ServiceExt;

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// How long open connections may go on after the signal to stop.
    pub shutdown: Duration,
    /// Whether the last address in `X-Forwarded-For` is the caller's.
    pub trust_proxy: bool,
}

/// A head that is not complete after this long closes the connection, as does an idle one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 128;
/// Larger than any credential worth refusing politely; a larger head is answered 431.
const HEAD_BYTES_MAX: usize = 256 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until the first message of `stop`, then until the open connections have ended, the
/// deadline is over, or a second message comes.
///
/// Each request carries the peer as a `SocketAddr` and the caller as an `IpAddr` in its extensions.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stop: mpsc::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = stop.recv() => break,
        };
        match accepted {
            Ok((stream, peer, permit)) => connect(stream, peer, permit, &router, limits, &graceful),
            Err(error) => {
                tracing::warn!(error.cause = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(graceful, limits.shutdown, stop).await;
}

/// Resolves at SIGTERM or SIGINT.
pub async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Waits for room before it accepts, so that the kernel's queue holds what is too much.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Without it the first token of a stream waits for the delayed acknowledgement of the head.
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    router: &Router,
    limits: Limits,
    graceful: &GracefulShutdown,
) {
    let router = router.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let request = introduced(request, peer, limits.trust_proxy);
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error.cause = %error, "a connection ended early");
        }
        drop(permit);
    });
}

fn introduced(request: Request<Incoming>, peer: SocketAddr, trust_proxy: bool) -> Request<Body> {
    let mut request = request.map(Body::new);
    let forwarded = if trust_proxy {
        forwarded_for(request.headers())
    } else {
        None
    };
    let caller = forwarded.unwrap_or_else(|| peer.ip().to_canonical());
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert::<IpAddr>(caller);
    request
}

/// The address our own proxy saw: the last one, since earlier ones are what the caller claims.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

async fn drain(graceful: GracefulShutdown, deadline: Duration, mut again: mpsc::Receiver<()>) {
    let open = graceful.count();
    if open > 0 {
        tracing::info!(
            connections = open,
            deadline_secs = deadline.as_secs(),
            "waiting for open connections"
        );
    }
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(deadline) => tracing::warn!("connections still open after the deadline are cut"),
        Some(()) = again.recv() => tracing::warn!("stopping at once: open connections are cut"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LIMITS: Limits = Limits {
        connections_max: 8,
        shutdown: Duration::from_secs(5),
        trust_proxy: true,
    };

    async fn start(router: Router) -> (SocketAddr, mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = mpsc::channel(2);
        let served = tokio::spawn(serve(listener, router, LIMITS, stopped));
        (addr, stop, served)
    }

    async fn exchange(addr: SocketAddr, request: String) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_handler_learns_who_calls() {
        let whoami = |request: Request<Body>| async move {
            let ip = request.extensions().get::<IpAddr>().copied();
            format!("{ip:?} {}", request.extensions().get::<SocketAddr>().is_some())
        };
        let (addr, _stop, _served) = start(Router::new().route("/", get(whoami))).await;
        let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
        let direct = exchange(addr, format!("{head}\r\n")).await;
        assert!(direct.ends_with("Some(127.0.0.1) true"), "{direct}");
        let proxied = exchange(addr, format!("{head}x-forwarded-for: 1.2.3.4, 203.0.113.9\r\n\r\n")).await;
        assert!(proxied.ends_with("Some(203.0.113.9) true"), "{proxied}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_431_and_a_large_credential_arrives() {
        let (addr, _stop, _served) = start(Router::new().route("/", get(|| async { "ok" }))).await;
        let ask = |bytes: usize| {
            let head = format!(
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: {}",
                "k".repeat(bytes)
            );
            exchange(addr, format!("{head}\r\n\r\n"))
        };
        assert!(ask(64 * 1024).await.starts_with("HTTP/1.1 200"));
        let refused = ask(HEAD_BYTES_MAX - 200).await;
        assert!(refused.starts_with("HTTP/1.1 200") || refused.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn a_running_answer_ends_after_the_signal_and_new_connections_are_refused() {
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        };
        let (addr, stop, served) = start(Router::new().route("/", get(slow))).await;
        let running = tokio::spawn(exchange(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).await.unwrap();
        assert!(running.await.unwrap().ends_with("done"));
        served.await.unwrap();
        assert!(TcpStream::connect(addr).await.is_err());
    }
    #[tokio::test]
    async fn a_second_signal_cuts_what_is_open() {
        let never = || async { std::future::pending::<&'static str>().await };
        let (addr, stop, served) = start(Router::new().route("/", get(never))).await;
        let running = tokio::spawn(exchange(addr, "GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).await.unwrap();
        stop.send(()).await.unwrap();
        served.await.unwrap();
        running.abort();
    }
}
