//! Counts one answer: merges what the provider reports with what is seen passing by.

use crate::calibration::Calibration;
use crate::estimate::{self, Prompt, SAMPLE_BYTES_MAX};
use crate::tokenizer;
use domain::usage::Usage;

/// Everything needed to say, at any moment, what an answer has consumed so far.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    prompt: Prompt,
    prompt_by_size: u64,
    /// The largest of every report so far.
    reported: Usage,
    prompt_reported: bool,
    /// The provider gave its final usage.
    is_final: bool,
    deltas: u64,
    /// Of these, how many came after the last report.
    unreported_deltas: u64,
    delta_bytes: u64,
    reasoning_deltas: u64,
    reasoning_bytes: u64,
    /// The answer's text for the tokenizer, as in JSON, up to a bound.
    sample: Vec<u8>,
}

/// Most answers' text fits without growing.
const SAMPLE_BYTES: usize = 1024;

impl Meter {
    #[must_use]
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt_by_size: prompt.tokens_by_size(),
            prompt,
            sample: Vec::with_capacity(SAMPLE_BYTES),
            ..Self::default()
        }
    }

    /// A piece of the answer, `bytes` long as text; `text` is all or part of it, as in JSON.
    pub fn delta(&mut self, bytes: usize, text: &[u8], is_reasoning: bool) {
        self.deltas += 1;
        self.unreported_deltas += 1;
        self.delta_bytes += bytes as u64;
        if is_reasoning {
            self.reasoning_deltas += 1;
            self.reasoning_bytes += bytes as u64;
        }
        let room = SAMPLE_BYTES_MAX - self.sample.len();
        self.sample.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// Cumulative usage while the answer is still being produced.
    pub fn progress(&mut self, usage: Usage) {
        self.prompt_reported |= usage.prompt > 0;
        if usage.completion >= self.reported.completion {
            self.unreported_deltas = 0;
        }
        self.reported = self.reported.merged(usage);
    }

    /// Usage as the provider bills it. Later reports still merge: details may come after the first total.
    pub fn usage(&mut self, usage: Usage) {
        self.progress(usage);
        self.is_final = true;
    }

    /// Whether anything was produced or reported at all.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.deltas > 0 || self.reported.completion > 0
    }

    /// Whether the provider gave its final word.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// Whether [`Self::settled`] rests on our own count: there is no final word, and the last report is older than the
    /// last piece or there is none.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        !self.is_final && (self.unreported_deltas > 0 || !self.prompt_reported)
    }

    /// The provider's final usage; before it, its last report or our own quick count, whichever is larger.
    #[must_use]
    pub fn so_far(&self) -> Usage {
        let prompt = if self.prompt_reported { 0 } else { self.prompt_by_size };
        self.reported_or(prompt, estimate::completion_tokens(self.deltas, self.delta_bytes))
    }

    /// What the answer consumed now that it is over: as reported, or else counted by the tokenizer and brought to the
    /// endpoint's way of counting. May take some milliseconds when it must be counted.
    #[must_use]
    pub fn settled(&self, calibration: &Calibration) -> Usage {
        if !self.is_estimated() {
            return self.reported_or(0, 0);
        }
        let prompt = if self.prompt_reported {
            0
        } else {
            calibration.prompt(self.prompt.tokens())
        };
        let completion = if self.deltas == 0 || self.reported.completion > 0 {
            0
        } else {
            // No piece is less than a token.
            calibration.completion(self.tokens()).max(self.deltas)
        };
        self.reported_or(prompt, completion)
    }

    /// What the calibration learns from, once the final usage is there: prompt and answer by the tokenizer.
    #[must_use]
    pub fn lesson(self) -> Option<Lesson> {
        let is_text = self.is_final && self.reported.completion > 0 && self.delta_bytes > 0;
        is_text.then_some(Lesson(self))
    }

    /// The answer's tokens by the tokenizer; beyond the sample at the sample's bytes per token.
    fn tokens(&self) -> u64 {
        let counted = tokenizer::count_json(&self.sample);
        let beyond = self.delta_bytes.saturating_sub(self.sample.len() as u64);
        match self.sample.len() as u64 {
            0 => beyond.div_ceil(estimate::BYTES_PER_TOKEN),
            bytes => counted + beyond.saturating_mul(counted).div_ceil(bytes),
        }
    }

    fn reported_or(&self, prompt: u64, completion: u64) -> Usage {
        if self.is_final {
            return self.reported;
        }
        // Reports are exact up to their piece; pieces since then are a token each at least.
        let completion = if self.reported.completion > 0 {
            self.reported.completion + self.unreported_deltas
        } else {
            completion
        };
        let reasoning = match self.delta_bytes {
            0 => 0,
            bytes => completion.saturating_mul(self.reasoning_bytes).div_ceil(bytes),
        };
        let reasoning = reasoning.max(self.reasoning_deltas).min(completion);
        self.reported.merged(Usage {
            prompt,
            completion,
            reasoning: if self.reported.reasoning > 0 { 0 } else { reasoning },
            ..Usage::default()
        })
    }
}

/// An answer whose usage is known, to be counted for comparison where it disturbs nobody.
#[derive(Debug)]
pub struct Lesson(Meter);

impl Lesson {
    /// Takes some milliseconds.
    pub fn teach(&self, calibration: &Calibration) {
        let Self(meter) = self;
        let mut theirs = meter.reported;
        if meter.reasoning_bytes == 0 {
            // It was billed and not shown, so it is not in the text either.
            theirs.completion = theirs.completion.saturating_sub(theirs.reasoning);
        }
        let prompt = if meter.prompt.is_text() {
            meter.prompt.tokens()
        } else {
            0
        };
        calibration.learn(&theirs, prompt, meter.tokens());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Field;
    use bytes::Bytes;

    /// A prompt of 19 tokens by size.
    fn meter() -> Meter {
        let value = Bytes::from_static(br#"[{"role":"user","content":"the sea has"}]"#);
        let name = "messages".to_owned();
        Meter::new(Prompt::of([Field { name, value }].iter()))
    }

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage {
            prompt,
            completion,
            ..Usage::default()
        }
    }

    #[test]
    fn the_final_usage_replaces_estimates() {
        let mut meter = meter();
        meter.delta(40, &[b'x'; 40], false);
        assert_eq!(meter.so_far(), usage(19, 10));
        assert!(meter.is_estimated());
        meter.usage(usage(7, 9));
        assert_eq!(meter.so_far(), usage(7, 9));
        assert_eq!(meter.settled(&Calibration::default()), usage(7, 9));
        assert!(!meter.is_estimated());
    }

    #[test]
    fn a_duplicate_or_partial_usage_erases_nothing() {
        let mut meter = meter();
        let cached = Usage {
            cache_read: 3,
            ..usage(7, 9)
        };
        meter.usage(cached);
        meter.usage(usage(7, 9));
        assert_eq!(meter.so_far(), cached);
    }

    #[test]
    fn progress_reports_beat_the_estimate_and_are_exact_until_the_next_piece() {
        let mut meter = meter();
        meter.delta(3, b"abc", true);
        let two = Usage {
            reasoning: 2,
            ..usage(12, 2)
        };
        meter.progress(two);
        assert!(!meter.is_estimated() && !meter.is_final());
        assert_eq!(meter.settled(&Calibration::default()), two);
        meter.delta(3, b"abc", false);
        assert!(meter.is_estimated());
        assert_eq!(meter.so_far(), Usage { completion: 3, ..two });
    }

    #[test]
    fn missing_usage_is_counted_by_the_tokenizer_and_the_endpoints_factor() {
        let mut counted = meter();
        for piece in [" the sea", " has two", " old red"] {
            counted.delta(piece.len(), piece.as_bytes(), false);
        }
        // Text of the prompt, its line end, and the template.
        assert_eq!(counted.settled(&Calibration::default()), usage(3 + 1 + 4, 6));
        let calibration = Calibration::default();
        let mut known = counted.clone();
        known.usage(usage(16, 9));
        known.lesson().unwrap().teach(&calibration);
        assert_eq!(counted.settled(&calibration), usage(16, 9));
        assert!(counted.lesson().is_none(), "nothing is learned from an estimate");
    }

    #[test]
    fn a_long_answer_is_counted_by_its_beginning() {
        let mut meter = meter();
        for _ in 0..5_000 {
            meter.delta(16, b" the sea has two", false);
        }
        assert!(meter.sample.len() <= SAMPLE_BYTES_MAX);
        let completion = meter.settled(&Calibration::default()).completion;
        assert!((19_990..20_010).contains(&completion), "{completion}");
    }

    #[test]
    fn reasoning_is_a_part_of_what_was_counted() {
        let mut meter = meter();
        meter.delta(16, b" the sea has two", true);
        meter.delta(16, b" the sea has two", false);
        let settled = meter.settled(&Calibration::default());
        assert_eq!((settled.completion, settled.reasoning), (8, 4));
    }
}
