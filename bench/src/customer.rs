//! Somebody with credits and a key, put straight into the store.

use crate::random;
use anyhow::Result;
use domain::account::Email;
use domain::api_key::{ApiKey, KeyHash};
use domain::id::{AccountId, GrantId, TransferId, UserId};
use domain::money::NanoUsd;
use domain::time::Micros;
use store::grants::Grant;
use store::keys::Key;
use store::users::NewUser;
use store::{Store, Tx};

#[derive(Clone)]
pub struct Customer {
    pub account: AccountId,
    /// As its owner holds it.
    pub key: String,
    pub key_hash: KeyHash,
    /// As it is stored.
    pub row: Key,
}

pub async fn create(store: &Store, credits: NanoUsd) -> Result<Customer> {
    let (account, user) = (AccountId::new(random::bytes()), UserId::new(random::bytes()));
    let email = Email::parse(&format!("{}@example.org", user.as_str()))?;
    let key = ApiKey::new(&random::bytes());
    let mut tx = store.begin().await?;
    let new = NewUser {
        id: user.clone(),
        account: account.clone(),
        email: &email,
        password_hash: "none",
        created: now(),
    };
    store::users::create(&mut tx, &new).await?;
    grant(&mut tx, &account, &user, credits).await?;
    let row = row(&key, &account, user);
    store::keys::create(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(Customer {
        account,
        key: key.reveal().to_owned(),
        key_hash: key.hash(),
        row,
    })
}

/// Another key of the same account, as it is stored.
pub async fn add_key(store: &Store, customer: &Customer, limit: Option<NanoUsd>) -> Result<Key> {
    let key = ApiKey::new(&random::bytes());
    let row = Key {
        limit,
        ..row(&key, &customer.account, customer.row.user.clone())
    };
    let mut tx = store.begin().await?;
    store::keys::create(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(row)
}

pub fn now() -> Micros {
    Micros::from_datetime(chrono::Utc::now())
}

async fn grant(tx: &mut Tx, account: &AccountId, by: &UserId, credits: NanoUsd) -> Result<()> {
    let grant = Grant {
        id: GrantId::new(random::bytes()),
        account: account.clone(),
        amount: credits,
        expires: None,
        note: String::new(),
        by: by.clone(),
        created: now(),
    };
    let mut ids = || TransferId::new(random::bytes());
    store::grants::grant(tx, &grant, &mut ids, now()).await?;
    Ok(())
}

fn row(key: &ApiKey, account: &AccountId, user: UserId) -> Key {
    Key {
        hash: key.hash(),
        account: account.clone(),
        user,
        name: "Bench".to_owned(),
        label: key.label(),
        limit: None,
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: false,
        created: now(),
        updated: now(),
        last_used: None,
    }
}
