//! Prices of one endpoint, and the one place where usage becomes money.

mod bill;
mod choice;

pub use bill::{Line, Part};
pub use choice::{PriceChange, PriceWindow, ServicePrices};

use crate::money::{NanoUsd, PicoUsd};
use crate::usage::Usage;
use serde::{Deserialize, Serialize};

/// Pico-dollars per unit. A missing part falls back: cache reads and writes and input of other kinds to `prompt`, writes
/// for an hour to `cache_write`, reasoning and output of other kinds to `completion`, the others to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub prompt: PicoUsd,
    pub completion: PicoUsd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PicoUsd>,
    /// Per token written to a cache that is kept for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    /// Per token of audio in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_in: Option<PicoUsd>,
    /// Per token of audio in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_out: Option<PicoUsd>,
    /// Per token of images in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_in: Option<PicoUsd>,
    /// Per token of images in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_out: Option<PicoUsd>,
    /// Per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PicoUsd>,
    /// Per image in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PicoUsd>,
    /// Per search of the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_search: Option<PicoUsd>,
    /// Per second of audio that is transcribed; charged by the millisecond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_second: Option<PicoUsd>,
    /// Per character that is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character: Option<PicoUsd>,
    /// Per unit of search, as reranking is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_unit: Option<PicoUsd>,
    /// Prices that replace the ones above for longer prompts, in ascending order of `min_prompt_tokens`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// What other times of the day cost. Gone once [`Prices::chosen`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<PriceWindow>,
    /// What other service tiers cost. Gone once [`Prices::chosen`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServicePrices>,
}

/// Applies when the prompt has *more* than `min_prompt_tokens` tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceTier {
    pub min_prompt_tokens: u64,
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
}

/// What a generation costs, with the parts that API replies and the generation page show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The charge. Rounded up once, from the exact sum of all parts.
    pub total: NanoUsd,
    /// Exact cost of all input, rounded up for display; parts may add up to more than `total`.
    pub prompt: NanoUsd,
    /// Of all output.
    pub completion: NanoUsd,
    /// Of searches and of the request itself.
    pub other: NanoUsd,
}

impl Prices {
    /// Whether nothing is ever charged.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.parts().all(|price| price == PicoUsd::ZERO)
    }

    /// Whether no part is below zero.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.parts().all(|price| price >= PicoUsd::ZERO)
    }

    /// Σ units × price in 128 bits, rounded up once to the nano-dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        bill::cost(&self.bill(usage))
    }

    /// The lines whose amounts, summed exactly and rounded up once, are the charge: one for each part, in a fixed order.
    #[must_use]
    pub fn bill(&self, usage: &Usage) -> [Line; Part::COUNT] {
        bill::lines(&self.at(usage.prompt), usage)
    }

    /// How many completion tokens `budget` pays for after a prompt of `prompt_tokens`; `None` when completions are free
    /// and the prompt fits, so that there is no limit.
    #[must_use]
    pub fn affordable_completion(&self, prompt_tokens: u64, budget: NanoUsd) -> Option<u64> {
        let before = self.ceiling(prompt_tokens, 0);
        let left = budget.saturating_sub(before);
        if left.is_negative() {
            return Some(0);
        }
        let dearest = self.reachable(prompt_tokens).map(|at| bill::dearest_output(&at)).max();
        let left_pico = i128::from(left.get()).saturating_mul(bill::PICO_PER_NANO);
        let tokens = left_pico.checked_div(i128::from(dearest?.get()))?;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }

    /// The most that `prompt` and `completion` tokens can cost, whichever kinds they turn out to be of.
    #[must_use]
    pub fn ceiling(&self, prompt: u64, completion: u64) -> NanoUsd {
        self.ceiling_of(&Usage {
            prompt,
            completion,
            cache_write_1h: prompt,
            audio_in: prompt,
            image_in: prompt,
            audio_out: completion,
            image_out: completion,
            ..Usage::default()
        })
    }

    /// The most that usage can cost whose counts are at most those of `bounds`, whichever tokens turn out cached or
    /// reasoned: the bounds on those do not matter.
    #[must_use]
    pub fn ceiling_of(&self, bounds: &Usage) -> NanoUsd {
        self.reachable(bounds.prompt)
            .map(|at| bill::ceiling(&at, bounds))
            .max()
            .unwrap_or_default()
    }

    /// These prices with the tier for `prompt_tokens` applied.
    #[must_use]
    pub fn at(&self, prompt_tokens: u64) -> Self {
        let mut at = self.flat();
        for tier in self.tiers.iter().filter(|tier| prompt_tokens > tier.min_prompt_tokens) {
            at.prompt = tier.prompt.unwrap_or(at.prompt);
            at.completion = tier.completion.unwrap_or(at.completion);
            at.cache_read = tier.cache_read.or(at.cache_read);
            at.cache_write = tier.cache_write.or(at.cache_write);
            at.cache_write_1h = tier.cache_write_1h.or(at.cache_write_1h);
            at.reasoning = tier.reasoning.or(at.reasoning);
            at.audio_in = tier.audio_in.or(at.audio_in);
        }
        at
    }

    /// What prompts up to `prompt_tokens` may be charged by: a longer one can be the cheaper.
    fn reachable(&self, prompt_tokens: u64) -> impl Iterator<Item = Self> {
        let thresholds = self.tiers.iter().map(|tier| tier.min_prompt_tokens.saturating_add(1));
        std::iter::once(0)
            .chain(thresholds.filter(move |from| *from <= prompt_tokens))
            .map(|tokens| self.at(tokens))
    }

    /// Without tiers, windows and services, and without copying them.
    fn flat(&self) -> Self {
        Self {
            prompt: self.prompt,
            completion: self.completion,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            reasoning: self.reasoning,
            audio_in: self.audio_in,
            audio_out: self.audio_out,
            image_in: self.image_in,
            image_out: self.image_out,
            request: self.request,
            image: self.image,
            web_search: self.web_search,
            audio_second: self.audio_second,
            character: self.character,
            search_unit: self.search_unit,
            tiers: Vec::new(),
            windows: Vec::new(),
            services: Vec::new(),
        }
    }

    fn parts(&self) -> impl Iterator<Item = PicoUsd> {
        let own = PriceChange::of(self).parts();
        let changes = self.windows.iter().map(|window| &window.change);
        let changes = changes.chain(self.services.iter().map(|service| &service.change));
        let tiers = self
            .tiers
            .iter()
            .chain(self.services.iter().flat_map(|service| &service.tiers));
        let tiers = tiers.flat_map(|tier| {
            [
                tier.prompt,
                tier.completion,
                tier.cache_read,
                tier.cache_write,
                tier.cache_write_1h,
                tier.reasoning,
                tier.audio_in,
            ]
        });
        own.into_iter()
            .chain(changes.flat_map(PriceChange::parts))
            .chain(tiers)
            .flatten()
    }
}

#[cfg(test)]
mod tests;
