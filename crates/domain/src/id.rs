//! Identifiers: opaque text with a prefix that says what it names.

use crate::time::Micros;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A fresh id from 128 random bits.
            #[must_use]
            pub fn new(random: [u8; 16]) -> Self {
                Self(format!(concat!($prefix, "_{}"), hex(&random)))
            }

            /// An id read back from where it was stored.
            #[must_use]
            pub fn stored(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Whoever pays: holds credits, owns keys.
    AccountId = "acc";
    /// A person who signs in.
    UserId = "usr";
    /// A signed-in browser, as listed to its owner; not the secret in the cookie.
    SessionId = "ses";
    PurchaseId = "pur";
    TransferId = "tr";
    /// Credits that came together; named after the transfer that brought them.
    LotId = "lot";
    RefundId = "ref";
    GrantId = "grant";
    MailId = "mail";
    /// A server process with a journal of its own; stable across restarts.
    NodeId = "node";
}

impl TransferId {
    /// A fresh id that begins with the time: those made together lie together, which keeps large indexes quick.
    #[must_use]
    pub fn at(now: Micros, random: [u8; 9]) -> Self {
        let micros = u64::try_from(now.get()).unwrap_or_default();
        Self(format!("tr_{:014x}{}", micros & MICROS_MAX, hex(&random)))
    }
}

impl LotId {
    /// The lot that `transfer` brings into being.
    #[must_use]
    pub fn of(transfer: &TransferId) -> Self {
        let rest = transfer.as_str().strip_prefix("tr_").unwrap_or(transfer.as_str());
        Self(format!("lot_{rest}"))
    }
}

/// Seven bytes: enough for two thousand years.
const MICROS_MAX: u64 = (1 << 56) - 1;

/// `gen-<unix seconds>-<20 characters>`, as clients of this API family expect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationId(String);

impl GenerationId {
    #[must_use]
    pub fn new(now: Micros, random: [u8; 10]) -> Self {
        Self(format!("gen-{}-{}", now.seconds(), hex(&random)))
    }

    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lowercase hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_what_they_name() {
        assert_eq!(
            AccountId::new([0xab; 16]).as_str(),
            "acc_abababababababababababababababab"
        );
        let id = GenerationId::new(Micros::new(1_795_421_106_000_000), [1; 10]);
        assert_eq!(id.as_str(), "gen-1795421106-01010101010101010101");
        let id = TransferId::at(Micros::new(1_795_421_106_000_000), [2; 9]);
        assert_eq!(id.as_str(), "tr_0660ed0d3ed080020202020202020202");
        assert_eq!(id.as_str().len(), TransferId::new([0; 16]).as_str().len());
    }
}
