//! Tokens of Google's service accounts: a signed statement buys one, and it is renewed before it ends.

use super::access::AccessError;
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The accounts in use, each with its token.
pub struct ServiceAccounts {
    client: reqwest::Client,
    known: Mutex<HashMap<String, Arc<ServiceAccount>>>,
}

pub struct ServiceAccount {
    client: reqwest::Client,
    file: KeyFile,
    token: tokio::sync::RwLock<Option<Token>>,
    /// One who asks at a time.
    asking: tokio::sync::Mutex<()>,
}

/// What the vendor's console hands out as JSON. `token_uri` is where tokens come from.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default = "default_token_uri")]
    token_uri: String,
}

#[derive(Clone)]
struct Token {
    text: Secret,
    ends: Instant,
}

#[derive(Deserialize)]
struct Bought {
    access_token: String,
    #[serde(default = "default_lifetime_secs")]
    expires_in: u64,
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const STATEMENT_SECS: u64 = 3_600;
/// A token that ends sooner is renewed while it is still used.
const RENEWED_AHEAD: Duration = Duration::from_secs(300);
/// A token that ends sooner is not used any more.
const SPARE: Duration = Duration::from_secs(20);
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

impl ServiceAccounts {
    pub fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// The account whose key, or the path of whose key file, is in `setting`.
    pub async fn account(&self, setting: &str, value: &Secret) -> Result<Arc<ServiceAccount>, AccessError> {
        if let Some(account) = self.known().get(setting) {
            return Ok(Arc::clone(account));
        }
        let refused = || AccessError::NotAServiceAccount(setting.to_owned());
        let text = if value.reveal().trim_start().starts_with('{') {
            value.reveal().to_owned()
        } else {
            read(value.reveal().trim()).await.ok_or_else(refused)?
        };
        let file: KeyFile = serde_json::from_str(&text).map_err(|_| refused())?;
        key_pair(&file.private_key).ok_or_else(refused)?;
        let account = Arc::new(ServiceAccount {
            client: self.client.clone(),
            file,
            token: tokio::sync::RwLock::default(),
            asking: tokio::sync::Mutex::default(),
        });
        Ok(Arc::clone(self.known().entry(setting.to_owned()).or_insert(account)))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ServiceAccount>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceAccount {
    pub fn project(&self) -> Option<&str> {
        self.file.project_id.as_deref()
    }

    /// A token that still holds. Near its end one request renews it; the others go on with the old one meanwhile, and so
    /// does that one when the renewal fails.
    pub async fn token(&self) -> Result<Secret, AccessError> {
        let now = Instant::now();
        let known = self.token.read().await.clone();
        let Some(old) = known.filter(|token| token.ends > now + SPARE) else {
            let _asking = self.asking.lock().await;
            // Another may have been first.
            let known = self.token.read().await.clone();
            return match known.filter(|token| token.ends > Instant::now() + SPARE) {
                Some(token) => Ok(token.text),
                None => self.renew().await,
            };
        };
        match (old.ends > now + RENEWED_AHEAD, self.asking.try_lock()) {
            (false, Ok(_asking)) => Ok(self.renew().await.unwrap_or(old.text)),
            _ => Ok(old.text),
        }
    }

    async fn renew(&self) -> Result<Secret, AccessError> {
        let bought = tokio::time::timeout(TOKEN_TIMEOUT, self.buy()).await;
        let bought = bought.map_err(|_| AccessError::NoToken("no answer in time".to_owned()))??;
        let token = Token {
            text: Secret::new(bought.access_token),
            ends: Instant::now() + Duration::from_secs(bought.expires_in),
        };
        *self.token.write().await = Some(token.clone());
        Ok(token.text)
    }

    async fn buy(&self) -> Result<Bought, AccessError> {
        let statement = self.statement(SystemTime::now()).ok_or(AccessError::Unsigned)?;
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={statement}");
        let request = self
            .client
            .post(&self.file.token_uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let unreached = |_| AccessError::NoToken("it could not be reached".to_owned());
        let response = request.send().await.map_err(unreached)?;
        if !response.status().is_success() {
            return Err(AccessError::NoToken(format!("status {}", response.status().as_u16())));
        }
        let body = response.bytes().await.map_err(unreached)?;
        serde_json::from_slice(&body).map_err(|_| AccessError::NoToken("its answer holds no token".to_owned()))
    }

    /// A JSON web token by which the account asks in its own name (RFC 7523), signed with RS256.
    fn statement(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "RS256", "typ": "JWT", "kid": self.file.private_key_id}));
        let claims = part(
            json!({"iss": self.file.client_email, "scope": SCOPE, "aud": self.file.token_uri,
            "iat": now, "exp": now + STATEMENT_SECS}),
        );
        let signed = format!("{header}.{claims}");
        let key = key_pair(&self.file.private_key)?;
        let mut signature = vec![0; key.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
            .ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

async fn read(path: &str) -> Option<String> {
    let size = tokio::fs::metadata(path).await.ok()?.len();
    if size > KEY_FILE_BYTES_MAX {
        return None;
    }
    tokio::fs::read_to_string(path).await.ok()
}

fn key_pair(pem: &str) -> Option<RsaKeyPair> {
    let (_, inner) = pem.split_once(PEM_BEGIN)?;
    let (inner, _) = inner.split_once(PEM_END)?;
    let inner: String = inner.split_whitespace().collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(inner).ok()?).ok()
}

fn default_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

const fn default_lifetime_secs() -> u64 {
    3_600
}
