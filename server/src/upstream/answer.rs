//! A provider's answer as it comes over the connection: framed by its protocol, understood by its decoder.

use super::{Failed, SILENCE_TIMEOUT, failed, header};
use crate::clock;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use gateway::aws_events::AwsEventDecoder;
use gateway::dialect::{Decoder, Framing};
use gateway::lines::LineDecoder;
use gateway::openai::Decoded;
use gateway::rate_limit::{self, Bucket};
use gateway::sse::SseDecoder;
use gateway::upstream_error::{self, TransportFailure, UpstreamError};
use http::header::CONTENT_TYPE;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep};

/// A provider's answer from its first event on.
pub struct Answer {
    /// What the provider said of its limits.
    pub limits: Vec<Bucket>,
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    form: Form,
    decoder: Decoder,
    ready: VecDeque<Decoded>,
    ended: bool,
    idle: Pin<Box<Sleep>>,
}

enum Form {
    Events(SseDecoder),
    Lines(LineDecoder),
    AwsEvents(AwsEventDecoder),
    /// A provider that ignored that a stream was wanted sends one JSON document.
    Whole(Vec<u8>),
}

/// What came is not the provider's protocol.
struct NotUnderstood;

const WHOLE_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Answer {
    pub(super) fn new(response: reqwest::Response, framing: Framing, decoder: Decoder) -> Self {
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let form = match framing {
            Framing::Events if content_type.starts_with("application/json") => Form::Whole(Vec::new()),
            Framing::Events => Form::Events(SseDecoder::default()),
            Framing::Lines => Form::Lines(LineDecoder::default()),
            Framing::AwsEvents => Form::AwsEvents(AwsEventDecoder::default()),
        };
        Self {
            limits: rate_limit::buckets(header(response.headers()), clock::now().datetime()),
            body: Box::pin(response.bytes_stream()),
            form,
            decoder,
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

    /// Waits for the first event that says something; a failure after what only introduces an answer is one before it.
    pub(super) async fn fill(&mut self) -> Result<(), Failed> {
        let said = |error| Failed {
            error,
            status: Some(200),
            is_left: false,
            limits: Vec::new(),
        };
        while !self.ended && self.ready.iter().all(Decoded::is_preamble) {
            let filled = std::future::poll_fn(|cx| self.poll_fill(cx)).await;
            filled.map_err(said)?;
        }
        match self.ready.iter().find(|decoded| !decoded.is_preamble()) {
            Some(Decoded { error: Some(error), .. }) => Err(said(error.clone())),
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
        let understood = match read {
            Some(Ok(bytes)) => self.take(&bytes),
            Some(Err(_)) => Err(NotUnderstood),
            None => {
                self.ended = true;
                self.take_rest()
            }
        };
        Poll::Ready(understood.map_err(|NotUnderstood| broken()))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), NotUnderstood> {
        let (decoder, ready) = (&mut self.decoder, &mut self.ready);
        match &mut self.form {
            Form::Whole(whole) if whole.len() + bytes.len() > WHOLE_BYTES_MAX => return Err(NotUnderstood),
            Form::Whole(whole) => whole.extend_from_slice(bytes),
            Form::Events(events) => {
                events.push(bytes);
                while let Some(event) = events.next_event()? {
                    decoder.event(event.name.as_deref(), &event.data, ready)?;
                }
            }
            Form::Lines(lines) => {
                lines.push(bytes);
                while let Some(line) = lines.next_line()? {
                    decoder.event(None, &line, ready)?;
                }
            }
            Form::AwsEvents(events) => {
                events.push(bytes);
                while let Some(event) = events.next_event()? {
                    decoder.event(event.name.as_deref(), &event.data, ready)?;
                }
            }
        }
        Ok(())
    }

    /// What has no end of its own but the connection's.
    fn take_rest(&mut self) -> Result<(), NotUnderstood> {
        match &mut self.form {
            Form::Whole(whole) => {
                let whole = Bytes::from(std::mem::take(whole));
                self.decoder.whole(&whole, &mut self.ready)?;
            }
            Form::Lines(lines) => {
                if let Some(line) = lines.rest() {
                    self.decoder.event(None, &line, &mut self.ready)?;
                }
            }
            Form::Events(_) | Form::AwsEvents(_) => {}
        }
        Ok(())
    }
}

impl<E: std::error::Error> From<E> for NotUnderstood {
    fn from(_: E) -> Self {
        Self
    }
}
