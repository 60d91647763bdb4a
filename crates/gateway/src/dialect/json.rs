//! A JSON text in the making: borrows what the caller wrote, keeps the order of members, escapes what is new.

use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    /// Written as it is.
    Raw(Cow<'a, str>),
    /// Escaped when written.
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(&'static str, Json<'a>)>),
}

impl<'a> Json<'a> {
    pub fn object<const N: usize>(members: [(&'static str, Json<'a>); N]) -> Self {
        Self::Object(members.into())
    }

    pub fn raw(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Raw(text.into())
    }

    /// With one more member; anything but an object stays as it is.
    pub fn with(mut self, name: &'static str, value: impl Into<Json<'a>>) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((name, value.into()));
        }
        self
    }

    /// With one more member if there is a value for it.
    pub fn and<T: Into<Json<'a>>>(self, name: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With one more member unless it would be an empty list or object.
    pub fn unless_empty(self, name: &'static str, value: Json<'a>) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            Self::Raw(_) | Self::Text(_) => false,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size() + 64);
        self.write(&mut out);
        out
    }

    pub fn into_text(self) -> String {
        String::from_utf8(self.to_bytes()).unwrap_or_default()
    }

    fn size(&self) -> usize {
        match self {
            Self::Raw(text) => text.len(),
            Self::Text(text) => text.len() + 2,
            Self::List(items) => items.iter().map(|item| item.size() + 1).sum::<usize>() + 2,
            Self::Object(members) => {
                let sizes = members.iter().map(|(name, value)| name.len() + value.size() + 4);
                sizes.sum::<usize>() + 2
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => quote(out, text),
            Self::List(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    quote(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json<'_> {
    fn from(number: u64) -> Self {
        Self::Raw(number.to_string().into())
    }
}

impl From<bool> for Json<'_> {
    fn from(truth: bool) -> Self {
        Self::Raw(if truth { "true" } else { "false" }.into())
    }
}

impl<'a> From<Vec<Json<'a>>> for Json<'a> {
    fn from(items: Vec<Json<'a>>) -> Self {
        Self::List(items)
    }
}

/// `text` as a JSON string.
pub(crate) fn quote(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory can't fail.
    let _ = serde_json::to_writer(out, text);
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_raw_parts_their_bytes() {
        let json = Json::object([("b", Json::raw(r#"{ "x" : 1.0 }"#)), ("a", "é\"".into())])
            .and("none", None::<u64>)
            .unless_empty("empty", Json::List(Vec::new()))
            .with("list", vec![1.into(), true.into()]);
        assert_eq!(json.into_text(), r#"{"b":{ "x" : 1.0 },"a":"é\"","list":[1,true]}"#);
    }
}
