//! An answer as blocks, one after the other, for APIs that tell it so: each begins, grows and ends before the next.

use super::said::{Said, said};
use crate::dialect::conversation::unquoted;
use crate::dialect::reasoning::Detail;
use crate::openai::Piece;
use serde::de::IgnoredAny;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    Refusal,
    Thinking,
    /// What was thought is in its details only.
    Redacted,
    Image {
        url: String,
    },
    Call {
        id: String,
        name: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub kind: Kind,
    /// What was said, thought, or given as arguments.
    pub text: String,
    /// Of a thought, without the texts that are in `text`.
    pub details: Vec<Detail<'static>>,
    /// Of a text, as written.
    pub annotations: Vec<String>,
}

/// What happens to a block.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Begins,
    /// A JSON string with its quotes, as the provider wrote it.
    Grows(&'a str),
    Annotated(&'a str),
    Ends,
}

/// The place of a block, the block so far, and what happens to it.
pub(super) type Tell<'t> = dyn FnMut(usize, &Block, Change<'_>) + 't;

/// The blocks of one choice in the making.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Ids of calls begin with it where the provider gives none.
    id: String,
    choice: u64,
    all: Vec<Block>,
    open: Option<usize>,
    calls: Vec<Call>,
    /// The provider's word for why it ended, and ours.
    pub finish: Option<(String, &'static str)>,
}

#[derive(Debug)]
struct Call {
    index: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its turn has not come: calls before it are not whole.
    Waiting {
        id: String,
        name: String,
        parts: Vec<String>,
    },
    Told {
        at: usize,
    },
}

impl Blocks {
    pub fn new(id: &str, choice: u64) -> Self {
        Self {
            id: id.to_owned(),
            choice,
            all: Vec::new(),
            open: None,
            calls: Vec::new(),
            finish: None,
        }
    }

    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// All blocks so far.
    pub fn all(&self) -> &[Block] {
        &self.all
    }

    pub fn pieces(&mut self, pieces: &[Piece], tell: &mut Tell<'_>) {
        let choice = self.choice;
        for piece in pieces.iter().filter(|piece| piece.index == choice) {
            for said in said(piece) {
                self.hear(said, tell);
            }
            if let (Some(native), Some(reason)) = (&piece.native_finish_reason, piece.finish_reason()) {
                self.finish = Some((native.clone(), reason));
            }
        }
    }

    /// Ends what is open.
    pub fn end(&mut self, tell: &mut Tell<'_>) {
        self.end_calls(tell);
        self.close(tell);
    }

    fn hear(&mut self, said: Said<'_>, tell: &mut Tell<'_>) {
        match said {
            Said::Text(raw) => self.grow(Kind::Text, raw, tell),
            Said::Refusal(raw) => self.grow(Kind::Refusal, raw, tell),
            Said::Reasoning(raw) => {
                self.continue_thought(None, tell);
                self.grow(Kind::Thinking, raw, tell);
            }
            Said::Detail(detail) => self.detail(detail.into_owned(), tell),
            Said::Image { url } => {
                self.end(tell);
                self.begin(Kind::Image { url: url.into_owned() }, tell);
                self.close(tell);
            }
            Said::Call {
                index,
                id,
                name,
                arguments,
            } => {
                let id = id.map(std::borrow::Cow::into_owned);
                let name = name.map(std::borrow::Cow::into_owned);
                self.call(index, id, name, arguments, tell);
            }
            Said::Annotation(raw) => {
                let text = self.all.iter().rposition(|block| block.kind == Kind::Text);
                // A block that has ended can't be added to.
                if let Some(at) = text.filter(|at| self.open == Some(*at)) {
                    self.all[at].annotations.push(raw.to_owned());
                    tell(at, &self.all[at], Change::Annotated(raw));
                }
            }
        }
    }

    /// Adds to the open block of this kind, or to a new one.
    fn grow(&mut self, kind: Kind, raw: &str, tell: &mut Tell<'_>) {
        let open = self.open.filter(|at| self.all[*at].kind == kind);
        let at = open.unwrap_or_else(|| {
            self.end(tell);
            self.begin(kind, tell)
        });
        self.all[at].text.push_str(&unquoted(raw));
        tell(at, &self.all[at], Change::Grows(raw));
    }

    fn detail(&mut self, mut detail: Detail<'static>, tell: &mut Tell<'_>) {
        let text = detail.text.take().or_else(|| detail.summary.take());
        let is_encrypted = detail.kind == "reasoning.encrypted";
        let open = self.continue_thought(Some(&detail), tell);
        let at = open.unwrap_or_else(|| {
            self.end(tell);
            let kind = if is_encrypted { Kind::Redacted } else { Kind::Thinking };
            self.begin_thought(kind, detail.clone(), tell)
        });
        if open.is_some() {
            let details = &mut self.all[at].details;
            match details
                .last_mut()
                .filter(|last| last.kind == detail.kind && !is_encrypted)
            {
                Some(last) => last.merge(detail),
                None => details.push(detail),
            }
        }
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let raw = crate::dialect::json::quoted(&text);
            self.all[at].text.push_str(&text);
            tell(at, &self.all[at], Change::Grows(&raw));
        }
    }

    /// The open thought, if `detail` belongs to it; another one ends.
    fn continue_thought(&mut self, detail: Option<&Detail<'_>>, tell: &mut Tell<'_>) -> Option<usize> {
        let at = self.open?;
        let block = &self.all[at];
        if !matches!(block.kind, Kind::Thinking | Kind::Redacted) {
            return None;
        }
        let belongs = match (detail, block.details.first()) {
            (None, first) => first.is_none() && block.kind == Kind::Thinking,
            (Some(detail), Some(first)) => {
                let is_fragment = block.kind == Kind::Thinking || detail.kind == "reasoning.encrypted";
                is_fragment && detail.index == first.index && detail.format == first.format
            }
            (Some(_), None) => false,
        };
        if !belongs {
            self.close(tell);
        }
        self.open
    }

    fn call(
        &mut self,
        index: Option<u64>,
        id: Option<String>,
        name: Option<String>,
        arguments: Option<&str>,
        tell: &mut Tell<'_>,
    ) {
        let next = self.calls.last().map_or(0, |call| call.index + 1);
        let index = index.unwrap_or(next);
        if !self.calls.iter().any(|call| call.index == index) {
            let id = id.unwrap_or_else(|| format!("call_{}_{index}", self.id.trim_start_matches("gen-")));
            let state = State::Waiting {
                id,
                name: name.unwrap_or_default(),
                parts: Vec::new(),
            };
            self.calls.push(Call { index, state });
        }
        let Some(call) = self.calls.iter_mut().find(|call| call.index == index) else {
            return;
        };
        match (&mut call.state, arguments) {
            (State::Waiting { parts, .. }, Some(raw)) => parts.push(raw.to_owned()),
            (State::Told { at }, Some(raw)) => {
                let at = *at;
                // What follows the end of a call is lost on every API that tells blocks; none is known to do it.
                if self.open == Some(at) {
                    self.all[at].text.push_str(&unquoted(raw));
                    tell(at, &self.all[at], Change::Grows(raw));
                }
            }
            (_, None) => {}
        }
        self.advance(false, tell);
    }

    /// Begins the calls whose turn has come: when those before are whole, or when everything ends.
    fn advance(&mut self, is_end: bool, tell: &mut Tell<'_>) {
        for place in 0..self.calls.len() {
            let State::Waiting { id, name, parts } = &mut self.calls[place].state else {
                continue;
            };
            let is_whole = |block: &Block| serde_json::from_str::<IgnoredAny>(&block.text).is_ok();
            let waits = self.open.map(|at| &self.all[at]);
            let waits = waits.is_some_and(|block| matches!(block.kind, Kind::Call { .. }) && !is_whole(block));
            if waits && !is_end {
                return;
            }
            let (kind, parts) = (
                Kind::Call {
                    id: std::mem::take(id),
                    name: std::mem::take(name),
                },
                std::mem::take(parts),
            );
            self.close(tell);
            let at = self.begin(kind, tell);
            self.calls[place].state = State::Told { at };
            for raw in parts {
                self.all[at].text.push_str(&unquoted(&raw));
                tell(at, &self.all[at], Change::Grows(&raw));
            }
        }
    }

    fn end_calls(&mut self, tell: &mut Tell<'_>) {
        self.advance(true, tell);
    }

    fn begin(&mut self, kind: Kind, tell: &mut Tell<'_>) -> usize {
        self.begin_block(kind, Vec::new(), tell)
    }

    fn begin_thought(&mut self, kind: Kind, detail: Detail<'static>, tell: &mut Tell<'_>) -> usize {
        self.begin_block(kind, vec![detail], tell)
    }

    fn begin_block(&mut self, kind: Kind, details: Vec<Detail<'static>>, tell: &mut Tell<'_>) -> usize {
        self.close(tell);
        let at = self.all.len();
        self.all.push(Block {
            kind,
            text: String::new(),
            details,
            annotations: Vec::new(),
        });
        self.open = Some(at);
        tell(at, &self.all[at], Change::Begins);
        at
    }

    fn close(&mut self, tell: &mut Tell<'_>) {
        if let Some(at) = self.open.take() {
            tell(at, &self.all[at], Change::Ends);
        }
    }
}
