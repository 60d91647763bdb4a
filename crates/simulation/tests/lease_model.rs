//! Every interleaving of threads that use the same leases and holds, on the very file that the server runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use domain::{money, time};
use lease::{Hold, Lease};
use loom::sync::Mutex;
use loom::thread;
use money::NanoUsd;
use sync::Arc;
use time::Micros;

/// What the lease finds as `crate::sync`: types that try every order of what threads do to them.
mod sync {
    pub use loom::sync::Arc;
    pub use loom::sync::atomic::{AtomicI64, Ordering};
}

#[path = "../../domain/src/lease.rs"]
#[allow(dead_code, reason = "the server uses the rest")]
mod lease;

const NOW: Micros = Micros::new(1);
/// Times that a thread is interrupted, at most, in the larger models: more finds next to nothing and takes for ever.
const PREEMPTIONS_MAX: usize = 2;

fn usd(nano: i64) -> NanoUsd {
    NanoUsd::new(nano)
}

fn filled(nano: i64) -> Arc<Lease> {
    let lease = Arc::new(Lease::default());
    lease.give(usd(nano));
    lease
}

fn held(lease: &Arc<Lease>, amount: i64) -> Option<Hold> {
    lease.take(usd(amount), NOW).then(|| {
        let mut hold = Hold::free();
        hold.join(Arc::clone(lease), usd(amount));
        hold
    })
}

/// Runs `model` in every order, with at most [`PREEMPTIONS_MAX`] interruptions.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

#[test]
fn holds_that_race_for_the_last_money_never_take_more_than_there_is() {
    loom::model(|| {
        let lease = filled(100);
        let other = Arc::clone(&lease);
        let racing = thread::spawn(move || held(&other, 60));
        let mine = held(&lease, 60);
        let theirs = racing.join().unwrap();
        assert!(mine.is_some() ^ theirs.is_some());
        assert_eq!(lease.remaining(), usd(40));
        drop((mine, theirs));
        assert_eq!(lease.remaining(), usd(100));
    });
}

#[test]
fn what_is_spent_and_what_goes_back_add_up_while_the_lease_is_emptied() {
    bounded(|| {
        let lease = filled(100);
        let (spender, returner) = (Arc::clone(&lease), Arc::clone(&lease));
        let spending = thread::spawn(move || {
            held(&spender, 60).map_or(0, |hold| {
                hold.spend(usd(25));
                25
            })
        });
        let returning = thread::spawn(move || returner.take_all().get());
        let dropped = held(&lease, 30);
        drop(dropped);
        let (spent, returned) = (spending.join().unwrap(), returning.join().unwrap());
        assert_eq!(lease.remaining().get() + spent + returned, 100);
        assert!(!lease.remaining().is_negative());
    });
}

#[test]
fn those_who_take_what_is_left_share_it_without_loss() {
    loom::model(|| {
        let lease = filled(100);
        let other = Arc::clone(&lease);
        let racing = thread::spawn(move || other.take_at_least(usd(80), usd(10), NOW));
        let mine = lease.take_at_least(usd(80), usd(10), NOW);
        let theirs = racing.join().unwrap();
        let taken: i64 = [mine, theirs].iter().flatten().map(|taken| taken.get()).sum();
        assert_eq!((taken, lease.remaining()), (100, usd(0)));
    });
}

#[test]
fn a_hold_in_two_leases_extends_in_both_or_in_none() {
    bounded(|| {
        let (key, account) = (filled(50), filled(50));
        let others = account.clone();
        let racing = thread::spawn(move || held(&others, 30));
        let mut hold = held(&key, 20).unwrap();
        if account.take(usd(20), NOW) {
            hold.join(account.clone(), usd(20));
            let before = hold.amount();
            let extended = hold.extend(usd(20), NOW);
            assert_eq!(hold.amount().get() - before.get(), if extended { 20 } else { 0 });
        }
        drop(hold);
        drop(racing.join().unwrap());
        assert_eq!((key.remaining(), account.remaining()), (usd(50), usd(50)));
    });
}

#[test]
fn a_cost_beyond_its_hold_is_owed_until_the_overrun_comes_in() {
    bounded(|| {
        let lease = filled(10);
        let (writer, other) = (Arc::clone(&lease), Arc::clone(&lease));
        held(&lease, 10).unwrap().spend(usd(15));
        let settling = thread::spawn(move || writer.give(usd(5)));
        let racing = thread::spawn(move || held(&other, 1));
        assert_eq!(lease.take_all(), usd(0));
        settling.join().unwrap();
        assert!(racing.join().unwrap().is_none());
        assert_eq!(lease.remaining(), usd(0));
    });
}

/// The server's way to more money, with a mutex in the place of its async one and a balance in the place of the ledger:
/// one takes for all who wait, and looks again first.
struct Node {
    lease: Arc<Lease>,
    refill: Mutex<()>,
    balance: Arc<Mutex<i64>>,
}

impl Node {
    fn new(balance: &Arc<Mutex<i64>>) -> Arc<Self> {
        Arc::new(Self {
            lease: Arc::new(Lease::default()),
            refill: Mutex::new(()),
            balance: Arc::clone(balance),
        })
    }

    fn acquire(&self, wanted: i64, least: i64) -> Option<Hold> {
        let held = |amount: NanoUsd| {
            let mut hold = Hold::free();
            hold.join(Arc::clone(&self.lease), amount);
            hold
        };
        if self.lease.take(usd(wanted), NOW) {
            return Some(held(usd(wanted)));
        }
        let _refilling = self.refill.lock().unwrap();
        if self.lease.take(usd(wanted), NOW) {
            return Some(held(usd(wanted)));
        }
        let missing = usd(wanted).saturating_sub(self.lease.remaining());
        {
            let mut balance = self.balance.lock().unwrap();
            let taken = lease::size(usd(*balance), missing);
            if taken.is_positive() {
                *balance -= taken.get();
                self.lease.give(taken);
            }
        }
        self.lease.take_at_least(usd(wanted), usd(least), NOW).ok().map(held)
    }

    fn give_back(&self) {
        let amount = self.lease.take_all().get();
        *self.balance.lock().unwrap() += amount;
    }
}

#[test]
fn refills_and_give_backs_of_one_node_keep_every_nano_dollar() {
    bounded(|| {
        let balance = Arc::new(Mutex::new(100));
        let node = Node::new(&balance);
        let (first, second) = (Arc::clone(&node), Arc::clone(&node));
        let spending = thread::spawn(move || {
            first.acquire(60, 10).map_or(0, |hold| {
                let cost = hold.amount().get().min(7);
                hold.spend(usd(cost));
                cost
            })
        });
        let returning = thread::spawn(move || second.give_back());
        let hold = node.acquire(60, 10);
        let amount = hold.as_ref().map_or(0, |hold| hold.amount().get());
        assert!(amount <= 60);
        drop(hold);
        let spent = spending.join().unwrap();
        returning.join().unwrap();
        node.give_back();
        assert_eq!(
            (*balance.lock().unwrap(), node.lease.remaining()),
            (100 - spent, usd(0))
        );
    });
}

#[test]
fn two_nodes_cannot_spend_the_same_money() {
    bounded(|| {
        let balance = Arc::new(Mutex::new(100));
        let (here, there) = (Node::new(&balance), Node::new(&balance));
        let other = Arc::clone(&there);
        let racing = thread::spawn(move || other.acquire(70, 70));
        let mine = here.acquire(70, 70);
        let theirs = racing.join().unwrap();
        assert!(!(mine.is_some() && theirs.is_some()));
        drop((mine, theirs));
        here.give_back();
        there.give_back();
        assert_eq!(*balance.lock().unwrap(), 100);
    });
}
