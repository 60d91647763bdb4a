//! API keys: `sk-tw-v1-`, 256 random bits, and a checksum that lets scanners and typing errors be told from real keys.

use crate::id::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A whole key as shown once to its owner. Has no `Debug` or `Display`, so that it cannot reach a log by accident.
#[derive(Clone)]
pub struct ApiKey(String);

/// Lowercase hex SHA-256 of the whole key: how a key is stored, looked up and named in the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(String);

pub const PREFIX: &str = "sk-tw-v1-";
const RANDOM_HEX_DIGITS: usize = 64;
const CHECKSUM_HEX_DIGITS: usize = 8;

impl ApiKey {
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        let secret = hex(random);
        let sum = checksum(&secret);
        Self(format!("{PREFIX}{secret}{sum}"))
    }

    /// `None` when `text` cannot be a key: another prefix, another length, or a checksum that does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        if rest.len() != RANDOM_HEX_DIGITS.saturating_add(CHECKSUM_HEX_DIGITS) || !rest.is_ascii() {
            return None;
        }
        let (secret, sum) = rest.split_at(RANDOM_HEX_DIGITS);
        (checksum(secret) == sum).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex(&Sha256::digest(self.0.as_bytes())))
    }

    /// The masked form shown in lists: `sk-tw-v1-abc…f09`.
    #[must_use]
    pub fn label(&self) -> String {
        let rest = self.0.strip_prefix(PREFIX).unwrap_or_default();
        let (head, tail) = (
            rest.get(..3).unwrap_or_default(),
            rest.get(rest.len().saturating_sub(3)..).unwrap_or_default(),
        );
        format!("{PREFIX}{head}…{tail}")
    }

    /// The key itself, for the one time it is shown.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl KeyHash {
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of a secret that only its holder knows (session cookie, reset link), as stored.
#[must_use]
pub fn secret_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// The first 32 bits of SHA-256 over a domain-separated secret.
fn checksum(secret: &str) -> String {
    let digest = Sha256::digest(format!("tollway-key-checksum:{secret}").as_bytes());
    hex(digest.get(..4).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_parses_to_itself_and_a_changed_one_does_not(random in any::<[u8; 32]>(), at in 9usize..81) {
            let key = ApiKey::new(&random);
            prop_assert_eq!(ApiKey::parse(key.reveal()).unwrap().hash(), key.hash());
            let mut changed = key.reveal().to_owned();
            let old = changed.as_bytes()[at];
            changed.replace_range(at..at + 1, if old == b'0' { "1" } else { "0" });
            prop_assert!(ApiKey::parse(&changed).is_none());
        }
    }

    #[test]
    fn other_text_is_no_key() {
        for text in [
            "",
            "sk-tw-v1-",
            "sk-or-v1-00",
            "sk-tw-v1-ü",
            &format!("{PREFIX}{}", "0".repeat(72)),
        ] {
            assert!(ApiKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_label_shows_six_digits_at_most() {
        assert_eq!(ApiKey::new(&[0xab; 32]).label().chars().count(), PREFIX.len() + 7);
    }
}
