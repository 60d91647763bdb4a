//! The only HTTP client towards providers: sends a request and understands the stream that comes back.

use crate::config::Secret;
use crate::exchange::Waiting;
use crate::settlement::Taken;
use bytes::Bytes;
use domain::catalog::{Auth, Endpoint, Provider};
use futures_util::{Stream, StreamExt};
use gateway::openai::{self, Decoded};
use gateway::sse::SseDecoder;
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub struct Upstream {
    client: reqwest::Client,
}

/// A provider's answer from its first event on.
pub struct Answer {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    form: Form,
    ready: VecDeque<Decoded>,
    ended: bool,
    idle: Pin<Box<Sleep>>,
}

/// How an attempt failed before the answer began.
#[derive(Debug)]
pub struct Failed {
    pub error: UpstreamError,
    /// The provider's HTTP status, if it came to that.
    pub status: Option<u16>,
    /// It was left as soon as it began, because nobody waited any more.
    pub is_left: bool,
}

/// A request body that says when it is on its way.
struct Watched {
    bytes: Option<Bytes>,
    taken: Taken,
}

enum Form {
    Events(SseDecoder),
    /// A provider that ignored `stream` sends one JSON object.
    Whole(Vec<u8>),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the request to the first event, and between any two pieces after it.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const POOL_IDLE_MAX: usize = 256;
const ERROR_BYTES_MAX: usize = 64 * 1024;
const WHOLE_BYTES_MAX: usize = 32 * 1024 * 1024;

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
        Ok(Self { client })
    }

    /// Sends `body` and resolves once the provider has *begun* to answer: its first event is there and is no error.
    /// `taken` follows how far the request comes. When nobody is `waiting` any more by the time the provider's response
    /// head is there, the connection is closed with it.
    pub async fn begin(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
        key: Option<&Secret>,
        body: Vec<u8>,
        taken: &Taken,
        waiting: &Waiting,
    ) -> Result<Answer, Failed> {
        let base = endpoint.base_url.as_deref().unwrap_or(&provider.base_url);
        let request = self
            .client
            .post(format!("{base}{}", openai::PATH))
            .header(CONTENT_TYPE, "application/json");
        let watched = Watched {
            bytes: Some(body.into()),
            taken: taken.clone(),
        };
        let request = authorized(request, provider.auth, key).body(reqwest::Body::wrap(watched));
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
        let mut answer = Answer::new(response);
        let first = tokio::time::timeout_at(deadline, answer.fill()).await;
        first.map_err(|_| failed(TransportFailure::Timeout))??;
        Ok(answer)
    }
}

impl Answer {
    fn new(response: reqwest::Response) -> Self {
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let form = if content_type.starts_with("application/json") {
            Form::Whole(Vec::new())
        } else {
            Form::Events(SseDecoder::default())
        };
        Self {
            body: Box::pin(response.bytes_stream()),
            form,
            ready: VecDeque::new(),
            ended: false,
            idle: Box::pin(tokio::time::sleep(SILENCE_TIMEOUT)),
        }
    }

    /// The next event; `None` after the end, whether the provider announced it or not.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Decoded, UpstreamError>>> {
        loop {
            if let Some(decoded) = self.ready.pop_front() {
                if decoded.done {
                    self.ended = true;
                    self.ready.clear();
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(decoded.error.clone().map_or(Ok(decoded), Err)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if let Err(error) = ready!(self.poll_fill(cx)) {
                self.ended = true;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// Waits for the first event that says something.
    async fn fill(&mut self) -> Result<(), Failed> {
        while self.ready.is_empty() && !self.ended {
            let filled = std::future::poll_fn(|cx| self.poll_fill(cx)).await;
            filled.map_err(|error| Failed {
                error,
                status: Some(200),
                is_left: false,
            })?;
        }
        match self.ready.front() {
            Some(Decoded { error: Some(error), .. }) => Err(Failed {
                error: error.clone(),
                status: Some(200),
                is_left: false,
            }),
            Some(_) => Ok(()),
            None => Err(failed(TransportFailure::Broken)),
        }
    }

    /// Reads once from the connection and decodes what came.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let broken = || upstream_error::from_transport(TransportFailure::Broken);
        let Poll::Ready(read) = self.body.poll_next_unpin(cx) else {
            ready!(self.idle.as_mut().poll(cx));
            return Poll::Ready(Err(upstream_error::from_transport(TransportFailure::Timeout)));
        };
        self.idle.as_mut().reset(Instant::now() + SILENCE_TIMEOUT);
        let bytes = match read {
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => return Poll::Ready(Err(broken())),
            None => {
                self.ended = true;
                return Poll::Ready(self.decode_whole().map_err(|_| broken()));
            }
        };
        match &mut self.form {
            Form::Whole(whole) if whole.len() + bytes.len() > WHOLE_BYTES_MAX => return Poll::Ready(Err(broken())),
            Form::Whole(whole) => whole.extend_from_slice(&bytes),
            Form::Events(decoder) => {
                decoder.push(&bytes);
                while let Some(event) = decoder.next_event().map_err(|_| broken())? {
                    let is_error = event.name.as_deref() == Some("error");
                    let decoded = openai::decode(&event.data);
                    self.ready.push_back(match decoded {
                        Err(_) if is_error => Decoded {
                            error: Some(upstream_error::from_event(&event.data)),
                            ..Decoded::default()
                        },
                        decoded => decoded.map_err(|_| broken())?,
                    });
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn decode_whole(&mut self) -> Result<(), openai::NotAChunk> {
        if let Form::Whole(whole) = &mut self.form {
            let decoded = openai::decode(&Bytes::from(std::mem::take(whole)))?;
            self.ready.push_back(Decoded { whole: true, ..decoded });
        }
        Ok(())
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

fn authorized(request: reqwest::RequestBuilder, auth: Auth, key: Option<&Secret>) -> reqwest::RequestBuilder {
    let Some(key) = key.map(Secret::reveal) else {
        return request;
    };
    match auth {
        Auth::Bearer => request.header(AUTHORIZATION, format!("Bearer {key}")),
        Auth::XApiKey => request.header("x-api-key", key),
        Auth::XGoogApiKey => request.header("x-goog-api-key", key),
        Auth::ApiKey => request.header("api-key", key),
        Auth::None | Auth::Other => request,
    }
}

async fn refusal(response: reqwest::Response) -> Failed {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        body.extend_from_slice(&bytes);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    Failed {
        error: upstream_error::from_status(status, &body, retry_after),
        status: Some(status),
        is_left: false,
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
    }
}
