//! The node's journal: what was promised to leave for a provider, and how it ended. Append-only files of checksummed
//! records, replayed at start, and a file of progress slots that survives the death of the process.
//!
//! Record: length (u32 LE), CRC-32 of the payload (u32 LE), payload (JSON). A torn tail ends the replay of its file.

use crate::config::Fsync;
use domain::generation::Generation;
use domain::id::GenerationId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

// Written out, because the bench compiles this file from its own folder.
#[path = "journal/progress.rs"]
mod progress;

pub use progress::{Progress, Slot};

/// A record of the journal; borrows what it is about to be written from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record<G = Generation> {
    /// Written before the request leaves: the generation as far as it is known.
    Intent(G),
    /// Written when it is over, whatever way.
    Settlement(G),
}

/// What a dead process left behind.
#[derive(Debug, Default)]
pub struct Leftover {
    /// Over, and perhaps not yet in the store.
    pub settled: Vec<Generation>,
    /// Begun, and not known to be over.
    pub unfinished: Vec<Generation>,
}

pub struct Journal {
    directory: PathBuf,
    active: Mutex<Active>,
    sync: Arc<Sync>,
    fsync: Fsync,
    pub progress: Progress,
}

struct Active {
    file: Arc<File>,
    number: u64,
    bytes: u64,
    /// Generations of each file that are not yet in the store; a file with none is deleted.
    open: BTreeMap<u64, usize>,
    home: HashMap<GenerationId, u64>,
}

/// Between those who append and the thread that forces to disk.
struct Sync {
    state: Mutex<SyncState>,
    wake: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct SyncState {
    appended: u64,
    synced: u64,
    /// Those written to since they were last forced to disk.
    files: Vec<Arc<File>>,
    waiting: Vec<(u64, tokio::sync::oneshot::Sender<()>)>,
}

const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Room for most records.
const RECORD_BYTES_USUAL: usize = 2_048;
const HEADER_BYTES: usize = 8;

impl Journal {
    /// Opens the journal in `directory` and reads what is left of an earlier process. Nothing is deleted until
    /// [`Journal::forget_leftover`].
    pub fn open(directory: &Path, fsync: Fsync) -> io::Result<(Self, Leftover)> {
        std::fs::create_dir_all(directory)?;
        let numbers = file_numbers(directory)?;
        let mut records = Vec::new();
        for number in &numbers {
            records.extend(read_records(&path(directory, *number))?);
        }
        let leftover = sort_out(records);
        let number = numbers.last().map_or(1, |last| last + 1);
        let file = Arc::new(create(directory, number)?);
        let sync = Arc::new(Sync {
            state: Mutex::default(),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        spawn_sync_thread(&sync, fsync)?;
        let active = Active {
            file,
            number,
            bytes: 0,
            open: BTreeMap::new(),
            home: HashMap::new(),
        };
        let progress = Progress::open(&directory.join("progress"))?;
        Ok((
            Self {
                directory: directory.to_owned(),
                active: Mutex::new(active),
                sync,
                fsync,
                progress,
            },
            leftover,
        ))
    }

    /// Appends, so that the record survives the death of the process. Resolves at once, or with `Fsync::Always` when it
    /// also survives a power cut.
    pub async fn append_durably(&self, record: Record<&Generation>) -> io::Result<()> {
        let sequence = self.append(record)?;
        if self.fsync == Fsync::Always {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            {
                let mut state = lock(&self.sync.state);
                if state.synced >= sequence {
                    return Ok(());
                }
                state.waiting.push((sequence, sender));
            }
            self.sync.wake.notify_one();
            receiver.await.map_err(|_| io::Error::other("the journal is closed"))?;
        }
        Ok(())
    }

    /// Appends; returns the record's number for waiting on. The write is one system call of a few microseconds.
    pub fn append(&self, record: Record<&Generation>) -> io::Result<u64> {
        let frame = encode(record)?;
        let mut active = lock(&self.active);
        if active.bytes > FILE_BYTES_MAX {
            active.rotate(&self.directory)?;
        }
        (&*active.file).write_all(&frame)?;
        active.bytes += frame.len() as u64;
        active.note(record);
        let mut state = lock(&self.sync.state);
        state.appended += 1;
        if !state.files.last().is_some_and(|last| Arc::ptr_eq(last, &active.file)) {
            state.files.push(Arc::clone(&active.file));
        }
        Ok(state.appended)
    }

    /// These generations are in the store: files that hold nothing else are deleted.
    pub fn forget(&self, generations: &[GenerationId]) {
        for number in lock(&self.active).forget(generations) {
            remove(&path(&self.directory, number));
        }
    }

    /// Deletes the current file too, if everything in it is in the store: the end of an orderly shutdown.
    pub fn close(&self) {
        let active = lock(&self.active);
        if active.home.is_empty() {
            remove(&path(&self.directory, active.number));
        }
    }

    /// Everything an earlier process left is in the store.
    pub fn forget_leftover(&self) -> io::Result<()> {
        let current = lock(&self.active).number;
        for number in file_numbers(&self.directory)?
            .into_iter()
            .filter(|number| *number < current)
        {
            remove(&path(&self.directory, number));
        }
        self.progress.clear()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.sync.stop.store(true, Ordering::Release);
        self.sync.wake.notify_one();
        let files = std::mem::take(&mut lock(&self.sync.state).files);
        if let Err(error) = force(&files) {
            tracing::error!(error.cause = %error, "the journal could not be forced to disk at the end");
        }
    }
}

impl Active {
    /// The file that is left goes to disk with the next turn of the thread for it: nobody waits here.
    fn rotate(&mut self, directory: &Path) -> io::Result<()> {
        self.number += 1;
        self.file = Arc::new(create(directory, self.number)?);
        self.bytes = 0;
        Ok(())
    }

    /// A generation is at home in the file of its first record.
    fn note(&mut self, record: Record<&Generation>) {
        let (Record::Intent(generation) | Record::Settlement(generation)) = record;
        if !self.home.contains_key(&generation.id) {
            self.home.insert(generation.id.clone(), self.number);
            *self.open.entry(self.number).or_default() += 1;
        }
    }

    /// Gives the files that are no longer needed.
    fn forget(&mut self, generations: &[GenerationId]) -> Vec<u64> {
        for id in generations {
            if let Some(number) = self.home.remove(id)
                && let Some(open) = self.open.get_mut(&number)
            {
                *open = open.saturating_sub(1);
            }
        }
        let current = self.number;
        let done = self
            .open
            .extract_if(.., |number, open| *number != current && *open == 0);
        done.map(|(number, _)| number).collect()
    }
}

/// Later records of a generation replace earlier ones; a settlement ends it.
fn sort_out(records: Vec<Record>) -> Leftover {
    let mut last: BTreeMap<GenerationId, Record> = BTreeMap::new();
    for record in records {
        let id = match &record {
            Record::Intent(generation) | Record::Settlement(generation) => generation.id.clone(),
        };
        let is_over = matches!(last.get(&id), Some(Record::Settlement(_)));
        if !is_over {
            last.insert(id, record);
        }
    }
    let mut leftover = Leftover::default();
    for record in last.into_values() {
        match record {
            Record::Intent(generation) => leftover.unfinished.push(generation),
            Record::Settlement(generation) => leftover.settled.push(generation),
        }
    }
    leftover
}

fn encode(record: Record<&Generation>) -> io::Result<Vec<u8>> {
    let mut frame = Vec::with_capacity(RECORD_BYTES_USUAL);
    frame.extend_from_slice(&[0; HEADER_BYTES]);
    serde_json::to_writer(&mut frame, &record)?;
    let length = frame.len() - HEADER_BYTES;
    let length = u32::try_from(length).ok().filter(|_| length <= RECORD_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a journal record is too large"))?;
    let sum = crc32fast::hash(&frame[HEADER_BYTES..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// The records of a file up to its end or to the first torn one.
fn read_records(path: &Path) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((record, tail)) = decode(rest) {
        records.push(record);
        rest = tail;
    }
    if !rest.is_empty() {
        tracing::warn!(journal.file = %path.display(), journal.bytes = rest.len(), "the journal ends in a torn record, which is left out");
    }
    Ok(records)
}

fn decode(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length))
        .ok()
        .filter(|length| *length <= RECORD_BYTES_MAX)?;
    let (payload, rest) = rest.split_at_checked(length)?;
    if crc32fast::hash(payload) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((serde_json::from_slice(payload).ok()?, rest))
}

/// Forces to disk at most once per interval, and at once for those who wait. A failure to do so ends the process: after
/// it nothing that was written can be trusted, and the journal is replayed from what the disk has.
fn spawn_sync_thread(sync: &Arc<Sync>, fsync: Fsync) -> io::Result<()> {
    let sync = Arc::clone(sync);
    let interval = match fsync {
        Fsync::Always => Duration::from_millis(2),
        Fsync::Interval(milliseconds) => Duration::from_millis(milliseconds.max(1)),
    };
    std::thread::Builder::new()
        .name("journal-sync".to_owned())
        .spawn(move || {
            while !sync.stop.load(Ordering::Acquire) {
                sync.turn(interval);
            }
        })?;
    Ok(())
}

impl Sync {
    fn turn(&self, interval: Duration) {
        let (files, upto) = {
            let state = lock(&self.state);
            let idle = state.waiting.is_empty();
            let mut state = if idle {
                self.wake
                    .wait_timeout(state, interval)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            } else {
                state
            };
            if state.appended == state.synced {
                return;
            }
            (std::mem::take(&mut state.files), state.appended)
        };
        if let Err(error) = force(&files) {
            tracing::error!(error.cause = %error, "the journal cannot be forced to disk; stopping, so that it is replayed");
            std::process::abort();
        }
        let mut state = lock(&self.state);
        state.synced = upto;
        let (done, waiting) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|(sequence, _)| *sequence <= upto);
        state.waiting = waiting;
        drop(state);
        let done: Vec<(u64, tokio::sync::oneshot::Sender<()>)> = done;
        for (_, waiter) in done {
            // A waiter that has gone needs no answer.
            let _gone = waiter.send(());
        }
    }
}

fn force(files: &[Arc<File>]) -> io::Result<()> {
    files.iter().try_for_each(|file| file.sync_data())
}

fn create(directory: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path(directory, number))
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.log"))
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(journal.file = %path.display(), error.cause = %error, "an old journal file could not be deleted");
    }
}

fn file_numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        numbers.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()),
        );
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
