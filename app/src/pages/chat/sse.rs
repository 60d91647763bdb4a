//! Server-sent events from text that arrives in pieces, as the chat API sends them.

/// Splits a stream into events. Comments and unknown fields are dropped.
#[derive(Debug, Default)]
pub struct Reader {
    /// What followed the last complete line.
    rest: String,
    data: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The data of one event.
    Data(String),
    /// `[DONE]`: nothing follows.
    Done,
}

impl Reader {
    /// Takes the next piece and gives the events it completes.
    pub fn feed(&mut self, piece: &str) -> Vec<Event> {
        self.rest.push_str(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            self.line(line.trim_end_matches(['\n', '\r']), &mut events);
        }
        events
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) {
        if line.is_empty() {
            if !self.data.is_empty() {
                let data = std::mem::take(&mut self.data).join("\n");
                events.push(if data == "[DONE]" {
                    Event::Done
                } else {
                    Event::Data(data)
                });
            }
        } else if let Some(data) = line.strip_prefix("data:") {
            self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": still working\n\ndata: {\"a\":1}\r\n\r\nevent: error\ndata: {\"error\":\ndata: 2}\n\ndata:[DONE]\n\n";

    fn expected() -> Vec<Event> {
        vec![
            Event::Data("{\"a\":1}".to_owned()),
            Event::Data("{\"error\":\n2}".to_owned()),
            Event::Done,
        ]
    }

    #[test]
    fn every_split_gives_the_same_events() {
        for at in 0..=STREAM.len() {
            let (head, tail) = STREAM.split_at(at);
            let mut reader = Reader::default();
            let mut events = reader.feed(head);
            events.extend(reader.feed(tail));
            assert_eq!(events, expected(), "split at {at}");
        }
    }

    #[test]
    fn an_unfinished_event_is_not_given() {
        assert_eq!(Reader::default().feed("data: {\"a\":1}\n"), []);
    }
}
