//! Which endpoints failed just now and should be asked last for a while.

use crate::clock;
use domain::time::Micros;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

#[derive(Default)]
pub struct Health {
    until: RwLock<HashMap<String, Micros>>,
}

impl Health {
    /// Leaves the endpoint alone for `seconds`; zero changes nothing.
    pub fn cool_down(&self, endpoint: &str, seconds: u64) {
        let Ok(seconds @ 1..) = i64::try_from(seconds) else {
            return;
        };
        let until = clock::now().plus(seconds.saturating_mul(Micros::SECOND));
        self.until
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(endpoint.to_owned(), until);
    }

    pub fn is_cooling_down(&self, endpoint: &str, now: Micros) -> bool {
        let until = self.until.read().unwrap_or_else(PoisonError::into_inner);
        until.get(endpoint).is_some_and(|until| *until > now)
    }
}
