//! How Claude is asked to think, which differs by version of the model.

use crate::dialect::json::Json;
use crate::dialect::parameters::{Parameters, Wanted};
use crate::dialect::reasoning::Effort;
use crate::dialect::{Inexpressible, cannot};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) enum Thinking {
    /// Nothing is said.
    Unsaid,
    /// Said to be off, to models that would think otherwise.
    Off,
    /// At most so many tokens.
    Budget(u64),
    /// The model decides, guided by an effort.
    Adaptive(Option<Effort>),
}

/// What a model understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Budget,
    Either,
    Adaptive,
}

/// The budget must stay below the answer's limit, which holds both.
const BUDGET_TOKENS_MIN: u64 = 1_024;
const TEMPERATURE_MAX: f64 = 1.0;
/// The first version whose model decides for itself, and takes a budget too.
const ADAPTIVE_SINCE: (u32, u32) = (4, 6);
/// The first version that refuses `temperature` beside `top_p`.
const ONE_SAMPLER_SINCE: (u32, u32) = (4, 1);

impl Thinking {
    pub fn of(parameters: &Parameters<'_>, model: &str) -> Result<Self, Inexpressible> {
        let limit = parameters.limit_or_most();
        let wanted = &parameters.reasoning;
        let mode = mode(model);
        Ok(match (&wanted.wanted, mode) {
            (Wanted::Unsaid, _) => Self::Unsaid,
            (Wanted::Off, _) if version(model).is_some() => Self::Unsaid,
            (Wanted::Off, _) => Self::Off,
            (Wanted::On, Mode::Either | Mode::Adaptive) => Self::Adaptive(None),
            (Wanted::Effort(_), Mode::Either) | (Wanted::Effort(_) | Wanted::Tokens(_), Mode::Adaptive) => {
                Self::Adaptive(wanted.effort(limit).map(|effort| offered(effort, mode)))
            }
            _ => {
                let budget = wanted.budget(limit).unwrap_or(BUDGET_TOKENS_MIN);
                if limit <= BUDGET_TOKENS_MIN {
                    return Err(cannot(
                        "max_tokens",
                        "leaves no room for reasoning, which takes 1024 tokens at least",
                    ));
                }
                Self::Budget(budget.clamp(BUDGET_TOKENS_MIN, limit - 1))
            }
        })
    }

    pub fn is_on(&self) -> bool {
        matches!(self, Self::Budget(_) | Self::Adaptive(_))
    }

    /// Adds how to sample, as far as the model lets itself be told.
    pub fn sampling<'a>(&self, body: Json<'a>, parameters: &Parameters<'a>) -> Result<Json<'a>, Inexpressible> {
        let model = parameters.model();
        if self.is_on() || mode(model) == Mode::Adaptive {
            let why = "can't be set for this model at this provider while it reasons";
            parameters.refuse_required(&["temperature", "top_p", "top_k"], why)?;
            return Ok(body);
        }
        let temperature = parameters.number("temperature")?;
        let hot = |raw: &Json<'_>| matches!(raw, Json::Raw(raw) if raw.parse::<f64>().is_ok_and(|value| value > TEMPERATURE_MAX));
        if temperature.as_ref().is_some_and(hot) {
            return Err(cannot("temperature", "is above 1, the most that this provider takes"));
        }
        let is_one = version(model).is_some_and(|version| version >= ONE_SAMPLER_SINCE);
        let top_p = if is_one && temperature.is_some() {
            parameters.refuse_required(&["top_p"], "can't be set beside `temperature` at this provider")?;
            None
        } else {
            parameters.number("top_p")?
        };
        Ok(body
            .and("temperature", temperature)
            .and("top_p", top_p)
            .and("top_k", parameters.number("top_k")?))
    }

    /// Adds `thinking` and `output_config`, which effort and the answer's format share.
    pub fn write<'a>(self, body: Json<'a>, format: Option<Json<'a>>, is_hidden: bool) -> Json<'a> {
        let kind = |kind: &'static str| Json::object([("type", kind.into())]);
        let (thinking, effort) = match self {
            Self::Unsaid => (None, None),
            Self::Off => (Some(kind("disabled")), None),
            Self::Budget(tokens) => (Some(kind("enabled").with("budget_tokens", tokens)), None),
            Self::Adaptive(effort) => {
                let display = if is_hidden { "omitted" } else { "summarized" };
                (
                    Some(kind("adaptive").with("display", display)),
                    effort.map(Effort::name),
                )
            }
        };
        let config = Json::Object(Vec::new()).and("effort", effort).and("format", format);
        body.and("thinking", thinking).unless_empty("output_config", config)
    }
}

fn mode(model: &str) -> Mode {
    match version(model) {
        Some(version) if version > ADAPTIVE_SINCE => Mode::Adaptive,
        Some(version) if version == ADAPTIVE_SINCE => Mode::Either,
        _ => Mode::Budget,
    }
}

/// The nearest effort that the model knows.
fn offered(effort: Effort, mode: Mode) -> Effort {
    match (effort, mode) {
        (Effort::Minimal, _) => Effort::Low,
        (Effort::Xhigh, Mode::Either) => Effort::High,
        _ => effort,
    }
}

/// Major and minor of a Claude; `None` for models of others that speak the dialect.
fn version(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude-")?;
    // A date is no version.
    let numbers = name.split(['-', '@', '.', ':']).filter(|part| part.len() <= 2);
    let mut numbers = numbers.filter_map(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_all_the_names_in_use() {
        for (model, expected) in [
            ("claude-3-5-sonnet-20240620", Some((3, 5))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-opus-4-6", Some((4, 6))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-sonnet-4-5@20250929", Some((4, 5))),
            ("claude-fable-5", Some((5, 0))),
            ("MiniMax-M2", None),
        ] {
            assert_eq!(version(model), expected, "{model}");
        }
        assert_eq!(mode("claude-sonnet-5-5"), Mode::Adaptive);
    }
}
