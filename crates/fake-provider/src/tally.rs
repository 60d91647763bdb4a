//! What was asked, what was produced, and what it would cost.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Everything billed so far, in the order requests came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub bills: Vec<Bill>,
}

/// What one request used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// 0 for the first request.
    pub request: usize,
    /// The id in the answer; tests find a generation's bill by it.
    pub id: String,
    pub model: String,
    pub streamed: bool,
    pub outcome: Outcome,
    pub prompt_tokens: u64,
    /// Part of `prompt_tokens`.
    pub cached_tokens: u64,
    /// Handed to the socket so far, with reasoning and tool arguments.
    pub produced_tokens: u64,
    /// Of the whole answer.
    pub planned_tokens: u64,
    /// What would be billed.
    pub billed_prompt_tokens: u64,
    pub billed_completion_tokens: u64,
    /// Milliseconds from the request's arrival to the caller's hang-up.
    pub hang_up_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Running,
    /// Everything planned was handed to the socket.
    Finished,
    /// The caller hung up.
    Cancelled,
    /// An error event or a cut ended it, as scripted.
    Failed,
    /// An error status, nothing produced, nothing billed.
    Refused,
}

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// `Null` when it was not JSON.
    pub body: Value,
}

impl Tally {
    /// Requests that are being answered.
    #[must_use]
    pub fn running(&self) -> usize {
        self.bills
            .iter()
            .filter(|bill| bill.outcome == Outcome::Running)
            .count()
    }

    /// The bill of the answer with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Bill> {
        self.bills.iter().find(|bill| bill.id == id)
    }
}

impl Received {
    /// The first header of that name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    bills: Vec<Bill>,
    requests: Vec<Received>,
}

/// What an answer will take, known when it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) planned: u64,
    pub(crate) bills_to_end: bool,
}

/// An open bill. Dropped before it is closed, it records that the caller hung up.
#[derive(Debug)]
pub(crate) struct OpenBill {
    ledger: Arc<Ledger>,
    request: usize,
    since: Instant,
    bills_to_end: bool,
    closed: bool,
}

impl Ledger {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            bills: self.books().bills.clone(),
        }
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.books().requests.clone()
    }

    pub(crate) fn received(&self, request: Received) {
        self.books().requests.push(request);
    }

    pub(crate) fn open(self: &Arc<Self>, model: &str, streamed: bool, estimate: Estimate) -> OpenBill {
        let mut books = self.books();
        let request = books.bills.len();
        books.bills.push(Bill {
            request,
            id: answer_id(request),
            model: model.to_owned(),
            streamed,
            outcome: Outcome::Running,
            prompt_tokens: estimate.prompt,
            cached_tokens: estimate.cached,
            produced_tokens: 0,
            planned_tokens: estimate.planned,
            billed_prompt_tokens: 0,
            billed_completion_tokens: 0,
            hang_up_ms: None,
        });
        OpenBill {
            ledger: Arc::clone(self),
            request,
            since: Instant::now(),
            bills_to_end: estimate.bills_to_end,
            closed: false,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenBill {
    pub(crate) fn answer_id(&self) -> String {
        answer_id(self.request)
    }

    pub(crate) fn produced(&self, tokens: u64) {
        self.change(|bill| bill.produced_tokens = bill.produced_tokens.saturating_add(tokens));
    }

    pub(crate) fn close(&mut self, outcome: Outcome) {
        if self.closed {
            return;
        }
        self.closed = true;
        let to_end = self.bills_to_end && outcome == Outcome::Cancelled;
        let hang_up = (outcome == Outcome::Cancelled).then(|| millis_since(self.since));
        self.change(|bill| {
            bill.outcome = outcome;
            bill.hang_up_ms = hang_up;
            if outcome != Outcome::Refused {
                bill.billed_prompt_tokens = bill.prompt_tokens;
                bill.billed_completion_tokens = if to_end {
                    bill.planned_tokens
                } else {
                    bill.produced_tokens
                };
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Bill)) {
        if let Some(bill) = self.ledger.books().bills.get_mut(self.request) {
            change(bill);
        }
    }
}

impl Drop for OpenBill {
    fn drop(&mut self) {
        self.close(Outcome::Cancelled);
    }
}

fn answer_id(request: usize) -> String {
    format!("chatcmpl-fake-{request}")
}

fn millis_since(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
