//! The only HTTP client towards providers: sends a request and understands the stream that comes back.

use crate::clock;
use crate::config::Config;
use crate::exchange::Waiting;
use crate::settlement::Taken;
use bytes::Bytes;
use domain::catalog::{Endpoint, Provider};
use futures_util::StreamExt;
use gateway::dialect::{Call, Decoder, Framing};
use gateway::rate_limit::{self, Bucket};
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use google::ServiceAccounts;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

pub mod access;
mod answer;
mod google;

pub use access::missing;
pub use answer::Answer;

pub struct Upstream {
    client: reqwest::Client,
    accounts: ServiceAccounts,
}

/// A request for one endpoint, and how to understand what comes back.
pub struct Outgoing<'a> {
    pub provider: &'a Provider,
    pub endpoint: &'a Endpoint,
    pub call: Call,
    pub framing: Framing,
    pub decoder: Decoder,
}

/// How an attempt failed before the answer began.
#[derive(Debug)]
pub struct Failed {
    pub error: UpstreamError,
    /// The provider's HTTP status, if it came to that.
    pub status: Option<u16>,
    /// It was left as soon as it began, because nobody waited any more.
    pub is_left: bool,
    /// What the provider said of its limits.
    pub limits: Vec<Bucket>,
}

/// A request body that says when it is on its way.
struct Watched {
    bytes: Option<Bytes>,
    taken: Taken,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the request to the first event, and between any two pieces after it.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const POOL_IDLE_MAX: usize = 256;
const ERROR_BYTES_MAX: usize = 64 * 1024;

impl Upstream {
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("tollway/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            accounts: ServiceAccounts::new(client.clone()),
            client,
        })
    }

    /// Sends `outgoing` and resolves once the provider has *begun* to answer: the first event that says something is there
    /// and is no error. `taken` follows how far the request comes. When nobody is `waiting` any more by the time the
    /// provider's response head is there, the connection is closed with it.
    pub async fn begin(
        &self,
        config: &Config,
        outgoing: Outgoing<'_>,
        taken: &Taken,
        waiting: &Waiting,
    ) -> Result<Answer, Failed> {
        let Outgoing {
            provider,
            endpoint,
            call,
            framing,
            decoder,
        } = outgoing;
        let request = self.request(config, provider, endpoint, call, taken).await?;
        let deadline = Instant::now() + SILENCE_TIMEOUT;
        let sent = tokio::time::timeout_at(deadline, request.send()).await;
        let response = sent
            .map_err(|_| failed(TransportFailure::Timeout))?
            .map_err(|error| transport(&error))
            .inspect_err(|_| taken.clear())?;
        if !response.status().is_success() {
            taken.clear();
            return Err(refusal(response).await);
        }
        taken.accepted();
        if waiting.is_over() {
            return Err(Failed {
                is_left: true,
                ..failed(TransportFailure::Broken)
            });
        }
        let mut answer = Answer::new(response, framing, decoder);
        let first = tokio::time::timeout_at(deadline, answer.fill()).await;
        first.map_err(|_| failed(TransportFailure::Timeout))??;
        Ok(answer)
    }

    async fn request(
        &self,
        config: &Config,
        provider: &Provider,
        endpoint: &Endpoint,
        call: Call,
        taken: &Taken,
    ) -> Result<reqwest::RequestBuilder, Failed> {
        let authorized = access::authorize(config, &self.accounts, provider, endpoint, &call).await;
        let authorized = authorized.map_err(|error| {
            tracing::error!(provider = provider.slug, error.cause = %error, "a provider cannot be called");
            failed(TransportFailure::NoAccess)
        })?;
        let mut request = self
            .client
            .post(authorized.url)
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        for (name, value) in &authorized.headers {
            request = request.header(*name, value.reveal());
        }
        Ok(request.body(reqwest::Body::wrap(Watched {
            bytes: Some(call.body.into()),
            taken: taken.clone(),
        })))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    /// Asked for only when there is a connection to write to.
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            self.taken.sent();
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

fn header<'h>(headers: &'h HeaderMap) -> impl Fn(&str) -> Option<&'h str> {
    move |name| headers.get(name)?.to_str().ok()
}

async fn refusal(response: reqwest::Response) -> Failed {
    let status = response.status().as_u16();
    let now = clock::now().datetime();
    let limits = rate_limit::buckets(header(response.headers()), now);
    let retry_after_ms = rate_limit::retry_after_ms(header(response.headers()), now);
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        body.extend_from_slice(&bytes);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    Failed {
        error: upstream_error::from_status(status, &body, retry_after_ms),
        status: Some(status),
        is_left: false,
        limits,
    }
}

fn transport(error: &reqwest::Error) -> Failed {
    failed(if error.is_connect() {
        TransportFailure::Connect
    } else {
        TransportFailure::Broken
    })
}

fn failed(failure: TransportFailure) -> Failed {
    Failed {
        error: upstream_error::from_transport(failure),
        status: None,
        is_left: false,
        limits: Vec::new(),
    }
}
