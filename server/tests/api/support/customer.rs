//! Somebody who pays, put straight into the store.

use domain::account::Email;
use domain::api_key::{ApiKey, KeyHash};
use domain::id::{AccountId, TransferId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use store::Store;
use store::keys::Key;
use store::users::NewUser;

#[derive(Clone, Debug)]
pub struct Customer {
    pub account: AccountId,
    pub user: UserId,
    /// The key as the customer holds it.
    pub key: String,
    pub key_hash: KeyHash,
}

/// What is special about a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewKey {
    pub limit: Option<NanoUsd>,
    pub reset: Option<Period>,
    pub expires: Option<Micros>,
    pub disabled: bool,
}

impl Customer {
    pub async fn create(store: &Store, dollars: &str) -> Self {
        let (account, user) = (AccountId::new(random()), UserId::new(random()));
        let email = Email::parse(&format!("{}@example.org", user.as_str())).unwrap();
        let credits = NanoUsd::parse_usd(dollars).unwrap();
        let mut tx = store.begin().await.unwrap();
        let new = NewUser {
            id: user.clone(),
            account: account.clone(),
            email: &email,
            password_hash: "none",
            created: now(),
        };
        store::users::create(&mut tx, &new).await.unwrap();
        if credits > NanoUsd::ZERO {
            store::ledger::post(&mut tx, &grant(&account, credits)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut customer = Self {
            account,
            user,
            key: String::new(),
            key_hash: KeyHash::stored(""),
        };
        customer.key = customer.new_key(store, NewKey::default()).await;
        customer.key_hash = ApiKey::parse(&customer.key).unwrap().hash();
        customer
    }

    /// Another key of the same account.
    pub async fn new_key(&self, store: &Store, new: NewKey) -> String {
        let key = ApiKey::new(&random());
        let row = Key {
            hash: key.hash(),
            account: self.account.clone(),
            user: self.user.clone(),
            name: "Test".to_owned(),
            label: key.label(),
            limit: new.limit,
            reset: new.reset,
            expires: new.expires,
            disabled: new.disabled,
            deleted: false,
            internal: false,
            created: now(),
            updated: now(),
            last_used: None,
        };
        let mut tx = store.begin().await.unwrap();
        store::keys::create(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        key.reveal().to_owned()
    }

    pub async fn credits(&self, store: &Store) -> store::ledger::Credits {
        let mut tx = store.read().await.unwrap();
        store::ledger::credits(&mut tx, &self.account).await.unwrap()
    }
}

pub fn now() -> Micros {
    Micros::from_datetime(chrono::Utc::now())
}

fn grant(account: &AccountId, amount: NanoUsd) -> Transfer {
    Transfer {
        id: TransferId::new(random()),
        kind: TransferKind::Grant,
        idempotency_key: format!("grant:{account}"),
        legs: legs(
            LedgerAccount::Promotions,
            LedgerAccount::Customer(account.clone()),
            amount,
        ),
        created: now(),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
