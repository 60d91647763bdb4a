//! Counts one answer: merges what the provider reports with what is seen passing by.

use crate::estimate;
use domain::usage::Usage;

/// Everything needed to say, at any moment, what an answer has consumed so far.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    prompt_estimate: u64,
    /// The largest of every report so far.
    reported: Usage,
    prompt_reported: bool,
    /// The provider gave its final usage.
    is_final: bool,
    deltas: u64,
    delta_bytes: u64,
    reasoning_deltas: u64,
    reasoning_bytes: u64,
}

impl Meter {
    #[must_use]
    pub fn new(prompt_estimate: u64) -> Self {
        Self {
            prompt_estimate,
            ..Self::default()
        }
    }

    /// A piece of the answer, `bytes` long as text.
    pub fn delta(&mut self, bytes: usize, is_reasoning: bool) {
        self.deltas += 1;
        self.delta_bytes += bytes as u64;
        if is_reasoning {
            self.reasoning_deltas += 1;
            self.reasoning_bytes += bytes as u64;
        }
    }

    /// Cumulative usage while the answer is still being produced.
    pub fn progress(&mut self, usage: Usage) {
        self.prompt_reported |= usage.prompt > 0;
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

    /// Whether [`Self::so_far`] rests on our own count instead of the provider's final word.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        !self.is_final
    }

    /// The provider's final usage; before it, its last report or our own count, whichever is larger.
    #[must_use]
    pub fn so_far(&self) -> Usage {
        if self.is_final {
            return self.reported;
        }
        let counted = Usage {
            prompt: if self.prompt_reported { 0 } else { self.prompt_estimate },
            completion: estimate::completion_tokens(self.deltas, self.delta_bytes),
            reasoning: estimate::completion_tokens(self.reasoning_deltas, self.reasoning_bytes),
            ..Usage::default()
        };
        if self.reported.completion > 0 {
            // Reports are exact up to their chunk, so bytes say nothing new; pieces seen since then do.
            let counted = Usage {
                completion: self.deltas,
                reasoning: self.reasoning_deltas,
                ..counted
            };
            return self.reported.merged(counted);
        }
        self.reported.merged(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_usage_replaces_estimates() {
        let mut meter = Meter::new(100);
        meter.delta(40, false);
        assert_eq!(
            meter.so_far(),
            Usage {
                prompt: 100,
                completion: 10,
                ..Usage::default()
            }
        );
        assert!(meter.is_estimated());
        meter.usage(Usage {
            prompt: 7,
            completion: 9,
            ..Usage::default()
        });
        assert_eq!(
            meter.so_far(),
            Usage {
                prompt: 7,
                completion: 9,
                ..Usage::default()
            }
        );
        assert!(!meter.is_estimated());
    }

    #[test]
    fn a_duplicate_or_partial_usage_erases_nothing() {
        let mut meter = Meter::new(1);
        meter.usage(Usage {
            prompt: 7,
            completion: 9,
            cache_read: 3,
            ..Usage::default()
        });
        meter.usage(Usage {
            prompt: 7,
            completion: 9,
            ..Usage::default()
        });
        assert_eq!(
            meter.so_far(),
            Usage {
                prompt: 7,
                completion: 9,
                cache_read: 3,
                ..Usage::default()
            }
        );
    }

    #[test]
    fn progress_reports_beat_the_estimate_of_the_prompt() {
        let mut meter = Meter::new(100);
        meter.delta(3, true);
        meter.progress(Usage {
            prompt: 12,
            completion: 2,
            ..Usage::default()
        });
        assert_eq!(
            meter.so_far(),
            Usage {
                prompt: 12,
                completion: 2,
                reasoning: 1,
                ..Usage::default()
            }
        );
    }
}
