//! One labelled input of a form.

use leptos::prelude::*;

#[component]
pub fn Field(
    /// Name and id of the input.
    name: &'static str,
    label: &'static str,
    /// `text` unless said otherwise.
    #[prop(optional)]
    kind: Option<&'static str>,
    #[prop(optional, into)] value: Option<String>,
    #[prop(optional)] hint: Option<&'static str>,
    #[prop(optional)] placeholder: Option<&'static str>,
    #[prop(optional)] autocomplete: Option<&'static str>,
    #[prop(optional)] inputmode: Option<&'static str>,
    #[prop(optional)] minlength: Option<usize>,
    #[prop(optional)] maxlength: Option<usize>,
    #[prop(optional)] required: bool,
    #[prop(optional)] autofocus: bool,
    /// Shows a dollar sign in front.
    #[prop(optional)]
    money: bool,
    #[prop(optional)] testid: Option<&'static str>,
) -> impl IntoView {
    let hint_id = hint.map(|_| format!("{name}-hint"));
    let input = view! {
        <input
            class="input"
            id=name
            name=name
            type=kind.unwrap_or("text")
            value=value
            placeholder=placeholder
            autocomplete=autocomplete
            inputmode=inputmode
            minlength=minlength.map(|n| n.to_string())
            maxlength=maxlength.map(|n| n.to_string())
            required=required
            autofocus=autofocus
            aria-describedby=hint_id.clone()
            data-testid=testid.unwrap_or(name)
        />
    };
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <div class:money-input=money>{input}</div>
            {hint.map(|hint| view! { <p class="hint" id=hint_id>{hint}</p> })}
        </div>
    }
}
