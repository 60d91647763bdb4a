//! Where time and chance enter: everything below `server` takes them as arguments.

use domain::time::Micros;

/// The wall clock.
#[must_use]
pub fn now() -> Micros {
    Micros::from_datetime(chrono::Utc::now())
}

/// `N` bytes nobody can guess.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills `bytes` with what nobody can guess. Without a source of randomness no key or session may be made, so the
/// process ends.
pub fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(error.cause = %error, "the system gives no random bytes; stopping");
        std::process::abort();
    }
}
