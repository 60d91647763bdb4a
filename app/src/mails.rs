//! The mails this site sends: short, plain text, one link each.

use crate::fail::Fail;
use crate::site::Site;
use domain::account::Email;
use domain::api_key::secret_hash;
use domain::id::{MailId, UserId};
use domain::time::Micros;
use store::Tx;
use store::email_tokens::{self, Purpose};
use store::outbox::{self, Mail};

pub const VERIFY_LIFETIME_US: i64 = 24 * Micros::HOUR;
pub const RESET_LIFETIME_US: i64 = Micros::HOUR;

/// Asks the owner of a new account to confirm the address.
pub async fn verify(site: &Site, tx: &mut Tx, to: &Email, user: &UserId) -> Result<(), Fail> {
    let link = link(site, tx, Purpose::Verify, user).await?;
    let body = format!(
        "Welcome to Tollway.\n\nConfirm that this address is yours:\n\n{link}\n\nThe link works once, within 24 hours. \
         If you did not sign up, do nothing."
    );
    send(site, tx, to, "Confirm your address", body).await
}

/// Allows the owner of an account to set a new password.
pub async fn reset(site: &Site, tx: &mut Tx, to: &Email, user: &UserId) -> Result<(), Fail> {
    let link = link(site, tx, Purpose::Reset, user).await?;
    let body = format!(
        "Someone, probably you, asked for a new password on Tollway.\n\nSet it here:\n\n{link}\n\nThe link works once, \
         within one hour. If it was not you, do nothing: the old password stays."
    );
    send(site, tx, to, "Set a new password", body).await
}

/// Tells the owner of an account that someone tried to sign up with its address and another password.
pub async fn already_there(site: &Site, tx: &mut Tx, to: &Email) -> Result<(), Fail> {
    let base = &site.base_url;
    let body = format!(
        "Someone, perhaps you, tried to sign up on Tollway with this address, which already has an account.\n\n\
         Sign in: {base}/sign-in\nForgot the password? {base}/forgot\n\nIf it was not you, nothing needs to be done."
    );
    send(site, tx, to, "You already have an account", body).await
}

async fn link(site: &Site, tx: &mut Tx, purpose: Purpose, user: &UserId) -> Result<String, Fail> {
    let (page, lifetime) = match purpose {
        Purpose::Verify => ("verify", VERIFY_LIFETIME_US),
        Purpose::Reset => ("reset", RESET_LIFETIME_US),
    };
    let token = site.secret();
    let now = (site.now)();
    email_tokens::create(tx, purpose, &secret_hash(&token), user, now.plus(lifetime), now).await?;
    Ok(format!("{}/{page}?token={token}", site.base_url))
}

async fn send(site: &Site, tx: &mut Tx, to: &Email, subject: &str, body: String) -> Result<(), Fail> {
    let mail = Mail {
        id: MailId::new(site.bytes()),
        to: to.clone(),
        subject: subject.to_owned(),
        body,
        created: (site.now)(),
        sent: None,
        attempts: 0,
    };
    Ok(outbox::enqueue(tx, &mail).await?)
}
