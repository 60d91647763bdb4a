//! Estimates of token counts for holds, and for answers whose usage never arrives.

use crate::request::Field;

/// Bytes of text that make a token, as a cautious mean over common tokenizers and languages.
pub const BYTES_PER_TOKEN: u64 = 4;
/// What an inline image, audio clip or file is taken for, instead of its base64 length.
const ATTACHMENT_TOKENS: u64 = 1_600;
/// A run of base64 at least this long is an attachment.
const ATTACHMENT_BYTES_MIN: usize = 512;
/// Markup around the messages, and the system prompt that some chat templates add.
const OVERHEAD_TOKENS: u64 = 8;
const OVERHEAD_TOKENS_MAX: u64 = 48;

/// Tokens that the given fields will take as a prompt.
pub fn prompt_tokens<'a>(fields: impl Iterator<Item = &'a Field>) -> u64 {
    fields
        .map(|field| field_tokens(&field.value))
        .fold(OVERHEAD_TOKENS, u64::saturating_add)
}

/// What a prompt estimated at `tokens` may turn out to be in a dense language or tokenizer: the basis of holds.
#[must_use]
pub fn prompt_tokens_ceiling(tokens: u64) -> u64 {
    tokens.saturating_add(tokens / 2).saturating_add(OVERHEAD_TOKENS_MAX)
}

/// Tokens of `bytes` bytes of produced text that came in `deltas` pieces: no piece is less than a token.
#[must_use]
pub fn completion_tokens(deltas: u64, bytes: u64) -> u64 {
    deltas.max(bytes.div_ceil(BYTES_PER_TOKEN))
}

fn field_tokens(json: &[u8]) -> u64 {
    const MARK: &[u8] = b";base64,";
    let mut text_bytes = json.len() as u64;
    let mut attachments = 0;
    let mut rest = json;
    while let Some(at) = find(rest, MARK) {
        rest = &rest[at + MARK.len()..];
        let run = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        if run >= ATTACHMENT_BYTES_MIN {
            text_bytes = text_bytes.saturating_sub(run as u64);
            attachments += 1;
        }
        rest = &rest[run..];
    }
    text_bytes.div_ceil(BYTES_PER_TOKEN) + attachments * ATTACHMENT_TOKENS
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_image_counts_as_an_image_and_not_as_text() {
        let text = br#"[{"role":"user","content":"hello there"}]"#;
        assert_eq!(field_tokens(text), (text.len() as u64).div_ceil(4));
        let image = format!(r#"[{{"url":"data:image/png;base64,{}"}}]"#, "A".repeat(1_000_000));
        assert!(
            (1_600..1_700).contains(&field_tokens(image.as_bytes())),
            "{}",
            field_tokens(image.as_bytes())
        );
    }

    #[test]
    fn no_piece_is_less_than_a_token() {
        assert_eq!(completion_tokens(3, 4), 3);
        assert_eq!(completion_tokens(1, 41), 11);
    }
}
