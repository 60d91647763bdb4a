//! What this process has learned about endpoints: which failed just now and should be asked last for a while, and how
//! they count tokens.
//!
//! Read for every request and written seldom: readers take no lock.

use crate::clock;
use arc_swap::{ArcSwap, ArcSwapOption};
use domain::time::Micros;
use gateway::calibration::Calibration;
use gateway::rate_limit::{self, Bucket};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

#[derive(Default)]
pub struct Health {
    endpoints: ArcSwap<HashMap<String, Arc<Known>>>,
}

#[derive(Default)]
struct Known {
    /// Microseconds since the Unix epoch.
    leave_alone_until: AtomicI64,
    calibration: Arc<Calibration>,
    limits: ArcSwapOption<Limits>,
}

/// What the endpoint's provider last said of how much more it takes.
#[allow(dead_code, reason = "routing will prefer endpoints that take more")]
pub struct Limits {
    pub buckets: Vec<Bucket>,
    pub told_at: Micros,
}

impl Health {
    /// Leaves the endpoint alone for `seconds`; zero changes nothing.
    pub fn cool_down(&self, endpoint: &str, seconds: u64) {
        let Ok(seconds @ 1..) = i64::try_from(seconds) else {
            return;
        };
        let until = clock::now().plus(seconds.saturating_mul(Micros::SECOND));
        let known = self.known(endpoint);
        known.leave_alone_until.store(until.get(), Ordering::Relaxed);
    }

    pub fn is_cooling_down(&self, endpoint: &str, now: Micros) -> bool {
        let endpoints = self.endpoints.load();
        let known = endpoints.get(endpoint);
        known.is_some_and(|known| known.leave_alone_until.load(Ordering::Relaxed) > now.get())
    }

    /// Keeps what the provider said of its limits; an endpoint with a limit that is used up is left alone until it is not.
    pub fn limited(&self, endpoint: &str, buckets: Vec<Bucket>) {
        if buckets.is_empty() {
            return;
        }
        if let Some(ms) = rate_limit::exhausted_ms(&buckets) {
            self.cool_down(endpoint, ms.div_ceil(1_000));
        }
        let told_at = clock::now();
        self.known(endpoint)
            .limits
            .store(Some(Arc::new(Limits { buckets, told_at })));
    }

    /// What [`Self::limited`] was told last.
    #[allow(dead_code, reason = "routing will prefer endpoints that take more")]
    pub fn limits(&self, endpoint: &str) -> Option<Arc<Limits>> {
        self.endpoints.load().get(endpoint)?.limits.load_full()
    }

    /// How the endpoint counts tokens.
    pub fn calibration(&self, endpoint: &str) -> Arc<Calibration> {
        Arc::clone(&self.known(endpoint).calibration)
    }

    fn known(&self, endpoint: &str) -> Arc<Known> {
        if let Some(known) = self.endpoints.load().get(endpoint) {
            return Arc::clone(known);
        }
        let new = Arc::new(Known::default());
        self.endpoints.rcu(|endpoints| {
            let mut endpoints = HashMap::clone(endpoints);
            endpoints.entry(endpoint.to_owned()).or_insert_with(|| Arc::clone(&new));
            endpoints
        });
        // Another may have been first.
        self.endpoints.load().get(endpoint).cloned().unwrap_or(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_left_alone_for_as_long_as_was_said() {
        let health = Health::default();
        let now = clock::now();
        health.cool_down("e", 0);
        assert!(!health.is_cooling_down("e", now));
        health.cool_down("e", 60);
        assert!(health.is_cooling_down("e", now) && !health.is_cooling_down("f", now));
        assert!(!health.is_cooling_down("e", now.plus(61 * Micros::SECOND)));
    }

    #[test]
    fn a_limit_that_is_used_up_is_waited_for() {
        use gateway::rate_limit::Unit;
        let health = Health::default();
        let bucket = |remaining| Bucket {
            of: Unit::Requests,
            limit: Some(60),
            remaining,
            reset_ms: Some(6_000),
        };
        health.limited("e", vec![bucket(1)]);
        assert!(!health.is_cooling_down("e", clock::now()));
        health.limited("e", vec![bucket(0)]);
        assert!(health.is_cooling_down("e", clock::now()));
        assert!(!health.is_cooling_down("e", clock::now().plus(7 * Micros::SECOND)));
        assert_eq!(health.limits("e").unwrap().buckets, [bucket(0)]);
    }

    #[test]
    fn all_who_ask_share_what_is_learned() {
        let health = Health::default();
        let first = health.calibration("e");
        assert!(first.answered());
        health.cool_down("f", 1);
        assert!(Arc::ptr_eq(&first, &health.calibration("e")));
    }
}
