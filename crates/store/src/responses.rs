//! Responses that are kept for their callers, until they expire or are deleted.

use crate::database::Tx;
use crate::error::Result;
use domain::id::AccountId;
use domain::time::Micros;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub id: String,
    pub account: AccountId,
    /// The response that this one continues.
    pub previous: Option<String>,
    /// The request's own items, a JSON list.
    pub input: String,
    /// The response object as JSON.
    pub response: String,
    pub created: Micros,
    pub expires: Micros,
}

/// # Errors
/// `Conflict` when the id exists.
pub async fn keep(tx: &mut Tx, response: &Response) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO responses (id, account_id, previous_id, input, response, created_us, expires_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        response.id.as_str(),
        response.account.as_str(),
        response.previous.as_deref(),
        response.input.as_str(),
        response.response.as_str(),
        response.created.get(),
        response.expires.get(),
    )?;
    Ok(())
}

/// The account's response of this id, unless it has expired.
///
/// # Errors
/// Of the database only.
pub async fn by_id(tx: &mut Tx, account: &AccountId, id: &str, now: Micros) -> Result<Option<Response>> {
    let row = fetch_optional!(
        Row,
        tx,
        "SELECT id, account_id, previous_id, input, response, created_us, expires_us FROM responses
         WHERE id = $1 AND account_id = $2 AND expires_us > $3",
        id,
        account.as_str(),
        now.get(),
    )?;
    Ok(row.map(Row::response))
}

/// Forgets the account's response of this id. False when there is none.
///
/// # Errors
/// Of the database only.
pub async fn delete(tx: &mut Tx, account: &AccountId, id: &str) -> Result<bool> {
    let deleted = execute!(
        tx,
        "DELETE FROM responses WHERE id = $1 AND account_id = $2",
        id,
        account.as_str()
    )?;
    Ok(deleted == 1)
}

/// Forgets responses that have expired; gives their number.
///
/// # Errors
/// Of the database only.
pub async fn delete_expired(tx: &mut Tx, now: Micros) -> Result<u64> {
    execute!(tx, "DELETE FROM responses WHERE expires_us <= $1", now.get())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    account_id: String,
    previous_id: Option<String>,
    input: String,
    response: String,
    created_us: i64,
    expires_us: i64,
}

impl Row {
    fn response(self) -> Response {
        Response {
            id: self.id,
            account: AccountId::stored(self.account_id),
            previous: self.previous_id,
            input: self.input,
            response: self.response,
            created: Micros::new(self.created_us),
            expires: Micros::new(self.expires_us),
        }
    }
}
