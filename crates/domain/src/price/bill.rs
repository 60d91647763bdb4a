//! The lines of a bill: units of each part, its price, and their exact sum.

use super::{Cost, Prices};
use crate::money::{NanoUsd, PicoUsd};
use crate::usage::Usage;

/// What is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Tokens of text that did not come from the cache.
    Prompt,
    CacheRead,
    CacheWrite,
    CacheWrite1h,
    AudioIn,
    ImageIn,
    Characters,
    /// Counted in milliseconds, priced by the second.
    AudioTime,
    Completion,
    Reasoning,
    AudioOut,
    ImageOut,
    Images,
    SearchUnits,
    WebSearches,
    Request,
}

/// So many units at such a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub part: Part,
    pub units: u64,
    pub price: PicoUsd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
    Other,
}

pub(super) const PICO_PER_NANO: i128 = 1_000;
const FEMTO_PER_PICO: i128 = 1_000;
const FEMTO_PER_NANO: i128 = PICO_PER_NANO * FEMTO_PER_PICO;

impl Part {
    pub const COUNT: usize = 16;

    /// How many units its price is for.
    #[must_use]
    pub const fn units_per_price(self) -> u64 {
        match self {
            Self::AudioTime => 1_000,
            _ => 1,
        }
    }

    const fn side(self) -> Side {
        match self {
            Self::Prompt
            | Self::CacheRead
            | Self::CacheWrite
            | Self::CacheWrite1h
            | Self::AudioIn
            | Self::ImageIn
            | Self::Characters
            | Self::AudioTime => Side::Input,
            Self::Completion | Self::Reasoning | Self::AudioOut | Self::ImageOut | Self::Images => Side::Output,
            Self::SearchUnits | Self::WebSearches | Self::Request => Side::Other,
        }
    }
}

impl Line {
    /// Exact, in femto-dollars (1e-15 USD).
    #[must_use]
    pub fn femto(&self) -> i128 {
        // A price for a thousand units is in femto-dollars for one.
        let scale = match self.part.units_per_price() {
            1 => FEMTO_PER_PICO,
            _ => 1,
        };
        i128::from(self.units)
            .saturating_mul(i128::from(self.price.get()))
            .saturating_mul(scale)
    }
}

pub(super) fn cost(lines: &[Line]) -> Cost {
    let of = |side| sum(lines.iter().filter(|line| line.part.side() == side));
    Cost {
        total: round_up(sum(lines.iter())),
        prompt: round_up(of(Side::Input)),
        completion: round_up(of(Side::Output)),
        other: round_up(of(Side::Other)),
    }
}

/// `at` are prices without tiers. Parts of a whole are taken from it in turn, so that no token is charged twice.
pub(super) fn lines(at: &Prices, usage: &Usage) -> [Line; Part::COUNT] {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    let fresh = usage.prompt.saturating_sub(cached);
    let audio_in = usage.audio_in.min(fresh);
    let image_in = usage.image_in.min(fresh.saturating_sub(audio_in));
    let hour = usage.cache_write_1h.min(usage.cache_write);
    let spoken = usage.completion.saturating_sub(usage.reasoning);
    let audio_out = usage.audio_out.min(spoken);
    let image_out = usage.image_out.min(spoken.saturating_sub(audio_out));
    let text_in = fresh.saturating_sub(audio_in).saturating_sub(image_in);
    let text_out = spoken.saturating_sub(audio_out).saturating_sub(image_out);
    let write = at.cache_write.unwrap_or(at.prompt);
    let or_nothing = Option::unwrap_or_default;
    [
        line(Part::Prompt, text_in, at.prompt),
        line(Part::CacheRead, usage.cache_read, at.cache_read.unwrap_or(at.prompt)),
        line(Part::CacheWrite, usage.cache_write.saturating_sub(hour), write),
        line(Part::CacheWrite1h, hour, at.cache_write_1h.unwrap_or(write)),
        line(Part::AudioIn, audio_in, at.audio_in.unwrap_or(at.prompt)),
        line(Part::ImageIn, image_in, at.image_in.unwrap_or(at.prompt)),
        line(Part::Characters, usage.characters, or_nothing(at.character)),
        line(Part::AudioTime, usage.audio_ms, or_nothing(at.audio_second)),
        line(Part::Completion, text_out, at.completion),
        line(Part::Reasoning, usage.reasoning, at.reasoning.unwrap_or(at.completion)),
        line(Part::AudioOut, audio_out, at.audio_out.unwrap_or(at.completion)),
        line(Part::ImageOut, image_out, at.image_out.unwrap_or(at.completion)),
        line(Part::Images, usage.images, or_nothing(at.image)),
        line(Part::SearchUnits, usage.search_units, or_nothing(at.search_unit)),
        line(Part::WebSearches, usage.web_searches, or_nothing(at.web_search)),
        line(Part::Request, 1, or_nothing(at.request)),
    ]
}

/// Every token at the dearest price that any token may have, and on top what tokens of dearer kinds may add, as far as
/// `bounds` allow them.
pub(super) fn ceiling(at: &Prices, bounds: &Usage) -> NanoUsd {
    let input = dearest(at.prompt, &[at.cache_read, at.cache_write]);
    let output = dearest(at.completion, &[at.reasoning]);
    let kinds_in = [
        line(
            Part::CacheWrite1h,
            bounds.cache_write_1h,
            above(at.cache_write_1h, input),
        ),
        line(Part::AudioIn, bounds.audio_in, above(at.audio_in, input)),
        line(Part::ImageIn, bounds.image_in, above(at.image_in, input)),
    ];
    let kinds_out = [
        line(Part::AudioOut, bounds.audio_out, above(at.audio_out, output)),
        line(Part::ImageOut, bounds.image_out, above(at.image_out, output)),
    ];
    let or_nothing = Option::unwrap_or_default;
    let others = [
        line(Part::Prompt, bounds.prompt, input),
        line(Part::Completion, bounds.completion, output),
        line(Part::Characters, bounds.characters, or_nothing(at.character)),
        line(Part::AudioTime, bounds.audio_ms, or_nothing(at.audio_second)),
        line(Part::Images, bounds.images, or_nothing(at.image)),
        line(Part::SearchUnits, bounds.search_units, or_nothing(at.search_unit)),
        line(Part::WebSearches, bounds.web_searches, or_nothing(at.web_search)),
        line(Part::Request, 1, or_nothing(at.request)),
    ];
    let more_in = dearest_first(bounds.prompt, kinds_in);
    let more_out = dearest_first(bounds.completion, kinds_out);
    round_up(sum(others.iter().chain(&more_in).chain(&more_out)))
}

/// A token is of one kind: `tokens` are given to the kinds that add most, each as far as it goes.
fn dearest_first<const N: usize>(tokens: u64, mut kinds: [Line; N]) -> [Line; N] {
    kinds.sort_by_key(|line| std::cmp::Reverse(line.price));
    let mut left = tokens;
    for line in &mut kinds {
        line.units = line.units.min(left);
        left = left.saturating_sub(line.units);
    }
    kinds
}

fn above(price: Option<PicoUsd>, base: PicoUsd) -> PicoUsd {
    PicoUsd::new(price.unwrap_or_default().get().saturating_sub(base.get()).max(0))
}

/// The dearest that one token of output can be.
pub(super) fn dearest_output(at: &Prices) -> PicoUsd {
    dearest(at.completion, &[at.reasoning, at.audio_out, at.image_out])
}

fn dearest(base: PicoUsd, others: &[Option<PicoUsd>]) -> PicoUsd {
    others.iter().flatten().copied().fold(base, PicoUsd::max)
}

const fn line(part: Part, units: u64, price: PicoUsd) -> Line {
    Line { part, units, price }
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>) -> i128 {
    lines.fold(0, |total, line| total.saturating_add(line.femto()))
}

fn round_up(femto: i128) -> NanoUsd {
    let whole = femto.div_euclid(FEMTO_PER_NANO);
    let rest = femto.rem_euclid(FEMTO_PER_NANO);
    NanoUsd::new(i64::try_from(whole.saturating_add(i128::from(rest > 0))).unwrap_or(i64::MAX))
}
