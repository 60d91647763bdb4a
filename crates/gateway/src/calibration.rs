//! How an endpoint's own token counts compare with our tokenizer's, learned from answers whose usage arrived.

use domain::usage::Usage;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of one endpoint. Shared by everything that is answered there.
#[derive(Debug, Default)]
pub struct Calibration {
    prompt: Factor,
    completion: Factor,
    answers: AtomicU64,
    missing: AtomicU64,
}

/// Units of the provider per unit of ours, in 1/65,536; zero before the first sample.
#[derive(Debug, Default)]
struct Factor(AtomicU64);

const ONE: u64 = 1 << 16;
/// Beyond these a sample is taken for an error of the provider's.
const FACTOR_MIN: u64 = ONE / 16;
const FACTOR_MAX: u64 = ONE * 16;
/// A new sample weighs one part of this many.
const WEIGHT: u64 = 8;
/// The first answers are all learned from, then one of this many.
const FIRST: u64 = 4;
const EVERY: u64 = 64;
/// Smaller counts say little about a ratio.
const SAMPLE_TOKENS_MIN: u64 = 4;

impl Calibration {
    /// Counts an answer whose usage arrived, and tells whether it should be learned from.
    #[must_use]
    pub fn answered(&self) -> bool {
        let before = self.answers.fetch_add(1, Ordering::Relaxed);
        before < FIRST || before.is_multiple_of(EVERY)
    }

    /// Counts an answer whose usage should have arrived and did not. Gives how many did not, of how many.
    pub fn missed(&self) -> (u64, u64) {
        let answers = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        (self.missing.fetch_add(1, Ordering::Relaxed) + 1, answers)
    }

    /// `usage` is the provider's count of what the tokenizer counts as `prompt` and `completion`.
    pub fn learn(&self, usage: &Usage, prompt: u64, completion: u64) {
        self.prompt.learn(usage.prompt, prompt);
        self.completion.learn(usage.completion, completion);
    }

    /// A prompt of `tokens` by the tokenizer, as the endpoint would count it.
    #[must_use]
    pub fn prompt(&self, tokens: u64) -> u64 {
        self.prompt.apply(tokens)
    }

    /// The same for an answer.
    #[must_use]
    pub fn completion(&self, tokens: u64) -> u64 {
        self.completion.apply(tokens)
    }
}

impl Factor {
    fn learn(&self, theirs: u64, ours: u64) {
        if theirs == 0 || ours < SAMPLE_TOKENS_MIN {
            return;
        }
        let sample = (theirs.saturating_mul(ONE) + ours / 2) / ours;
        if !(FACTOR_MIN..=FACTOR_MAX).contains(&sample) {
            return;
        }
        let learned = |before: u64| {
            Some(match before {
                0 => sample,
                before => (before * (WEIGHT - 1) + sample + WEIGHT / 2) / WEIGHT,
            })
        };
        // Always some: cannot fail.
        let _before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, learned);
    }

    fn apply(&self, tokens: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => tokens,
            factor => (tokens.saturating_mul(factor) + ONE / 2) / ONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage {
            prompt,
            completion,
            ..Usage::default()
        }
    }

    #[test]
    fn the_first_answer_sets_the_factor_and_later_ones_move_it() {
        let calibration = Calibration::default();
        assert_eq!((calibration.prompt(10), calibration.completion(10)), (10, 10));
        calibration.learn(&usage(13, 30), 10, 20);
        assert_eq!((calibration.prompt(10), calibration.completion(20)), (13, 30));
        assert_eq!(calibration.completion(200), 300);
        for _ in 0..100 {
            calibration.learn(&usage(20, 20), 10, 20);
        }
        assert_eq!(
            (calibration.prompt(1_000), calibration.completion(1_000)),
            (2_000, 1_000)
        );
    }

    #[test]
    fn the_same_text_is_counted_exactly_as_it_was_learned() {
        for theirs in 1..200 {
            for ours in SAMPLE_TOKENS_MIN..100 {
                let calibration = Calibration::default();
                calibration.learn(&usage(theirs, 0), ours, 0);
                if (ours..=ours * 10).contains(&theirs) || (theirs..=theirs * 10).contains(&ours) {
                    assert_eq!(calibration.prompt(ours), theirs, "{ours} of ours");
                }
            }
        }
    }

    #[test]
    fn nonsense_teaches_nothing() {
        let calibration = Calibration::default();
        calibration.learn(&usage(1_000_000, 0), 10, 20);
        assert_eq!((calibration.prompt(10), calibration.completion(10)), (10, 10));
    }

    #[test]
    fn first_answers_are_learned_from_then_a_few() {
        let calibration = Calibration::default();
        assert_eq!((0..1_000).filter(|_| calibration.answered()).count(), 4 + 15);
        assert_eq!(calibration.missed(), (1, 1_001));
    }
}
