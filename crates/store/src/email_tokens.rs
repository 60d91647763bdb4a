//! Secrets sent by e-mail that prove an address or allow a new password, once.

use crate::database::Tx;
use crate::error::Result;
use domain::id::UserId;
use domain::time::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Proves the e-mail address.
    Verify,
    /// Allows to set a new password.
    Reset,
}

/// Stores the hash of a token that is good until `expires`; forgets the user's tokens that are past.
///
/// # Errors
/// `Conflict` when the hash exists.
pub async fn create(
    tx: &mut Tx,
    purpose: Purpose,
    token_hash: &str,
    user: &UserId,
    expires: Micros,
    now: Micros,
) -> Result<()> {
    execute!(
        tx,
        "DELETE FROM email_tokens WHERE user_id = $1 AND expires_us <= $2",
        user.as_str(),
        now.get()
    )?;
    execute!(
        tx,
        "INSERT INTO email_tokens (token_hash, purpose, user_id, created_us, expires_us) VALUES ($1, $2, $3, $4, $5)",
        token_hash,
        purpose.name(),
        user.as_str(),
        now.get(),
        expires.get(),
    )?;
    Ok(())
}

/// Uses a token up, and with it the user's other tokens of the same purpose, so that an older mail opens nothing any
/// more. `None` when the token is unknown, used, expired or of another purpose.
///
/// # Errors
/// Of the database only.
pub async fn take(tx: &mut Tx, purpose: Purpose, token_hash: &str, now: Micros) -> Result<Option<UserId>> {
    let row = fetch_optional!(
        (String,),
        tx,
        "DELETE FROM email_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_us > $3 RETURNING user_id",
        token_hash,
        purpose.name(),
        now.get(),
    )?;
    let Some((user,)) = row else { return Ok(None) };
    execute!(
        tx,
        "DELETE FROM email_tokens WHERE user_id = $1 AND purpose = $2",
        user.as_str(),
        purpose.name(),
    )?;
    Ok(Some(UserId::stored(user)))
}

impl Purpose {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }
}
