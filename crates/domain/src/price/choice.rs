//! Which prices hold at a time of the day and for a service tier.

use super::{PriceTier, Prices};
use crate::money::PicoUsd;
use crate::time::Micros;
use serde::{Deserialize, Serialize};

/// Parts that differ; a missing one stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_in: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_out: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_in: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_out: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_search: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_second: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_unit: Option<PicoUsd>,
}

/// A part of every day, in minutes of the UTC day: from the first up to, and without, the last. It passes midnight where
/// `until_minute` is not above `from_minute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceWindow {
    pub from_minute: u16,
    pub until_minute: u16,
    #[serde(flatten)]
    pub change: PriceChange,
}

/// A service tier that a request can ask for: `flex`, `priority` …
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePrices {
    pub name: String,
    #[serde(flatten)]
    pub change: PriceChange,
    /// Replace the tiers for longer prompts, when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
}

impl Prices {
    /// The prices of a request that arrives at `now` and asks for `service`: what its generation stores and is charged by.
    /// The first window that `now` is in holds, then the service tier. A service tier without prices of its own costs what
    /// the others do. Tiers for longer prompts remain, since they depend on usage.
    #[must_use]
    pub fn chosen(&self, now: Micros, service: Option<&str>) -> Self {
        let mut chosen = self.flat();
        chosen.tiers.clone_from(&self.tiers);
        if let Some(window) = self.windows.iter().find(|window| window.holds(now)) {
            window.change.apply(&mut chosen);
        }
        if let Some(service) = self.services.iter().find(|known| Some(known.name.as_str()) == service) {
            service.change.apply(&mut chosen);
            if !service.tiers.is_empty() {
                chosen.tiers.clone_from(&service.tiers);
            }
        }
        chosen
    }
}

impl PriceWindow {
    #[must_use]
    pub fn holds(&self, now: Micros) -> bool {
        let minute = now
            .get()
            .rem_euclid(Micros::DAY)
            .checked_div(Micros::MINUTE)
            .unwrap_or_default();
        let (from, until) = (i64::from(self.from_minute), i64::from(self.until_minute));
        if from < until {
            (from..until).contains(&minute)
        } else {
            minute >= from || minute < until
        }
    }
}

impl PriceChange {
    /// All parts of these prices.
    pub(super) fn of(prices: &Prices) -> Self {
        Self {
            prompt: Some(prices.prompt),
            completion: Some(prices.completion),
            cache_read: prices.cache_read,
            cache_write: prices.cache_write,
            cache_write_1h: prices.cache_write_1h,
            reasoning: prices.reasoning,
            audio_in: prices.audio_in,
            audio_out: prices.audio_out,
            image_in: prices.image_in,
            image_out: prices.image_out,
            request: prices.request,
            image: prices.image,
            web_search: prices.web_search,
            audio_second: prices.audio_second,
            character: prices.character,
            search_unit: prices.search_unit,
        }
    }

    pub(super) const fn parts(&self) -> [Option<PicoUsd>; 16] {
        [
            self.prompt,
            self.completion,
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.reasoning,
            self.audio_in,
            self.audio_out,
            self.image_in,
            self.image_out,
            self.request,
            self.image,
            self.web_search,
            self.audio_second,
            self.character,
            self.search_unit,
        ]
    }

    fn apply(&self, to: &mut Prices) {
        to.prompt = self.prompt.unwrap_or(to.prompt);
        to.completion = self.completion.unwrap_or(to.completion);
        let parts = [
            (&mut to.cache_read, self.cache_read),
            (&mut to.cache_write, self.cache_write),
            (&mut to.cache_write_1h, self.cache_write_1h),
            (&mut to.reasoning, self.reasoning),
            (&mut to.audio_in, self.audio_in),
            (&mut to.audio_out, self.audio_out),
            (&mut to.image_in, self.image_in),
            (&mut to.image_out, self.image_out),
            (&mut to.request, self.request),
            (&mut to.image, self.image),
            (&mut to.web_search, self.web_search),
            (&mut to.audio_second, self.audio_second),
            (&mut to.character, self.character),
            (&mut to.search_unit, self.search_unit),
        ];
        for (part, change) in parts {
            *part = change.or(*part);
        }
    }
}
