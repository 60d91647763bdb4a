//! How far each running answer has come, in fixed slots of one file: one small write before the bytes go to the caller,
//! so that after `kill -9` nothing the caller received is forgotten.
//!
//! Slot: CRC-32 (u32 LE) of the rest, payload length (u32 LE), payload (generation id, and counts apart by
//! spaces; counts of zero at the end are left out).

use domain::id::GenerationId;
use domain::usage::Usage;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub struct Progress {
    file: Arc<File>,
    slots: Arc<Mutex<Slots>>,
}

#[derive(Default)]
struct Slots {
    free: Vec<u64>,
    count: u64,
}

/// A running answer's place in the file; given back when dropped.
pub struct Slot {
    file: Arc<File>,
    slots: Arc<Mutex<Slots>>,
    number: u64,
    id: GenerationId,
}

const SLOT_BYTES: usize = 192;
const HEADER_BYTES: usize = 8;
/// How many counts usage has.
const COUNTS: usize = 15;

impl Progress {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        Ok(Self {
            file: Arc::new(file),
            slots: Arc::default(),
        })
    }

    /// What the slots of an earlier process say. Call before the first [`Progress::slot`].
    pub fn read(&self) -> io::Result<HashMap<GenerationId, Usage>> {
        let mut bytes = vec![0; usize::try_from(self.file.metadata()?.len()).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.chunks_exact(SLOT_BYTES).filter_map(decode).collect())
    }

    pub fn slot(&self, id: GenerationId) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let number = slots.free.pop().unwrap_or_else(|| {
            slots.count += 1;
            slots.count - 1
        });
        Slot {
            file: Arc::clone(&self.file),
            slots: Arc::clone(&self.slots),
            number,
            id,
        }
    }

    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

impl Slot {
    /// Records how far the answer has come.
    pub fn write(&self, usage: &Usage) -> io::Result<()> {
        let counts = counts(usage);
        let told = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let mut payload = self.id.to_string();
        for count in &counts[..told] {
            payload.push(' ');
            payload.push_str(&count.to_string());
        }
        let mut slot = [0; SLOT_BYTES];
        let Some(place) = slot.get_mut(HEADER_BYTES..HEADER_BYTES + payload.len()) else {
            return Err(io::Error::other("a progress record is too large for its slot"));
        };
        place.copy_from_slice(payload.as_bytes());
        let length = u32::try_from(payload.len()).unwrap_or(0);
        slot[4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        let sum = crc32fast::hash(&slot[4..]);
        slot[..4].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&slot, self.number * SLOT_BYTES as u64)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free
            .push(self.number);
    }
}

/// In the order of their likelihood, and of what earlier versions wrote.
fn counts(usage: &Usage) -> [u64; COUNTS] {
    [
        usage.prompt,
        usage.completion,
        usage.reasoning,
        usage.cache_read,
        usage.cache_write,
        usage.images,
        usage.cache_write_1h,
        usage.audio_in,
        usage.audio_out,
        usage.image_in,
        usage.image_out,
        usage.web_searches,
        usage.audio_ms,
        usage.characters,
        usage.search_units,
    ]
}

fn usage(counts: [u64; COUNTS]) -> Usage {
    let [
        prompt,
        completion,
        reasoning,
        cache_read,
        cache_write,
        images,
        cache_write_1h,
        audio_in,
        audio_out,
        image_in,
        image_out,
        web_searches,
        audio_ms,
        characters,
        search_units,
    ] = counts;
    Usage {
        prompt,
        completion,
        reasoning,
        cache_read,
        cache_write,
        images,
        cache_write_1h,
        audio_in,
        audio_out,
        image_in,
        image_out,
        web_searches,
        audio_ms,
        characters,
        search_units,
    }
}

fn decode(slot: &[u8]) -> Option<(GenerationId, Usage)> {
    let (sum, rest) = slot.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let mut words = std::str::from_utf8(payload).ok()?.split(' ');
    let id = GenerationId::stored(words.next()?);
    let mut counts = [0; COUNTS];
    for (count, word) in counts.iter_mut().zip(words) {
        *count = word.parse().ok()?;
    }
    Some((id, usage(counts)))
}
