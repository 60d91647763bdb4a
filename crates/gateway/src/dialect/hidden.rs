//! Takes reasoning out of a piece for callers who asked not to see it.

use super::json::Json;
use crate::openai::Piece;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What was counted stays counted.
pub(super) fn hide(piece: &mut Piece) {
    piece.reasoning_alias = None;
    let Ok(Members(members)) = serde_json::from_slice::<Members<'_>>(&piece.delta) else {
        return;
    };
    let is_reasoning = |name: &str| matches!(name, "reasoning" | "reasoning_content" | "reasoning_details");
    if !members.iter().any(|(name, _)| is_reasoning(name)) {
        return;
    }
    let mut rest = Vec::with_capacity(piece.delta.len());
    for (name, value) in members.iter().filter(|(name, _)| !is_reasoning(name)) {
        rest.push(if rest.is_empty() { b'{' } else { b',' });
        rest.extend_from_slice(Json::from(name.as_str()).into_text().as_bytes());
        rest.push(b':');
        rest.extend_from_slice(value.get().as_bytes());
    }
    if rest.is_empty() {
        rest.push(b'{');
    }
    rest.push(b'}');
    piece.delta = Bytes::from(rest);
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai;

    #[test]
    fn only_reasoning_goes_and_it_stays_counted() {
        let chunk = r#"{"choices":[{"delta":{"role":"assistant", "reasoning":"hm","content":"\u00e9","reasoning_details":[{}]}}]}"#;
        let mut decoded = openai::decode(&Bytes::from(chunk)).unwrap();
        let piece = &mut decoded.choices[0];
        let counted = piece.text_bytes;
        hide(piece);
        assert_eq!(piece.delta.as_ref(), br#"{"role":"assistant","content":"\u00e9"}"#);
        assert_eq!((piece.text_bytes, piece.is_reasoning), (counted, true));
    }
}
