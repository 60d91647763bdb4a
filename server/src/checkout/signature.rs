//! Webhook signatures in Stripe's scheme: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

use crate::config::Secret;
use domain::id::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Why a webhook was not believed. None of it is told to the sender beyond the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the webhook carries no signature")]
    Missing,
    #[error("the signature header is malformed")]
    Malformed,
    #[error("the signature is too old or from the future")]
    Stale,
    #[error("the signature does not fit")]
    Forged,
}

/// How far the time of signing may lie from ours.
pub const TOLERANCE_SECS: i64 = 300;

/// The header for `body`, signed at `now_secs`.
#[must_use]
pub fn sign(secret: &Secret, now_secs: i64, body: &[u8]) -> String {
    let code = mac(secret, now_secs, body).map(|mac| hex(&mac.finalize().into_bytes()));
    format!("t={now_secs},v1={}", code.unwrap_or_default())
}

/// Whether any of `secrets` signed `body` within [`TOLERANCE_SECS`] of `now_secs`. Comparison takes constant time.
///
/// # Errors
/// See [`SignatureError`]. An empty secret never verifies anything.
pub fn verify(secrets: &[Secret], header: Option<&str>, body: &[u8], now_secs: i64) -> Result<(), SignatureError> {
    let header = header
        .filter(|header| !header.is_empty())
        .ok_or(SignatureError::Missing)?;
    let (time, codes) = parse(header)?;
    if now_secs.abs_diff(time) > TOLERANCE_SECS.unsigned_abs() {
        return Err(SignatureError::Stale);
    }
    let fits = |secret: &Secret| {
        let fits = |code: &Vec<u8>| mac(secret, time, body).is_some_and(|mac| mac.verify_slice(code).is_ok());
        codes.iter().any(fits)
    };
    if secrets.iter().any(fits) {
        Ok(())
    } else {
        Err(SignatureError::Forged)
    }
}

fn parse(header: &str) -> Result<(i64, Vec<Vec<u8>>), SignatureError> {
    let mut time = None;
    let mut codes = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => time = text.parse().ok(),
            Some(("v1", text)) => codes.extend(unhex(text)),
            _ => {}
        }
    }
    let time = time.ok_or(SignatureError::Malformed)?;
    if codes.is_empty() {
        Err(SignatureError::Malformed)
    } else {
        Ok((time, codes))
    }
}

fn mac(secret: &Secret, time: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
    if secret.reveal().is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok()?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    Some(mac)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_421_106;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    fn check(header: Option<&str>, body: &[u8], expected: Result<(), SignatureError>) {
        let secrets = [secret("new secret"), secret("old secret")];
        assert_eq!(verify(&secrets, header, body, NOW), expected, "{header:?}");
    }

    #[test]
    fn what_a_known_secret_signed_is_believed() {
        check(Some(&sign(&secret("new secret"), NOW, b"{}")), b"{}", Ok(()));
        check(Some(&sign(&secret("old secret"), NOW, b"{}")), b"{}", Ok(()));
        let rotated = format!("{},v1=00ff,v0=zz", sign(&secret("old secret"), NOW - 300, b"{}"));
        check(Some(&rotated), b"{}", Ok(()));
    }

    /// `printf '1795421106.{}' | openssl dgst -sha256 -hmac 'new secret'`
    #[test]
    fn the_scheme_is_the_documented_one() {
        let code = "576cca4e4133f83e10640a32cbe73e704f858b812da0973f23e8cb5053c14132";
        assert_eq!(
            sign(&secret("new secret"), NOW, b"{}"),
            format!("t=1795421106,v1={code}")
        );
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        check(None, b"{}", Err(SignatureError::Missing));
        check(Some(""), b"{}", Err(SignatureError::Missing));
        for malformed in [
            "t=1",
            "v1=00",
            "t=x,v1=00",
            "t=1795421106,v1=xyz",
            "t=1795421106,v1=000",
            "nonsense",
        ] {
            check(Some(malformed), b"{}", Err(SignatureError::Malformed));
        }
        check(
            Some(&sign(&secret("other"), NOW, b"{}")),
            b"{}",
            Err(SignatureError::Forged),
        );
        check(
            Some(&sign(&secret("new secret"), NOW, b"{}")),
            b"{ }",
            Err(SignatureError::Forged),
        );
        let moved = sign(&secret("new secret"), NOW - 1, b"{}").replace("t=1795421105", "t=1795421106");
        check(Some(&moved), b"{}", Err(SignatureError::Forged));
        check(Some("t=1795421106,v1="), b"{}", Err(SignatureError::Forged));
    }

    #[test]
    fn an_old_signature_is_refused_either_way() {
        check(
            Some(&sign(&secret("new secret"), NOW - 301, b"{}")),
            b"{}",
            Err(SignatureError::Stale),
        );
        check(
            Some(&sign(&secret("new secret"), NOW + 301, b"{}")),
            b"{}",
            Err(SignatureError::Stale),
        );
        check(
            Some(&sign(&secret("new secret"), i64::MIN, b"{}")),
            b"{}",
            Err(SignatureError::Stale),
        );
    }

    #[test]
    fn an_empty_secret_signs_and_verifies_nothing() {
        let forged = {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
            mac.update(format!("{NOW}.{{}}").as_bytes());
            format!("t={NOW},v1={}", hex(&mac.finalize().into_bytes()))
        };
        assert_eq!(
            verify(&[secret("")], Some(&forged), b"{}", NOW),
            Err(SignatureError::Forged)
        );
        assert_eq!(verify(&[], Some(&forged), b"{}", NOW), Err(SignatureError::Forged));
    }
}
