//! Rows that many tests start from.

use crate::both::Db;
use domain::account::Email;
use domain::api_key::KeyHash;
use domain::generation::{Attempt, Generation, Outcome};
use domain::id::{AccountId, GenerationId, NodeId, PurchaseId, TransferId, UserId};
use domain::ledger::{LedgerAccount, Transfer, TransferKind, legs};
use domain::money::{NanoUsd, PicoUsd};
use domain::period::Period;
use domain::price::Prices;
use domain::purchase::{Purchase, PurchaseKind, PurchaseState};
use domain::slug::ModelSlug;
use domain::time::Micros;
use domain::usage::Usage;
use std::sync::atomic::{AtomicU64, Ordering};
use store::keys::Key;
use store::purchases::{self, Paid, PaidOutcome};
use store::settlement::{self, Settled};
use store::users::{self, NewUser, User};
use store::{StoreError, Tx, keys, ledger};

/// 2026-11-23T08:05:06Z, a Monday.
pub const NOW: Micros = Micros::new(1_795_421_106_000_000);

pub fn nano(amount: i64) -> NanoUsd {
    NanoUsd::new(amount)
}

pub fn node(name: &str) -> NodeId {
    NodeId::stored(format!("node_{name}"))
}

/// Ids that no other call has given in this process.
pub fn transfer_id() -> TransferId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TransferId::stored(format!("tr_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.org")).unwrap()
}

pub async fn create_user(tx: &mut Tx, name: &str) -> Result<User, StoreError> {
    let email = email(name);
    let new = NewUser {
        id: UserId::stored(format!("usr_{name}")),
        account: AccountId::stored(format!("acc_{name}")),
        email: &email,
        password_hash: "$argon2id$hash",
        created: NOW,
    };
    users::create(tx, &new).await
}

pub async fn user(db: &Db, name: &str) -> User {
    let mut tx = db.begin().await;
    let user = create_user(&mut tx, name).await.unwrap();
    tx.commit().await.unwrap();
    user
}

pub fn new_key(user: &User, name: &str) -> Key {
    Key {
        hash: KeyHash::stored(format!("hash-{name}")),
        account: user.account.clone(),
        user: user.id.clone(),
        name: name.to_owned(),
        label: "sk-tw-v1-abc…def".to_owned(),
        limit: None,
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: false,
        created: NOW,
        updated: NOW,
        last_used: None,
    }
}

pub async fn key(db: &Db, user: &User, name: &str, limit: Option<i64>, reset: Option<Period>) -> Key {
    let key = Key {
        limit: limit.map(NanoUsd::new),
        reset,
        ..new_key(user, name)
    };
    let mut tx = db.begin().await;
    keys::create(&mut tx, &key).await.unwrap();
    tx.commit().await.unwrap();
    key
}

pub fn transfer(
    kind: TransferKind,
    idempotency_key: &str,
    from: &LedgerAccount,
    to: &LedgerAccount,
    amount: i64,
) -> Transfer {
    Transfer {
        id: transfer_id(),
        kind,
        idempotency_key: idempotency_key.to_owned(),
        legs: legs(from.clone(), to.clone(), nano(amount)),
        created: NOW,
    }
}

pub fn customer(user: &User) -> LedgerAccount {
    LedgerAccount::Customer(user.account.clone())
}

pub fn escrow(node: &NodeId, user: &User) -> LedgerAccount {
    LedgerAccount::Escrow(node.clone(), user.account.clone())
}

pub fn provider() -> LedgerAccount {
    LedgerAccount::ProviderPayable("acme".to_owned())
}

pub fn grant_of(user: &User, idempotency_key: &str, amount: i64) -> Transfer {
    transfer(
        TransferKind::Grant,
        idempotency_key,
        &LedgerAccount::Promotions,
        &customer(user),
        amount,
    )
}

/// Gives credits away to `user`.
pub async fn grant(db: &Db, user: &User, amount: i64) {
    let transfer = grant_of(user, &format!("grant:{}", transfer_id()), amount);
    let mut tx = db.begin().await;
    ledger::post(&mut tx, &transfer).await.unwrap();
    tx.commit().await.unwrap();
}

pub fn lease_of(node: &NodeId, user: &User, amount: i64) -> Transfer {
    let key = format!("lease:{}", transfer_id());
    transfer(
        TransferKind::LeaseTaken,
        &key,
        &customer(user),
        &escrow(node, user),
        amount,
    )
}

/// Moves credits of `user` to the escrow of `node`; false when there are not enough.
pub async fn take(db: &Db, node: &NodeId, user: &User, amount: i64) -> bool {
    let mut tx = db.begin().await;
    let taken = ledger::take(&mut tx, &customer(user), &lease_of(node, user, amount))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    taken
}

pub async fn balance(db: &Db, account: &LedgerAccount) -> i64 {
    ledger::balance(&mut db.read().await, account).await.unwrap().get()
}

pub fn model(slug: &str) -> ModelSlug {
    ModelSlug::parse(slug).unwrap()
}

/// A generation that costs `cost` nano-dollars: a prompt of as many tokens at a nano-dollar each.
pub fn generation(id: &str, key: &Key, cost: u32) -> Generation {
    Generation {
        id: GenerationId::stored(id),
        node: node("a"),
        account: key.account.clone(),
        key: key.hash.clone(),
        model: model("maker/model"),
        endpoint: "maker/model|acme".to_owned(),
        provider: "acme".to_owned(),
        surface: "chat".to_owned(),
        streamed: true,
        usage: Usage {
            prompt: u64::from(cost),
            completion: 7,
            reasoning: 2,
            ..Usage::default()
        },
        estimated: false,
        cost: nano(i64::from(cost)),
        house_cost: NanoUsd::ZERO,
        prices: Prices {
            prompt: PicoUsd::new(1_000),
            ..Prices::default()
        },
        outcome: Outcome::Completed,
        finish_reason: Some("stop".to_owned()),
        native_finish_reason: Some("eos".to_owned()),
        upstream_id: Some("chatcmpl-1".to_owned()),
        created: NOW,
        first_token_us: Some(12_000),
        duration_us: 90_000,
        app_name: Some("Noted".to_owned()),
        app_url: Some("https://noted.example".to_owned()),
        attempts: vec![Attempt {
            endpoint: "maker/model|acme".to_owned(),
            provider: "acme".to_owned(),
            status: Some(200),
            error_type: None,
            latency_us: 11_000,
        }],
    }
}

/// A generation that failed after the provider had worked for `house_cost` nano-dollars.
pub fn failed_generation(id: &str, key: &Key, house_cost: u32) -> Generation {
    Generation {
        cost: NanoUsd::ZERO,
        house_cost: nano(i64::from(house_cost)),
        outcome: Outcome::Failed,
        finish_reason: Some("error".to_owned()),
        ..generation(id, key, house_cost)
    }
}

pub async fn settle(db: &Db, node: &NodeId, generations: &[Generation]) -> Settled {
    let mut tx = db.begin().await;
    let settled = settlement::settle(&mut tx, node, generations, &mut transfer_id, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    settled
}

pub fn purchase(user: &User, id: &str, amount: i64) -> Purchase {
    Purchase {
        id: PurchaseId::stored(id),
        account: user.account.clone(),
        user: user.id.clone(),
        amount: nano(amount),
        fee: NanoUsd::ZERO,
        kind: PurchaseKind::Checkout,
        state: PurchaseState::Created,
        processor: "dev".to_owned(),
        processor_ref: None,
        payment: None,
        refunded: NanoUsd::ZERO,
        created: NOW,
        updated: NOW,
    }
}

/// The processor has the money for a purchase of this name.
pub async fn pay(tx: &mut Tx, id: &str, reference: &str) -> PaidOutcome {
    let paid = Paid {
        reference,
        payment: Some(reference),
    };
    let id = PurchaseId::stored(id);
    purchases::settle_paid(tx, &id, &paid, &mut transfer_id, NOW)
        .await
        .unwrap()
}

/// A purchase of this name, paid by the payment `pi_{id}`.
pub async fn bought(db: &Db, user: &User, id: &str, amount: i64) -> Purchase {
    let mut tx = db.begin().await;
    purchases::create(&mut tx, &purchase(user, id, amount)).await.unwrap();
    let PaidOutcome::Credited(bought) = pay(&mut tx, id, &format!("pi_{id}")).await else {
        panic!("{id} was paid before")
    };
    tx.commit().await.unwrap();
    bought
}

/// The proof that the books are right, or the difference as a panic.
pub async fn proof(db: &Db) -> store::ledger::Proof {
    match ledger::verify(&mut db.read().await).await.unwrap() {
        Ok(proof) => proof,
        Err(difference) => panic!("the books differ: {difference}"),
    }
}

/// Small and reproducible: xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }

    pub fn amount(&mut self, bound: u32) -> i64 {
        i64::from(self.below(bound)) + 1
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(u32::try_from(from.len()).unwrap());
        &from[usize::try_from(index).unwrap()]
    }
}
