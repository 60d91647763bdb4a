//! A talk: its turns, the composer, and sending.

use super::ChatModel;
use super::message::{self, Message, Request, Role, Spent, StreamOptions};
use super::sse::{Event, Reader};
use super::stream::{Abort, Piece, stream};
use super::turn::{Note, Saved, State, Turn, TurnView};
use crate::browser;
use crate::pages::account::generation::load_generation;
use crate::viewer::use_viewer;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::{Deserialize, Serialize};

const PATH: &str = "/playground/chat/completions";
const STORAGE_KEY: &str = "tollway-chat";
const LOG_ID: &str = "chat-log";
/// Turns that the browser remembers.
const TURNS_MAX: usize = 200;

/// Everything the page holds; copies share it.
#[derive(Clone, Copy)]
pub struct Talk {
    turns: RwSignal<Vec<Turn>>,
    model: RwSignal<String>,
    system: RwSignal<String>,
    draft: RwSignal<String>,
    running: StoredValue<Option<Abort>>,
    is_running: RwSignal<bool>,
}

/// What the browser remembers.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    model: String,
    system: String,
    turns: Vec<Saved>,
}

impl Talk {
    #[must_use]
    pub fn new(model: String) -> Self {
        Self {
            turns: RwSignal::new(Vec::new()),
            model: RwSignal::new(model),
            system: RwSignal::new(String::new()),
            draft: RwSignal::new(String::new()),
            running: StoredValue::new(None),
            is_running: RwSignal::new(false),
        }
    }

    /// Brings back what this browser remembers; a model named in the address wins over the remembered one.
    fn recall(self, models: &[ChatModel], model_is_given: bool) {
        let text = browser::remembered(STORAGE_KEY).unwrap_or_default();
        let memory: Memory = serde_json::from_slice(text.as_bytes()).unwrap_or_default();
        let is_known = models.iter().any(|model| model.slug.as_str() == memory.model);
        if is_known && !model_is_given {
            self.model.set(memory.model);
        }
        self.system.set(memory.system);
        let turns = memory
            .turns
            .into_iter()
            .enumerate()
            .map(|(id, saved)| Turn::new(id, saved));
        self.turns.set(turns.collect());
        request_animation_frame(|| browser::scroll_to_end(LOG_ID));
    }

    fn remember(self) {
        let turns = self.turns.get_untracked();
        let skipped = turns.len().saturating_sub(TURNS_MAX);
        let memory = Memory {
            model: self.model.get_untracked(),
            system: self.system.get_untracked(),
            turns: turns.iter().skip(skipped).map(Turn::saved).collect(),
        };
        browser::remember(STORAGE_KEY, serde_json::to_string(&memory).ok().as_deref());
    }

    fn clear(self) {
        self.stop();
        self.turns.set(Vec::new());
        self.remember();
    }

    /// Lets go of the running answer, also when the page is left.
    fn stop(self) {
        if let Some(Some(abort)) = self.running.try_get_value() {
            abort.abort();
        }
    }

    fn add(self, role: Role, text: String, note: Note) -> Turn {
        let id = self
            .turns
            .with_untracked(|turns| turns.last().map_or(0, |turn| turn.id + 1));
        let turn = Turn::new(id, Saved { role, text, note });
        self.turns.update(|turns| turns.push(turn));
        turn
    }

    /// The request for the next answer: the system prompt and every turn that has text.
    fn body(self) -> String {
        let system = Message {
            role: Role::System,
            content: self.system.get_untracked(),
        };
        let said = |turn: &Turn| Message {
            role: turn.role,
            content: turn.text.get_untracked(),
        };
        let turns = self
            .turns
            .with_untracked(|turns| turns.iter().map(said).collect::<Vec<_>>());
        let model = self.model.get_untracked();
        let request = Request {
            model: &model,
            messages: std::iter::once(system)
                .chain(turns)
                .filter(|message| !message.content.trim().is_empty())
                .collect(),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            max_tokens: None,
        };
        serde_json::to_string(&request).unwrap_or_default()
    }

    fn send(self, after: impl Fn() + 'static) {
        let draft = self.draft.get_untracked();
        if draft.trim().is_empty() || self.is_running.get_untracked() {
            return;
        }
        self.add(Role::User, draft.trim().to_owned(), Note::default());
        self.draft.set(String::new());
        // A page closed in the middle of the answer keeps the question.
        self.remember();
        let body = self.body();
        let note = Note {
            state: State::Streaming,
            model: self.model.get_untracked(),
            ..Note::default()
        };
        let answer = self.add(Role::Assistant, String::new(), note);
        let abort = Abort::new();
        self.running.set_value(Some(abort.clone()));
        self.is_running.set(true);
        request_animation_frame(|| browser::scroll_to_end(LOG_ID));
        spawn_local(async move {
            receive(answer, &body, &abort).await;
            self.running.set_value(None);
            self.is_running.set(false);
            look_up_cost(answer).await;
            self.remember();
            after();
        });
    }
}

/// Reads one answer to its end, its failure, or its stop.
async fn receive(answer: Turn, body: &str, abort: &Abort) {
    let start = browser::now_ms();
    let mut reader = Reader::default();
    let result = stream(PATH, body, abort, |piece| match piece {
        Piece::Started(id) => answer.note.update(|note| note.generation = id),
        Piece::Refused(status, body) => answer
            .note
            .update(|note| note.error = Some(message::error_text(status, &body))),
        Piece::Text(text) => {
            for event in reader.feed(&text) {
                if let Event::Data(data) = event {
                    apply(answer, &data, start);
                }
            }
        }
    })
    .await;
    answer.note.update(|note| {
        note.total_ms = Some(millis_since(start));
        note.state = if abort.is_aborted() {
            State::Stopped
        } else if let Err(error) = result {
            note.error.get_or_insert(error);
            State::Failed
        } else if note.error.is_some() {
            State::Failed
        } else {
            State::Done
        };
    });
}

fn apply(answer: Turn, data: &str, start: f64) {
    let Some(update) = message::read(data) else { return };
    if !update.text.is_empty() {
        answer.text.update(|text| text.push_str(&update.text));
        browser::follow(LOG_ID);
    }
    answer.note.update(|note| {
        if !update.text.is_empty() && note.first_ms.is_none() {
            note.first_ms = Some(millis_since(start));
        }
        note.provider = update.provider.or(note.provider.take());
        note.finish = update.finish.or(note.finish.take());
        note.spent = update.usage.or(note.spent.take());
        note.error = update.error.or(note.error.take());
    });
}

/// A stopped answer ends before its usage arrives: asks for it once the charge is settled.
async fn look_up_cost(answer: Turn) {
    const TRIES: usize = 5;
    const PAUSE_MS: i32 = 400;
    let Some(id) = answer
        .note
        .with_untracked(|note| note.generation.clone().filter(|_| note.spent.is_none()))
    else {
        return;
    };
    for _ in 0..TRIES {
        browser::sleep(PAUSE_MS).await;
        if let Ok(found) = load_generation(id.clone()).await {
            let spent = Spent {
                prompt: found.usage.prompt,
                completion: found.usage.completion,
                cost: Some(found.cost),
            };
            answer.note.update(|note| {
                note.provider = note.provider.take().or(Some(found.provider));
                note.spent = Some(spent);
            });
            return;
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a clock of the browser counts in floats"
)]
fn millis_since(start: f64) -> u64 {
    (browser::now_ms() - start).max(0.0) as u64
}

#[component]
pub fn TalkView(
    talk: Talk,
    models: Vec<ChatModel>,
    /// The visitor is signed in.
    is_open: bool,
) -> impl IntoView {
    let is_live = browser::hydrated();
    let is_given = leptos_router::hooks::use_query_map().with_untracked(|query| query.get_str("model").is_some());
    let known = models.clone();
    Effect::new(move |_| talk.recall(&known, is_given));
    on_cleanup(move || talk.stop());
    let is_empty = move || talk.turns.with(Vec::is_empty);
    view! {
        <div class="chat">
            <div class="chat-bar">
                <ModelChoice talk models/>
                <button class="button quiet compact" type="button" disabled=is_empty on:click=move |_| talk.clear() data-testid="chat-clear">
                    "New chat"
                </button>
            </div>
            <details class="disclosure">
                <summary>"System prompt"</summary>
                <textarea
                    class="input"
                    rows="3"
                    aria-label="System prompt"
                    placeholder="How the model should behave"
                    prop:value=move || talk.system.get()
                    on:input=move |event| talk.system.set(event_target_value(&event))
                    on:change=move |_| talk.remember()
                    data-testid="chat-system"
                ></textarea>
            </details>
            <div class="chat-log" id=LOG_ID tabindex="0" role="region" aria-label="Messages">
                <ol class="plain turns">
                    <For each=move || talk.turns.get() key=|turn| turn.id let(turn)>
                        <TurnView turn/>
                    </For>
                </ol>
                <p class="faint" hidden=move || !is_empty()>
                    "Ask something. The conversation stays in this browser; every answer shows what it cost."
                </p>
            </div>
            <Composer talk is_ready=Signal::derive(move || is_open && is_live.get())/>
        </div>
    }
}

#[component]
fn ModelChoice(talk: Talk, models: Vec<ChatModel>) -> impl IntoView {
    let options = |models: Vec<ChatModel>| -> Vec<_> {
        models
            .into_iter()
            .map(|model| {
                let slug = model.slug.to_string();
                let is_chosen = talk.model.get_untracked() == slug;
                view! { <option value=slug selected=is_chosen>{format!("{} ({})", model.name, model.slug.author())}</option> }
            })
            .collect()
    };
    let (ready, others): (Vec<_>, Vec<_>) = models.into_iter().partition(|model| model.ready);
    let (ready, others) = (options(ready), options(others));
    view! {
        <div class="field">
            <label for="chat-model">"Model"</label>
            <select
                class="input compact"
                id="chat-model"
                prop:value=move || talk.model.get()
                on:change=move |event| {
                    talk.model.set(event_target_value(&event));
                    talk.remember();
                }
                data-testid="chat-model"
            >
                <optgroup label="Ready">{ready}</optgroup>
                <optgroup label="Listed: the operator has set no key yet">{others}</optgroup>
            </select>
        </div>
    }
}

#[component]
fn Composer(talk: Talk, is_ready: Signal<bool>) -> impl IntoView {
    let viewer = use_viewer();
    let send = move || talk.send(move || viewer.refetch());
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            send();
        }
    };
    let cannot_send = move || !is_ready.get() || talk.draft.with(|draft| draft.trim().is_empty());
    view! {
        <form
            class="composer"
            on:submit=move |event| {
                event.prevent_default();
                send();
            }
        >
            <textarea
                class="input"
                rows="3"
                aria-label="Your message"
                placeholder="Your message. Enter sends, Shift and Enter makes a new line."
                disabled=move || !is_ready.get()
                prop:value=move || talk.draft.get()
                on:input=move |event| talk.draft.set(event_target_value(&event))
                on:keydown=on_key
                data-testid="chat-input"
            ></textarea>
            <button class="button" disabled=cannot_send hidden=move || talk.is_running.get() data-testid="chat-send">
                "Send"
            </button>
            <button
                class="button danger"
                type="button"
                hidden=move || !talk.is_running.get()
                on:click=move |_| talk.stop()
                data-testid="chat-stop"
            >
                "Stop"
            </button>
        </form>
    }
}
