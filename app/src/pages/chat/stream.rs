//! The browser's side of a streamed answer: send, read pieces, and let go when asked to.

#[cfg(feature = "hydrate")]
pub use here::{Abort, stream};
#[cfg(not(feature = "hydrate"))]
pub use nowhere::{Abort, stream};

/// How a stream begins and goes on.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser streams"))]
pub enum Piece {
    /// The server accepted; the generation's id when it said so.
    Started(Option<String>),
    Text(String),
    /// The server refused: status and body.
    Refused(u16, String),
}

#[cfg(feature = "hydrate")]
mod here {
    use super::Piece;
    use leptos::prelude::window;
    use send_wrapper::SendWrapper;
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        AbortController, Headers, ReadableStreamDefaultReader, RequestInit, Response, TextDecodeOptions, TextDecoder,
    };

    /// Ends a stream from outside; the server notices and stops the provider.
    #[derive(Clone)]
    pub struct Abort(SendWrapper<Option<AbortController>>);

    impl Abort {
        pub fn new() -> Self {
            Self(SendWrapper::new(AbortController::new().ok()))
        }

        pub fn abort(&self) {
            if let Some(controller) = self.0.as_ref() {
                controller.abort();
            }
        }

        pub fn is_aborted(&self) -> bool {
            self.0.as_ref().is_some_and(|controller| controller.signal().aborted())
        }
    }

    /// Posts `body` and hands over what comes back. An error is the connection's, or the abort.
    pub async fn stream(path: &str, body: &str, abort: &Abort, mut each: impl FnMut(Piece)) -> Result<(), String> {
        run(path, body, abort, &mut each)
            .await
            .map_err(|_| "The connection broke off.".to_owned())
    }

    async fn run(path: &str, body: &str, abort: &Abort, each: &mut impl FnMut(Piece)) -> Result<(), JsValue> {
        let headers = Headers::new()?;
        headers.set("content-type", "application/json")?;
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_headers(&headers);
        init.set_body(&JsValue::from_str(body));
        if let Some(controller) = abort.0.as_ref() {
            init.set_signal(Some(&controller.signal()));
        }
        let response: Response = JsFuture::from(window().fetch_with_str_and_init(path, &init))
            .await?
            .dyn_into()?;
        if !response.ok() {
            let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
            each(Piece::Refused(response.status(), text));
            return Ok(());
        }
        each(Piece::Started(response.headers().get("x-generation-id")?));
        let Some(stream) = response.body() else { return Ok(()) };
        let reader: ReadableStreamDefaultReader = stream.get_reader().dyn_into()?;
        let decoder = TextDecoder::new()?;
        let options = TextDecodeOptions::new();
        options.set_stream(true);
        loop {
            let step = JsFuture::from(reader.read()).await?;
            let is_done = js_sys::Reflect::get(&step, &JsValue::from_str("done"))?
                .as_bool()
                .unwrap_or(true);
            if is_done {
                return Ok(());
            }
            let value = js_sys::Reflect::get(&step, &JsValue::from_str("value"))?;
            let bytes: js_sys::Uint8Array = value.dyn_into()?;
            each(Piece::Text(
                decoder.decode_with_buffer_source_and_options(&bytes, &options)?,
            ));
        }
    }
}

#[cfg(not(feature = "hydrate"))]
mod nowhere {
    use super::Piece;

    #[derive(Clone)]
    pub struct Abort;

    impl Abort {
        pub fn new() -> Self {
            Self
        }

        pub fn abort(&self) {}

        pub fn is_aborted(&self) -> bool {
            false
        }
    }

    pub async fn stream(_path: &str, _body: &str, _abort: &Abort, _each: impl FnMut(Piece)) -> Result<(), String> {
        Ok(())
    }
}
