//! The providers behind the servers, with a tally of their own, and the catalog that names them.

use super::callers;
use anyhow::{Context as _, Result};
use fake_provider::{Bill, Cancel, FakeProvider, Plan, Script};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Providers {
    /// Stops working and billing when its caller hangs up.
    stops: Provider,
    /// Works and bills to the end.
    ends: Provider,
}

struct Provider {
    fake: FakeProvider,
    /// Bills collected so far.
    collected: usize,
}

/// How answers are metered and cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Counts in every chunk; stops at a hang-up.
    Counted,
    /// Counts at the end only, so that a cut answer is counted by us; stops at a hang-up. Its prompts are free, because
    /// they can only be estimated when the answer is cut.
    Plain,
    /// Counts in every chunk; bills to the end.
    ToTheEnd,
}

/// Slug of the provider that bills to the end.
pub const ENDS: &str = "ends";
/// Of a prompt token and of an answer's, in pico-dollars: $1 and $4 per million.
const PROMPT_PICO: i64 = 1_000_000;
const COMPLETION_PICO: i64 = 4_000_000;
const IDLE_PATIENCE: Duration = Duration::from_secs(60);

impl Providers {
    pub fn start() -> Result<Self> {
        let start = |cancel| {
            let plan = Plan {
                cancel,
                timings: true,
                continuous_usage: true,
                ..Plan::default()
            };
            let fake = FakeProvider::start(Script::always(plan))?;
            Ok::<_, std::io::Error>(Provider { fake, collected: 0 })
        };
        Ok(Self {
            stops: start(Cancel::Stops)?,
            ends: start(Cancel::BillsToEnd)?,
        })
    }

    pub fn catalog(&self) -> Value {
        json!({
            "providers": [
                provider("counted", &self.stops, "stops", "timings"),
                provider("plain", &self.stops, "stops", "at-end"),
                provider(ENDS, &self.ends, "bills-to-end", "continuous-usage"),
            ],
            "models": Model::ALL.map(|model| model_row(model.slug())),
            "endpoints": [
                endpoint(Model::Counted.slug(), "counted", PROMPT_PICO),
                endpoint(Model::Plain.slug(), "plain", 0),
                endpoint(Model::ToTheEnd.slug(), ENDS, PROMPT_PICO),
            ],
        })
    }

    /// Waits until no answer is under way.
    pub async fn idle(&self) -> bool {
        self.stops.fake.idle(IDLE_PATIENCE).await && self.ends.fake.idle(IDLE_PATIENCE).await
    }

    /// What the providers would bill for what was asked since the last call, by the number of the request.
    pub fn new_bills(&mut self) -> Result<BTreeMap<usize, Vec<Bill>>> {
        let mut bills: BTreeMap<usize, Vec<Bill>> = BTreeMap::new();
        for provider in [&mut self.stops, &mut self.ends] {
            let (asked, tally) = (provider.fake.requests(), provider.fake.tally().bills);
            for (request, bill) in asked.iter().zip(tally).skip(provider.collected) {
                let question = request.body["messages"][0]["content"].as_str().unwrap_or_default();
                let caller = callers::asked_by(question).with_context(|| format!("who asked {question:?}?"))?;
                bills.entry(caller).or_default().push(bill);
            }
            provider.collected = asked.len();
        }
        Ok(bills)
    }
}

impl Model {
    pub const ALL: [Self; 3] = [Self::Counted, Self::Plain, Self::ToTheEnd];

    pub fn slug(self) -> &'static str {
        match self {
            Self::Counted => "torture/counted",
            Self::Plain => "torture/plain",
            Self::ToTheEnd => "torture/to-the-end",
        }
    }
}

fn provider(slug: &str, provider: &Provider, cancel: &str, progress: &str) -> Value {
    json!({"slug": slug, "name": slug, "base_url": provider.fake.base_url(), "dialect": "openai-chat", "auth": "none",
        "cancel": cancel, "progress": progress})
}

fn model_row(slug: &str) -> Value {
    json!({"slug": slug, "name": slug, "kind": "chat", "context_length": 8_192,
        "input_modalities": ["text"], "output_modalities": ["text"]})
}

fn endpoint(model: &str, provider: &str, prompt_pico: i64) -> Value {
    json!({"id": format!("{model}|{provider}"), "model": model, "provider": provider, "provider_model_id": model,
        "context_length": 8_192, "max_completion_tokens": 2_048,
        "prices": {"prompt": prompt_pico, "completion": COMPLETION_PICO},
        "supported_parameters": ["max_tokens"]})
}
