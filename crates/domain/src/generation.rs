//! One metered inference, as journalled, stored and shown to its owner.

use crate::api_key::KeyHash;
use crate::id::{AccountId, GenerationId, NodeId};
use crate::money::NanoUsd;
use crate::price::Prices;
use crate::slug::ModelSlug;
use crate::time::Micros;
use crate::usage::Usage;
use serde::{Deserialize, Serialize};

/// Everything known about a generation once it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    pub id: GenerationId,
    pub node: NodeId,
    pub account: AccountId,
    pub key: KeyHash,
    pub model: ModelSlug,
    /// Which of our endpoints served it, by [`crate::catalog::Endpoint::id`].
    pub endpoint: String,
    /// Slug of the provider.
    pub provider: String,
    /// The surface it came in by: `chat`, `responses`, `messages` …
    pub surface: String,
    pub streamed: bool,
    pub usage: Usage,
    /// Token counts were counted by us because the provider's did not arrive.
    pub estimated: bool,
    /// What the customer paid: `prices.cost(usage)`, or zero when `outcome` is not chargeable.
    pub cost: NanoUsd,
    /// What the house bears: the provider's price of an answer the customer was not charged for.
    pub house_cost: NanoUsd,
    /// Prices when the request was admitted: every charge can be recomputed.
    pub prices: Prices,
    pub outcome: Outcome,
    /// Normalised: `stop`, `length`, `tool_calls`, `content_filter`, `error`.
    pub finish_reason: Option<String>,
    pub native_finish_reason: Option<String>,
    /// The provider's own id of the answer.
    pub upstream_id: Option<String>,
    pub created: Micros,
    /// From arrival to the first token, in microseconds.
    pub first_token_us: Option<i64>,
    /// From arrival to the end, in microseconds.
    pub duration_us: i64,
    /// Name and address of the calling app, from `X-Title` and `HTTP-Referer`.
    pub app_name: Option<String>,
    pub app_url: Option<String>,
    pub attempts: Vec<Attempt>,
}

/// How a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider finished.
    Completed,
    /// The caller hung up.
    Cancelled,
    /// The provider failed after it began to answer. Not charged.
    Failed,
    /// Over without any token and without a reason, or before a provider took the request on. Not charged.
    Empty,
    /// This process died; settled from the journal when it came back.
    Recovered,
}

/// One try at one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub endpoint: String,
    pub provider: String,
    /// HTTP status of the provider, when there was one.
    pub status: Option<u16>,
    /// Name of an [`crate::error_type::ErrorType`], when it failed.
    pub error_type: Option<String>,
    /// Microseconds until the provider began to answer or failed.
    pub latency_us: i64,
}

impl Outcome {
    /// Whether the customer pays for it.
    #[must_use]
    pub const fn is_charged(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Recovered)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Recovered => "recovered",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Completed,
            Self::Cancelled,
            Self::Failed,
            Self::Empty,
            Self::Recovered,
        ]
        .into_iter()
        .find(|outcome| outcome.name() == text)
    }
}
