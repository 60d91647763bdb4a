//! Tokens as this provider counts them: four bytes each, so that every count can be checked by hand.

use serde_json::Value;

pub const TOKEN_BYTES: usize = 4;

const WORDS: [&str; 8] = [" the", " sea", " has", " two", " old", " red", " big", " oak"];

/// A quarter of the bytes of all text in `messages`, rounded up, and at least one.
#[must_use]
pub fn prompt_tokens(messages: &Value) -> u64 {
    let bytes: usize = messages.as_array().into_iter().flatten().map(text_bytes).sum();
    u64::try_from(bytes.div_ceil(TOKEN_BYTES).max(1)).unwrap_or(u64::MAX)
}

/// The same of a request in any protocol: all text that stands under the names that protocols give to it.
pub(crate) fn prompt_tokens_of(body: &Value) -> u64 {
    u64::try_from(said_bytes(body).div_ceil(TOKEN_BYTES).max(1)).unwrap_or(u64::MAX)
}

fn said_bytes(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(said_bytes).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("text" | "content" | "input" | "instructions" | "system", Value::String(text)) => text.len(),
                ("tools" | "toolConfig" | "response_format" | "format", _) => 0,
                (_, value) => said_bytes(value),
            })
            .sum(),
        _ => 0,
    }
}

/// The `n`-th word of an answer that has no text of its own.
pub(crate) fn word(n: u64) -> &'static str {
    let index = usize::try_from(n % 8).unwrap_or(0);
    WORDS.get(index).copied().unwrap_or(" the")
}

/// `text` in pieces of at most four bytes, never inside a character.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for character in text.chars() {
        match pieces.last_mut() {
            Some(last) if last.len().saturating_add(character.len_utf8()) <= TOKEN_BYTES => last.push(character),
            _ => pieces.push(character.to_string()),
        }
    }
    pieces
}

fn text_bytes(message: &Value) -> usize {
    match message.get("content") {
        Some(Value::String(text)) => text.len(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .map(str::len)
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_prompt_counts_a_quarter_of_its_text() {
        let messages = json!([
            {"role": "system", "content": "12345"},
            {"role": "user", "content": [{"type": "text", "text": "123"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ]);
        assert_eq!(prompt_tokens(&messages), 2);
        assert_eq!(prompt_tokens(&json!([])), 1);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(pieces("abcdeüü€x"), ["abcd", "eü", "ü", "€x"]);
        assert!((0..9).all(|n| word(n).len() == TOKEN_BYTES));
    }
}
