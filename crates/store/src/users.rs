//! People who sign in, each with an account that pays.

use crate::column;
use crate::database::Tx;
use crate::error::{Result, StoreError};
use crate::ledger;
use domain::account::Email;
use domain::id::{AccountId, UserId};
use domain::ledger::LedgerAccount;
use domain::time::Micros;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub account: AccountId,
    pub email: Email,
    /// When the address was proven to be the user's.
    pub verified: Option<Micros>,
    pub is_admin: bool,
    pub created: Micros,
}

pub struct NewUser<'a> {
    pub id: UserId,
    /// Created together with the user.
    pub account: AccountId,
    pub email: &'a Email,
    /// PHC string.
    pub password_hash: &'a str,
    pub created: Micros,
}

/// Creates the user, its account and the account's place in the ledger. The first user of the installation is its admin.
///
/// # Errors
/// `Conflict` when the e-mail address is taken.
pub async fn create(tx: &mut Tx, new: &NewUser<'_>) -> Result<User> {
    execute!(
        tx,
        "INSERT INTO accounts (id, created_us) VALUES ($1, $2)",
        new.account.as_str(),
        new.created.get(),
    )?;
    let is_first = execute!(
        tx,
        "UPDATE installation SET first_user_id = $1 WHERE id = 1 AND first_user_id IS NULL",
        new.id.as_str(),
    )? == 1;
    let created = execute!(
        tx,
        "INSERT INTO users (id, account_id, email, password_hash, is_admin, created_us)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email) DO NOTHING",
        new.id.as_str(),
        new.account.as_str(),
        new.email.as_str(),
        new.password_hash,
        column::flag(is_first),
        new.created.get(),
    )?;
    if created == 0 {
        return Err(StoreError::Conflict("a user with this e-mail address".to_owned()));
    }
    ledger::open(tx, &LedgerAccount::Customer(new.account.clone())).await?;
    Ok(User {
        id: new.id.clone(),
        account: new.account.clone(),
        email: new.email.clone(),
        verified: None,
        is_admin: is_first,
        created: new.created,
    })
}

/// The user with the stored password hash, for signing in.
///
/// # Errors
/// Of the database only.
pub async fn by_email(tx: &mut Tx, email: &Email) -> Result<Option<(User, String)>> {
    let row = fetch_optional!(
        UserRow,
        tx,
        "SELECT id, account_id, email, password_hash, verified_us, is_admin, created_us FROM users WHERE email = $1",
        email.as_str(),
    )?;
    row.map(UserRow::with_password_hash).transpose()
}

/// # Errors
/// Of the database only.
pub async fn by_id(tx: &mut Tx, id: &UserId) -> Result<Option<User>> {
    let row = fetch_optional!(
        UserRow,
        tx,
        "SELECT id, account_id, email, password_hash, verified_us, is_admin, created_us FROM users WHERE id = $1",
        id.as_str(),
    )?;
    row.map(UserRow::user).transpose()
}

/// Who opened the account.
///
/// # Errors
/// Of the database only.
pub async fn of_account(tx: &mut Tx, account: &AccountId) -> Result<Option<User>> {
    let row = fetch_optional!(
        UserRow,
        tx,
        "SELECT id, account_id, email, password_hash, verified_us, is_admin, created_us FROM users
         WHERE account_id = $1 ORDER BY created_us, id LIMIT 1",
        account.as_str(),
    )?;
    row.map(UserRow::user).transpose()
}

/// False when there is no such user. Sessions stay; revoke them with [`crate::sessions::revoke_all`].
///
/// # Errors
/// Of the database only.
pub async fn set_password(tx: &mut Tx, id: &UserId, password_hash: &str) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE users SET password_hash = $2 WHERE id = $1",
        id.as_str(),
        password_hash
    )?;
    Ok(changed == 1)
}

/// Records that the address is the user's; keeps the time of an earlier verification.
///
/// # Errors
/// Of the database only.
pub async fn set_verified(tx: &mut Tx, id: &UserId, now: Micros) -> Result<bool> {
    let changed = execute!(
        tx,
        "UPDATE users SET verified_us = COALESCE(verified_us, $2) WHERE id = $1",
        id.as_str(),
        now.get(),
    )?;
    Ok(changed == 1)
}

/// False when there is no such user.
///
/// # Errors
/// Of the database only.
pub async fn set_admin(tx: &mut Tx, id: &UserId, is_admin: bool) -> Result<bool> {
    let is_admin = column::flag(is_admin);
    let changed = execute!(
        tx,
        "UPDATE users SET is_admin = $2 WHERE id = $1",
        id.as_str(),
        is_admin
    )?;
    Ok(changed == 1)
}

/// The newest users first.
///
/// # Errors
/// Of the database only.
pub async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<User>> {
    let rows = fetch_all!(
        UserRow,
        tx,
        "SELECT id, account_id, email, password_hash, verified_us, is_admin, created_us FROM users
         ORDER BY created_us DESC, id LIMIT $1",
        limit,
    )?;
    rows.into_iter().map(UserRow::user).collect()
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: String,
    account_id: String,
    email: String,
    password_hash: String,
    verified_us: Option<i64>,
    is_admin: i64,
    created_us: i64,
}

impl UserRow {
    fn user(self) -> Result<User> {
        Ok(self.with_password_hash()?.0)
    }

    fn with_password_hash(self) -> Result<(User, String)> {
        let user = User {
            id: UserId::stored(self.id),
            account: AccountId::stored(self.account_id),
            email: column::email(&self.email)?,
            verified: column::micros(self.verified_us),
            is_admin: self.is_admin != 0,
            created: Micros::new(self.created_us),
        };
        Ok((user, self.password_hash))
    }
}
