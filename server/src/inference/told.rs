//! What a caller is told beside the answer: how much more can be asked for.

use crate::allowance::Known;
use crate::data_plane::DataPlane;
use crate::free_tier::Left;
use domain::money::NanoUsd;
use http::{HeaderMap, HeaderName, HeaderValue};

pub const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const CONCURRENT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-concurrent");
const CONCURRENT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-concurrent");
const CREDITS: HeaderName = HeaderName::from_static("x-credits-remaining");
const BUDGET: HeaderName = HeaderName::from_static("x-budget-remaining");
const KEY_LIMIT: HeaderName = HeaderName::from_static("x-key-limit-remaining");

/// Known when a request was admitted.
pub struct Told {
    pub known: Known,
    pub seats_left: u32,
    /// Of requests to free models, when this was one.
    pub free: Option<Left>,
}

impl Told {
    pub fn put(&self, state: &DataPlane, headers: &mut HeaderMap) {
        headers.insert(CONCURRENT_LIMIT, state.seats.per_key().into());
        headers.insert(CONCURRENT_REMAINING, self.seats_left.into());
        let amounts = [
            (CREDITS, self.known.credits),
            (BUDGET, self.known.budget),
            (KEY_LIMIT, self.known.key_limit),
        ];
        for (name, amount) in amounts {
            if let Some(value) = amount.and_then(dollars) {
                headers.insert(name, value);
            }
        }
        if let Some(left) = &self.free {
            for (name, value) in rate_limit(left) {
                headers.insert(name, value);
            }
        }
    }
}

/// The reset is in milliseconds since the epoch.
pub fn rate_limit(left: &Left) -> [(HeaderName, HeaderValue); 3] {
    [
        (LIMIT, left.limit.into()),
        (REMAINING, left.remaining.into()),
        (RESET, (left.reset.get() / 1_000).into()),
    ]
}

fn dollars(amount: NanoUsd) -> Option<HeaderValue> {
    HeaderValue::from_str(&amount.to_decimal()).ok()
}
