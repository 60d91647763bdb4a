//! Where a provider's OpenAI chat differs from the protocol, as data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to change in a request before this provider takes it. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// The only name it knows for the limit of an answer; `None` when it takes whichever the caller wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitName>,
    /// Parameters that have another name there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub renamed: BTreeMap<String, String>,
    /// Parameters that it refuses: dropped, or refused here where the caller requires its parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
    /// It refuses `stream_options`, and gives usage all the same.
    #[serde(skip_serializing_if = "is_false")]
    pub no_stream_options: bool,
    /// It does not know who `developer` is; `system` is said instead.
    #[serde(skip_serializing_if = "is_false")]
    pub no_developer_role: bool,
    /// It refuses `user`.
    #[serde(skip_serializing_if = "is_false")]
    pub no_user: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub reasoning: ReasoningForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    MaxTokens,
    MaxCompletionTokens,
}

/// How reasoning is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasoningForm {
    /// `reasoning_effort`.
    #[default]
    Effort,
    /// `reasoning`, as our API has it.
    Object,
    /// `thinking: {"type": "enabled"}`.
    Thinking,
    /// `enable_thinking` and `thinking_budget`.
    EnableThinking,
    /// `chat_template_kwargs: {"enable_thinking": true}`.
    Template,
}

impl Quirks {
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl LimitName {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
