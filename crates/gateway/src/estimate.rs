//! Estimates of token counts for holds, and for answers whose usage never arrives.

use crate::request::Field;
use crate::tokenizer;
use bytes::Bytes;
use serde_json::Value;

/// Bytes of text that make a token, as a cautious mean over common tokenizers and languages.
pub const BYTES_PER_TOKEN: u64 = 4;
/// What an inline image, audio clip or file is taken for, instead of its base64 length.
const ATTACHMENT_TOKENS: u64 = 1_600;
/// A run of base64 at least this long is an attachment.
const ATTACHMENT_BYTES_MIN: usize = 512;
/// Markup around the messages, and the system prompt that some chat templates add.
const OVERHEAD_TOKENS: u64 = 8;
const OVERHEAD_TOKENS_MAX: u64 = 48;

/// What is kept of a prompt for the tokenizer, in bytes; the rest is taken to be like it.
pub const SAMPLE_BYTES_MAX: usize = 8 * 1024;
/// What a chat template adds to each message.
const MESSAGE_TOKENS: u64 = 4;

/// A prompt as far as its size matters, small enough to be kept while it is answered.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// JSON of the messages: all of it, or its beginning without attachments.
    sample: Bytes,
    is_whole: bool,
    /// Text that the sample leaves out.
    beyond_bytes: u64,
    attachments: u64,
}

impl Prompt {
    /// Of the fields with these names, in this order: what holds the messages comes first, since that is what is kept.
    #[must_use]
    pub fn named(fields: &[Field], names: &[&str]) -> Self {
        let named = |name: &&str| fields.iter().find(|field| field.name == *name);
        Self::of(names.iter().filter_map(named))
    }

    /// Of the given fields, the messages first.
    pub fn of<'a>(fields: impl Iterator<Item = &'a Field>) -> Self {
        let mut prompt = Self::default();
        for Field { value, .. } in fields {
            let attachments = Attachments::of(value);
            let text_bytes = value.len() as u64 - attachments.bytes;
            prompt.attachments += attachments.count();
            prompt.beyond_bytes += text_bytes;
            if prompt.sample.is_empty() {
                prompt.is_whole = attachments.count() == 0 && value.len() <= SAMPLE_BYTES_MAX;
                prompt.sample = if prompt.is_whole {
                    value.clone()
                } else {
                    attachments.text_before(value, SAMPLE_BYTES_MAX)
                };
                prompt.beyond_bytes = prompt.beyond_bytes.saturating_sub(prompt.sample.len() as u64);
            }
        }
        prompt
    }

    /// Whether there are no images or the like in it, whose tokens are a guess.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.attachments == 0
    }

    /// From its size alone; errs on the high side.
    #[must_use]
    pub fn tokens_by_size(&self) -> u64 {
        let text = (self.sample.len() as u64 + self.beyond_bytes).div_ceil(BYTES_PER_TOKEN);
        OVERHEAD_TOKENS + text + self.attachments * ATTACHMENT_TOKENS
    }

    /// By the tokenizer. Takes a millisecond or two.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let whole = self
            .is_whole
            .then(|| serde_json::from_slice(&self.sample).ok())
            .flatten();
        let counted = match whole {
            Some(messages) => messages_tokens(&messages),
            None => tokenizer::count(&String::from_utf8_lossy(&self.sample)),
        };
        let beyond = match self.sample.len() as u64 {
            0 => self.beyond_bytes.div_ceil(BYTES_PER_TOKEN),
            bytes => self.beyond_bytes.saturating_mul(counted).div_ceil(bytes),
        };
        counted + beyond + self.attachments * ATTACHMENT_TOKENS
    }
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

/// Tokens of a JSON text's texts, and what attachments in it are taken for. Counts all of it, which takes milliseconds
/// for a long one.
#[must_use]
pub fn json_tokens(raw: &[u8]) -> u64 {
    let attachments = Attachments::of(raw);
    let text = attachments.without(raw);
    let counted = match serde_json::from_slice(&text) {
        Ok(value) => messages_tokens(&value),
        Err(_) => tokenizer::count(&String::from_utf8_lossy(&text)),
    };
    counted + attachments.count() * ATTACHMENT_TOKENS
}

/// Inline attachments of a JSON text.
struct Attachments {
    bytes: u64,
    /// Where each run of base64 begins and ends.
    runs: Vec<(usize, usize)>,
}

impl Attachments {
    fn of(json: &[u8]) -> Self {
        // As in a URL, and as the value of a member.
        const MARKS: [&[u8]; 3] = [b";base64,", b"\"data\":\"", b"\"data\": \""];
        let mut found = Self {
            bytes: 0,
            runs: Vec::new(),
        };
        let mut next = MARKS.map(|mark| find(json, mark));
        let mut at = 0;
        loop {
            for (mark, next) in MARKS.iter().zip(&mut next) {
                if next.is_some_and(|begin| begin < at) {
                    *next = find(&json[at..], mark).map(|begin| at + begin);
                }
            }
            let first = next
                .iter()
                .zip(MARKS)
                .filter_map(|(begin, mark)| Some((*begin)? + mark.len()))
                .min();
            let Some(begin) = first else { return found };
            let run = json[begin..].iter().position(|byte| *byte == b'"');
            at = run.map_or(json.len(), |run| begin + run);
            if at - begin >= ATTACHMENT_BYTES_MIN && json[begin..begin + ATTACHMENT_BYTES_MIN].iter().all(is_base64) {
                found.bytes += (at - begin) as u64;
                found.runs.push((begin, at));
            }
        }
    }

    fn count(&self) -> u64 {
        self.runs.len() as u64
    }

    /// At most `max` bytes of text, the first attachment left out and nothing taken from the second on.
    fn text_before(&self, json: &Bytes, max: usize) -> Bytes {
        let (begin, end) = self.runs.first().copied().unwrap_or((json.len(), json.len()));
        let mut text = json[..begin.min(max)].to_vec();
        let after = &json[end..];
        let until = if self.runs.len() > 1 {
            0
        } else {
            max.saturating_sub(text.len()).min(after.len())
        };
        text.extend_from_slice(&after[..until]);
        text.into()
    }

    /// The text with nothing where they were.
    fn without(&self, json: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(json.len());
        let mut from = 0;
        for (begin, end) in &self.runs {
            text.extend_from_slice(&json[from..*begin]);
            from = *end;
        }
        text.extend_from_slice(&json[from..]);
        text
    }
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// All text in the messages, and what a template adds to each.
fn messages_tokens(messages: &Value) -> u64 {
    let mut text = String::new();
    collect_text(messages, &mut text);
    let count = messages.as_array().map_or(0, Vec::len) as u64;
    tokenizer::count(&text) + count * MESSAGE_TOKENS
}

fn collect_text(value: &Value, text: &mut String) {
    match value {
        Value::String(part) => {
            text.push_str(part);
            text.push('\n');
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect_text(part, text)),
        Value::Object(members) => {
            let said = members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "role" | "type"));
            said.for_each(|(_, value)| collect_text(value, text));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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

    fn prompt(messages: &str, tools: &str) -> Prompt {
        let field = |name: &str, value: &str| Field {
            name: name.to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        Prompt::of([field("messages", messages), field("tools", tools)].iter())
    }

    #[test]
    fn an_inline_image_counts_as_an_image_and_not_as_text() {
        let text = r#"[{"role":"user","content":"hello there"}]"#;
        assert_eq!(prompt(text, "").tokens_by_size(), 8 + (text.len() as u64).div_ceil(4));
        let image = format!(r#"[{{"url":"data:image/png;base64,{}"}}]"#, "A".repeat(1_000_000));
        for tokens in [prompt(&image, "").tokens_by_size(), prompt(&image, "").tokens()] {
            assert!((1_600..1_700).contains(&tokens), "{tokens}");
        }
    }

    #[test]
    fn a_prompt_is_counted_by_its_text_and_a_long_one_by_its_beginning() {
        let one = prompt(r#"[{"role":"user","content":"the sea has two old red oak"}]"#, "");
        assert_eq!(one.tokens(), 7 + 1 + MESSAGE_TOKENS);
        let long = format!(
            r#"[{{"role":"user","content":"{}"}}]"#,
            " the sea has two".repeat(4_000)
        );
        let tokens = prompt(&long, "").tokens();
        assert!((15_900..16_200).contains(&tokens), "{tokens}");
        let with_tools = prompt(
            r#"[{"role":"user","content":"hi"}]"#,
            r#"[{"name":"a tool of some kind"}]"#,
        )
        .tokens();
        assert!((8..40).contains(&with_tools), "{with_tools}");
    }

    #[test]
    fn no_piece_is_less_than_a_token() {
        assert_eq!(completion_tokens(3, 4), 3);
        assert_eq!(completion_tokens(1, 41), 11);
    }
}
