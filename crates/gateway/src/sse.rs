//! Incremental decoder of server-sent events (WHATWG HTML, section 9.2.6): bytes in at any split, events out.

use bytes::Bytes;

/// One event. Comments, ids and retry hints are not events and are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event:` field, when there was one.
    pub name: Option<String>,
    /// All `data:` lines, joined by line feeds.
    pub data: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLarge;

/// Large enough for an image in base64, small enough to bound memory.
pub const EVENT_BYTES_MAX: usize = 32 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct SseDecoder {
    /// Bytes not yet decoded, from `start` on.
    pending: Vec<u8>,
    start: usize,
    /// How far `pending` was searched for a line end, so that no byte is looked at twice.
    searched: usize,
    name: Option<String>,
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended in CR: a following LF belongs to it.
    after_cr: bool,
    begun: bool,
}

impl SseDecoder {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.pending.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The next complete event, or `None` until more bytes are pushed.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, EventTooLarge> {
        while let Some((from, to)) = self.next_line() {
            if from == to {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(from, to);
            }
            if self.data.len() > EVENT_BYTES_MAX {
                return Err(EventTooLarge);
            }
        }
        if self.pending.len() - self.start > EVENT_BYTES_MAX {
            Err(EventTooLarge)
        } else {
            Ok(None)
        }
    }

    /// Bounds of the next line without its end, consumed.
    fn next_line(&mut self) -> Option<(usize, usize)> {
        if self.after_cr && self.start < self.pending.len() {
            self.after_cr = false;
            if self.pending[self.start] == b'\n' {
                self.start += 1;
                self.searched = self.searched.max(self.start);
            }
        }
        if !self.begun && !self.skip_byte_order_mark() {
            return None;
        }
        let found = self.pending[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n' || *byte == b'\r');
        let Some(found) = found else {
            self.searched = self.pending.len();
            return None;
        };
        let (from, to) = (self.start, self.searched + found);
        self.after_cr = self.pending[to] == b'\r';
        self.start = to + 1;
        self.searched = self.start;
        Some((from, to))
    }

    /// False while it can't yet be told whether the stream begins with a byte order mark.
    fn skip_byte_order_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let head = &self.pending[self.start..];
        if head.is_empty() || (head.len() < MARK.len() && MARK.starts_with(head)) {
            return false;
        }
        if head.starts_with(MARK) {
            self.start += MARK.len();
            self.searched = self.start;
        }
        self.begun = true;
        true
    }

    fn field(&mut self, from: usize, to: usize) {
        let line = &self.pending[from..to];
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = self.name.take();
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        Some(SseEvent {
            name,
            data: Bytes::from(std::mem::take(&mut self.data)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push((event.name, String::from_utf8(event.data.to_vec()).unwrap()));
            }
        }
        events
    }

    /// Whole, in two at every place, and byte by byte: the events must be the same.
    fn check(stream: &[u8], expected: &[(Option<&str>, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, data)| (name.map(str::to_owned), (*data).to_owned()))
            .collect();
        assert_eq!(decode(&[stream]), expected);
        for split in 0..=stream.len() {
            let (head, tail) = stream.split_at(split);
            assert_eq!(decode(&[head, tail]), expected, "split at {split}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes), expected, "byte by byte");
    }

    #[test]
    fn events_end_at_blank_lines_of_any_kind() {
        check(
            b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n",
            &[(None, "a"), (None, "b"), (None, "c"), (None, "d")],
        );
    }

    #[test]
    fn names_comments_and_several_data_lines() {
        check(
            b": keep-alive\n\nevent: delta\ndata: one\ndata:two\nid: 7\n\ndata\n\n",
            &[(Some("delta"), "one\ntwo"), (None, "")],
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_text_may_be_cut_anywhere() {
        check("\u{feff}data: grüß 🌍\n\n".as_bytes(), &[(None, "grüß 🌍")]);
    }

    #[test]
    fn an_unfinished_event_is_not_delivered() {
        check(b"data: a\n\ndata: b\n", &[(None, "a")]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = SseDecoder::default();
        decoder.push(&vec![b'x'; EVENT_BYTES_MAX + 1]);
        assert_eq!(decoder.next_event(), Err(EventTooLarge));
    }
}
