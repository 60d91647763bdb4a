//! The stream towards the caller: a response body that pulls from the provider only as fast as the caller reads.

use crate::error::ApiError;
use crate::exchange::{Exchange, Starting};
use crate::inference::provider_error;
use crate::keeper::Keeper;
use bytes::Bytes;
use domain::generation::Outcome;
use gateway::chunk::{self, Envelope};
use gateway::surface::{Form, Stream};
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The stream of one answer.
pub struct Relay {
    stage: Stage,
    envelope: Envelope,
    form: Form,
    stream: Stream,
    keeper: Keeper,
    keep_alive: Pin<Box<Sleep>>,
}

enum Stage {
    Waiting(Starting),
    Running(Box<Exchange>),
    /// The last bytes, to be sent when what they tell of is kept.
    Keeping(Pin<Box<dyn Future<Output = ()> + Send>>, Vec<u8>),
    Ended,
}

/// Silence after which the caller is told that work goes on.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Enough for one write; more waits for the caller to read.
const FRAME_BYTES: usize = 16 * 1024;

impl Relay {
    /// A stream whose provider has begun to answer.
    pub fn running(form: Form, keeper: Keeper, exchange: Exchange) -> Self {
        Self::new(
            form,
            keeper,
            exchange.open().envelope.clone(),
            Stage::Running(Box::new(exchange)),
        )
    }

    /// A stream that begins with signs of life, since no provider has begun to answer yet.
    pub fn waiting(form: Form, keeper: Keeper, envelope: Envelope, starting: Starting) -> Self {
        let mut relay = Self::new(form, keeper, envelope, Stage::Waiting(starting));
        relay.keep_alive.as_mut().reset(Instant::now());
        relay
    }

    fn new(form: Form, keeper: Keeper, envelope: Envelope, stage: Stage) -> Self {
        let stream = Stream::new(&form, &envelope);
        Self {
            stage,
            envelope,
            form,
            stream,
            keeper,
            keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
        }
    }

    /// The next bytes for the caller; empty at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        match &mut self.stage {
            Stage::Ended => Poll::Ready(Vec::new()),
            Stage::Waiting(starting) => match ready!(Pin::new(starting).poll(cx)) {
                Ok(exchange) => {
                    // Another model or provider than first intended may be the one that answers.
                    *self = Self::running(self.form.clone(), self.keeper.clone(), exchange);
                    self.poll_bytes(cx)
                }
                Err(error) => Poll::Ready(self.fail(&error)),
            },
            Stage::Running(_) => self.poll_exchange(cx),
            Stage::Keeping(kept, last) => {
                ready!(kept.as_mut().poll(cx));
                let last = std::mem::take(last);
                self.stage = Stage::Ended;
                Poll::Ready(last)
            }
        }
    }

    /// Everything that is there already, up to a frame's size, counted and checkpointed before it is handed on.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let Stage::Running(exchange) = &mut self.stage else {
            return Poll::Ready(Vec::new());
        };
        let mut out = Vec::new();
        while out.len() < FRAME_BYTES {
            match exchange.poll_next(cx) {
                Poll::Ready(Some(Ok(decoded))) => self.stream.pieces(&mut out, &decoded.choices),
                Poll::Ready(Some(Err(error))) => {
                    out.extend(self.break_off(&error));
                    return Poll::Ready(out);
                }
                Poll::Ready(None) => {
                    self.end(out);
                    return self.poll_bytes(cx);
                }
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        exchange.checkpoint();
        Poll::Ready(out)
    }

    /// The provider ended its stream: usage and cost after `out`, or an error if it never said how it ended.
    fn end(&mut self, mut out: Vec<u8>) {
        let Stage::Running(exchange) = &mut self.stage else {
            return;
        };
        let mut kept = None;
        if !exchange.open().is_complete() {
            out.extend(self.break_off(&upstream_error::from_transport(TransportFailure::Broken)));
        } else if let Some(generation) = exchange.finish(Outcome::Completed) {
            let cost = chunk::settled_cost(&generation);
            kept = self.stream.end(&mut out, &generation.usage, &cost);
        }
        let keeper = self.keeper.clone();
        self.stage = match kept {
            Some(kept) => Stage::Keeping(Box::pin(keeper.keep(kept)), out),
            None => Stage::Keeping(Box::pin(std::future::ready(())), out),
        };
    }

    fn break_off(&mut self, error: &UpstreamError) -> Vec<u8> {
        if let Stage::Running(exchange) = &mut self.stage {
            exchange.finish(Outcome::Failed);
        }
        let error = provider_error(error, &self.envelope.provider);
        self.fail(&error)
    }

    fn fail(&mut self, error: &ApiError) -> Vec<u8> {
        self.stage = Stage::Ended;
        let mut out = Vec::new();
        self.stream.fail(&mut out, &error.failure());
        out
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.poll_bytes(cx) {
            Poll::Ready(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Poll::Ready(bytes) => Bytes::from(bytes),
            Poll::Pending => {
                ready!(self.keep_alive.as_mut().poll(cx));
                Bytes::from_static(self.form.keep_alive())
            }
        };
        let next = Instant::now() + KEEP_ALIVE;
        self.keep_alive.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
