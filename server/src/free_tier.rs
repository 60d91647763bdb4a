//! Requests to models that cost nothing: so many per minute, and so many per day. The day's are leased in slices from the
//! store, so that any number of nodes together never serve more.

use crate::allowance::shards::Shards;
use crate::config::FreeLimits;
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use store::{Store, StoreError, quotas};

pub struct FreeTier {
    source: Source,
    limits: FreeLimits,
    clock: SinceStart,
    accounts: Shards<AccountId, Account>,
}

/// Where slices of a day are taken from.
#[derive(Clone)]
struct Source {
    store: Store,
    limits: FreeLimits,
}

/// How much of a limit is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub limit: u32,
    pub remaining: u32,
    /// When all of it is there again.
    pub reset: Micros,
}

#[derive(Debug)]
pub enum FreeRefused {
    Minute {
        left: Left,
        wait: Duration,
    },
    Day {
        left: Left,
        /// More would be allowed after buying credits.
        per_day_paid: Option<u32>,
    },
    /// The account's balance is below zero.
    Owing {
        balance: NanoUsd,
    },
    Store(StoreError),
}

struct Account {
    minute: RateLimiter<NotKeyed, InMemoryState, SinceStart, StateInformationMiddleware>,
    /// Held by the one who takes more from the store.
    refill: Arc<tokio::sync::Mutex<()>>,
    /// Start of the day that the rest is of, in microseconds.
    day: AtomicI64,
    left: AtomicI64,
    /// Left in the store when it was last asked.
    outside: AtomicI64,
    limit: AtomicI64,
    /// Until then the store is not asked again, because it had no more.
    resting_until: AtomicI64,
}

#[derive(Clone)]
struct SinceStart(Instant);

/// Credits bought that lift the limit per day.
pub const PAID_MIN: NanoUsd = NanoUsd::new(10_000_000_000);
/// A slice is one part of this many of the limit, within the bound.
const SLICE_PART: i64 = 20;
const SLICE_MAX: i64 = 50;
const REST_MICROS: i64 = 5 * Micros::SECOND;

impl FreeTier {
    #[must_use]
    pub fn new(store: Store, limits: FreeLimits) -> Self {
        Self {
            source: Source { store, limits },
            limits,
            clock: SinceStart(Instant::now()),
            accounts: Shards::default(),
        }
    }

    /// Takes one request. Gives what is left of the tighter limit.
    pub async fn take(&self, account: &AccountId, now: Micros) -> Result<Left, FreeRefused> {
        let known = self.accounts.entry_with(account, || self.account());
        let minute = self.take_of_minute(&known, now)?;
        let day = self.take_of_day(&known, account, now).await?;
        Ok(if day.remaining < minute.remaining { day } else { minute })
    }

    /// Gives back what was taken for today and not served.
    pub async fn give_back(&self, now: Micros) -> Result<(), StoreError> {
        let today = Period::Daily.start(now);
        for (account, known) in self.accounts.snapshot() {
            if known.day.load(Ordering::Acquire) != today.get() {
                continue;
            }
            let unused = known.left.swap(0, Ordering::AcqRel);
            if unused > 0 {
                let mut tx = self.source.store.begin().await?;
                quotas::give_back(&mut tx, &account, &now.day(), unused).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    fn account(&self) -> Account {
        let quota = Quota::per_minute(self.limits.per_minute);
        Account {
            minute: RateLimiter::direct_with_clock(quota, self.clock.clone()).with_middleware(),
            refill: Arc::default(),
            day: AtomicI64::new(0),
            left: AtomicI64::new(0),
            outside: AtomicI64::new(0),
            limit: AtomicI64::new(0),
            resting_until: AtomicI64::new(0),
        }
    }

    fn take_of_minute(&self, known: &Account, now: Micros) -> Result<Left, FreeRefused> {
        let limit = self.limits.per_minute.get();
        let full_after = |remaining: u32| {
            let missing = i64::from(limit.saturating_sub(remaining));
            now.plus(missing.saturating_mul(60 * Micros::SECOND) / i64::from(limit))
        };
        match known.minute.check() {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Ok(Left {
                    limit,
                    remaining,
                    reset: full_after(remaining),
                })
            }
            Err(until) => Err(FreeRefused::Minute {
                left: Left {
                    limit,
                    remaining: 0,
                    reset: full_after(0),
                },
                wait: until.wait_time_from(self.clock.now()),
            }),
        }
    }

    async fn take_of_day(&self, known: &Arc<Account>, account: &AccountId, now: Micros) -> Result<Left, FreeRefused> {
        let today = Period::Daily.start(now);
        if known.take(today) {
            return Ok(known.left_of(now));
        }
        let refilling = Arc::clone(&known.refill).lock_owned().await;
        if known.take(today) {
            return Ok(known.left_of(now));
        }
        if known.day.load(Ordering::Acquire) == today.get() && known.resting_until.load(Ordering::Relaxed) > now.get() {
            return Err(self.day_is_over(known, now));
        }
        // In a task of its own: a caller who hangs up half-way must not leave a transaction open on its connection.
        let (source, filled, account) = (self.source.clone(), Arc::clone(known), account.clone());
        let refilled = tokio::spawn(async move {
            let result = source.refill(&filled, &account, now).await;
            drop(refilling);
            result
        });
        let is_taken = refilled
            .await
            .map_err(|died| StoreError::Unavailable(died.to_string()))??;
        if is_taken {
            return Ok(known.left_of(now));
        }
        known
            .resting_until
            .store(now.plus(REST_MICROS).get(), Ordering::Relaxed);
        Err(self.day_is_over(known, now))
    }

    fn day_is_over(&self, known: &Account, now: Micros) -> FreeRefused {
        let left = Left {
            remaining: 0,
            ..known.left_of(now)
        };
        let more = self.limits.per_day_paid;
        FreeRefused::Day {
            left,
            per_day_paid: Some(more).filter(|more| *more > left.limit),
        }
    }
}

impl Source {
    /// Takes another slice, and one request of it for who asks: others, who take without waiting, may empty it at once.
    /// Gives whether there was one.
    async fn refill(&self, known: &Account, account: &AccountId, now: Micros) -> Result<bool, FreeRefused> {
        let mut tx = self.store.begin().await?;
        let credits = store::ledger::credits(&mut tx, account).await?;
        let balance = credits.available.saturating_add(credits.in_escrow);
        if balance.is_negative() {
            return Err(FreeRefused::Owing { balance });
        }
        let bought = store::purchases::bought(&mut tx, account).await?;
        let limit = i64::from(if bought >= PAID_MIN {
            self.limits.per_day_paid
        } else {
            self.limits.per_day
        });
        let slice = (limit / SLICE_PART).clamp(1, SLICE_MAX);
        let day = now.day();
        let granted = quotas::take(&mut tx, account, &day, slice, limit).await?;
        let taken = quotas::taken(&mut tx, account, &day).await?;
        tx.commit().await?;
        let is_taken = granted > 0;
        known.left.store(granted - i64::from(is_taken), Ordering::Release);
        known.limit.store(limit, Ordering::Relaxed);
        known
            .outside
            .store(limit.saturating_sub(taken).max(0), Ordering::Relaxed);
        known.day.store(Period::Daily.start(now).get(), Ordering::Release);
        Ok(is_taken)
    }
}

impl Account {
    fn take(&self, today: Micros) -> bool {
        if self.day.load(Ordering::Acquire) != today.get() {
            return false;
        }
        let one_less = |left: i64| (left > 0).then_some(left - 1);
        self.left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less)
            .is_ok()
    }

    fn left_of(&self, now: Micros) -> Left {
        let remaining = self.left.load(Ordering::Relaxed).max(0) + self.outside.load(Ordering::Relaxed);
        Left {
            limit: u32::try_from(self.limit.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Period::Daily.next(now),
        }
    }
}

impl Clock for SinceStart {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl From<StoreError> for FreeRefused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
