//! How streams are cut into events: the same events, however the bytes arrive.

use bytes::Bytes;
use gateway::lines::LineDecoder;
use gateway::sse::{SseDecoder, SseEvent};

pub fn sse(data: &[u8]) {
    let whole = sse_events(std::iter::once(data));
    assert_eq!(sse_events(pieces(data)), whole);
    let bytes: usize = whole.iter().map(|event| event.data.len()).sum();
    assert!(bytes <= data.len(), "an event holds more than was sent");
}

pub fn lines(data: &[u8]) {
    let whole = lines_of(std::iter::once(data));
    assert_eq!(lines_of(pieces(data)), whole);
    assert!(
        whole
            .iter()
            .all(|line| !line.trim_ascii().is_empty() && !line.contains(&b'\n'))
    );
}

pub(crate) fn sse_events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(event)) = decoder.next_event() {
            events.push(event);
        }
    }
    events
}

pub(crate) fn lines_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let mut decoder = LineDecoder::default();
    let mut lines = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Ok(Some(line)) = decoder.next_line() {
            lines.push(line);
        }
    }
    lines.extend(decoder.rest());
    lines
}

/// The input in pieces as it may arrive, their size told by its last byte: a seed needs nothing in front of it.
pub(crate) fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let size = usize::from(data.last().copied().unwrap_or_default());
    data.chunks(size % 16 + 1)
}
