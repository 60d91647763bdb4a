//! Blocks of code, and the same example in several languages behind tabs that need no script.

use crate::components::copy::CopyButton;
use leptos::prelude::*;

#[component]
pub fn CodeBlock(#[prop(into)] code: String, #[prop(optional, into)] label: Option<String>) -> impl IntoView {
    let label = label.unwrap_or_else(|| "Code".to_owned());
    view! {
        <div class="code">
            <pre tabindex="0" aria-label=label>
                <code>{code.clone()}</code>
            </pre>
            <CopyButton text=code what="the code"/>
        </div>
    }
}

/// One example in up to three languages.
#[component]
pub fn CodeTabs(
    /// Unique on the page: names the radio buttons.
    name: &'static str,
    examples: Vec<(&'static str, String)>,
) -> impl IntoView {
    let tabs: Vec<_> = examples
        .iter()
        .enumerate()
        .map(|(at, (language, _))| {
            let class = format!("out-of-sight tab-{at}");
            view! {
                <label>
                    <input type="radio" class=class name=name value=*language checked=at == 0/>
                    {*language}
                </label>
            }
        })
        .collect();
    let panes: Vec<_> = examples
        .into_iter()
        .enumerate()
        .map(|(at, (language, code))| {
            view! {
                <div class=format!("code pane-{at}")>
                    <pre tabindex="0" aria-label=format!("Example in {language}")>
                        <code>{code.clone()}</code>
                    </pre>
                    <CopyButton text=code what=format!("the {language} example")/>
                </div>
            }
        })
        .collect();
    view! {
        <fieldset class="code-tabs">
            <legend class="out-of-sight">"Language of the example"</legend>
            <div class="tabs">{tabs}</div>
            {panes}
        </fieldset>
    }
}
