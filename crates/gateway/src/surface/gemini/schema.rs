//! Google's form of schemas, which is nearly JSON Schema.

use crate::dialect::json::quoted;
use crate::request::TopLevel;

/// Members that JSON Schema does not have.
const DROPPED: &[&str] = &["nullable", "propertyOrdering", "property_ordering"];
/// Numbers that may come as text.
const COUNTS: &[&str] = &[
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
];
const DEPTH_MAX: u32 = 64;

/// The same as JSON Schema: types in small letters, `nullable` as a further type. Order is kept.
pub(super) fn json_schema(raw: &str) -> String {
    schema(raw, DEPTH_MAX)
}

fn schema(raw: &str, depth: u32) -> String {
    let Some(TopLevel(members)) = serde_json::from_str(raw).ok().filter(|_| depth > 0) else {
        return raw.to_owned();
    };
    let is_nullable = members
        .iter()
        .any(|(name, value)| name == "nullable" && value.get() == "true");
    let mut all = Vec::with_capacity(members.len());
    for (name, value) in members.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str())) {
        let value = value.get();
        let said = match name.as_str() {
            "type" if value.starts_with('"') => {
                let kind = value.to_ascii_lowercase();
                if is_nullable {
                    format!("[{kind},\"null\"]")
                } else {
                    kind
                }
            }
            "properties" | "defs" | "$defs" => named(value, depth),
            "items" | "additionalProperties" => schema(value, depth - 1),
            "anyOf" | "any_of" | "oneOf" | "allOf" | "prefixItems" => list(value, depth),
            name if COUNTS.contains(&name) => value.trim_matches('"').to_owned(),
            _ => value.to_owned(),
        };
        let name = if name == "any_of" { "anyOf" } else { name };
        all.push(format!("{}:{said}", quoted(name)));
    }
    format!("{{{}}}", all.join(","))
}

fn named(raw: &str, depth: u32) -> String {
    let Ok(TopLevel(members)) = serde_json::from_str(raw) else {
        return raw.to_owned();
    };
    let all = members
        .iter()
        .map(|(name, value)| format!("{}:{}", quoted(name), schema(value.get(), depth - 1)));
    format!("{{{}}}", all.collect::<Vec<_>>().join(","))
}

fn list(raw: &str, depth: u32) -> String {
    let Ok(items) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(raw) else {
        return raw.to_owned();
    };
    let all = items.iter().map(|item| schema(item.get(), depth - 1));
    format!("[{}]", all.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_schemas_become_json_schemas_in_the_same_order() {
        let google = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"a":{"type":"ARRAY","minItems":"1",
            "items":{"type":"INTEGER"}},"n":{"anyOf":[{"type":"NUMBER"},{"type":"STRING","enum":["X"]}]}},"required":["a"],
            "propertyOrdering":["a"]}"#;
        let expected = concat!(
            r#"{"type":"object","properties":{"type":{"type":["string","null"]},"#,
            r#""a":{"type":"array","minItems":1,"items":{"type":"integer"}},"#,
            r#""n":{"anyOf":[{"type":"number"},{"type":"string","enum":["X"]}]}},"required":["a"]}"#
        );
        assert_eq!(json_schema(google), expected);
        assert_eq!(json_schema("true"), "true");
    }
}
