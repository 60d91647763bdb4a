//! Random mixtures of operations, after which the books must be right.

use crate::both::Db;
use crate::fixtures::{
    NOW, Random, customer, escrow, failed_generation, generation, grant_of, key, lease_of, nano, node, pay, proof,
    purchase, settle, transfer, transfer_id, user,
};
use domain::generation::{Generation, Outcome};
use domain::id::NodeId;
use domain::ledger::TransferKind;
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use store::keys::{Key, KeyChange};
use store::users::User;
use store::{Tx, keys, ledger, purchases, settlement};

const PERIODS: [Option<Period>; 4] = [None, Some(Period::Daily), Some(Period::Weekly), Some(Period::Monthly)];

struct World {
    users: Vec<User>,
    keys: Vec<Key>,
    nodes: Vec<NodeId>,
    random: Random,
    /// Ids for generations and purchases.
    next: u64,
    seed: u64,
}

impl World {
    async fn new(db: &Db, seed: u64) -> Self {
        let mut users = Vec::new();
        let mut keys = Vec::new();
        for name in ["ada", "bob", "cyd"] {
            let user = user(db, name).await;
            keys.push(key(db, &user, &format!("{name}-free"), None, None).await);
            keys.push(key(db, &user, &format!("{name}-daily"), Some(900), Some(Period::Daily)).await);
            keys.push(key(db, &user, &format!("{name}-ever"), Some(2_000), None).await);
            users.push(user);
        }
        let nodes = vec![node("a"), node("b"), node("c")];
        Self {
            users,
            keys,
            nodes,
            random: Random::new(seed),
            next: 0,
            seed,
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}-{}-{}", self.seed, self.next)
    }

    /// Somewhere in the last three days, in any order.
    fn time(&mut self) -> Micros {
        NOW.plus(-self.random.amount(3 * 86_400) * Micros::SECOND)
    }

    fn generation(&mut self) -> Generation {
        let id = self.id("gen");
        let made = self.random.pick(&self.keys).clone();
        let cost = self.random.below(120);
        let made = match self.random.below(5) {
            0 => failed_generation(&id, &made, cost),
            1 => Generation {
                outcome: Outcome::Cancelled,
                app_name: None,
                ..generation(&id, &made, cost)
            },
            2 => Generation {
                provider: "zeta".to_owned(),
                app_url: None,
                ..generation(&id, &made, cost)
            },
            _ => generation(&id, &made, cost),
        };
        Generation {
            created: self.time(),
            ..made
        }
    }

    /// One random operation. What it gives back does not matter here; that it does not fail does.
    async fn step(&mut self, tx: &mut Tx) {
        let user = self.random.pick(&self.users).clone();
        let made = self.random.pick(&self.keys).clone();
        let at = self.random.pick(&self.nodes).clone();
        let amount = self.random.amount(400);
        let now = self.time();
        match self.random.below(10) {
            0 => {
                let grant = grant_of(&user, &self.id("grant"), amount);
                ledger::post(tx, &grant).await.unwrap();
                ledger::post(tx, &grant).await.unwrap();
            }
            1 => {
                let bought = purchase(&user, &self.id("pur"), amount);
                purchases::create(tx, &bought).await.unwrap();
                if amount % 3 > 0 {
                    let reference = self.id("pi");
                    pay(tx, bought.id.as_str(), &reference).await;
                }
            }
            2 | 3 => {
                keys::lease(tx, &at, &made.hash, nano(amount), now).await.unwrap();
                ledger::take(tx, &customer(&user), &lease_of(&at, &user, amount))
                    .await
                    .unwrap();
            }
            4 => {
                let from = escrow(&at, &user);
                let back = transfer(
                    TransferKind::LeaseReturned,
                    &self.id("return"),
                    &from,
                    &customer(&user),
                    amount,
                );
                ledger::take(tx, &from, &back).await.unwrap();
            }
            5 => keys::return_lease(tx, &at, &made.hash, nano(amount)).await.unwrap(),
            6 => {
                let change = KeyChange {
                    limit: Some(Some(nano(amount * 5)).filter(|_| amount % 4 > 0)),
                    reset: Some(*self.random.pick(&PERIODS)),
                    ..KeyChange::default()
                };
                keys::update(tx, &made.account, &made.hash, &change, NOW).await.unwrap();
            }
            7 if amount < 40 => keys::return_all(tx, &at).await.unwrap(),
            _ => {
                let count = self.random.below(9);
                let batch: Vec<Generation> = (0..count).map(|_| self.generation()).collect();
                settlement::settle(tx, &at, &batch, &mut transfer_id, NOW)
                    .await
                    .unwrap();
                settlement::settle(tx, &at, &batch, &mut transfer_id, NOW)
                    .await
                    .unwrap();
            }
        }
    }
}

async fn check_credits_add_up(db: &Db, users: &[User]) {
    let mut tx = db.read().await;
    for user in users {
        let credits = ledger::credits(&mut tx, &user.account).await.unwrap();
        let held = credits.available.saturating_add(credits.in_escrow);
        assert_eq!(held, credits.purchased.saturating_sub(credits.used), "{credits:?}");
    }
}

async fn mixture(db: &Db, seed: u64, transactions: u32) {
    let mut world = World::new(db, seed).await;
    for _ in 0..transactions {
        let mut tx = db.begin().await;
        for _ in 0..=world.random.below(3) {
            world.step(&mut tx).await;
        }
        if world.random.below(8) > 0 {
            tx.commit().await.unwrap();
        }
    }
    let proof = proof(db).await;
    assert!(
        proof.generations > 0 && proof.transfers > proof.generations / 2,
        "seed {seed}: {proof:?}"
    );
    check_credits_add_up(db, &world.users).await;
}

on_both! {
    async fn the_books_are_right_after_a_mixture_of_everything_1(db: Db) {
        mixture(&db, 1, 60).await;
    }

    async fn the_books_are_right_after_a_mixture_of_everything_2(db: Db) {
        mixture(&db, 2, 60).await;
    }

    async fn the_books_are_right_after_a_mixture_of_everything_3(db: Db) {
        mixture(&db, 3, 60).await;
    }

    async fn nodes_that_work_at_once_neither_deadlock_nor_overspend(db: Db) {
        let world = World::new(&db, 7).await;
        for user in &world.users {
            crate::fixtures::grant(&db, user, 3_000).await;
        }
        let (users, keys) = (world.users, world.keys);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6_u64 {
            let (db, users, keys) = (db.clone(), users.clone(), keys.clone());
            tasks.spawn(async move { one_of_many(&db, &users, &keys, number).await });
        }
        let charged: i64 = tasks.join_all().await.into_iter().sum();
        let proof = proof(&db).await;
        assert_eq!(proof.provider_total, nano(charged));
        check_credits_add_up(&db, &users).await;
    }
}

/// A node, twice over, that takes credits and settles; spends only what it took.
async fn one_of_many(db: &Db, users: &[User], made: &[Key], number: u64) -> i64 {
    let mut random = Random::new(number);
    let at = node(&format!("n{}", number / 2));
    let mut charged = 0;
    for round in 0..12 {
        let mut batch = Vec::new();
        for user in users {
            let cost = random.amount(60);
            let made = made
                .iter()
                .filter(|key| key.account == user.account)
                .nth(round % 3)
                .unwrap();
            if admitted(db, &at, user, made, cost).await {
                charged += cost;
                let id = format!("gen-{number}-{round}-{}", batch.len());
                batch.push(generation(&id, made, u32::try_from(cost).unwrap()));
            }
        }
        let settled = settle(db, &at, &batch).await;
        assert_eq!(
            (settled.new.len(), settled.overruns),
            (batch.len(), Vec::<(_, NanoUsd)>::new())
        );
    }
    charged
}

async fn admitted(db: &Db, at: &NodeId, user: &User, made: &Key, cost: i64) -> bool {
    let mut tx = db.begin().await;
    if !keys::lease(&mut tx, at, &made.hash, nano(cost), NOW).await.unwrap() {
        return false;
    }
    let taken = ledger::take(&mut tx, &customer(user), &lease_of(at, user, cost))
        .await
        .unwrap();
    assert!(taken, "there are credits enough");
    tx.commit().await.unwrap();
    true
}
