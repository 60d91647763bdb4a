//! The list of keys, with the forms that change them.

use super::change::NAME_CHARS_MAX;
use super::{DeleteKey, KeyRow, KeyState, ResetChoice, ToggleKey, UpdateKey};
use crate::components::badge::{Badge, Tone};
use crate::components::time::At;
use domain::money::NanoUsd;
use domain::time::Micros;
use leptos::form::ActionForm;
use leptos::prelude::*;

#[component]
pub fn KeyList(
    keys: Vec<KeyRow>,
    update: ServerAction<UpdateKey>,
    toggle: ServerAction<ToggleKey>,
    delete: ServerAction<DeleteKey>,
) -> impl IntoView {
    if keys.is_empty() {
        return view! {
            <div class="empty">
                <h2>"No keys yet"</h2>
                <p class="soft">"Create one above, then send it as a bearer token. The docs show the first call."</p>
                <a class="button quiet" href="/docs">"Read the quickstart"</a>
            </div>
        }
        .into_any();
    }
    let items: Vec<_> = keys
        .into_iter()
        .map(|key| view! { <Item key_row=key update toggle delete/> })
        .collect();
    view! { <ul class="plain stack">{items}</ul> }.into_any()
}

#[component]
fn Item(
    key_row: KeyRow,
    update: ServerAction<UpdateKey>,
    toggle: ServerAction<ToggleKey>,
    delete: ServerAction<DeleteKey>,
) -> impl IntoView {
    let key = key_row;
    let (hash_to_toggle, hash_to_delete) = (key.hash.clone(), key.hash.clone());
    let state = match key.state {
        KeyState::Active => view! { <Badge text="active" tone=Tone::Good/> },
        KeyState::Disabled => view! { <Badge text="disabled" tone=Tone::Warn/> },
        KeyState::Expired => view! { <Badge text="expired" tone=Tone::Bad/> },
    };
    let limit = match (key.limit, key.reset) {
        (None, _) => "no limit".to_owned(),
        (Some(limit), None) => format!("{} of {limit}", key.used_of_limit),
        (Some(limit), Some(reset)) => format!("{} of {limit}, {}", key.used_of_limit, reset.name()),
    };
    let activity = format!("/account/activity?key={}", key.hash);
    view! {
        <li class="card tight stack key" data-testid="key-row" data-name=key.name.clone()>
            <div class="row between">
                <div class="row">
                    <h3>{key.name.clone()}</h3>
                    <code class="small faint">{key.label.clone()}</code>
                    {state}
                </div>
                <a class="small" href=activity>"Activity"</a>
            </div>
            <dl class="facts inline">
                <div>
                    <dt>"Used"</dt>
                    <dd data-testid="key-used">{key.used.to_dollars()}</dd>
                </div>
                <div>
                    <dt>"Limit"</dt>
                    <dd>{limit}</dd>
                </div>
                <div>
                    <dt>"Last used"</dt>
                    <dd>
                        {match key.last_used {
                            Some(time) => view! { <At time/> }.into_any(),
                            None => "never".into_any(),
                        }}
                    </dd>
                </div>
                <div>
                    <dt>"Created"</dt>
                    <dd><At time=key.created/></dd>
                </div>
                {key.expires
                    .map(|time| {
                        view! {
                            <div>
                                <dt>"Works until"</dt>
                                <dd><At time/></dd>
                            </div>
                        }
                    })}
            </dl>
            <div class="key-actions">
                <ActionForm action=toggle>
                    <input type="hidden" name="hash" value=hash_to_toggle/>
                    <input type="hidden" name="disabled" value=(key.state != KeyState::Disabled).to_string()/>
                    <button class="button quiet compact" data-testid="key-toggle">
                        {if key.state == KeyState::Disabled { "Enable" } else { "Disable" }}
                    </button>
                </ActionForm>
                <details class="disclosure">
                    <summary data-testid="key-edit">"Change"</summary>
                    <Change key_row=key.clone() update/>
                </details>
                <details class="disclosure">
                    <summary data-testid="key-delete">"Delete"</summary>
                    <ActionForm action=delete>
                        <div class="row">
                            <input type="hidden" name="hash" value=hash_to_delete/>
                            <p class="small">"Programs that use it stop working at once. This cannot be undone."</p>
                            <button class="button danger compact" data-testid="key-delete-confirm">"Delete this key"</button>
                        </div>
                    </ActionForm>
                </details>
            </div>
        </li>
    }
}

#[component]
fn Change(key_row: KeyRow, update: ServerAction<UpdateKey>) -> impl IntoView {
    let key = key_row;
    let suffix = key.hash.get(..8).unwrap_or_default().to_owned();
    let id = move |field: &str| format!("{field}-{suffix}");
    let last_day = key.expires.map(|end| end.plus(-Micros::SECOND).day());
    let limit = key.limit.map(NanoUsd::to_decimal);
    view! {
        <ActionForm action=update>
            <div class="fields">
                <input type="hidden" name="hash" value=key.hash.clone()/>
                <div class="fields across">
                    <div class="field">
                        <label for=id("name")>"Name"</label>
                        <input class="input" id=id("name") name="name" value=key.name.clone() maxlength=NAME_CHARS_MAX.to_string() required=true data-testid="key-change-name"/>
                    </div>
                    <div class="field">
                        <label for=id("limit")>"Limit, if any"</label>
                        <div class="money-input">
                            <input class="input" id=id("limit") name="limit" inputmode="decimal" value=limit placeholder="none" autocomplete="off" data-testid="key-change-limit"/>
                        </div>
                    </div>
                    <ResetChoice id=id("reset") chosen=key.reset/>
                    <div class="field">
                        <label for=id("expires")>"Expires after, if ever"</label>
                        <input class="input" id=id("expires") type="date" name="expires" value=last_day/>
                    </div>
                </div>
                <div>
                    <button class="button compact" data-testid="key-save">"Save"</button>
                </div>
            </div>
        </ActionForm>
    }
}
