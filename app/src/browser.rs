//! The few things only a browser can do. On the server they do nothing, so that pages need not ask where they run.

use leptos::prelude::*;

/// False on the server and while hydrating, true afterwards: for what cannot work without the script.
#[must_use]
pub fn hydrated() -> ReadSignal<bool> {
    let (is_hydrated, set) = signal(false);
    Effect::new(move |_| set.set(true));
    is_hydrated
}

#[cfg(feature = "hydrate")]
pub use here::*;
#[cfg(not(feature = "hydrate"))]
pub use nowhere::*;

#[cfg(feature = "hydrate")]
mod here {
    use leptos::prelude::*;
    use wasm_bindgen::JsCast;

    /// Puts `text` on the clipboard.
    pub fn copy(text: &str) {
        let _promise = window().navigator().clipboard().write_text(text);
    }

    /// The value of an attribute of `<html>`.
    #[must_use]
    pub fn root_attribute(name: &str) -> Option<String> {
        document().document_element()?.get_attribute(name)
    }

    /// Sets or removes an attribute of `<html>`.
    pub fn set_root_attribute(name: &str, value: Option<&str>) {
        let Some(root) = document().document_element() else {
            return;
        };
        let _result = match value {
            Some(value) => root.set_attribute(name, value),
            None => root.remove_attribute(name),
        };
    }

    /// The filled fields of the form that an input or submit event came from, as a query string without `?`.
    #[must_use]
    pub fn form_query(event: &web_sys::Event) -> Option<String> {
        let target = event.current_target()?;
        let form = target.dyn_into::<web_sys::HtmlFormElement>().ok()?;
        let data = web_sys::FormData::new_with_form(&form).ok()?;
        let params = web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
        let text = String::from(params.to_string());
        let filled = text.split('&').filter(|pair| !pair.is_empty() && !pair.ends_with('='));
        Some(filled.collect::<Vec<_>>().join("&"))
    }

    /// What this browser remembers under `key`.
    #[must_use]
    pub fn remembered(key: &str) -> Option<String> {
        window().local_storage().ok()??.get_item(key).ok()?
    }

    /// Makes this browser remember `text` under `key`, or forget it.
    pub fn remember(key: &str, text: Option<&str>) {
        let Ok(Some(storage)) = window().local_storage() else {
            return;
        };
        let _result = match text {
            Some(text) => storage.set_item(key, text),
            None => storage.remove_item(key),
        };
    }

    /// Milliseconds on a clock that only ever advances.
    #[must_use]
    pub fn now_ms() -> f64 {
        window().performance().map_or(0.0, |clock| clock.now())
    }

    /// Resolves after so many milliseconds.
    pub async fn sleep(ms: i32) {
        let promise = js_sys::Promise::new(&mut |resolve, _| {
            let _timer = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms);
        });
        let _done = wasm_bindgen_futures::JsFuture::from(promise).await;
    }

    /// Keeps the end of the element with this id in view, unless the reader has scrolled away from it.
    pub fn follow(id: &str) {
        const NEAR_PX: i32 = 160;
        if let Some(element) = document().get_element_by_id(id)
            && element.scroll_height() - element.scroll_top() - element.client_height() < NEAR_PX
        {
            element.set_scroll_top(element.scroll_height());
        }
    }

    /// Scrolls the element with this id to its end.
    pub fn scroll_to_end(id: &str) {
        if let Some(element) = document().get_element_by_id(id) {
            element.set_scroll_top(element.scroll_height());
        }
    }
}

#[cfg(not(feature = "hydrate"))]
mod nowhere {
    use leptos::web_sys;

    pub fn copy(_text: &str) {}

    #[cfg(not(feature = "ssr"))]
    #[must_use]
    pub fn root_attribute(_name: &str) -> Option<String> {
        None
    }

    pub fn set_root_attribute(_name: &str, _value: Option<&str>) {}

    #[must_use]
    pub fn form_query(_event: &web_sys::Event) -> Option<String> {
        None
    }

    #[must_use]
    pub fn remembered(_key: &str) -> Option<String> {
        None
    }

    pub fn remember(_key: &str, _text: Option<&str>) {}

    #[must_use]
    pub fn now_ms() -> f64 {
        0.0
    }

    pub async fn sleep(_ms: i32) {}

    pub fn follow(_id: &str) {}

    pub fn scroll_to_end(_id: &str) {}
}
