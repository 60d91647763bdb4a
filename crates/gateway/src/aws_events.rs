//! Incremental decoder of AWS event streams: bytes in at any split, events out. Checksums are verified.

use crate::sse::{EVENT_BYTES_MAX, EventTooLarge, SseEvent};
use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::{Buf, BytesMut};

#[derive(Debug, Default)]
pub struct AwsEventDecoder {
    pending: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenFrame {
    #[error(transparent)]
    TooLarge(#[from] EventTooLarge),
    #[error("a frame is damaged")]
    Damaged,
}

/// Length and checksum of a frame's head, before anything of it is looked at.
const PRELUDE_BYTES: usize = 12;
const FRAME_BYTES_MIN: u32 = 16;

impl AwsEventDecoder {
    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next complete event, or `None` until more bytes are pushed. Its name is the event's or the exception's.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, BrokenFrame> {
        let Some(length) = self.frame_bytes()?.filter(|length| self.pending.len() >= *length) else {
            return Ok(None);
        };
        let frame = self.pending.split_to(length).freeze();
        let message = read_message_from(frame).map_err(|_| BrokenFrame::Damaged)?;
        Ok(Some(event(&message)))
    }

    /// How long the next frame is, once its head is there.
    fn frame_bytes(&self) -> Result<Option<usize>, BrokenFrame> {
        if self.pending.len() < PRELUDE_BYTES {
            return Ok(None);
        }
        let length = self.pending.as_ref().get_u32();
        if length < FRAME_BYTES_MIN {
            return Err(BrokenFrame::Damaged);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > EVENT_BYTES_MAX {
            return Err(EventTooLarge.into());
        }
        Ok(Some(length))
    }
}

fn event(message: &Message) -> SseEvent {
    let named = |wanted: &str| {
        let mut headers = message.headers().iter();
        let header = headers.find(|header| header.name().as_str() == wanted)?;
        Some(header.value().as_string().ok()?.as_str().to_owned())
    };
    SseEvent {
        name: named(":event-type")
            .or_else(|| named(":exception-type"))
            .or_else(|| named(":error-code")),
        data: message.payload().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};
    use bytes::Bytes;

    fn frame(kind: &'static str, name: &'static str, payload: &'static [u8]) -> Vec<u8> {
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let message = Message::new(Bytes::from_static(payload))
            .add_header(header(":message-type", "event"))
            .add_header(header(kind, name));
        let mut out = Vec::new();
        write_message_to(&message, &mut out).unwrap();
        out
    }

    #[test]
    fn events_are_found_at_every_split() {
        let stream = [
            frame(":event-type", "messageStart", br#"{"role":"assistant"}"#),
            frame(":event-type", "messageStop", b""),
            frame(":exception-type", "throttlingException", br#"{"message":"slow"}"#),
        ]
        .concat();
        for split in 0..=stream.len() {
            let mut decoder = AwsEventDecoder::default();
            let mut names = Vec::new();
            for piece in [&stream[..split], &stream[split..]] {
                decoder.push(piece);
                while let Some(event) = decoder.next_event().unwrap() {
                    names.push(event.name.unwrap());
                }
            }
            assert_eq!(
                names,
                ["messageStart", "messageStop", "throttlingException"],
                "split at {split}"
            );
        }
    }

    #[test]
    fn damage_is_noticed_and_nothing_endless_is_waited_for() {
        for at in 0..40 {
            let mut bytes = frame(":event-type", "messageStart", br#"{"role":"assistant"}"#);
            bytes[at] ^= 0x10;
            let mut decoder = AwsEventDecoder::default();
            decoder.push(&bytes);
            assert!(!matches!(decoder.next_event(), Ok(Some(_))), "byte {at}");
        }
        let mut decoder = AwsEventDecoder::default();
        decoder.push(&[0xff; 16]);
        assert_eq!(decoder.next_event(), Err(BrokenFrame::TooLarge(EventTooLarge)));
        let mut decoder = AwsEventDecoder::default();
        decoder.push(&[0; 16]);
        assert_eq!(decoder.next_event(), Err(BrokenFrame::Damaged));
    }
}
