//! Leases and holds, one after the other and from many threads.

use domain::lease::{Hold, Lease, size};
use domain::money::NanoUsd;
use domain::time::Micros;
use proptest::prelude::*;
use std::sync::Arc;

const NOW: Micros = Micros::new(1);

fn usd(nano: i64) -> NanoUsd {
    NanoUsd::new(nano)
}

fn lease(nano: i64) -> Arc<Lease> {
    let lease = Arc::new(Lease::default());
    lease.give(usd(nano));
    lease
}

fn hold(leases: &[&Arc<Lease>], nano: i64) -> Hold {
    let mut hold = Hold::free();
    for lease in leases {
        assert!(lease.take(usd(nano), NOW));
        hold.join(Arc::clone(lease), usd(nano));
    }
    hold
}

#[test]
fn a_lease_is_a_slice_unless_more_is_missing() {
    assert_eq!(size(usd(1_000), usd(10)), usd(50));
    assert_eq!(size(usd(1_000), usd(400)), usd(400));
    assert_eq!(size(usd(1_000), usd(4_000)), usd(1_000));
    assert_eq!(size(usd(100_000_000_000_000), usd(1)), usd(1_000_000_000));
    assert_eq!(size(usd(-5), usd(10)), usd(-5));
}

#[test]
fn what_is_left_of_a_hold_goes_back() {
    let account = lease(100);
    let held = hold(&[&account], 60);
    assert!(!account.take(usd(60), NOW));
    held.spend(usd(25));
    assert_eq!(account.remaining(), usd(75));
    drop(hold(&[&account], 75));
    assert_eq!(account.remaining(), usd(75));
}

#[test]
fn a_cost_beyond_the_hold_is_owed() {
    let account = lease(10);
    hold(&[&account], 10).spend(usd(15));
    assert_eq!(account.remaining(), usd(-5));
    assert_eq!(account.take_all(), usd(0));
    assert_eq!(account.take_at_least(usd(5), usd(1), NOW), Err(usd(0)));
}

#[test]
fn a_hold_is_the_least_of_what_its_leases_gave() {
    let (key, account) = (lease(100), lease(100));
    let mut held = hold(&[&key], 80);
    assert_eq!(account.take_at_least(usd(80), usd(1), NOW), Ok(usd(80)));
    account.give(usd(30));
    held.join(Arc::clone(&account), usd(50));
    assert_eq!(
        (held.amount(), key.remaining(), account.remaining()),
        (usd(50), usd(50), usd(50))
    );
    drop(held);
    assert_eq!((key.remaining(), account.remaining()), (usd(100), usd(100)));
}

#[test]
fn a_hold_is_extended_in_all_of_its_leases_or_in_none() {
    let (key, account) = (lease(100), lease(70));
    let mut held = hold(&[&key, &account], 50);
    assert!(!held.extend(usd(30), NOW));
    assert_eq!(
        (held.amount(), key.remaining(), account.remaining()),
        (usd(50), usd(50), usd(20))
    );
    assert!(held.extend(usd(20), NOW));
    assert_eq!(held.amount(), usd(70));
    held.spend(usd(60));
    assert_eq!((key.remaining(), account.remaining()), (usd(40), usd(10)));
}

#[test]
fn a_cost_beyond_its_hold_is_set_aside_while_it_occurs() {
    let (key, account) = (lease(100), lease(60));
    let mut held = hold(&[&key, &account], 50);
    held.cover(usd(40));
    assert_eq!((held.amount(), account.remaining()), (usd(50), usd(10)));
    held.cover(usd(75));
    assert_eq!(
        (held.amount(), key.remaining(), account.remaining()),
        (usd(75), usd(25), usd(-15))
    );
    assert!(!account.take(usd(1), NOW), "whoever asks now is refused");
    held.spend(usd(80));
    assert_eq!((key.remaining(), account.remaining()), (usd(20), usd(-20)));
}

#[test]
fn concurrent_holds_never_take_more_than_there_is() {
    let account = lease(1_000);
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| account.take(usd(7), NOW)).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((taken, account.remaining()), (142, usd(6)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_lease_is_never_more_than_there_is_and_covers_what_is_missing_if_it_can(
        available in 0i64..10_000_000_000_000, missing in 0i64..10_000_000_000_000
    ) {
        let size = size(usd(available), usd(missing)).get();
        prop_assert!(size <= available && size >= missing.min(available));
    }

    /// Against a model of plain integers: whatever is done, nothing appears and nothing is lost.
    #[test]
    fn leases_and_holds_keep_every_nano_dollar(start in 0i64..1_000, steps in prop::collection::vec((0u8..6, 0i64..400), 1..60)) {
        let account = lease(start);
        let mut holds: Vec<Hold> = Vec::new();
        let (mut given, mut spent) = (start, 0);
        for (what, amount) in steps {
            match what {
                0 => {
                    account.give(usd(amount));
                    given += amount;
                }
                1 => given -= account.take_all().get(),
                2 => if account.take(usd(amount), NOW) {
                    let mut hold = Hold::free();
                    hold.join(Arc::clone(&account), usd(amount));
                    holds.push(hold);
                },
                3 => if let Some(hold) = holds.pop() {
                    hold.spend(usd(amount));
                    spent += amount;
                },
                4 => if let Some(mut hold) = holds.pop() {
                    let before = hold.amount();
                    let extended = hold.extend(usd(amount), NOW);
                    prop_assert_eq!(hold.amount().get(), before.get() + if extended { amount } else { 0 });
                    holds.push(hold);
                },
                _ => drop(holds.pop()),
            }
            let held: i64 = holds.iter().map(|hold| hold.amount().get()).sum();
            prop_assert_eq!(account.remaining().get() + held + spent, given);
        }
    }
}
