//! Incremental decoder of line-delimited JSON: bytes in at any split, lines out.

use crate::sse::{EVENT_BYTES_MAX, EventTooLarge};
use bytes::Bytes;

#[derive(Debug, Default)]
pub struct LineDecoder {
    pending: Vec<u8>,
    start: usize,
    /// How far `pending` was searched for a line end.
    searched: usize,
}

impl LineDecoder {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// The next complete line that is not blank, or `None` until more bytes are pushed.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        while let Some(found) = self.pending[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + found;
            let line = self.pending[self.start..end].trim_ascii();
            let line = (!line.is_empty()).then(|| Bytes::copy_from_slice(line));
            self.start = end + 1;
            self.searched = self.start;
            if line.is_some() {
                return Ok(line);
            }
        }
        self.searched = self.pending.len();
        if self.pending.len() - self.start > EVENT_BYTES_MAX {
            Err(EventTooLarge)
        } else {
            Ok(None)
        }
    }

    /// A last line without its end, once the connection is closed.
    #[must_use]
    pub fn rest(&mut self) -> Option<Bytes> {
        let line = Bytes::copy_from_slice(self.pending[self.start..].trim_ascii());
        self.start = self.pending.len();
        self.searched = self.start;
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_at_every_split() {
        let stream = "{\"a\":\"é\"}\n\r\n{\"b\":1}\r\n{\"c\"".as_bytes();
        for split in 0..=stream.len() {
            let mut decoder = LineDecoder::default();
            let mut lines = Vec::new();
            for piece in [&stream[..split], &stream[split..]] {
                decoder.push(piece);
                while let Some(line) = decoder.next_line().unwrap() {
                    lines.push(line);
                }
            }
            lines.extend(decoder.rest());
            assert_eq!(lines, ["{\"a\":\"é\"}", "{\"b\":1}", "{\"c\""], "split at {split}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = LineDecoder::default();
        decoder.push(&vec![b'x'; EVENT_BYTES_MAX + 1]);
        assert_eq!(decoder.next_line(), Err(EventTooLarge));
    }
}
