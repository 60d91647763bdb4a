//! A request of another API being put into the words of the chat API.

use crate::dialect::json::Json;
use crate::dialect::{Inexpressible, cannot};
use crate::request::{Field, present};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The chat request in the making.
pub(super) struct ChatForm(Vec<Field>);

impl ChatForm {
    /// With everything of `fields` that is said, but for `others`.
    pub fn with_all_but(fields: &[Field], others: &[&[&str]]) -> Self {
        let is_kept = |field: &&Field| {
            let is_other = others.iter().any(|others| others.contains(&field.name.as_str()));
            !is_other && present(fields, &field.name).is_some()
        };
        Self(fields.iter().filter(is_kept).cloned().collect())
    }

    pub fn raw(&mut self, name: &str, value: Bytes) {
        self.0.retain(|field| field.name != name);
        self.0.push(Field {
            name: name.to_owned(),
            value,
        });
    }

    /// The field `from` under the chat API's name for it.
    pub fn renamed(&mut self, fields: &[Field], from: &str, name: &str) {
        if let Some(value) = present(fields, from) {
            self.raw(name, value.clone());
        }
    }

    pub fn json(&mut self, name: &str, value: &Json<'_>) {
        self.raw(name, Bytes::from(value.to_bytes()));
    }

    pub fn finish(self) -> Vec<Field> {
        self.0
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(
    fields: &'a [Field],
    name: &'static str,
    why: &'static str,
) -> Result<Option<T>, Inexpressible> {
    present(fields, name)
        .map(|raw| serde_json::from_slice(raw).map_err(|_| cannot(name, why)))
        .transpose()
}

pub(super) fn text<'a>(fields: &'a [Field], name: &'static str) -> Result<Option<Cow<'a, str>>, Inexpressible> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(read::<Text<'a>>(fields, name, "must be text")?.map(|text| text.0))
}

pub(super) fn text_part<'a>(raw: impl Into<Cow<'a, str>>) -> Json<'a> {
    Json::object([("type", "text".into()), ("text", Json::Raw(raw.into()))])
}

/// One text alone is told as text, which every provider understands.
pub(super) fn spoken(parts: Vec<Json<'_>>) -> Json<'_> {
    if let [Json::Object(members)] = parts.as_slice()
        && let [("type", Json::Text(kind)), ("text", text)] = members.as_slice()
        && kind == "text"
    {
        return text.clone();
    }
    Json::List(parts)
}

pub(super) fn raw(raw: Option<&RawValue>) -> Option<Json<'_>> {
    raw.map(RawValue::get).filter(|raw| *raw != "null").map(Json::raw)
}
