//! What one generation consumed, in one meaning for every provider.

use serde::{Deserialize, Serialize};

/// Tokens of one generation. `prompt` includes cache reads and writes; `completion` includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    /// Part of `completion` spent on reasoning.
    pub reasoning: u64,
    /// Part of `prompt` read from the provider's prompt cache.
    pub cache_read: u64,
    /// Part of `prompt` written to the provider's prompt cache.
    pub cache_write: u64,
    /// Images in the output.
    pub images: u64,
}

impl Usage {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// Merges a later report: counts are cumulative, so the larger one stands and nothing already reported is erased.
    #[must_use]
    pub fn merged(self, later: Self) -> Self {
        Self {
            prompt: self.prompt.max(later.prompt),
            completion: self.completion.max(later.completion),
            reasoning: self.reasoning.max(later.reasoning),
            cache_read: self.cache_read.max(later.cache_read),
            cache_write: self.cache_write.max(later.cache_write),
            images: self.images.max(later.images),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_report_erases_nothing() {
        let first = Usage {
            prompt: 10,
            cache_read: 4,
            ..Usage::default()
        };
        let later = Usage {
            completion: 7,
            ..Usage::default()
        };
        assert_eq!(
            first.merged(later),
            Usage {
                prompt: 10,
                completion: 7,
                cache_read: 4,
                ..Usage::default()
            }
        );
    }
}
