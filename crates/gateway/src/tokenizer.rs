//! One tokenizer for all models: what it counts is brought to each endpoint's own counting by
//! [`crate::calibration::Calibration`].

use crate::estimate::BYTES_PER_TOKEN;
use std::panic::catch_unwind;

/// Tokens of `text` in the vocabulary `o200k_base`. The first call loads it, which takes a quarter of a second and some
/// forty megabytes.
#[must_use]
pub fn count(text: &str) -> u64 {
    // The regular expressions behind it give up by a panic on texts made to exhaust them.
    let counted = catch_unwind(|| tiktoken_rs::o200k_base_singleton().count_ordinary(text) as u64);
    counted.unwrap_or_else(|_| (text.len() as u64).div_ceil(BYTES_PER_TOKEN))
}

/// Tokens of text as it stands in JSON between its quotes, possibly cut off at the end.
#[must_use]
pub fn count_json(raw: &[u8]) -> u64 {
    count(&unescaped(raw))
}

fn unescaped(raw: &[u8]) -> String {
    /// The longest thing that a cut can leave half: two escaped surrogates.
    const CUT_MAX: usize = 12;
    for cut in 0..=CUT_MAX.min(raw.len()) {
        let mut quoted = Vec::with_capacity(raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&raw[..raw.len() - cut]);
        quoted.push(b'"');
        if let Ok(text) = serde_json::from_slice(&quoted) {
            return text;
        }
    }
    String::from_utf8_lossy(raw).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_tokens() {
        assert_eq!(count(" the sea has two old red big oak"), 8);
        assert_eq!(count(""), 0);
        assert_eq!(count_json(br#" the sea\n has"#), 4);
    }

    #[test]
    fn a_text_cut_anywhere_is_understood_up_to_there() {
        let raw = r#"ab\ud83d\ude00€\n"#.as_bytes();
        let whole = unescaped(raw);
        assert_eq!(whole, "ab😀€\n");
        for length in 0..raw.len() {
            assert!(whole.starts_with(&unescaped(&raw[..length])), "cut at {length}");
        }
    }
}
