//! Prices of one endpoint, and the one place where usage becomes money.

use crate::money::{NanoUsd, PicoUsd};
use crate::usage::Usage;
use serde::{Deserialize, Serialize};

/// Pico-dollars per unit. A missing part falls back: cache reads and writes to `prompt`, reasoning to `completion`,
/// the others to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub prompt: PicoUsd,
    pub completion: PicoUsd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PicoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    /// Per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PicoUsd>,
    /// Per image in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PicoUsd>,
    /// Prices that replace the ones above for longer prompts, in ascending order of `min_prompt_tokens`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
}

/// Applies when the prompt has *more* than `min_prompt_tokens` tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What a generation costs, with the parts that API replies and the generation page show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The charge. Rounded up once, from the exact sum of all parts.
    pub total: NanoUsd,
    /// Exact cost of the prompt, rounded up for display; parts may add up to more than `total`.
    pub prompt: NanoUsd,
    pub completion: NanoUsd,
}

impl Prices {
    /// Whether nothing is ever charged.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.parts().all(|price| price == PicoUsd::ZERO)
    }

    /// Σ units × price in 128 bits of pico-dollars, rounded up once to the nano-dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let at = self.at(usage.prompt);
        let cached = usage.cache_read.saturating_add(usage.cache_write);
        let prompt = sum(&[
            (usage.prompt.saturating_sub(cached), at.prompt),
            (usage.cache_read, at.cache_read.unwrap_or(at.prompt)),
            (usage.cache_write, at.cache_write.unwrap_or(at.prompt)),
        ]);
        let completion = sum(&[
            (usage.completion.saturating_sub(usage.reasoning), at.completion),
            (usage.reasoning, at.reasoning.unwrap_or(at.completion)),
            (usage.images, at.image.unwrap_or_default()),
        ]);
        let request = sum(&[(1, at.request.unwrap_or_default())]);
        Cost {
            total: round_up(prompt.saturating_add(completion).saturating_add(request)),
            prompt: round_up(prompt),
            completion: round_up(completion),
        }
    }

    /// How many completion tokens `budget` pays for after a prompt of `prompt_tokens`; `None` when completions are free
    /// and the prompt fits, so that there is no limit.
    #[must_use]
    pub fn affordable_completion(&self, prompt_tokens: u64, budget: NanoUsd) -> Option<u64> {
        let at = self.at(prompt_tokens);
        let dearest = at.reasoning.unwrap_or_default().max(at.completion).get();
        let before = self.ceiling(prompt_tokens, 0);
        let left = budget.saturating_sub(before);
        if left.is_negative() {
            return Some(0);
        }
        let left_pico = i128::from(left.get()).saturating_mul(PICO_PER_NANO);
        let tokens = left_pico.checked_div(i128::from(dearest))?;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }

    /// The most that `prompt` and `completion` tokens can cost, whichever parts turn out cached or reasoned.
    #[must_use]
    pub fn ceiling(&self, prompt: u64, completion: u64) -> NanoUsd {
        let at = self.at(prompt);
        let input = at
            .prompt
            .max(at.cache_read.unwrap_or_default())
            .max(at.cache_write.unwrap_or_default());
        let output = at.completion.max(at.reasoning.unwrap_or_default());
        round_up(sum(&[
            (prompt, input),
            (completion, output),
            (1, at.request.unwrap_or_default()),
        ]))
    }

    /// These prices with the tier for `prompt_tokens` applied.
    #[must_use]
    pub fn at(&self, prompt_tokens: u64) -> Self {
        let mut at = Self {
            tiers: Vec::new(),
            ..self.clone()
        };
        for tier in self.tiers.iter().filter(|tier| prompt_tokens > tier.min_prompt_tokens) {
            at.prompt = tier.prompt.unwrap_or(at.prompt);
            at.completion = tier.completion.unwrap_or(at.completion);
            at.cache_read = tier.cache_read.or(at.cache_read);
            at.cache_write = tier.cache_write.or(at.cache_write);
        }
        at
    }

    fn parts(&self) -> impl Iterator<Item = PicoUsd> {
        let optional = [
            self.cache_read,
            self.cache_write,
            self.reasoning,
            self.request,
            self.image,
        ];
        let tiers = self.tiers.iter().flat_map(|tier| [tier.prompt, tier.completion]);
        [self.prompt, self.completion]
            .into_iter()
            .chain(optional.into_iter().chain(tiers).flatten())
    }
}

const PICO_PER_NANO: i128 = 1_000;

fn sum(parts: &[(u64, PicoUsd)]) -> i128 {
    parts.iter().fold(0, |total, (units, price)| {
        total.saturating_add(i128::from(*units).saturating_mul(i128::from(price.get())))
    })
}

fn round_up(pico: i128) -> NanoUsd {
    let whole = pico.div_euclid(PICO_PER_NANO);
    let rest = pico.rem_euclid(PICO_PER_NANO);
    NanoUsd::new(i64::try_from(whole.saturating_add(i128::from(rest > 0))).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prices() -> Prices {
        Prices {
            prompt: PicoUsd::new(135_000),
            completion: PicoUsd::new(400_000),
            cache_read: Some(PicoUsd::new(13_500)),
            ..Prices::default()
        }
    }

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let usage = Usage {
            prompt: 1_000,
            cache_read: 400,
            completion: 10,
            ..Usage::default()
        };
        let pico = 600 * 135_000 + 400 * 13_500 + 10 * 400_000;
        assert_eq!(prices().cost(&usage).total, NanoUsd::new(pico / 1_000));
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_rounded_up_once() {
        let prices = Prices {
            prompt: PicoUsd::new(1),
            completion: PicoUsd::new(1),
            ..Prices::default()
        };
        let usage = Usage {
            prompt: 1,
            completion: 1,
            ..Usage::default()
        };
        assert_eq!(prices.cost(&usage).total, NanoUsd::new(1));
    }

    #[test]
    fn a_tier_applies_above_its_threshold_only() {
        let tier = PriceTier {
            min_prompt_tokens: 100,
            prompt: Some(PicoUsd::new(2_000)),
            completion: None,
            cache_read: None,
            cache_write: None,
        };
        let prices = Prices {
            prompt: PicoUsd::new(1_000),
            tiers: vec![tier],
            ..Prices::default()
        };
        let cost = |prompt| {
            prices
                .cost(&Usage {
                    prompt,
                    ..Usage::default()
                })
                .total
                .get()
        };
        assert_eq!((cost(100), cost(101)), (100, 202));
    }

    proptest! {
        #[test]
        fn what_is_affordable_never_costs_more_than_the_budget(
            prompt in 0u64..1_000_000, budget in 0i64..1_000_000_000_000, out in 1i64..100_000_000
        ) {
            let prices = Prices { prompt: PicoUsd::new(1_000), completion: PicoUsd::new(out), ..Prices::default() };
            let budget = NanoUsd::new(budget);
            prop_assume!(prices.ceiling(prompt, 0) <= budget);
            let tokens = prices.affordable_completion(prompt, budget).unwrap();
            prop_assert!(prices.ceiling(prompt, tokens) <= budget);
        }

        #[test]
        fn no_usage_within_the_ceiling_costs_more(prompt in 0u64..1_000_000, completion in 0u64..1_000_000, cached in 0u64..1_000_000) {
            let usage = Usage { prompt, completion, cache_read: cached.min(prompt), ..Usage::default() };
            prop_assert!(prices().cost(&usage).total <= prices().ceiling(prompt, completion));
        }
    }
}
