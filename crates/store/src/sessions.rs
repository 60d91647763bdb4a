//! Signed-in browsers. The secret in the cookie is known here by its hash only.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use crate::users::User;
use domain::id::{AccountId, SessionId, UserId};
use domain::time::Micros;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    pub created: Micros,
    pub last_seen: Micros,
    pub expires: Micros,
    /// As the owner sees it in the list of sessions.
    pub ip: String,
    pub user_agent: String,
}

/// # Errors
/// `Conflict` when the id or the token hash exists.
pub async fn create(tx: &mut Tx, token_hash: &str, session: &Session) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO sessions (id, token_hash, user_id, created_us, last_seen_us, expires_us, ip, user_agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        session.id.as_str(),
        token_hash,
        session.user.as_str(),
        session.created.get(),
        session.last_seen.get(),
        session.expires.get(),
        session.ip.as_str(),
        session.user_agent.as_str(),
    )?;
    Ok(())
}

/// The session and its user, unless it was revoked or has expired.
///
/// # Errors
/// Of the database only.
pub async fn by_token(tx: &mut Tx, token_hash: &str, now: Micros) -> Result<Option<(Session, User)>> {
    let row = fetch_optional!(
        SignedIn,
        tx,
        "SELECT s.id, s.user_id, s.created_us, s.last_seen_us, s.expires_us, s.ip, s.user_agent,
                u.account_id, u.email, u.verified_us, u.is_admin, u.created_us AS user_created_us
         FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.token_hash = $1 AND s.expires_us > $2",
        token_hash,
        now.get(),
    )?;
    row.map(SignedIn::parts).transpose()
}

/// Records that the session was used.
///
/// # Errors
/// Of the database only.
pub async fn touch(tx: &mut Tx, id: &SessionId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "UPDATE sessions SET last_seen_us = $2 WHERE id = $1",
        id.as_str(),
        now.get()
    )?;
    Ok(())
}

/// The user's live sessions, the last used first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, user: &UserId, now: Micros) -> Result<Vec<Session>> {
    let rows = fetch_all!(
        SessionRow,
        tx,
        "SELECT id, user_id, created_us, last_seen_us, expires_us, ip, user_agent FROM sessions
         WHERE user_id = $1 AND expires_us > $2 ORDER BY last_seen_us DESC, id",
        user.as_str(),
        now.get(),
    )?;
    Ok(rows.into_iter().map(SessionRow::session).collect())
}

/// Ends a session of this user. False when there is none.
///
/// # Errors
/// Of the database only.
pub async fn revoke(tx: &mut Tx, user: &UserId, id: &SessionId) -> Result<bool> {
    let ended = execute!(
        tx,
        "DELETE FROM sessions WHERE id = $1 AND user_id = $2",
        id.as_str(),
        user.as_str()
    )?;
    Ok(ended == 1)
}

/// Ends all sessions of this user but `except`; gives their number.
///
/// # Errors
/// Of the database only.
pub async fn revoke_all(tx: &mut Tx, user: &UserId, except: Option<&SessionId>) -> Result<u64> {
    // No session has the empty id.
    let except = except.map_or("", SessionId::as_str);
    execute!(
        tx,
        "DELETE FROM sessions WHERE user_id = $1 AND id <> $2",
        user.as_str(),
        except
    )
}

/// Forgets sessions that have expired; gives their number.
///
/// # Errors
/// Of the database only.
pub async fn delete_expired(tx: &mut Tx, now: Micros) -> Result<u64> {
    execute!(tx, "DELETE FROM sessions WHERE expires_us <= $1", now.get())
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    user_id: String,
    created_us: i64,
    last_seen_us: i64,
    expires_us: i64,
    ip: String,
    user_agent: String,
}

#[derive(sqlx::FromRow)]
struct SignedIn {
    #[sqlx(flatten)]
    session: SessionRow,
    account_id: String,
    email: String,
    verified_us: Option<i64>,
    is_admin: i64,
    user_created_us: i64,
}

impl SessionRow {
    fn session(self) -> Session {
        Session {
            id: SessionId::stored(self.id),
            user: UserId::stored(self.user_id),
            created: Micros::new(self.created_us),
            last_seen: Micros::new(self.last_seen_us),
            expires: Micros::new(self.expires_us),
            ip: self.ip,
            user_agent: self.user_agent,
        }
    }
}

impl SignedIn {
    fn parts(self) -> Result<(Session, User)> {
        let user = User {
            id: UserId::stored(self.session.user_id.as_str()),
            account: AccountId::stored(self.account_id),
            email: column::email(&self.email)?,
            verified: column::micros(self.verified_us),
            is_admin: self.is_admin != 0,
            created: Micros::new(self.user_created_us),
        };
        Ok((self.session.session(), user))
    }
}
