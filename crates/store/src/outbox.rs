//! Mails that leave after the transaction that wrote them has committed.

use crate::column;
use crate::database::Tx;
use crate::error::Result;
use domain::account::Email;
use domain::id::MailId;
use domain::time::Micros;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub id: MailId,
    pub to: Email,
    pub subject: String,
    /// Plain text.
    pub body: String,
    pub created: Micros,
    pub sent: Option<Micros>,
    /// Failed ones.
    pub attempts: i64,
}

/// For how long a mail handed out by [`due`] is not handed out again, in microseconds.
pub const CLAIM_US: i64 = 2 * Micros::MINUTE;

/// Stores a mail that is due at once.
///
/// # Errors
/// `Conflict` when the id exists.
pub async fn enqueue(tx: &mut Tx, mail: &Mail) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO mails (id, recipient, subject, body, created_us, sent_us, attempts, next_attempt_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $5)",
        mail.id.as_str(),
        mail.to.as_str(),
        mail.subject.as_str(),
        mail.body.as_str(),
        mail.created.get(),
        mail.sent.map(Micros::get),
        mail.attempts,
    )?;
    Ok(())
}

/// Claims up to `limit` mails whose time has come, oldest first. Nobody else gets them for [`CLAIM_US`], so that nodes
/// do not send the same mail twice; commit before sending. Wants a writing transaction.
///
/// # Errors
/// Of the database only.
pub async fn due(tx: &mut Tx, now: Micros, limit: i64) -> Result<Vec<Mail>> {
    let rows = fetch_all!(
        MailRow,
        tx,
        "UPDATE mails SET next_attempt_us = $3
         WHERE sent_us IS NULL AND next_attempt_us <= $1 AND id IN (
             SELECT id FROM mails WHERE sent_us IS NULL AND next_attempt_us <= $1
             ORDER BY next_attempt_us, id LIMIT $2)
         RETURNING id, recipient, subject, body, created_us, sent_us, attempts",
        now.get(),
        limit,
        now.plus(CLAIM_US).get(),
    )?;
    let mut mails = rows.into_iter().map(MailRow::mail).collect::<Result<Vec<_>>>()?;
    mails.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(mails)
}

/// # Errors
/// Of the database only.
pub async fn mark_sent(tx: &mut Tx, id: &MailId, now: Micros) -> Result<()> {
    execute!(
        tx,
        "UPDATE mails SET sent_us = $2, last_error = NULL WHERE id = $1",
        id.as_str(),
        now.get()
    )?;
    Ok(())
}

/// Counts a failed attempt and sets when the next one is due.
///
/// # Errors
/// Of the database only.
pub async fn mark_failed(tx: &mut Tx, id: &MailId, error: &str, next_attempt: Micros) -> Result<()> {
    execute!(
        tx,
        "UPDATE mails SET attempts = attempts + 1, last_error = $2, next_attempt_us = $3 WHERE id = $1",
        id.as_str(),
        error,
        next_attempt.get(),
    )?;
    Ok(())
}

/// The newest mails first, sent or not.
///
/// # Errors
/// Of the database only.
pub async fn recent(tx: &mut Tx, limit: i64) -> Result<Vec<Mail>> {
    let rows = fetch_all!(
        MailRow,
        tx,
        "SELECT id, recipient, subject, body, created_us, sent_us, attempts FROM mails
         ORDER BY created_us DESC, id DESC LIMIT $1",
        limit,
    )?;
    rows.into_iter().map(MailRow::mail).collect()
}

#[derive(sqlx::FromRow)]
struct MailRow {
    id: String,
    recipient: String,
    subject: String,
    body: String,
    created_us: i64,
    sent_us: Option<i64>,
    attempts: i64,
}

impl MailRow {
    fn mail(self) -> Result<Mail> {
        Ok(Mail {
            id: MailId::stored(self.id),
            to: column::email(&self.recipient)?,
            subject: self.subject,
            body: self.body,
            created: Micros::new(self.created_us),
            sent: column::micros(self.sent_us),
            attempts: self.attempts,
        })
    }
}
