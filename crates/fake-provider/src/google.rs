//! Google's token service: a statement signed by the test account buys the one token that is taken here.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

/// Made for tests, and good for nothing else: an RSA key (PKCS #8) in base64.
const TEST_KEY: &str = include_str!("google_test_key.txt");
const EMAIL: &str = "tester@fake-project.iam.gserviceaccount.com";
const TOKEN_PREFIX: &str = "ya29.";
const TOKEN: &str = "ya29.fake-provider";
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// The test account's key file, whose tokens come from `origin`.
#[must_use]
pub fn service_account(origin: &str) -> String {
    let kind = "PRIVATE KEY";
    let key = format!("-----BEGIN {kind}-----\n{TEST_KEY}-----END {kind}-----\n");
    json!({"type": "service_account", "project_id": "fake-project", "private_key_id": "1", "private_key": key,
        "client_email": EMAIL, "token_uri": format!("{origin}/token")})
    .to_string()
}

/// Whether a token of Google's form is the one that was sold.
pub(crate) fn verify(headers: &HeaderMap) -> Result<(), &'static str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
    match token {
        Some(token) if token.starts_with(TOKEN_PREFIX) && token != TOKEN => {
            Err("Request had invalid authentication credentials.")
        }
        _ => Ok(()),
    }
}

pub(crate) fn token(form: &str) -> Result<Value, &'static str> {
    let mut fields = form.split('&');
    if fields.next() != Some(GRANT) {
        return Err("unsupported_grant_type");
    }
    let assertion = fields.find_map(|field| field.strip_prefix("assertion="));
    is_signed(assertion.unwrap_or_default()).ok_or("invalid_grant")?;
    Ok(json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))
}

fn is_signed(assertion: &str) -> Option<()> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let inner: String = TEST_KEY.lines().collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(inner).ok()?).ok()?;
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    public.verify(signed.as_bytes(), &signature).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let lives = claims["exp"].as_u64()?.checked_sub(claims["iat"].as_u64()?)?;
    let is_ours = claims["iss"] == EMAIL && claims["aud"].as_str()?.ends_with("/token") && lives <= 3_600;
    is_ours.then_some(())
}
