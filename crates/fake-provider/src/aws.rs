//! Checks Signature Version 4 as the vendor does, written from its specification and not with the signer's code.

use axum::http::{HeaderMap, Method, Uri, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The only keys that sign here.
pub const AWS_ACCESS_KEY_ID: &str = "AKIAFAKEPROVIDER";
pub const AWS_SECRET_ACCESS_KEY: &str = "fake/secret+of/the+fake/provider";

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided.";

/// Whether a signed request is signed rightly; one that is not signed at all is none of our business.
pub(crate) fn verify(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text(header::AUTHORIZATION.as_str()).unwrap_or_default();
    let Some(parts) = authorization.strip_prefix(ALGORITHM) else {
        return Ok(());
    };
    let part = |name: &str| {
        let mut parts = parts.split(", ");
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let credential = part("Credential").ok_or(MISMATCH)?;
    let names = part("SignedHeaders").ok_or(MISMATCH)?;
    let signature = part("Signature").ok_or(MISMATCH)?;
    let (id, scope) = credential.split_once('/').ok_or(MISMATCH)?;
    if id != AWS_ACCESS_KEY_ID {
        return Err("The security token included in the request is invalid.");
    }
    if !names.split(';').any(|name| name == "host") {
        return Err(MISMATCH);
    }
    let mut canonical = format!(
        "{method}\n{}\n{}\n",
        twice_encoded(uri.path()),
        uri.query().unwrap_or_default()
    );
    for name in names.split(';') {
        let value = text(name).ok_or(MISMATCH)?.trim();
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(body))));
    let time = text("x-amz-date").ok_or(MISMATCH)?;
    let hashed = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{}\n{time}\n{scope}\n{hashed}", ALGORITHM.trim_end());
    let mut key = format!("AWS4{AWS_SECRET_ACCESS_KEY}").into_bytes();
    for part in scope.split('/') {
        key = code(&key, part);
    }
    let expected = hex(&code(&key, &to_sign));
    let is_today = scope.split('/').next() == time.get(..8);
    if expected == signature && is_today {
        Ok(())
    } else {
        Err(MISMATCH)
    }
}

fn code(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The path as sent, encoded once more.
fn twice_encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to text never fails.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
