//! What this process has learned about endpoints: which failed just now and should be asked last for a while, and how
//! they count tokens.
//!
//! Read for every request and written seldom: readers take no lock.

use crate::clock;
use arc_swap::ArcSwap;
use domain::time::Micros;
use gateway::calibration::Calibration;
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
    fn all_who_ask_share_what_is_learned() {
        let health = Health::default();
        let first = health.calibration("e");
        assert!(first.answered());
        health.cool_down("f", 1);
        assert!(Arc::ptr_eq(&first, &health.calibration("e")));
    }
}
