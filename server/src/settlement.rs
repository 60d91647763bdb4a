//! From the end of a generation to the store: reported exactly once, journalled, then written in batches off the hot path.

use crate::allowance::{Allowances, Hold};
use crate::error::ApiError;
use crate::journal::{Journal, Leftover, Record, Slot};
use crate::lessons::Lessons;
use crate::seats::Seat;
use domain::error_type::ErrorType;
use domain::generation::{Attempt, Generation, Outcome};
use domain::id::NodeId;
use domain::money::NanoUsd;
use domain::usage::Usage;
use gateway::calibration::Calibration;
use gateway::chunk::Envelope;
use gateway::estimate::Prompt;
use gateway::meter::Meter;
use gateway::openai::Decoded;
use gateway::route::Candidate;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::{mpsc, watch};

mod writer;

use writer::Writer;
pub use writer::write;

/// Where finished generations go.
pub struct Settlements {
    sender: mpsc::Sender<Generation>,
    submitted: Arc<AtomicU64>,
    settled: watch::Receiver<u64>,
}

/// Room for one outcome, reserved before anything is spent: sending from `Drop` cannot wait or fail.
pub struct Place {
    permit: mpsc::OwnedPermit<Generation>,
    submitted: Arc<AtomicU64>,
}

/// A generation under way. Ends once: by [`OpenGeneration::finish`], or as cancelled when it is dropped.
pub struct OpenGeneration {
    /// Taken when it ends.
    open: Option<Open>,
    pub envelope: Envelope,
}

struct Open {
    generation: Generation,
    meter: Meter,
    started: Instant,
    /// Completions asked for, and how many of them have their finish reason.
    choices: u64,
    finished: u64,
    taken: Taken,
    hold: Hold,
    /// Free again when the generation is over.
    _seat: Seat,
    covered: Covered,
    calibration: Arc<Calibration>,
    place: Place,
    slot: Slot,
    room: Room,
}

/// How far a request has come at the provider that is being asked.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<AtomicU8>);

const NOT_TAKEN: u8 = 0;
/// On its way over a connection that is there: the provider may have begun to work, and nobody knows.
const SENT: u8 = 1;
/// The provider has begun to answer: from then on it bills, and its caller pays.
const ACCEPTED: u8 = 2;

/// Counts up to which the hold is known to suffice.
#[derive(Clone, Copy, Default)]
struct Covered {
    prompt: u64,
    completion: u64,
}

/// What a generation needs of the process to end in.
#[derive(Clone)]
pub struct Room {
    pub journal: Arc<Journal>,
    pub lessons: Lessons,
}

/// What a generation begins with.
pub struct Beginning {
    pub generation: Generation,
    /// Display name of the provider.
    pub provider: String,
    pub prompt: Prompt,
    pub choices: u64,
    pub hold: Hold,
    pub seat: Seat,
    pub place: Place,
}

/// Outcomes waiting for the store. When they are this many, new requests are refused before anything could be lost.
const QUEUE_MAX: usize = 20_000;
const RESERVE_WAIT: Duration = Duration::from_secs(1);
const BUSY_RETRY_SECS: u64 = 2;
/// More than one answer in this many without usage is worth a warning.
const MISSING_PART: u64 = 1_000;

impl Settlements {
    /// The queue and the task that empties it into `store`; the task ends when everyone who could send is gone.
    pub fn new(
        store: Store,
        node: NodeId,
        journal: Arc<Journal>,
        allowances: Arc<Allowances>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let (progress, settled) = watch::channel(0);
        let writer = Writer {
            store,
            node,
            journal,
            allowances,
        };
        (
            Self {
                sender,
                submitted: Arc::default(),
                settled,
            },
            writer.run(receiver, progress),
        )
    }

    /// Reserves room for one outcome.
    pub async fn reserve(&self) -> Result<Place, ApiError> {
        let reserved = tokio::time::timeout(RESERVE_WAIT, self.sender.clone().reserve_owned()).await;
        let permit = reserved.ok().and_then(Result::ok).ok_or_else(|| {
            ApiError::new(
                ErrorType::ServiceUnavailable,
                "Too many requests wait to be settled. Try again shortly.",
            )
            .retry_after_secs(BUSY_RETRY_SECS)
        })?;
        Ok(Place {
            permit,
            submitted: Arc::clone(&self.submitted),
        })
    }

    /// Whether no generation is under way or waits to be settled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }

    /// Resolves when everything submitted so far is in the store.
    pub async fn settled(&self) {
        let target = self.submitted.load(Ordering::Acquire);
        // An error means that the writer has ended, after writing everything.
        let mut settled = self.settled.clone();
        let _ended = settled.wait_for(|settled| *settled >= target).await;
    }
}

impl OpenGeneration {
    /// Begins a generation at its first candidate.
    pub fn new(beginning: Beginning, room: Room) -> Self {
        let Beginning {
            generation,
            provider,
            prompt,
            choices,
            hold,
            seat,
            place,
        } = beginning;
        let envelope = Envelope {
            id: generation.id.to_string(),
            created: generation.created.seconds(),
            model: generation.model.to_string(),
            provider,
        };
        let open = Open {
            meter: Meter::new(prompt),
            started: Instant::now(),
            choices,
            finished: 0,
            taken: Taken::default(),
            hold,
            _seat: seat,
            covered: Covered::default(),
            calibration: Arc::default(),
            place,
            slot: room.journal.progress.slot(generation.id.clone()),
            room,
            generation,
        };
        Self {
            open: Some(open),
            envelope,
        }
    }

    /// Turns to an endpoint, which counts tokens by `calibration`, and journals the intent. Call before the request
    /// leaves; whoever sends it says through the result when the provider has it.
    pub async fn intend(&mut self, candidate: &Candidate, calibration: Arc<Calibration>) -> io::Result<Taken> {
        let Some(open) = &mut self.open else {
            return Ok(Taken::default());
        };
        open.taken.clear();
        open.calibration = calibration;
        open.generation.model = candidate.model.slug.clone();
        open.generation.endpoint.clone_from(&candidate.endpoint.id);
        open.generation.provider.clone_from(&candidate.provider.slug);
        open.generation.prices = candidate.endpoint.prices.clone();
        self.envelope.model = candidate.model.slug.to_string();
        self.envelope.provider.clone_from(&candidate.provider.name);
        open.covered = Covered::by(open.hold.amount(), &open.generation, &open.meter.so_far());
        let record = Record::Intent(&open.generation);
        open.room.journal.append_durably(record).await?;
        Ok(open.taken.clone())
    }

    /// How far it has come at the provider that is being asked.
    pub fn taken(&self) -> Taken {
        self.open.as_ref().map(|open| open.taken.clone()).unwrap_or_default()
    }

    /// How much is held for it.
    pub fn held(&self) -> NanoUsd {
        self.open.as_ref().map_or(NanoUsd::ZERO, |open| open.hold.amount())
    }

    pub fn attempted(&mut self, attempt: Attempt) {
        if let Some(open) = &mut self.open {
            open.generation.attempts.push(attempt);
        }
    }

    pub fn attempts(&self) -> &[Attempt] {
        self.open.as_ref().map_or(&[], |open| &open.generation.attempts)
    }

    /// Counts what the provider sent.
    pub fn observe(&mut self, decoded: &Decoded) {
        let Some(open) = &mut self.open else { return };
        for piece in &decoded.choices {
            if piece.text_bytes > 0 {
                open.meter.delta(piece.text_bytes, &piece.text, piece.is_reasoning);
                let elapsed = micros(open.started);
                open.generation.first_token_us.get_or_insert(elapsed);
            }
            if let Some(native) = &piece.native_finish_reason {
                open.finished += 1;
                open.generation.finish_reason = piece.finish_reason().map(str::to_owned);
                open.generation.native_finish_reason = Some(native.clone());
            }
        }
        if let Some(progress) = decoded.progress {
            open.meter.progress(progress);
        }
        if let Some(usage) = decoded.usage {
            // Beside text that goes on, it is a report of how far the answer has come.
            if decoded.choices.is_empty() || decoded.whole || open.finished > 0 {
                open.meter.usage(usage);
            } else {
                open.meter.progress(usage);
            }
        }
        if open.generation.upstream_id.is_none() {
            open.generation.upstream_id.clone_from(&decoded.upstream_id);
        }
    }

    /// Writes how far the answer has come where it survives the process, and sets more money aside when that costs more
    /// than is held. Call before the bytes go to the caller.
    pub fn checkpoint(&mut self) {
        let Some(open) = &mut self.open else { return };
        let usage = open.meter.so_far();
        if let Err(error) = open.slot.write(&usage) {
            tracing::error!(error.cause = %error, "progress cannot be written");
        }
        open.cover(&usage);
    }

    /// Moves it to another owner; what stays behind has ended.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self {
            open: self.open.take(),
            envelope: self.envelope.clone(),
        }
    }

    /// Whether the provider said how it ended, or what it bills.
    pub fn is_complete(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.generation.finish_reason.is_some() || open.meter.is_final())
    }

    /// Whether every completion asked for has its finish reason: only usage can follow, and nothing more is produced.
    pub fn is_answered(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.finished >= open.choices)
    }

    /// Ends the generation: computes the charge, journals it, resolves the hold and queues it for the store.
    /// Returns the generation as settled; `None` when it had ended before.
    pub fn finish(&mut self, outcome: Outcome) -> Option<Generation> {
        let Open {
            mut generation,
            meter,
            started,
            taken,
            hold,
            calibration,
            place,
            slot,
            room,
            ..
        } = self.open.take()?;
        generation.duration_us = micros(started);
        settle(&mut generation, &meter, outcome, &taken, &calibration);
        if let Err(error) = room.journal.append(Record::Settlement(&generation)) {
            // The intent and the slot are still there: a restart settles from them.
            tracing::error!(error.cause = %error, generation.id = %generation.id, "the settlement cannot be journalled");
        }
        hold.spend(generation.cost);
        place.send(generation.clone());
        drop(slot);
        compare(&generation, meter, &calibration, &room.lessons);
        Some(generation)
    }
}

impl Open {
    fn cover(&mut self, usage: &Usage) {
        if usage.prompt <= self.covered.prompt && usage.completion <= self.covered.completion {
            return;
        }
        self.hold.cover(self.generation.prices.cost(usage).total);
        self.covered = Covered::by(self.hold.amount(), &self.generation, usage);
    }
}

impl Covered {
    fn by(held: NanoUsd, generation: &Generation, usage: &Usage) -> Self {
        let completion = generation.prices.affordable_completion(usage.prompt, held);
        Self {
            prompt: usage.prompt,
            completion: completion.unwrap_or(u64::MAX),
        }
    }
}

impl Taken {
    /// The request is on its way to the provider.
    pub fn sent(&self) {
        self.0.store(SENT, Ordering::Release);
    }

    /// The provider has begun to answer.
    pub fn accepted(&self) {
        self.0.store(ACCEPTED, Ordering::Release);
    }

    /// The provider refused it, or broke before it answered.
    pub fn clear(&self) {
        self.0.store(NOT_TAKEN, Ordering::Release);
    }

    /// Whether it was sent and nothing is known of it since.
    pub fn is_unanswered(&self) -> bool {
        self.0.load(Ordering::Acquire) == SENT
    }
}

impl Drop for OpenGeneration {
    fn drop(&mut self) {
        self.finish(Outcome::Cancelled);
    }
}

impl Place {
    fn send(self, generation: Generation) {
        // Counted first, so that whoever asks now waits for this one.
        self.submitted.fetch_add(1, Ordering::AcqRel);
        self.permit.send(generation);
    }
}

/// What a dead process left, as it is to be settled. An answer that had begun is charged up to where its slot says; a
/// request without any sign of an answer costs the caller nothing.
pub fn recovered(leftover: Leftover, journal: &Journal) -> io::Result<Vec<Generation>> {
    let progress = journal.progress.read()?;
    let mut generations = leftover.settled;
    for mut generation in leftover.unfinished {
        match progress.get(&generation.id) {
            // Without a stream the caller received nothing, so the house bears what the provider did.
            Some(usage) if !generation.streamed => {
                generation.outcome = Outcome::Failed;
                generation.house_cost = generation.prices.cost(usage).total;
                generation.usage = *usage;
                generation.estimated = true;
                generation.finish_reason = Some("error".to_owned());
            }
            Some(usage) => {
                generation.usage = *usage;
                generation.estimated = true;
                generation.outcome = Outcome::Recovered;
                generation.cost = generation.prices.cost(usage).total;
            }
            None => {
                generation.outcome = Outcome::Failed;
                generation.house_cost = generation.prices.cost(&generation.usage).total;
                generation.finish_reason = Some("error".to_owned());
            }
        }
        generations.push(generation);
    }
    Ok(generations)
}

/// Decides what is charged to whom. What was sent and never answered may be billed and may not: its caller pays nothing
/// without evidence, and the house sets the prompt's price aside.
fn settle(generation: &mut Generation, meter: &Meter, outcome: Outcome, taken: &Taken, calibration: &Calibration) {
    let taken = taken.0.load(Ordering::Acquire);
    let may_bill = taken != NOT_TAKEN;
    let usage = if may_bill {
        meter.settled(calibration)
    } else {
        Usage::default()
    };
    let is_empty = usage.completion == 0 && generation.finish_reason.is_none();
    let is_error = generation.finish_reason.as_deref() == Some("error");
    generation.outcome = match outcome {
        Outcome::Completed if is_error => Outcome::Failed,
        Outcome::Completed if is_empty => Outcome::Empty,
        Outcome::Cancelled if taken != ACCEPTED => Outcome::Empty,
        outcome => outcome,
    };
    generation.usage = usage;
    generation.estimated = may_bill && meter.is_estimated();
    let price = if may_bill {
        generation.prices.cost(&usage).total
    } else {
        NanoUsd::ZERO
    };
    let charged = generation.outcome.is_charged();
    generation.cost = if charged { price } else { NanoUsd::ZERO };
    generation.house_cost = if charged { NanoUsd::ZERO } else { price };
    if generation.outcome == Outcome::Failed {
        generation.finish_reason = Some("error".to_owned());
    }
}

/// Learns from an answer whose usage arrived, and says when an endpoint too often leaves it out.
fn compare(generation: &Generation, meter: Meter, calibration: &Arc<Calibration>, lessons: &Lessons) {
    if generation.outcome != Outcome::Completed {
        return;
    }
    if meter.is_final() {
        if calibration.answered()
            && let Some(lesson) = meter.lesson()
        {
            lessons.give(lesson, calibration);
        }
        return;
    }
    let (missing, answers) = calibration.missed();
    if missing.is_power_of_two() && missing.saturating_mul(MISSING_PART) > answers {
        tracing::warn!(
            endpoint = generation.endpoint,
            endpoint.missing = missing,
            endpoint.answers = answers,
            "an endpoint leaves out what it used; its charges are estimates"
        );
    }
}

fn micros(started: Instant) -> i64 {
    i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX)
}
