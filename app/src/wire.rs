//! The data of pages on its way from the server: in the document at first, from server functions later.

use crate::fail::Fail;
use leptos::prelude::*;
use leptos::server::codee::{Decoder, Encoder};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a page shows, or why it cannot.
pub type Data<T> = Resource<Result<T, Fail>, Json>;

/// JSON read from bytes, as the replies of server functions are: one reader for both keeps every type's decoder in the
/// wasm once.
pub struct Json;

/// Asks `load` for the data whenever `source` changes; rendered pages bring the first answer along.
pub fn data<T, S, Fut>(
    source: impl Fn() -> S + Send + Sync + 'static,
    load: impl Fn(S) -> Fut + Send + Sync + 'static,
) -> Data<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: PartialEq + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<T, Fail>> + Send + 'static,
{
    Resource::new_with_options(source, load, false)
}

impl<T: Serialize> Encoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> Decoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}
