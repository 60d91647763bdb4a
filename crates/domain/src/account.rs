//! What a person types to sign up, parsed once at the edge; the browser runs the same code.

use serde::{Deserialize, Serialize};

/// An e-mail address: trimmed, lowercased, with one `@` and a dotted domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

/// A password long enough to be one. It has no `Debug` output and is never stored.
#[derive(Clone)]
pub struct Password(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("Enter an e-mail address such as ada@example.org.")]
    Email,
    #[error("Use at least {PASSWORD_CHARS_MIN} characters for the password.")]
    PasswordTooShort,
    #[error("Use at most {PASSWORD_BYTES_MAX} bytes for the password.")]
    PasswordTooLong,
    #[error("This password is among the most used ones. Choose another.")]
    PasswordCommon,
}

pub const EMAIL_BYTES_MAX: usize = 254;
/// ASVS 5.0 6.2.1 asks for at least 8 and recommends 15.
pub const PASSWORD_CHARS_MIN: usize = 10;
pub const PASSWORD_BYTES_MAX: usize = 256;

/// The lists of most used passwords, cut to those that are long enough to pass the length rule.
const COMMON_PASSWORDS: &[&str] = &[
    "1234567890",
    "0123456789",
    "0987654321",
    "1111111111",
    "0000000000",
    "12345678910",
    "123456789a",
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "qwertyuiop",
    "qwerty12345",
    "qwerty123456",
    "asdfghjkl123",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "iloveyou123",
    "letmein1234",
    "welcome1234",
    "administrator",
    "changeme123",
    "football123",
    "baseball123",
    "sunshine123",
    "princess123",
    "superman123",
    "abcdefghij",
    "abc1234567",
    "zaq12wsxcde3",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "1234567890a",
    "unknown123",
    "testtest123",
    "trustno1234",
];

impl Email {
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.split_once('@').ok_or(CredentialError::Email)?;
        let plain = |part: &str| {
            !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || "@<>,;\"\\()[]".contains(c))
        };
        let labels_ok = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
        if local.is_empty() || text.len() > EMAIL_BYTES_MAX || !plain(local) || !plain(domain) || !labels_ok {
            return Err(CredentialError::Email);
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Password {
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(CredentialError::PasswordTooShort);
        }
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(CredentialError::PasswordTooLong);
        }
        let mut distinct: Vec<char> = text.chars().collect();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < 3 || COMMON_PASSWORDS.contains(&text.to_lowercase().as_str()) {
            return Err(CredentialError::PasswordCommon);
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folded_to_one_form() {
        assert_eq!(Email::parse("  Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "a@b@c.d",
            "a b@c.d",
            "ada@localhost",
            "ada@x..y",
            "a\r\nb@c.d",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn refusal(text: &str) -> Option<CredentialError> {
        Password::parse(text).err()
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        assert_eq!(refusal("short"), Some(CredentialError::PasswordTooShort));
        assert_eq!(refusal("Password123"), Some(CredentialError::PasswordCommon));
        assert_eq!(refusal("aaaaaaaaaaaa"), Some(CredentialError::PasswordCommon));
        assert_eq!(refusal(&"xyz".repeat(100)), Some(CredentialError::PasswordTooLong));
        assert_eq!(refusal("correct horse battery"), None);
    }
}
