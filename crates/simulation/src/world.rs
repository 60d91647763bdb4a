//! Three nodes and what befalls them: crashes, clocks that jump, transactions of which nobody learns how they ended,
//! settlements that come twice, and leases that are taken away from whoever seems dead.

use crate::books::Books;
use crate::random::Random;
use domain::generation::{Generation, Outcome};
use domain::id::{AccountId, GenerationId, NodeId};
use domain::lease::{self, Hold, Lease};
use domain::ledger::{LedgerAccount, Transfer, TransferKind};
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use domain::time::Micros;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

mod make;
mod node;
mod rules;

use make::priced;
use node::{Memory, Node, Record, Running};

/// A ledger, its nodes and everything that is known to be owed.
pub struct World<B> {
    pub books: B,
    nodes: Vec<Node>,
    accounts: Vec<AccountId>,
    bought: BTreeMap<AccountId, i64>,
    /// Costs beyond their hold that the world let happen: as far as that, a customer may owe.
    excess: BTreeMap<AccountId, i64>,
    /// How each generation ended, as its node decided.
    ended: BTreeMap<GenerationId, Ended>,
    random: Random,
    /// Microseconds.
    now: i64,
    ids: u64,
    /// Whether costs go beyond their hold at all in this world.
    exceeds: bool,
    model: ModelSlug,
    pub story: Story,
}

/// What happened, so that a test sees that it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Story {
    pub admitted: u64,
    pub refused: u64,
    pub settled: u64,
    pub repeated: u64,
    pub unknown: u64,
    pub crashes: u64,
    pub recovered: u64,
    pub fences: u64,
    pub late: u64,
    pub jumps: u64,
}

impl AddAssign for Story {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.settled += other.settled;
        self.repeated += other.repeated;
        self.unknown += other.unknown;
        self.crashes += other.crashes;
        self.recovered += other.recovered;
        self.fences += other.fences;
        self.late += other.late;
        self.jumps += other.jumps;
    }
}

#[derive(Clone, Debug)]
struct Ended {
    account: AccountId,
    cost: i64,
    house_cost: i64,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    Good,
    /// Nothing happened, and the node knows.
    Failed,
    /// It happened, and the node does not know.
    Unknown,
}

pub const NODES: usize = 3;
pub const ACCOUNTS: usize = 3;
const EXPIRY_US: i64 = 600 * Micros::SECOND;
const IDLE_US: i64 = 60 * Micros::SECOND;
const STEP_US_MAX: u64 = 20_000_000;
const JUMP_US_MAX: u64 = 3_600_000_000;
const BATCH_MAX: usize = 5;

impl<B: Books> World<B> {
    /// A world told from `seed`; `books` knows the accounts `acc_0`, `acc_1` and `acc_2` with the keys `hash-0` and so on.
    pub fn new(mut books: B, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ids = (0..NODES).map(|number| NodeId::stored(format!("node_{number}")));
        let nodes = ids
            .map(|id| {
                books.start(&id);
                Node::new(id)
            })
            .collect();
        let exceeds = random.chance(50);
        let accounts = (0..ACCOUNTS).map(|number| AccountId::stored(format!("acc_{number}")));
        Self {
            books,
            nodes,
            accounts: accounts.collect(),
            bought: BTreeMap::new(),
            excess: BTreeMap::new(),
            ended: BTreeMap::new(),
            random,
            now: 1_795_421_106_000_000,
            ids: 0,
            exceeds,
            model: ModelSlug::parse("maker/model").unwrap_or_else(|_| unreachable!("a slug")),
            story: Story::default(),
        }
    }

    /// Lets `steps` things happen, checking after each, and then brings everything to its end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..ACCOUNTS {
            self.buy();
        }
        for step in 0..steps {
            self.step();
            self.check().map_err(|broken| format!("step {step}: {broken}"))?;
        }
        self.end();
        self.check().map_err(|broken| format!("at the end: {broken}"))?;
        self.check_end().map_err(|broken| format!("at the end: {broken}"))
    }

    fn step(&mut self) {
        self.now += i64::try_from(self.random.between(0, STEP_US_MAX)).unwrap_or(0);
        for at in 0..NODES {
            self.beat(at);
            self.look_after_others(at);
        }
        let at = self.random.below(NODES);
        match self.random.below(100) {
            0..=29 => self.admit(at),
            30..=54 => self.progress(at),
            55..=69 => self.finish(at),
            70..=81 => self.settle(at),
            82..=86 => self.give_back(at, false),
            87..=89 => self.ask_again(at),
            90..=91 => self.stall(at),
            92..=93 => self.crash(at),
            94..=96 => self.restart(at),
            97 => self.jump(at),
            _ => self.buy(),
        }
    }

    fn buy(&mut self) {
        let account = self.accounts[self.random.below(ACCOUNTS)].clone();
        let amount = i64::try_from(self.random.between(1, 600)).unwrap_or(1);
        let from = LedgerAccount::Promotions;
        let to = LedgerAccount::Customer(account.clone());
        let transfer = self.transfer(TransferKind::Grant, from, to, amount);
        self.books.post(&transfer);
        *self.bought.entry(account).or_default() += amount;
    }

    /// As the server's admission: from the lease, and when that is used up, from the ledger.
    fn admit(&mut self, at: usize) {
        let account = self.accounts[self.random.below(ACCOUNTS)].clone();
        let wanted = i64::try_from(self.random.between(1, 150)).unwrap_or(1);
        let least = if self.random.chance(50) { wanted } else { 1 };
        let local = self.now + self.nodes[at].skew;
        let Some(memory) = &mut self.nodes[at].memory else {
            return;
        };
        if memory.fenced || (local - memory.last_beat).abs() > EXPIRY_US / 2 {
            self.story.refused += 1;
            return;
        }
        let lease = Arc::clone(memory.leases.entry(account.clone()).or_default());
        if !self.has(&lease, wanted, local) {
            self.refill(at, &account, &lease, wanted);
        }
        let (wanted, least, local) = (NanoUsd::new(wanted), NanoUsd::new(least), Micros::new(local));
        let Ok(taken) = lease.take_at_least(wanted, least, local) else {
            self.story.refused += 1;
            return;
        };
        let mut hold = Hold::free();
        hold.join(lease, taken);
        self.story.admitted += 1;
        let generation = self.generation(at, &account);
        let node = &mut self.nodes[at];
        let id = generation.id.clone();
        node.journal.insert(id, Record::Intent(generation.clone()));
        if let Some(memory) = &mut node.memory {
            memory.running.push(Running {
                generation,
                hold,
                cost: 0,
            });
        }
    }

    fn has(&self, lease: &Lease, wanted: i64, local: i64) -> bool {
        let enough = lease.take(NanoUsd::new(wanted), Micros::new(local));
        if enough {
            lease.give(NanoUsd::new(wanted));
        }
        enough
    }

    fn refill(&mut self, at: usize, account: &AccountId, lease: &Lease, wanted: i64) {
        let customer = LedgerAccount::Customer(account.clone());
        let missing = NanoUsd::new(wanted).saturating_sub(lease.remaining());
        let amount = lease::size(self.books.balance(&customer), missing);
        if !amount.is_positive() {
            return;
        }
        let escrow = LedgerAccount::Escrow(self.nodes[at].id.clone(), account.clone());
        let transfer = self.transfer(TransferKind::LeaseTaken, customer.clone(), escrow, amount.get());
        match self.luck() {
            Luck::Good => {
                if self.books.take(&customer, &transfer) {
                    lease.give(amount);
                }
            }
            Luck::Failed => {}
            Luck::Unknown => {
                self.books.take(&customer, &transfer);
                self.remember(at, transfer);
            }
        }
    }

    /// The answer grows; when it outgrows its hold more is set aside, and in some worlds it goes on without.
    fn progress(&mut self, at: usize) {
        let more = i64::try_from(self.random.between(1, 40)).unwrap_or(1);
        let (pick, local) = (self.random.draw(), Micros::new(self.now + self.nodes[at].skew));
        let node = &mut self.nodes[at];
        let Some(running) = node
            .memory
            .as_mut()
            .and_then(|memory| pick_from(&mut memory.running, pick))
        else {
            return;
        };
        let cost = running.cost + more;
        let short = cost - running.hold.amount().get();
        if short > 0 && !running.hold.extend(NanoUsd::new(short), local) {
            if !self.exceeds {
                return;
            }
            running.hold.cover(NanoUsd::new(cost));
            *self.excess.entry(running.generation.account.clone()).or_default() += short;
        }
        running.cost = cost;
        node.slots.insert(running.generation.id.clone(), cost);
    }

    fn finish(&mut self, at: usize) {
        let (pick, failed) = (self.random.draw(), self.random.chance(15));
        let node = &mut self.nodes[at];
        let Some(memory) = &mut node.memory else { return };
        if memory.running.is_empty() {
            return;
        }
        let place = usize::try_from(pick).unwrap_or(usize::MAX) % memory.running.len();
        let Running { generation, hold, cost } = memory.running.swap_remove(place);
        let outcome = if failed { Outcome::Failed } else { Outcome::Completed };
        let generation = priced(generation, outcome, cost);
        node.slots.remove(&generation.id);
        node.journal
            .insert(generation.id.clone(), Record::Settlement(generation.clone()));
        hold.spend(generation.cost);
        self.ended.insert(generation.id.clone(), Ended::of(&generation));
        memory.queue.push(generation);
    }

    fn settle(&mut self, at: usize) {
        let luck = self.luck();
        let node = &mut self.nodes[at];
        let Some(memory) = &mut node.memory else { return };
        let count = memory.queue.len().min(BATCH_MAX);
        let batch: Vec<Generation> = memory.queue[..count].to_vec();
        if batch.is_empty() || luck == Luck::Failed {
            return;
        }
        let repeated = batch.iter().filter(|one| self.books.charge(&one.id).is_some()).count();
        self.story.repeated += u64::try_from(repeated).unwrap_or(0);
        let overruns = self.books.settle(&node.id, &batch);
        if luck == Luck::Unknown {
            self.story.unknown += 1;
            return;
        }
        for (account, amount) in overruns {
            memory.leases.entry(account).or_default().give(amount);
        }
        memory.queue.drain(..count);
        for generation in &batch {
            node.journal.remove(&generation.id);
        }
        self.story.settled += u64::try_from(count).unwrap_or(0);
    }

    fn give_back(&mut self, at: usize, all: bool) {
        let local = Micros::new(self.now + self.nodes[at].skew);
        let Some(memory) = &self.nodes[at].memory else { return };
        let idle = memory
            .leases
            .iter()
            .filter(|(_, lease)| all || lease.idle(local) > IDLE_US);
        let amounts: Vec<(AccountId, NanoUsd)> = idle
            .map(|(account, lease)| (account.clone(), lease.take_all()))
            .collect();
        for (account, amount) in amounts.into_iter().filter(|(_, amount)| amount.is_positive()) {
            let transfer = self.lease_returned(at, account, amount);
            match if all { Luck::Good } else { self.luck() } {
                Luck::Good => {
                    self.return_lease(&transfer);
                }
                Luck::Failed => self.remember(at, transfer),
                Luck::Unknown => {
                    self.return_lease(&transfer);
                    self.remember(at, transfer);
                }
            }
        }
    }

    /// Once more what may have happened or not, by the same keys.
    fn ask_again(&mut self, at: usize) {
        let Some(memory) = &mut self.nodes[at].memory else {
            return;
        };
        for transfer in std::mem::take(&mut memory.unknown) {
            if transfer.kind == TransferKind::LeaseReturned {
                self.return_lease(&transfer);
                continue;
            }
            let from = transfer.legs[0].account.clone();
            let (owner, amount) = (from.owner().cloned(), transfer.legs[1].amount);
            if self.books.take(&from, &transfer)
                && let Some(memory) = &mut self.nodes[at].memory
                && let Some(owner) = owner
            {
                memory.leases.entry(owner).or_default().give(amount);
            }
        }
    }

    fn return_lease(&mut self, transfer: &Transfer) -> bool {
        let escrow = transfer.legs[0].account.clone();
        self.books.take(&escrow, transfer)
    }

    fn remember(&mut self, at: usize, transfer: Transfer) {
        self.story.unknown += 1;
        if let Some(memory) = &mut self.nodes[at].memory {
            memory.unknown.push(transfer);
        }
    }

    /// The node says that it lives. When others took it for dead it lets go of everything, and begins anew once all that it
    /// had begun is settled.
    fn beat(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let local = self.now + node.skew;
        let Some(memory) = node.memory.as_mut().filter(|memory| !memory.stalls) else {
            return;
        };
        memory.last_beat = local;
        if !self.books.beat(&node.id) {
            memory.fenced = true;
            memory.leases.clear();
            memory.unknown.clear();
            if memory.running.is_empty() && memory.queue.is_empty() {
                self.books.start(&node.id);
                memory.fenced = false;
            }
        }
    }

    /// By the node's own clock, right or wrong.
    fn look_after_others(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let local = self.now + node.skew;
        let Some(memory) = node.memory.as_mut().filter(|memory| !memory.fenced && !memory.stalls) else {
            return;
        };
        for (other, beats) in self.books.beats() {
            let seen = memory.seen.entry(other.clone()).or_insert((beats, local));
            if seen.0 != beats {
                *seen = (beats, local);
            } else if other != node.id && local - seen.1 > EXPIRY_US && self.books.fence(&other, beats) {
                self.story.fences += 1;
            }
        }
    }

    fn stall(&mut self, at: usize) {
        if let Some(memory) = &mut self.nodes[at].memory {
            memory.stalls = !memory.stalls;
        }
    }

    fn crash(&mut self, at: usize) {
        if self.nodes[at].memory.take().is_some() {
            self.story.crashes += 1;
        }
    }

    /// As the server's start: what the journal holds is settled, then the leases go back, then the node begins anew.
    fn restart(&mut self, at: usize) {
        if self.nodes[at].memory.is_some() {
            return;
        }
        let slots = std::mem::take(&mut self.nodes[at].slots);
        let mut batch = Vec::new();
        for (id, record) in std::mem::take(&mut self.nodes[at].journal) {
            batch.push(match record {
                Record::Settlement(generation) => generation,
                Record::Intent(generation) => {
                    let outcome = slots
                        .get(&id)
                        .map_or((Outcome::Failed, 0), |cost| (Outcome::Recovered, *cost));
                    let generation = priced(generation, outcome.0, outcome.1);
                    self.ended.insert(id, Ended::of(&generation));
                    self.story.recovered += 1;
                    generation
                }
            });
        }
        let id = self.nodes[at].id.clone();
        self.books.settle(&id, &batch);
        for (account, amount) in self.books.escrows(&id) {
            let transfer = self.lease_returned(at, account, amount);
            self.return_lease(&transfer);
        }
        self.books.start(&id);
        self.nodes[at].memory = Some(Memory::new(self.now + self.nodes[at].skew));
    }

    fn jump(&mut self, at: usize) {
        let by = i64::try_from(self.random.between(0, 2 * JUMP_US_MAX)).unwrap_or(0);
        self.nodes[at].skew += by - i64::try_from(JUMP_US_MAX).unwrap_or(0);
        self.story.jumps += 1;
    }

    /// Everything that is under way comes to its end.
    fn end(&mut self) {
        for at in 0..NODES {
            self.restart(at);
            while self.nodes[at]
                .memory
                .as_ref()
                .is_some_and(|memory| !memory.running.is_empty())
            {
                self.finish(at);
            }
            while self.nodes[at]
                .memory
                .as_ref()
                .is_some_and(|memory| !memory.queue.is_empty())
            {
                self.settle(at);
            }
            self.ask_again(at);
            self.give_back(at, true);
            // What is left was lost by an unlucky transaction; the next start finds it.
            self.crash(at);
            self.restart(at);
        }
    }

    fn luck(&mut self) -> Luck {
        match self.random.below(10) {
            0 => Luck::Failed,
            1 => Luck::Unknown,
            _ => Luck::Good,
        }
    }
}

impl Ended {
    fn of(generation: &Generation) -> Self {
        Self {
            account: generation.account.clone(),
            cost: generation.cost.get(),
            house_cost: generation.house_cost.get(),
        }
    }
}

fn pick_from<T>(from: &mut [T], pick: u64) -> Option<&mut T> {
    let count = u64::try_from(from.len()).ok().filter(|count| *count > 0)?;
    from.get_mut(usize::try_from(pick % count).ok()?)
}
