//! How much money a request needs before it may leave.

use super::prompt_ceiling;
use domain::money::NanoUsd;
use gateway::request::ChatRequest;
use gateway::route::{Candidate, Route};

/// What to hold. When the caller set a limit on the answer, all of it; otherwise as much as there is, and the answer is
/// capped to what that pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub wanted: NanoUsd,
    pub least: NanoUsd,
}

/// An answer capped below this is not worth beginning.
const ANSWER_TOKENS_MIN: u64 = 16;

impl Admission {
    pub fn of(request: &ChatRequest, route: &Route) -> Self {
        let ceilings = route
            .attempts
            .iter()
            .map(|candidate| ceiling(request, candidate, answer_max(request, candidate)));
        let wanted = ceilings.max().unwrap_or_default();
        let first = &route.attempts[0];
        let answer = if request.max_tokens.is_some() {
            answer_max(request, first)
        } else {
            answer_max(request, first).min(ANSWER_TOKENS_MIN * request.choices)
        };
        Self {
            wanted,
            least: ceiling(request, first, answer),
        }
    }
}

/// The limit to send to this endpoint so that `held` pays for the answer: `Some(None)` when the endpoint's own limit is
/// low enough, `None` when `held` cannot pay what the caller asked for here.
#[allow(clippy::option_option, reason = "no answer and no cap are different things")]
pub fn cap(request: &ChatRequest, candidate: &Candidate, held: NanoUsd) -> Option<Option<u64>> {
    if ceiling(request, candidate, answer_max(request, candidate)) <= held {
        return Some(None);
    }
    if request.max_tokens.is_some() {
        return None;
    }
    let affordable = affordable(request, candidate, held)?;
    (affordable >= ANSWER_TOKENS_MIN.min(answer_max(request, candidate) / request.choices)).then_some(Some(affordable))
}

/// Tokens of each completion that `money` pays for; `None` when there is no limit.
pub fn affordable(request: &ChatRequest, candidate: &Candidate, money: NanoUsd) -> Option<u64> {
    let tokens = candidate
        .endpoint
        .prices
        .affordable_completion(prompt_ceiling(request), money)?;
    Some(tokens / request.choices)
}

/// Tokens of all completions together that the endpoint may produce.
fn answer_max(request: &ChatRequest, candidate: &Candidate) -> u64 {
    let endpoint = &candidate.endpoint;
    let own = endpoint.max_completion_tokens.unwrap_or(endpoint.context_length);
    request
        .max_tokens
        .unwrap_or(own)
        .min(own.max(1))
        .saturating_mul(request.choices)
}

fn ceiling(request: &ChatRequest, candidate: &Candidate, answer: u64) -> NanoUsd {
    candidate.endpoint.prices.ceiling(prompt_ceiling(request), answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use std::sync::Arc;

    fn candidate(completion: i64) -> Candidate {
        let from = |value| serde_json::from_value(value).unwrap();
        Candidate {
            model: Arc::new(
                serde_json::from_value(
                    json!({"slug": "a/m", "name": "M", "kind": "chat", "context_length": 1000,
                "input_modalities": [], "output_modalities": []}),
                )
                .unwrap(),
            ),
            endpoint: Arc::new(from(
                json!({"id": "a/m|p", "model": "a/m", "provider": "p", "provider_model_id": "m",
                "context_length": 1000, "max_completion_tokens": 500, "prices": {"prompt": 0, "completion": completion}}),
            )),
            provider: Arc::new(
                serde_json::from_value(
                    json!({"slug": "p", "name": "P", "base_url": "", "dialect": "openai-chat", "auth": "none"}),
                )
                .unwrap(),
            ),
        }
    }

    fn request(extra: &str) -> ChatRequest {
        let body = format!(r#"{{"model":"a/m","messages":[1]{extra}}}"#);
        ChatRequest::parse(&Bytes::from(body)).unwrap()
    }

    fn route(prices: &[i64]) -> Route {
        Route {
            attempts: prices.iter().map(|price| candidate(*price)).collect(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn a_set_limit_is_held_whole_and_an_open_one_as_far_as_it_goes() {
        let nano = NanoUsd::new;
        let set = Admission::of(&request(r#","max_tokens":10"#), &route(&[1_000, 2_000]));
        assert_eq!(
            set,
            Admission {
                wanted: nano(20),
                least: nano(10)
            }
        );
        let open = Admission::of(&request(""), &route(&[1_000]));
        assert_eq!(
            open,
            Admission {
                wanted: nano(500),
                least: nano(16)
            }
        );
    }

    #[test]
    fn the_cap_is_what_can_be_paid() {
        let nano = NanoUsd::new;
        assert_eq!(cap(&request(""), &candidate(1_000), nano(500)), Some(None));
        assert_eq!(cap(&request(""), &candidate(1_000), nano(120)), Some(Some(120)));
        assert_eq!(cap(&request(r#","n":2"#), &candidate(1_000), nano(120)), Some(Some(60)));
        assert_eq!(cap(&request(""), &candidate(1_000), nano(3)), None);
        assert_eq!(
            cap(&request(r#","max_tokens":200"#), &candidate(1_000), nano(120)),
            None
        );
        assert_eq!(cap(&request(""), &candidate(0), nano(0)), Some(None));
    }
}
