//! Settings of what callers may do at once, for free, and of how nodes watch each other.

use super::{ConfigError, Env, File, setting};
use std::num::NonZeroU32;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub free: FreeLimits,
    /// Requests of one key that run at once on this node.
    pub key_concurrency_max: u32,
    /// Other nodes take one for dead whose beats stand still for so long.
    pub lease_expiry: Duration,
}

/// Requests to free models, of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeLimits {
    pub per_minute: NonZeroU32,
    pub per_day: u32,
    /// Of accounts that have bought credits.
    pub per_day_paid: u32,
}

const FREE_PER_MINUTE: u32 = 20;
const FREE_PER_DAY: u32 = 50;
const FREE_PER_DAY_PAID: u32 = 1_000;
const KEY_CONCURRENCY_MAX: u32 = 500;
const LEASE_EXPIRY_SECS: u64 = 600;
/// Beats come ten times as often.
const LEASE_EXPIRY_SECS_MIN: u64 = 2;

pub(super) fn assemble(file: &File, env: &Env) -> Result<Limits, ConfigError> {
    let count = |name, given, default| Ok::<u32, ConfigError>(env.number(name, given)?.unwrap_or(default));
    let at_least_one =
        |name, number: u32| NonZeroU32::new(number).ok_or_else(|| setting(name, "must be at least 1".to_owned()));
    let per_minute = count(
        "TOLLWAY_FREE_REQUESTS_PER_MINUTE",
        file.free_requests_per_minute,
        FREE_PER_MINUTE,
    )?;
    let concurrency = count(
        "TOLLWAY_KEY_CONCURRENCY_MAX",
        file.key_concurrency_max,
        KEY_CONCURRENCY_MAX,
    )?;
    let expiry = env
        .number("TOLLWAY_LEASE_EXPIRY_SECS", file.lease_expiry_secs)?
        .unwrap_or(LEASE_EXPIRY_SECS);
    if expiry < LEASE_EXPIRY_SECS_MIN {
        let problem = format!("must be at least {LEASE_EXPIRY_SECS_MIN}");
        return Err(setting("TOLLWAY_LEASE_EXPIRY_SECS", problem));
    }
    Ok(Limits {
        free: FreeLimits {
            per_minute: at_least_one("TOLLWAY_FREE_REQUESTS_PER_MINUTE", per_minute)?,
            per_day: count(
                "TOLLWAY_FREE_REQUESTS_PER_DAY",
                file.free_requests_per_day,
                FREE_PER_DAY,
            )?,
            per_day_paid: count(
                "TOLLWAY_FREE_REQUESTS_PER_DAY_PAID",
                file.free_requests_per_day_paid,
                FREE_PER_DAY_PAID,
            )?,
        },
        key_concurrency_max: at_least_one("TOLLWAY_KEY_CONCURRENCY_MAX", concurrency)?.get(),
        lease_expiry: Duration::from_secs(expiry),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeMap;

    fn limits(name: &str, value: &str) -> Result<Limits, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let env = BTreeMap::from([
            ("TOLLWAY_DATA_DIR".to_owned(), dir.path().to_str().unwrap().to_owned()),
            (name.to_owned(), value.to_owned()),
        ]);
        Config::from_parts(None, env).map(|config| config.limits)
    }

    #[test]
    fn limits_can_be_set_and_those_that_would_stop_everything_are_refused() {
        let set = limits("TOLLWAY_FREE_REQUESTS_PER_DAY", "0").unwrap();
        assert_eq!(
            (set.free.per_day, set.free.per_day_paid, set.free.per_minute.get()),
            (0, 1_000, 20)
        );
        assert_eq!(
            limits("TOLLWAY_LEASE_EXPIRY_SECS", "30").unwrap().lease_expiry,
            Duration::from_secs(30)
        );
        for (name, value) in [
            ("TOLLWAY_FREE_REQUESTS_PER_MINUTE", "0"),
            ("TOLLWAY_KEY_CONCURRENCY_MAX", "0"),
            ("TOLLWAY_LEASE_EXPIRY_SECS", "1"),
            ("TOLLWAY_FREE_REQUESTS_PER_DAY", "many"),
        ] {
            let error = limits(name, value).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
