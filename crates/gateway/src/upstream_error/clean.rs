//! What a provider says, made fit for a caller: no keys, and no addresses that are nobody else's business.

use super::MESSAGE_CHARS_MAX;
use std::net::{IpAddr, SocketAddr};

/// How keys and tokens begin.
const SECRETS: &[&str] = &[
    "sk-", "AIza", "gsk_", "xai-", "AKIA", "ASIA", "ya29.", "hf_", "nvapi-", "pplx-", "eyJ", "r8_", "fw_", "tgp_",
    "csk-",
];
/// A word of letters and digits this long is taken for one.
const SECRET_CHARS_MIN: usize = 40;
/// Names that mean something only inside.
const INSIDE: &[&str] = &[".internal", ".local", ".svc", ".lan", ".localdomain", ".corp", ".home"];

/// One line without control characters, cut, and without anything that looks like a key or a private address.
pub(super) fn clean(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        if looks_secret(word) {
            "[redacted]"
        } else if looks_private(word) {
            "[address]"
        } else {
            word
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

fn looks_secret(word: &str) -> bool {
    let parts = word.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')));
    let mut parts = parts.map(|part| part.trim_matches(['.', '*']));
    parts.any(|part| {
        let is_mixed = part.chars().any(|c| c.is_ascii_digit()) && part.chars().any(char::is_alphabetic);
        SECRETS
            .iter()
            .any(|start| part.starts_with(start) && part.len() > start.len())
            || (is_mixed && part.len() >= SECRET_CHARS_MIN && !part.contains(['.', '-']))
    })
}

fn looks_private(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '[' | ']'));
    let is_url = word.contains("://");
    let authority = word.split_once("://").map_or(word, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.parse::<SocketAddr>().is_ok() || authority.parse::<IpAddr>().is_ok() {
        return true;
    }
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_inside = host == "localhost" || INSIDE.iter().any(|end| host.ends_with(end));
    (is_url || has_port) && (is_inside || !host.contains('.') && !host.is_empty() && is_url)
        || is_inside && host.contains('.') && host != "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_private_addresses_are_left_out() {
        for (said, cleaned) in [
            ("Bad key sk-abc123\n given", "Bad key [redacted] given"),
            (
                "Incorrect API key provided: sk-proj-****abcd.",
                "Incorrect API key provided: [redacted]",
            ),
            ("Authorization: Bearer eyJhbGciOi", "Authorization: Bearer [redacted]"),
            ("key=AIzaSyA1b2c3", "[redacted]"),
            (
                "connect to http://10.0.0.3:8000/v1 refused",
                "connect to [address] refused",
            ),
            ("dial 127.0.0.1:9000: refused", "dial [address] refused"),
            ("upstream vllm.models.svc:8000 is down", "upstream [address] is down"),
            ("http://vllm:8000 is down", "[address] is down"),
            (
                "see https://platform.openai.com/docs/errors.",
                "see https://platform.openai.com/docs/errors.",
            ),
            ("messages.1: is wrong: 12:30", "messages.1: is wrong: 12:30"),
            ("max_tokens: 8192 > 4096", "max_tokens: 8192 > 4096"),
            ("task-based sk- is a prefix", "task-based sk- is a prefix"),
        ] {
            assert_eq!(clean(said), cleaned);
        }
    }
}
