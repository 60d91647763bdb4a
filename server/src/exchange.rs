//! A provider's answer together with the generation it is counted for; settled by the provider's cancel policy when the
//! caller goes away.

use crate::error::ApiError;
use crate::settlement::OpenGeneration;
use crate::upstream::Answer;
use domain::catalog::CancelPolicy;
use domain::generation::{Generation, Outcome};
use gateway::openai::Decoded;
use gateway::upstream_error::UpstreamError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Tasks that outlive the connection they began on, and that a shutdown waits for.
#[derive(Clone)]
pub struct Background {
    pub tasks: TaskTracker,
    pub runtime: Handle,
}

/// An answer being relayed.
pub struct Exchange {
    answer: Option<Answer>,
    open: OpenGeneration,
    policy: CancelPolicy,
    background: Background,
}

/// An exchange that has not begun: attempts at one endpoint after the other.
pub struct Starting {
    attempts: Option<Pin<Box<dyn Future<Output = Result<Exchange, ApiError>> + Send>>>,
    bills_on: Arc<AtomicBool>,
    background: Background,
}

/// How long an answer that nobody reads any more is followed to learn what it costs.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);

impl Background {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Detached on purpose: the tracker is what waits for it.
        drop(self.tasks.spawn_on(task, &self.runtime));
    }
}

impl Exchange {
    pub fn new(answer: Answer, open: OpenGeneration, policy: CancelPolicy, background: Background) -> Self {
        Self {
            answer: Some(answer),
            open,
            policy,
            background,
        }
    }

    pub fn open(&self) -> &OpenGeneration {
        &self.open
    }

    /// The next event, counted.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Decoded, UpstreamError>>> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(None);
        };
        let next = ready!(answer.poll_next(cx));
        if let Some(Ok(decoded)) = &next {
            self.open.observe(decoded);
        }
        Poll::Ready(next)
    }

    pub async fn next(&mut self) -> Option<Result<Decoded, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Ends it; `None` when it had ended before.
    pub fn finish(&mut self, outcome: Outcome) -> Option<Generation> {
        self.answer = None;
        self.open.finish(outcome)
    }
}

/// The caller hung up in the middle: closing the connection stops a provider whose policy is to stop. The others bill to
/// the end, so the answer is followed to the end to charge exactly that.
impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        if self.policy != CancelPolicy::Stops {
            let open = self.open.take();
            self.background.spawn(drain(answer, open));
        }
    }
}

impl Starting {
    /// `bills_on` says whether the provider being asked right now would bill although nobody waits.
    pub fn new(
        attempts: impl Future<Output = Result<Exchange, ApiError>> + Send + 'static,
        bills_on: Arc<AtomicBool>,
        background: Background,
    ) -> Self {
        Self {
            attempts: Some(Box::pin(attempts)),
            bills_on,
            background,
        }
    }
}

impl Future for Starting {
    type Output = Result<Exchange, ApiError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(attempts) = &mut self.attempts else {
            return Poll::Pending;
        };
        let started = ready!(attempts.as_mut().poll(cx));
        self.attempts = None;
        Poll::Ready(started)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(attempts) = self.attempts.take()
            && self.bills_on.load(Ordering::Acquire)
        {
            // Dropping the exchange it ends in drains that.
            self.background.spawn(async move { drop(attempts.await) });
        }
    }
}

async fn drain(mut answer: Answer, mut open: OpenGeneration) {
    let followed = async {
        while let Some(Ok(decoded)) = answer.next().await {
            open.observe(&decoded);
            open.checkpoint();
        }
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, followed).await.is_err() {
        tracing::warn!(generation.id = %open.envelope.id, "an abandoned answer was not followed to its end");
    }
    open.finish(Outcome::Cancelled);
}
