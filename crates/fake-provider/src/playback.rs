//! Steps, played at their time into a response body.

use crate::answer::Step;
use crate::tally::{OpenBill, Outcome};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Plays `steps`; tokens are on the bill when their bytes are handed over, and dropping the stream is a hang-up.
pub(crate) fn play(steps: Vec<Step>, bill: OpenBill) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let playback = Playback {
        steps: steps.into(),
        bill,
        due: Instant::now(),
        outcome: Outcome::Finished,
    };
    stream::unfold(playback, |mut playback| async move {
        let item = playback.next().await?;
        Some((item, playback))
    })
}

struct Playback {
    steps: VecDeque<Step>,
    bill: OpenBill,
    /// Waits are counted from the beginning, so that a late wake-up does not slow the whole stream.
    due: Instant,
    outcome: Outcome,
}

/// Bytes handed over just before a cut must have left, or the cut would come earlier than planned.
const FLUSH: Duration = Duration::from_millis(20);

impl Playback {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Wait(time) => {
                    self.due += time;
                    tokio::time::sleep_until(self.due).await;
                }
                Step::Send { bytes, tokens } => {
                    self.bill.produced(tokens);
                    if self.steps.is_empty() {
                        self.bill.close(self.outcome);
                    }
                    return Some(Ok(bytes));
                }
                Step::Hang => std::future::pending().await,
                Step::Fail => self.outcome = Outcome::Failed,
                Step::Cut => {
                    tokio::time::sleep(FLUSH).await;
                    self.bill.close(Outcome::Failed);
                    return Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
                }
            }
        }
        self.bill.close(self.outcome);
        None
    }
}
