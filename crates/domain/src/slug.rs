//! Model slugs: `author/name`, optionally with a `:variant`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a model in requests and addresses: lowercase `author/name`, no variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelSlug(String);

/// What a caller asks for: a model and perhaps a variant (`free`, `nitro`, `floor` …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    pub slug: ModelSlug,
    pub variant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a model is named author/name, such as meta-llama/llama-3.3-70b-instruct")]
pub struct ParseSlugError;

pub const SLUG_BYTES_MAX: usize = 200;

impl ModelSlug {
    pub fn parse(text: &str) -> Result<Self, ParseSlugError> {
        let (author, name) = text.split_once('/').ok_or(ParseSlugError)?;
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        };
        if text.len() > SLUG_BYTES_MAX || !part(author) || !part(name) {
            return Err(ParseSlugError);
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn author(&self) -> &str {
        self.0.split_once('/').map_or("", |(author, _)| author)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl ModelRef {
    /// Accepts any case, since clients differ in it.
    pub fn parse(text: &str) -> Result<Self, ParseSlugError> {
        let text = text.trim().to_ascii_lowercase();
        let (slug, variant) = match text.split_once(':') {
            Some((slug, variant)) if !variant.is_empty() => (slug, Some(variant.to_owned())),
            Some(_) => return Err(ParseSlugError),
            None => (text.as_str(), None),
        };
        Ok(Self {
            slug: ModelSlug::parse(slug)?,
            variant,
        })
    }
}

impl fmt::Display for ModelSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelSlug {
    type Error = ParseSlugError;
    fn try_from(text: String) -> Result<Self, ParseSlugError> {
        Self::parse(&text)
    }
}

impl From<ModelSlug> for String {
    fn from(slug: ModelSlug) -> Self {
        slug.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_slug_and_perhaps_a_variant() {
        let model = ModelRef::parse("OpenAI/gpt-4.1:nitro").unwrap();
        assert_eq!(
            (model.slug.as_str(), model.variant.as_deref()),
            ("openai/gpt-4.1", Some("nitro"))
        );
        assert_eq!((model.slug.author(), model.slug.name()), ("openai", "gpt-4.1"));
        for bad in ["gpt-4", "/x", "a/", "a/b/c", "a/b:", "a b/c", "a/ü"] {
            assert!(ModelRef::parse(bad).is_err(), "{bad}");
        }
    }
}
