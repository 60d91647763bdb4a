//! Hashing passwords with Argon2id, off the async threads and never more than a few at once.

use crate::fail::Fail;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::account::Password;
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// OWASP's first recommendation for Argon2id (Password Storage Cheat Sheet): m = 19 MiB, t = 2, p = 1.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bounds the memory and the threads that a flood of sign-ins can take.
const HASHES_AT_ONCE_MAX: usize = 4;
pub const SALT_BYTES: usize = 16;

static PERMITS: Semaphore = Semaphore::const_new(HASHES_AT_ONCE_MAX);

/// A hash that no password has, so that an unknown address costs as much work as a known one.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now(b"nobody signs in with this", &[0x5a; SALT_BYTES]).unwrap_or_default());

/// The PHC string to store.
pub async fn hash(password: &Password, salt: [u8; SALT_BYTES]) -> Result<String, Fail> {
    let password = password.clone();
    blocking(move || hash_now(password.as_bytes(), &salt)).await?
}

/// Whether `typed` is the password behind `stored`. The same work is done when there is no account at all.
pub async fn verify(typed: &str, stored: Option<String>) -> Result<bool, Fail> {
    let typed = typed.to_owned();
    blocking(move || {
        let known = stored.is_some();
        let phc = stored.unwrap_or_else(|| NOBODY.clone());
        let fits = PasswordHash::new(&phc).is_ok_and(|hash| argon2().verify_password(typed.as_bytes(), &hash).is_ok());
        fits && known
    })
    .await
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String, Fail> {
    let hash: Result<PasswordHash, _> = argon2().hash_password_with_salt(password, salt);
    hash.map(|hash| hash.to_string()).map_err(|error| {
        tracing::error!(error = %error, "a password could not be hashed");
        Fail::Internal
    })
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fail> {
    let _permit = PERMITS.acquire().await.map_err(|_| Fail::Internal)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| Fail::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits_and_nobody_never_does() {
        let password = Password::parse("correct horse battery").unwrap();
        let stored = hash(&password, [7; SALT_BYTES]).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", Some(stored.clone())).await.unwrap());
        assert!(!verify("correct horse batterie", Some(stored)).await.unwrap());
        assert!(!verify("nobody signs in with this", None).await.unwrap());
    }
}
