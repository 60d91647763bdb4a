//! Random histories of one account, against a model in plain numbers: L1 to L10 in whatever order things happen.
//!
//! What runs where: 10,000 histories on SQLite (twenty databases in memory-backed folders where there are some, each
//! verified as a whole at its end) and 400 on PostgreSQL. A history is one transaction, since what it is about is what
//! operations do, not how they meet; how they meet is tested beside each operation and in `properties.rs`. The rules of lots
//! alone are tested with 4,000 more histories in `domain::lot`.
//!
//! The same histories every time; `TOLLWAY_MONEY_SEED=2` makes others. A failure names its seed.

mod model;

use crate::both::Db;
use crate::fixtures::{NOW, customer, escrow, generation, lease_of, nano, new_key, proof, transfer, transfer_id};
use domain::account::Email;
use domain::generation::{Generation, Outcome};
use domain::id::{AccountId, GrantId, NodeId, RefundId, UserId};
use domain::ledger::TransferKind;
use domain::money::NanoUsd;
use domain::purchase::{DisputeStatus, Purchase, Refund, RefundState};
use domain::time::Micros;
use model::{BUDGET, DISPUTE_FEE, GIFT, House, KEY_LIMIT, Model, ModelPurchase, NODES};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};
use store::budgets::{self, Budget};
use store::disputes::{self, DisputeSeen};
use store::fraud_warnings::{self, WarningSeen};
use store::grants::{self, Grant};
use store::keys::{Key, LimitOwner};
use store::purchases::{self, Paid};
use store::refunds::{self, RefundSeen, RequestOutcome};
use store::users::{self, NewUser, User};
use store::{Store, Tx, keys, ledger, lots, nodes, settlement};

/// One thing that happens. Indices count from the first, and wrap around.
#[derive(Clone, Debug)]
enum Step {
    Grant {
        amount: i64,
        days: Option<i64>,
    },
    Buy {
        amount: i64,
        fee: i64,
        pay: bool,
    },
    Pay(usize),
    Lease {
        node: usize,
        amount: i64,
    },
    Return {
        node: usize,
        amount: i64,
    },
    Settle {
        node: usize,
        costs: Vec<(i64, bool)>,
    },
    RequestRefund {
        purchase: usize,
        amount: i64,
    },
    MakeRefund {
        purchase: usize,
        amount: i64,
        state: RefundState,
    },
    SeeRefund {
        refund: usize,
        state: RefundState,
    },
    SeeDispute {
        purchase: usize,
        status: DisputeStatus,
        withdrawn: bool,
        reinstated: bool,
    },
    Warn(usize),
    Release(usize),
    Expire {
        days: i64,
    },
    Fence(usize),
    Start(usize),
    LeaseLimit {
        which: usize,
        node: usize,
        amount: i64,
    },
    ReturnLimit {
        which: usize,
        node: usize,
        amount: i64,
    },
    WriteOff(i64),
}

/// One account of its own, with everything that belongs to it.
struct History {
    user: User,
    key: Key,
    nodes: [NodeId; NODES],
    beats: [u64; NODES],
    name: String,
    model: Model,
    now: Micros,
    /// Ids of everything made.
    next: u64,
    refunds: Vec<(RefundId, String)>,
}

fn status() -> impl Strategy<Value = DisputeStatus> {
    use DisputeStatus::{Lost, NeedsResponse, UnderReview, Warning, WarningClosed, Won};
    proptest::sample::select(vec![Warning, NeedsResponse, UnderReview, WarningClosed, Lost, Won])
}

fn state() -> impl Strategy<Value = RefundState> {
    proptest::sample::select(vec![RefundState::Sent, RefundState::Succeeded, RefundState::Failed])
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let index = || 0..6_usize;
    let cost = (1..70_i64, proptest::bool::weighted(0.15));
    prop_oneof![
        2 => (1..120_i64, proptest::option::of(1..6_i64)).prop_map(|(amount, days)| Step::Grant { amount, days }),
        3 => (1..150_i64, 0..8_i64, proptest::bool::weighted(0.8))
            .prop_map(|(amount, fee, pay)| Step::Buy { amount, fee, pay }),
        1 => index().prop_map(Step::Pay),
        3 => (node(), 1..90_i64).prop_map(|(node, amount)| Step::Lease { node, amount }),
        1 => (node(), 1..60_i64).prop_map(|(node, amount)| Step::Return { node, amount }),
        4 => (node(), proptest::collection::vec(cost, 1..4)).prop_map(|(node, costs)| Step::Settle { node, costs }),
        2 => (index(), 1..120_i64).prop_map(|(purchase, amount)| Step::RequestRefund { purchase, amount }),
        1 => (index(), 1..160_i64, state())
            .prop_map(|(purchase, amount, state)| Step::MakeRefund { purchase, amount, state }),
        2 => (index(), state()).prop_map(|(refund, state)| Step::SeeRefund { refund, state }),
        2 => (index(), status(), proptest::bool::ANY, proptest::bool::weighted(0.3)).prop_map(
            |(purchase, status, withdrawn, reinstated)| Step::SeeDispute { purchase, status, withdrawn, reinstated }
        ),
        1 => index().prop_map(Step::Warn),
        1 => index().prop_map(Step::Release),
        1 => (0..4_i64).prop_map(|days| Step::Expire { days }),
        1 => node().prop_map(Step::Fence),
        1 => node().prop_map(Step::Start),
        1 => (0..2_usize, node(), 1..200_i64).prop_map(|(which, node, amount)| Step::LeaseLimit { which, node, amount }),
        1 => (0..2_usize, node(), 1..200_i64).prop_map(|(which, node, amount)| Step::ReturnLimit { which, node, amount }),
        1 => (1..80_i64).prop_map(Step::WriteOff),
    ]
}

impl History {
    async fn new(tx: &mut Tx, number: u64) -> Self {
        let name = format!("m{number}");
        let email = Email::parse(&format!("{name}@example.org")).unwrap();
        let new = NewUser {
            id: UserId::stored(format!("usr_{name}")),
            account: AccountId::stored(format!("acc_{name}")),
            email: &email,
            password_hash: "x",
            created: NOW,
        };
        let user = users::create(tx, &new).await.unwrap();
        let key = Key {
            limit: Some(nano(KEY_LIMIT)),
            ..new_key(&user, &name)
        };
        keys::create(tx, &key).await.unwrap();
        let budget = Budget {
            limit: nano(BUDGET),
            reset: None,
        };
        budgets::set(tx, &user.account, Some(&budget)).await.unwrap();
        let nodes = [0, 1].map(|node| NodeId::stored(format!("node_{name}_{node}")));
        for node in &nodes {
            nodes::start(tx, node, NOW).await.unwrap();
        }
        Self {
            user,
            key,
            nodes,
            beats: [0; NODES],
            name,
            model: Model::default(),
            now: NOW,
            next: 0,
            refunds: Vec::new(),
        }
    }

    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}_{}_{}", self.name, self.next)
    }

    fn purchase(&self, index: usize) -> Option<usize> {
        index.checked_rem(self.model.purchases.len())
    }

    fn purchase_id(&self, index: usize) -> String {
        let source = &self.model.purchases[index].source;
        source.strip_prefix("purchase:").unwrap().to_owned()
    }

    /// Does it in the store, twice where that must not matter, and in the model once.
    async fn step(&mut self, tx: &mut Tx, step: &Step) -> Result<(), TestCaseError> {
        self.now = self.now.plus(1);
        let now = self.now.get();
        match step.clone() {
            Step::Grant { amount, days } => {
                let id = self.id("grant");
                let expires = days.map(|days| self.now.plus(days * Micros::DAY));
                let grant = Grant {
                    id: GrantId::stored(&id),
                    account: self.user.account.clone(),
                    amount: nano(amount),
                    expires,
                    note: String::new(),
                    by: self.user.id.clone(),
                    created: self.now,
                };
                for _ in 0..2 {
                    grants::grant(tx, &grant, &mut transfer_id, self.now).await.unwrap();
                }
                self.model
                    .grant(&format!("grant:{id}"), amount, expires.map(Micros::get), now);
            }
            Step::Buy { amount, fee, pay } => {
                let id = self.id("pur");
                let purchase = Purchase {
                    fee: nano(fee),
                    payment: Some(format!("pi_{id}")),
                    ..crate::fixtures::purchase(&self.user, &id, amount)
                };
                purchases::create(tx, &purchase).await.unwrap();
                self.model.purchases.push(ModelPurchase {
                    source: purchase.source(),
                    amount,
                    fee,
                    is_paid: false,
                    refunded: 0,
                    made_refunds: 0,
                    warned: false,
                    held: 0,
                    dispute: None,
                });
                if pay {
                    self.pay(tx, self.model.purchases.len() - 1).await;
                }
            }
            Step::Pay(index) => {
                if let Some(index) = self.purchase(index) {
                    self.pay(tx, index).await;
                }
            }
            Step::Lease { node, amount } => {
                let lease = lease_of(&self.nodes[node], &self.user, amount);
                let taken = ledger::take(tx, &customer(&self.user), &lease).await;
                if self.model.fenced[node] {
                    prop_assert!(taken.is_err());
                } else {
                    prop_assert_eq!(taken.unwrap(), self.model.lease(node, amount));
                }
            }
            Step::Return { node, amount } => {
                let from = escrow(&self.nodes[node], &self.user);
                let key = self.id("back");
                let back = transfer(TransferKind::LeaseReturned, &key, &from, &customer(&self.user), amount);
                let fits = self.model.give_back(node, amount);
                for _ in 0..2 {
                    prop_assert_eq!(ledger::take(tx, &from, &back).await.unwrap(), fits);
                }
            }
            Step::Settle { node, costs } => {
                let batch: Vec<Generation> = costs
                    .iter()
                    .map(|(cost, failed)| self.generation(*cost, *failed))
                    .collect();
                for expected in [batch.len(), 0] {
                    let settled = settlement::settle(tx, &self.nodes[node], &batch, &mut transfer_id, self.now).await;
                    prop_assert_eq!(settled.unwrap().new.len(), expected);
                }
                self.model.settle(node, &costs);
            }
            Step::RequestRefund { purchase, amount } => {
                if let Some(index) = self.purchase(purchase) {
                    self.request_refund(tx, index, amount).await?;
                }
            }
            Step::MakeRefund {
                purchase,
                amount,
                state,
            } => {
                if let Some(index) = self.purchase(purchase) {
                    let reference = self.id("re");
                    self.refunds
                        .push((RefundId::stored(format!("ref_dev_{reference}")), reference));
                    self.see(tx, self.refunds.len() - 1, index, amount, state, false).await;
                    self.model.made_refund(index, amount, state, now);
                }
            }
            Step::SeeRefund { refund, state } => {
                if let Some(at) = refund.checked_rem(self.refunds.len()) {
                    let known = self.model.refunds[at].clone();
                    self.see(tx, at, known.purchase, known.amount, state, known.is_ours)
                        .await;
                    self.model.see_refund(at, state, now);
                }
            }
            Step::SeeDispute {
                purchase,
                status,
                withdrawn,
                reinstated,
            } => {
                if let Some(index) = self.purchase(purchase) {
                    self.see_dispute(tx, index, status, withdrawn, reinstated).await;
                }
            }
            Step::Warn(purchase) => {
                if let Some(index) = self.purchase(purchase) {
                    let id = self.purchase_id(index);
                    let seen = WarningSeen {
                        processor: "dev".to_owned(),
                        reference: format!("efw_{id}"),
                        payment: format!("pi_{id}"),
                        actionable: true,
                    };
                    for _ in 0..2 {
                        fraud_warnings::converge(tx, &seen, &mut transfer_id, self.now)
                            .await
                            .unwrap();
                    }
                    self.model.warn(index);
                }
            }
            Step::Release(purchase) => {
                if let Some(index) = self.purchase(purchase) {
                    let reference = format!("efw_{}", self.purchase_id(index));
                    let released = self.model.let_go(index, now);
                    for expected in [released, false] {
                        let done = fraud_warnings::release(tx, "dev", &reference, &mut transfer_id, self.now).await;
                        prop_assert_eq!(done.unwrap(), expected);
                    }
                }
            }
            Step::Expire { days } => {
                self.now = self.now.plus(days * Micros::DAY);
                while lots::expire(tx, self.now, &mut transfer_id).await.unwrap() > 0 {}
                self.model.expire(self.now.get());
            }
            Step::Fence(node) => {
                let moved = nodes::fence(tx, &self.nodes[node], self.beats[node] + 1, &mut transfer_id, self.now).await;
                prop_assert!(!moved.unwrap());
                nodes::fence(tx, &self.nodes[node], self.beats[node], &mut transfer_id, self.now)
                    .await
                    .unwrap();
                self.model.fence(node);
            }
            Step::Start(node) => {
                nodes::start(tx, &self.nodes[node], self.now).await.unwrap();
                self.beats[node] += 1;
                self.model.fenced[node] = false;
            }
            Step::LeaseLimit { which, node, amount } => {
                let leased = keys::lease(tx, &self.nodes[node], self.owner(which), nano(amount), self.now).await;
                if self.model.fenced[node] {
                    prop_assert!(leased.is_err());
                } else {
                    prop_assert_eq!(leased.unwrap(), self.model.lease_limit(which, node, amount));
                }
            }
            Step::ReturnLimit { which, node, amount } => {
                keys::return_lease(tx, &self.nodes[node], self.owner(which), nano(amount))
                    .await
                    .unwrap();
                self.model.return_limit(which, node, amount);
            }
            Step::WriteOff(amount) => {
                let done = disputes::write_off(tx, &self.user.account, nano(amount), &mut transfer_id, self.now).await;
                prop_assert_eq!(done.unwrap(), self.model.write_off(amount));
            }
        }
        Ok(())
    }

    fn owner(&self, which: usize) -> LimitOwner<'_> {
        if which == 0 {
            LimitOwner::Key(&self.key.hash)
        } else {
            LimitOwner::Account(&self.user.account)
        }
    }

    fn generation(&mut self, cost: i64, failed: bool) -> Generation {
        let id = self.id("gen");
        let made = generation(&id, &self.key, u32::try_from(cost).unwrap());
        if failed {
            return Generation {
                house_cost: made.cost,
                cost: NanoUsd::ZERO,
                outcome: Outcome::Failed,
                ..made
            };
        }
        made
    }

    async fn pay(&mut self, tx: &mut Tx, index: usize) {
        let id = self.purchase_id(index);
        let payment = format!("pi_{id}");
        let paid = Paid {
            reference: &id,
            payment: Some(&payment),
        };
        let id = domain::id::PurchaseId::stored(&id);
        for _ in 0..2 {
            purchases::settle_paid(tx, &id, &paid, &mut transfer_id, self.now)
                .await
                .unwrap();
        }
        self.model.pay(index, self.now.get());
    }

    async fn request_refund(&mut self, tx: &mut Tx, index: usize, amount: i64) -> Result<(), TestCaseError> {
        let id = RefundId::stored(self.id("ref"));
        let refund = Refund {
            id: id.clone(),
            purchase: domain::id::PurchaseId::stored(self.purchase_id(index)),
            account: self.user.account.clone(),
            amount: nano(amount),
            state: RefundState::Requested,
            processor_ref: None,
            by_customer: true,
            created: self.now,
            updated: self.now,
        };
        let refundable = self.model.refundable(index);
        let expected = if !self.model.purchases[index].is_paid {
            RequestOutcome::NotPaid
        } else if self.model.request_refund(index, amount) {
            let reference = format!("re_of_{id}");
            self.refunds.push((id, reference));
            RequestOutcome::Requested
        } else {
            RequestOutcome::TooMuch {
                refundable: nano(refundable),
            }
        };
        for _ in 0..2 {
            let outcome = refunds::request(tx, &refund, &mut transfer_id, self.now).await.unwrap();
            prop_assert_eq!(outcome, expected);
        }
        Ok(())
    }

    async fn see(&self, tx: &mut Tx, at: usize, purchase: usize, amount: i64, state: RefundState, is_ours: bool) {
        let (id, reference) = &self.refunds[at];
        let seen = RefundSeen {
            processor: "dev".to_owned(),
            reference: reference.clone(),
            ours: is_ours.then(|| id.clone()),
            payment: format!("pi_{}", self.purchase_id(purchase)),
            amount: nano(amount),
            state,
        };
        for _ in 0..2 {
            refunds::converge(tx, &seen, &mut transfer_id, self.now).await.unwrap();
        }
    }

    async fn see_dispute(
        &mut self,
        tx: &mut Tx,
        index: usize,
        status: DisputeStatus,
        withdrawn: bool,
        reinstated: bool,
    ) {
        let id = self.purchase_id(index);
        let purchase = &self.model.purchases[index];
        let seen = DisputeSeen {
            processor: "dev".to_owned(),
            reference: format!("dp_{id}"),
            payment: format!("pi_{id}"),
            amount: nano(purchase.amount + purchase.fee),
            fee: nano(DISPUTE_FEE),
            status,
            withdrawn,
            reinstated,
        };
        for _ in 0..2 {
            disputes::converge(tx, &seen, &mut transfer_id, self.now).await.unwrap();
        }
        let now = self.now.get();
        self.model.see_dispute(index, status, withdrawn, reinstated, now);
    }

    async fn compare(&self, tx: &mut Tx) -> Result<(), TestCaseError> {
        let model = &self.model;
        let credits = ledger::credits(tx, &self.user.account).await.unwrap();
        let held = [credits.available, credits.in_escrow, credits.frozen].map(NanoUsd::get);
        prop_assert_eq!(held, [model.customer, model.escrow.iter().sum(), model.frozen]);
        prop_assert_eq!(
            credits.available.saturating_add(credits.in_escrow),
            credits.purchased.saturating_sub(credits.used)
        );
        for (node, expected) in self.nodes.iter().zip(model.escrow) {
            let held = ledger::balance(tx, &escrow(node, &self.user)).await.unwrap();
            prop_assert_eq!(held.get(), expected);
        }
        let open = lots::open(tx, &self.user.account).await.unwrap();
        let open: Vec<(String, i64)> = open
            .into_iter()
            .map(|lot| (source_of(lot.source), lot.remaining.get()))
            .collect();
        prop_assert_eq!(open, model.open_lots());
        for which in 0..2 {
            let left = keys::lease_available(tx, self.owner(which), self.now).await.unwrap();
            prop_assert_eq!(left, Some(nano(model.left_of(which).max(0))));
        }
        for index in 0..model.purchases.len() {
            let id = domain::id::PurchaseId::stored(self.purchase_id(index));
            let stored = purchases::by_id(tx, &id).await.unwrap().unwrap();
            prop_assert_eq!(stored.refunded.get(), model.purchases[index].refunded);
            let refundable = refunds::refundable(tx, &id).await.unwrap();
            prop_assert_eq!(refundable.get(), model.refundable(index));
        }
        Ok(())
    }
}

/// What is held of all accounts of a database, by the models.
#[derive(Default)]
struct Totals {
    customer: i64,
    escrow: i64,
    frozen: i64,
    house: House,
}

impl Totals {
    fn add(&mut self, model: &Model) {
        self.customer += model.customer;
        self.escrow += model.escrow.iter().sum::<i64>();
        self.frozen += model.frozen;
        self.house.clearing += model.house.clearing;
        self.house.fees += model.house.fees;
        self.house.costs += model.house.costs;
        self.house.provider += model.house.provider;
        self.house.house += model.house.house;
        self.house.promotions += model.house.promotions;
    }
}

/// One history from its beginning, committed when it fits the model.
async fn history(store: &Store, number: u64, steps: &[Step]) -> Result<Model, TestCaseError> {
    let mut tx = store.begin().await.unwrap();
    let mut history = History::new(&mut tx, number).await;
    for step in steps {
        history.step(&mut tx, step).await?;
    }
    history.compare(&mut tx).await?;
    tx.commit().await.unwrap();
    Ok(history.model)
}

/// `count` histories in one database. Blocks, so that proptest can find the shortest history that fails.
fn histories(db: &Db, count: u32, part: u64) {
    let handle = tokio::runtime::Handle::current();
    let config = ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut totals = std::cell::RefCell::new(Totals::default());
    let next = std::cell::Cell::new(0);
    let seed = seed();
    let ran =
        TestRunner::new_with_rng(config, rng(seed, part)).run(&proptest::collection::vec(step(), 1..16), |steps| {
            next.set(next.get() + 1);
            let model = handle.block_on(history(&db.store, next.get(), &steps))?;
            totals.borrow_mut().add(&model);
            Ok(())
        });
    if let Err(failure) = ran {
        panic!("TOLLWAY_MONEY_SEED={seed}: {failure}");
    }
    let proof = handle.block_on(proof(db));
    let totals = totals.get_mut();
    let proved = [
        proof.frozen_total,
        proof.processor_total,
        proof.fees_total,
        proof.processor_costs_total,
        proof.provider_total,
        proof.house_total,
    ];
    let house = &totals.house;
    let expected = [
        totals.frozen,
        house.clearing,
        house.fees,
        house.costs,
        house.provider,
        house.house,
    ];
    assert_eq!(proved.map(NanoUsd::get), expected);
    // A later history's clock takes away what expires in earlier ones, so that these two are known only together.
    let given = proof
        .customer_total
        .saturating_add(proof.escrow_total)
        .saturating_add(proof.promotions_total);
    assert_eq!(given.get(), totals.customer + totals.escrow + house.promotions);
}

fn source_of(source: String) -> String {
    let is_known = source.starts_with("purchase:") || source.starts_with("grant:");
    if is_known { source } else { GIFT.to_owned() }
}

fn seed() -> u64 {
    std::env::var("TOLLWAY_MONEY_SEED").map_or(1, |seed| seed.parse().unwrap())
}

fn rng(seed: u64, part: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&part.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

async fn many(db: Db, count: u32, part: u64) {
    tokio::task::spawn_blocking(move || histories(&db, count, part))
        .await
        .unwrap();
}

/// Five databases after each other; four of these tests run at once where there are processors for them.
fn two_thousand_five_hundred(part: u64) {
    for database in 0..5 {
        crate::both::on_sqlite_in_memory(move |db| many(db, 500, part * 10 + database));
    }
}

#[test]
fn histories_of_an_account_are_what_the_model_says_1() {
    two_thousand_five_hundred(1);
}

#[test]
fn histories_of_an_account_are_what_the_model_says_2() {
    two_thousand_five_hundred(2);
}

#[test]
fn histories_of_an_account_are_what_the_model_says_3() {
    two_thousand_five_hundred(3);
}

#[test]
fn histories_of_an_account_are_what_the_model_says_4() {
    two_thousand_five_hundred(4);
}

#[test]
fn histories_of_an_account_are_what_the_model_says_on_postgres() {
    crate::both::on_postgres(|db| many(db, 400, 0));
}
