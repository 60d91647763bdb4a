//! A provider's answer together with the generation it is counted for; settled by the provider's cancel policy when the
//! caller goes away.

use crate::error::ApiError;
use crate::settlement::{OpenGeneration, Taken};
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
    /// Its caller is gone, and it is followed to the end.
    is_followed: bool,
}

/// An exchange that has not begun: attempts at one endpoint after the other.
pub struct Starting {
    attempts: Option<Pin<Box<dyn Future<Output = Result<Exchange, ApiError>> + Send>>>,
    waiting: Arc<Waiting>,
    taken: Taken,
    background: Background,
}

/// Between the attempts and who waits for them.
#[derive(Default)]
pub struct Waiting {
    /// The provider being asked right now bills although nobody waits.
    pub bills_on: AtomicBool,
    /// Nobody waits any more: no further endpoint is asked.
    pub gone: AtomicBool,
}

/// How long an answer that nobody reads any more is followed to learn what it costs.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);
/// The same when only its usage is to come.
const USAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a provider is waited for to say that it has a request nobody waits for any more.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

impl Background {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Detached on purpose: the tracker is what waits for it.
        drop(self.tasks.spawn_on(task, &self.runtime));
    }

    fn spawn_blocking(&self, task: impl FnOnce() + Send + 'static) {
        // As above.
        drop(self.tasks.spawn_blocking_on(task, &self.runtime));
    }
}

impl Exchange {
    pub fn new(answer: Answer, open: OpenGeneration, policy: CancelPolicy, background: Background) -> Self {
        Self {
            answer: Some(answer),
            open,
            policy,
            background,
            is_followed: false,
        }
    }

    pub fn open(&self) -> &OpenGeneration {
        &self.open
    }

    /// See [`OpenGeneration::checkpoint`].
    pub fn checkpoint(&mut self) {
        self.open.checkpoint();
    }

    /// The next event, counted.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Decoded, UpstreamError>>> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(None);
        };
        Poll::Ready(match ready!(answer.poll_next(cx)) {
            Some(Ok(decoded)) => {
                self.open.observe(&decoded);
                Some(Ok(decoded))
            }
            // What breaks after the answer is whole takes nothing of it away.
            Some(Err(_)) if self.open.is_answered() => None,
            other => other,
        })
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
/// the end, so the answer is followed to the end to charge exactly that; and so is one that only lacks its usage.
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_followed {
            return;
        }
        let Some(answer) = self.answer.take() else { return };
        let timeout = match self.policy {
            CancelPolicy::Stops if self.open.is_answered() => USAGE_TIMEOUT,
            CancelPolicy::Stops => {
                // The connection first: what the provider produces until it notices is paid for. Counting what came
                // without usage takes a while and must not keep anybody waiting.
                drop(answer);
                let open = self.open.take();
                self.background.spawn_blocking(move || drop(open));
                return;
            }
            CancelPolicy::BillsToEnd | CancelPolicy::Unknown => DRAIN_TIMEOUT,
        };
        let rest = Self {
            answer: Some(answer),
            open: self.open.take(),
            policy: self.policy,
            background: self.background.clone(),
            is_followed: true,
        };
        self.background.spawn(drain(rest, timeout));
    }
}

impl Starting {
    pub fn new(
        attempts: impl Future<Output = Result<Exchange, ApiError>> + Send + 'static,
        waiting: Arc<Waiting>,
        taken: Taken,
        background: Background,
    ) -> Self {
        Self {
            attempts: Some(Box::pin(attempts)),
            waiting,
            taken,
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
        self.waiting.gone.store(true, Ordering::Release);
        let Some(attempts) = self.attempts.take() else { return };
        if self.waiting.bills_on.load(Ordering::Acquire) {
            // Dropping the exchange it ends in drains that.
            self.background.spawn(async move { drop(attempts.await) });
        } else if self.taken.is_unanswered() {
            // Whether the provider has it, and so whether its caller pays, is known when it begins to answer. To close the
            // connection at once would let anybody spend the house's money on long prompts.
            self.background.spawn(async move {
                // Without an answer in time it ends as what nobody knows about.
                let _unknown = tokio::time::timeout(HEAD_TIMEOUT, attempts).await;
            });
        }
    }
}

impl Waiting {
    /// Whether nobody waits any more and the provider stops when it is left.
    pub fn is_over(&self) -> bool {
        self.gone.load(Ordering::Acquire) && !self.bills_on.load(Ordering::Acquire)
    }
}

/// A provider that fails while it is followed has failed, whoever was still there.
async fn drain(mut rest: Exchange, timeout: Duration) {
    let followed = async {
        loop {
            match rest.next().await {
                Some(Ok(_)) => rest.checkpoint(),
                None if rest.open.is_complete() => return Outcome::Cancelled,
                None | Some(Err(_)) => return Outcome::Failed,
            }
        }
    };
    let outcome = tokio::time::timeout(timeout, followed).await.unwrap_or_else(|_| {
        tracing::warn!(
            generation.id = rest.open.envelope.id,
            "an abandoned answer was not followed to its end"
        );
        Outcome::Cancelled
    });
    rest.finish(outcome);
}
