//! Lots: credits that came together, and in which order they are spent.
//!
//! Lots are the subsidiary ledger of a customer's credits: what remains in all lots of a customer is what the customer has
//! (with what nodes hold for spending), or nothing when the customer is in debt.

use crate::id::{AccountId, LotId};
use crate::money::NanoUsd;
use crate::time::Micros;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    pub id: LotId,
    pub account: AccountId,
    pub kind: LotKind,
    /// Idempotency key of the transfer that brought it: `purchase:{id}`, `grant:{id}` …
    pub source: String,
    pub amount: NanoUsd,
    /// From zero to `amount`.
    pub remaining: NanoUsd,
    /// From then on what remains is taken away as soon as no node holds it.
    pub expires: Option<Micros>,
    pub created: Micros,
}

/// In the order of spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotKind {
    /// Given.
    Promotional,
    /// Bought.
    Paid,
}

/// What is taken from (negative) or put back into (positive) one lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub lot: LotId,
    pub amount: NanoUsd,
}

impl LotKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promotional => "promotional",
            Self::Paid => "paid",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Promotional, Self::Paid]
            .into_iter()
            .find(|kind| kind.name() == text)
    }
}

/// Promotional before paid; promotional ones that end sooner first and those without an end last; then the oldest.
#[must_use]
pub fn spending_order(a: &Lot, b: &Lot) -> Ordering {
    order_key(a).cmp(&order_key(b))
}

/// Takes up to `amount` out of the lots: from the one whose source is `own` first, then in spending order. The parts sum
/// to less than `amount` when the lots hold less; that is the customer's debt.
pub fn spend(lots: &mut [Lot], amount: NanoUsd, own: Option<&str>) -> Vec<Part> {
    let mut order: Vec<&mut Lot> = lots.iter_mut().collect();
    order.sort_by(|a, b| (is_not(a, own), order_key(a)).cmp(&(is_not(b, own), order_key(b))));
    let mut left = amount;
    let mut parts = Vec::new();
    for lot in order {
        let part = lot.remaining.min(left);
        if part.is_positive() {
            lot.remaining = lot.remaining.saturating_sub(part);
            left = left.saturating_sub(part);
            parts.push(Part {
                lot: lot.id.clone(),
                amount: part.negated(),
            });
        }
    }
    parts
}

/// Puts up to `amount` back into the lots, none above what it was: into the one whose source is `own` first, then against
/// the spending order, lots that have expired last. The second value is what found no room.
pub fn put_back(lots: &mut [Lot], amount: NanoUsd, own: Option<&str>, now: Micros) -> (Vec<Part>, NanoUsd) {
    let mut order: Vec<&mut Lot> = lots.iter_mut().collect();
    let key = |lot: &Lot| {
        let has_expired = lot.expires.is_some_and(|expires| expires <= now);
        (is_not(lot, own), has_expired)
    };
    order.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| order_key(b).cmp(&order_key(a))));
    let mut left = amount;
    let mut parts = Vec::new();
    for lot in order {
        let part = lot.amount.saturating_sub(lot.remaining).min(left);
        if part.is_positive() {
            lot.remaining = lot.remaining.saturating_add(part);
            left = left.saturating_sub(part);
            parts.push(Part {
                lot: lot.id.clone(),
                amount: part,
            });
        }
    }
    (parts, left)
}

/// How much more the lots must hold when credits that stand at `credits` (below zero: a debt) grow by `amount`: the debt
/// is paid first.
#[must_use]
pub fn growth(credits: NanoUsd, amount: NanoUsd) -> NanoUsd {
    let held = |credits: NanoUsd| credits.max(NanoUsd::ZERO);
    held(credits.saturating_add(amount)).saturating_sub(held(credits))
}

fn order_key(lot: &Lot) -> (LotKind, Micros, Micros, &LotId) {
    // Paid lots go by age alone, whether or not they end.
    let end = lot.expires.filter(|_| lot.kind == LotKind::Promotional);
    (lot.kind, end.unwrap_or(Micros::new(i64::MAX)), lot.created, &lot.id)
}

fn is_not(lot: &Lot, own: Option<&str>) -> bool {
    own != Some(lot.source.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Micros = Micros::new(1_000);

    fn lot(id: &str, kind: LotKind, amount: i64, remaining: i64, expires: Option<i64>, created: i64) -> Lot {
        Lot {
            id: LotId::stored(id),
            account: AccountId::stored("acc_1"),
            kind,
            source: format!("source:{id}"),
            amount: NanoUsd::new(amount),
            remaining: NanoUsd::new(remaining),
            expires: expires.map(Micros::new),
            created: Micros::new(created),
        }
    }

    fn one_of_each() -> Vec<Lot> {
        vec![
            lot("paid-old", LotKind::Paid, 10, 10, None, 1),
            lot("paid-new", LotKind::Paid, 10, 10, None, 2),
            lot("endless", LotKind::Promotional, 10, 10, None, 1),
            lot("ends-late", LotKind::Promotional, 10, 10, Some(9_000), 1),
            lot("ends-soon", LotKind::Promotional, 10, 10, Some(2_000), 3),
        ]
    }

    fn text(parts: &[Part]) -> String {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| format!("{} {}", part.lot, part.amount.get()))
            .collect();
        parts.join(", ")
    }

    fn check_spend(amount: i64, own: Option<&str>, expected: &str) {
        let parts = spend(&mut one_of_each(), NanoUsd::new(amount), own);
        assert_eq!(text(&parts), expected);
    }

    #[test]
    fn promotional_credits_go_first_and_the_oldest_paid_next() {
        check_spend(0, None, "");
        check_spend(5, None, "ends-soon -5");
        check_spend(35, None, "ends-soon -10, ends-late -10, endless -10, paid-old -5");
        check_spend(15, Some("source:paid-new"), "paid-new -10, ends-soon -5");
        check_spend(
            99,
            None,
            "ends-soon -10, ends-late -10, endless -10, paid-old -10, paid-new -10",
        );
    }

    #[test]
    fn what_comes_back_fills_the_lots_that_were_spent_last() {
        let mut lots = one_of_each();
        spend(&mut lots, NanoUsd::new(45), None);
        let back = |amount, own, now| put_back(&mut lots.clone(), NanoUsd::new(amount), own, Micros::new(now));
        assert_eq!(text(&back(7, None, 0).0), "paid-new 5, paid-old 2");
        assert_eq!(text(&back(7, Some("source:ends-soon"), 0).0), "ends-soon 7");
        let (parts, rest) = back(50, None, 5_000);
        assert_eq!(
            text(&parts),
            "paid-new 5, paid-old 10, endless 10, ends-late 10, ends-soon 10"
        );
        assert_eq!(rest, NanoUsd::new(5));
        let (parts, _) = back(40, None, 9_500);
        assert_eq!(
            text(&parts),
            "paid-new 5, paid-old 10, endless 10, ends-late 10, ends-soon 5"
        );
    }

    #[test]
    fn a_debt_is_paid_before_lots_grow() {
        let check = |credits, amount, expected| {
            let grown = growth(NanoUsd::new(credits), NanoUsd::new(amount));
            assert_eq!(grown.get(), expected, "{credits} {amount}");
        };
        check(5, 10, 10);
        check(0, 10, 10);
        check(-4, 10, 6);
        check(-10, 10, 0);
        check(-15, 10, 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Spend(i64, Option<usize>),
        PutBack(i64, Option<usize>),
    }

    fn lots() -> impl Strategy<Value = Vec<Lot>> {
        let one = (
            any::<bool>(),
            1..60_i64,
            0..60_i64,
            proptest::option::of(0..2_000_i64),
            0..5_i64,
        );
        proptest::collection::vec(one, 0..7).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(at, (is_paid, amount, remaining, expires, created))| {
                    let kind = if is_paid { LotKind::Paid } else { LotKind::Promotional };
                    lot(
                        &format!("lot{at}"),
                        kind,
                        amount,
                        remaining.min(amount),
                        expires,
                        created,
                    )
                })
                .collect()
        })
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let own = || proptest::option::of(0..7_usize);
        let step = prop_oneof![
            (0..120_i64, own()).prop_map(|(amount, own)| Step::Spend(amount, own)),
            (0..120_i64, own()).prop_map(|(amount, own)| Step::PutBack(amount, own)),
        ];
        proptest::collection::vec(step, 1..8)
    }

    /// Which lot gives the next nano-dollar, or takes it: found by looking at all of them, one nano-dollar at a time.
    fn next<'a>(lots: &'a mut [Lot], own: Option<&str>, gives: bool) -> Option<&'a mut Lot> {
        let rank = |lot: &Lot| {
            let is_own = own == Some(lot.source.as_str());
            let is_promotional = lot.kind == LotKind::Promotional;
            let end = if is_promotional { lot.expires } else { None }.map_or(i64::MAX, Micros::get);
            let age = [i64::from(!is_promotional), end, lot.created.get()];
            if gives {
                (!is_own, false, age, lot.id.as_str().to_owned())
            } else {
                let has_expired = lot.expires.is_some_and(|expires| expires <= NOW);
                // Ids are single digits, so that their order can be turned around.
                let id = char::from(b'0' + (b'9' - lot.id.as_str().as_bytes()[3])).to_string();
                (!is_own, has_expired, age.map(|part| -part), id)
            }
        };
        lots.iter_mut()
            .filter(|lot| {
                if gives {
                    lot.remaining.get() > 0
                } else {
                    lot.remaining < lot.amount
                }
            })
            .min_by_key(|lot| rank(lot))
    }

    fn naive(lots: &mut [Lot], amount: i64, own: Option<&str>, gives: bool) -> i64 {
        for done in 0..amount {
            let Some(lot) = next(lots, own, gives) else { return done };
            lot.remaining = NanoUsd::new(lot.remaining.get() + if gives { -1 } else { 1 });
        }
        amount
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn lots_do_what_counting_single_nano_dollars_does(lots in lots(), steps in steps()) {
            let (mut fast, mut slow) = (lots.clone(), lots);
            for step in steps {
                let before: i64 = fast.iter().map(|lot| lot.remaining.get()).sum();
                let (amount, own, gives) = match step {
                    Step::Spend(amount, own) => (amount, own, true),
                    Step::PutBack(amount, own) => (amount, own, false),
                };
                let own = own.map(|at| format!("source:lot{at}"));
                let parts = if gives {
                    spend(&mut fast, NanoUsd::new(amount), own.as_deref())
                } else {
                    let (parts, rest) = put_back(&mut fast, NanoUsd::new(amount), own.as_deref(), NOW);
                    let put: i64 = parts.iter().map(|part| part.amount.get()).sum();
                    prop_assert_eq!(put + rest.get(), amount);
                    parts
                };
                let done = naive(&mut slow, amount, own.as_deref(), gives);
                let moved: i64 = parts.iter().map(|part| part.amount.get()).sum();
                prop_assert_eq!(moved, if gives { -done } else { done });
                prop_assert_eq!(&fast, &slow);
                let after: i64 = fast.iter().map(|lot| lot.remaining.get()).sum();
                prop_assert_eq!(after, before + moved);
                prop_assert!(fast.iter().all(|lot| NanoUsd::ZERO <= lot.remaining && lot.remaining <= lot.amount));
            }
        }
    }
}
