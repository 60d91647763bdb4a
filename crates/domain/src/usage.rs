//! What one generation consumed, in one meaning for every provider.

use serde::{Deserialize, Serialize};

/// Units of one generation. `prompt` includes cache reads and writes, audio and images; `completion` includes reasoning,
/// audio and images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    /// Part of `completion` spent on reasoning.
    pub reasoning: u64,
    /// Part of `prompt` read from the provider's prompt cache.
    pub cache_read: u64,
    /// Part of `prompt` written to the provider's prompt cache, however long it is kept.
    pub cache_write: u64,
    /// Images in the output, where a provider bills by the image.
    pub images: u64,
    /// Part of `cache_write` that is kept for an hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Tokens of audio: the part of `prompt` that did not come from the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_in: u64,
    /// Part of `completion` that is audio.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_out: u64,
    /// Tokens of images: the part of `prompt` that did not come from the cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_in: u64,
    /// Tokens of images: a part of `completion`.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_out: u64,
    /// Searches of the web that the provider made and bills.
    #[serde(skip_serializing_if = "is_zero")]
    pub web_searches: u64,
    /// Milliseconds of audio that were transcribed.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters that were spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Units of search, as providers bill reranking.
    #[serde(skip_serializing_if = "is_zero")]
    pub search_units: u64,
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
            cache_write_1h: self.cache_write_1h.max(later.cache_write_1h),
            audio_in: self.audio_in.max(later.audio_in),
            audio_out: self.audio_out.max(later.audio_out),
            image_in: self.image_in.max(later.image_in),
            image_out: self.image_out.max(later.image_out),
            web_searches: self.web_searches.max(later.web_searches),
            audio_ms: self.audio_ms.max(later.audio_ms),
            characters: self.characters.max(later.characters),
            search_units: self.search_units.max(later.search_units),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
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
