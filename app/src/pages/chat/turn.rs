//! One turn of a talk: what was said, and what it took.

use super::message::{Role, Spent};
use crate::components::badge::{Badge, Tone};
use crate::components::code::CodeBlock;
use crate::components::copy::CopyButton;
use crate::format;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// One turn; its text grows while the answer streams.
#[derive(Clone, Copy)]
pub struct Turn {
    pub id: usize,
    pub role: Role,
    pub text: RwSignal<String>,
    pub note: RwSignal<Note>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    pub state: State,
    pub model: String,
    pub provider: Option<String>,
    pub generation: Option<String>,
    pub finish: Option<String>,
    pub spent: Option<Spent>,
    /// Milliseconds to the first text, and to the end.
    pub first_ms: Option<u64>,
    pub total_ms: Option<u64>,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    #[default]
    Done,
    Streaming,
    Stopped,
    Failed,
}

/// A turn as the browser remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub role: Role,
    pub text: String,
    pub note: Note,
}

impl Turn {
    #[must_use]
    pub fn new(id: usize, saved: Saved) -> Self {
        Self {
            id,
            role: saved.role,
            text: RwSignal::new(saved.text),
            note: RwSignal::new(saved.note),
        }
    }

    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved {
            role: self.role,
            text: self.text.get_untracked(),
            note: self.note.get_untracked(),
        }
    }
}

#[component]
pub fn TurnView(turn: Turn) -> impl IntoView {
    if turn.role == Role::User {
        return view! {
            <li class="turn user" data-testid="chat-question">
                <p class="said">{move || turn.text.get()}</p>
            </li>
        }
        .into_any();
    }
    let is_streaming = move || turn.note.with(|note| note.state == State::Streaming);
    let is_waiting = move || is_streaming() && turn.text.with(String::is_empty);
    view! {
        <li class="turn" data-testid="chat-answer" data-state=move || turn.note.with(|note| format!("{:?}", note.state).to_lowercase())>
            <p class="faint small">{move || turn.note.with(|note| note.model.clone())}</p>
            <div class="said-box" aria-live="off" data-testid="chat-text">
                {move || turn.text.with(|text| pieces(text).iter().map(piece_view).collect::<Vec<_>>())}
            </div>
            <p class="faint" hidden=move || !is_waiting() role="status">"Waiting for the first token…"</p>
            {move || {
                turn.note.with(|note| note.error.clone())
                    .map(|error| view! { <div class="notice bad" role="alert" data-testid="chat-error"><p>{error}</p></div> })
            }}
            {move || turn.note.with(|note| (note.state != State::Streaming).then(|| note_view(note, turn.text)))}
        </li>
    }
    .into_any()
}

fn note_view(note: &Note, text: RwSignal<String>) -> impl IntoView + use<> {
    let after_first = note
        .total_ms
        .unwrap_or_default()
        .saturating_sub(note.first_ms.unwrap_or_default());
    let completion = note.spent.as_ref().map_or(0, |spent| spent.completion);
    let millis = |ms: u64| format::duration(i64::try_from(ms).unwrap_or_default().saturating_mul(1_000));
    let speed = format::speed(
        completion,
        i64::try_from(after_first).unwrap_or_default().saturating_mul(1_000),
    );
    let facts = [
        note.provider.clone(),
        note.spent.as_ref().map(|spent| {
            format!(
                "{} in, {} out",
                format::grouped(spent.prompt),
                format::grouped(spent.completion)
            )
        }),
        note.first_ms.map(|ms| format!("first token {}", millis(ms))),
        note.total_ms.map(|ms| format!("all {}", millis(ms))),
        speed.filter(|_| completion > 0),
    ];
    let facts: Vec<_> = facts
        .into_iter()
        .flatten()
        .map(|fact| view! { <span>{fact}</span> })
        .collect();
    let cost = note.spent.as_ref().and_then(|spent| spent.cost).map(|cost| {
        view! { <strong data-testid="chat-cost">{cost.to_dollars()}</strong> }
    });
    let link = note
        .generation
        .clone()
        .map(|id| view! { <a href=format!("/account/activity/{id}")>"details"</a> });
    let has_text = !text.with_untracked(String::is_empty);
    view! {
        <div class="turn-note">
            {(note.state == State::Stopped).then(|| view! { <Badge text="stopped" tone=Tone::Warn/> })}
            {(note.finish.as_deref() == Some("length")).then(|| view! { <Badge text="cut at the token limit" tone=Tone::Warn/> })}
            {cost}
            {facts}
            {link}
            {has_text.then(|| view! { <CopyButton text=text.get_untracked() what="the answer"/> })}
        </div>
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Prose(&'a str),
    Code { language: &'a str, code: &'a str },
}

/// Prose and fenced code, in order. A fence that is still open counts as code.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = fence(rest) {
        push_prose(&mut found, rest.get(..open).unwrap_or_default());
        let inside = rest.get(open + 3..).unwrap_or_default();
        let (language, body) = inside.split_once('\n').unwrap_or((inside, ""));
        let (code, after) = match fence(body) {
            Some(close) => {
                let after = body.get(close + 3..).unwrap_or_default();
                (body.get(..close).unwrap_or_default(), after)
            }
            None => (body, ""),
        };
        found.push(Piece::Code {
            language: language.trim(),
            code: code.trim_end_matches('\n'),
        });
        rest = after;
    }
    push_prose(&mut found, rest);
    found
}

/// Where a line begins with three backticks.
fn fence(text: &str) -> Option<usize> {
    if text.starts_with("```") {
        Some(0)
    } else {
        text.find("\n```").map(|at| at + 1)
    }
}

fn push_prose<'a>(found: &mut Vec<Piece<'a>>, text: &'a str) {
    let text = text.trim_matches('\n');
    if !text.trim().is_empty() {
        found.push(Piece::Prose(text));
    }
}

fn piece_view(piece: &Piece<'_>) -> AnyView {
    match piece {
        Piece::Prose(text) => view! { <p class="said">{(*text).to_owned()}</p> }.into_any(),
        Piece::Code { language, code } => {
            let label = if language.is_empty() {
                "Code".to_owned()
            } else {
                format!("Code in {language}")
            };
            view! { <CodeBlock code=*code label=label/> }.into_any()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_code_is_told_from_prose() {
        assert_eq!(
            pieces("See:\n```rust\nfn a() {}\n```\nDone."),
            [
                Piece::Prose("See:"),
                Piece::Code {
                    language: "rust",
                    code: "fn a() {}"
                },
                Piece::Prose("Done.")
            ]
        );
        assert_eq!(
            pieces("```\nopen"),
            [Piece::Code {
                language: "",
                code: "open"
            }]
        );
        assert_eq!(pieces("a `b` c"), [Piece::Prose("a `b` c")]);
        assert_eq!(pieces(""), []);
    }
}
