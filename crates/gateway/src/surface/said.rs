//! What a piece of an answer says, part by part.

use crate::dialect::reasoning::Detail;
use crate::openai::Piece;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Texts are JSON strings with their quotes, byte for byte.
#[derive(Debug)]
pub(super) enum Said<'a> {
    /// Thoughts, to be shown.
    Reasoning(&'a str),
    /// Thoughts, and what goes back to the model that had them.
    Detail(Detail<'a>),
    Text(&'a str),
    Refusal(&'a str),
    Image {
        url: Cow<'a, str>,
    },
    /// A part of a call. Parts of one call share an index; one without is whole.
    Call {
        index: Option<u64>,
        id: Option<Cow<'a, str>>,
        name: Option<Cow<'a, str>>,
        arguments: Option<&'a str>,
    },
    /// The entry as written.
    Annotation(&'a str),
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_details: Option<Vec<Detail<'a>>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    images: Option<Vec<Image<'a>>>,
    #[serde(borrow, default)]
    annotations: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize, Default)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow, default)]
    image_url: Option<Url<'a>>,
}

#[derive(Deserialize)]
struct Url<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// In the order in which models speak: thoughts, words, calls.
pub(super) fn said(piece: &Piece) -> Vec<Said<'_>> {
    let Ok(delta) = serde_json::from_slice::<Delta<'_>>(&piece.delta) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let details = delta.reasoning_details.unwrap_or_default();
    let is_told = details
        .iter()
        .any(|detail| detail.text.is_some() || detail.summary.is_some());
    if let Some(text) = filled(delta.reasoning)
        .or(filled(delta.reasoning_content))
        .filter(|_| !is_told)
    {
        all.push(Said::Reasoning(text));
    }
    all.extend(details.into_iter().map(Said::Detail));
    all.extend(filled(delta.content).map(Said::Text));
    all.extend(filled(delta.refusal).map(Said::Refusal));
    let images = delta.images.unwrap_or_default();
    all.extend(images.into_iter().filter_map(|image| {
        Some(Said::Image {
            url: image.image_url?.url,
        })
    }));
    for call in delta.tool_calls.unwrap_or_default() {
        let function = call.function.unwrap_or_default();
        all.push(Said::Call {
            index: call.index,
            id: call.id.filter(|id| !id.is_empty()),
            name: function.name.filter(|name| !name.is_empty()),
            arguments: filled(function.arguments),
        });
    }
    let annotations = delta.annotations.unwrap_or_default();
    all.extend(annotations.into_iter().map(|raw| Said::Annotation(raw.get())));
    all
}

/// A JSON string that is not empty.
fn filled(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get)
        .filter(|raw| raw.starts_with('"') && raw.len() > 2)
}
