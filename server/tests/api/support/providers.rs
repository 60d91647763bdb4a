//! The providers behind the server, and the catalog that names them.

use domain::generation::Generation;
use fake_provider::{Cancel, FakeProvider, Plan, Script};
use serde_json::{Value, json};

/// What one token costs, in nano-dollars: $1 and $2 per million at alpha and gamma, half as much again at beta.
pub const PROMPT_NANO: i64 = 1_000;
pub const COMPLETION_NANO: i64 = 2_000;
/// A tenth of the prompt's price, at alpha.
pub const CACHED_NANO: i64 = 100;

pub struct Providers {
    /// Stops working and billing when its caller hangs up.
    pub alpha: FakeProvider,
    /// As alpha, and dearer.
    pub beta: FakeProvider,
    /// Bills to the end.
    pub gamma: FakeProvider,
}

impl Providers {
    pub fn start() -> Self {
        let start = |plan| FakeProvider::start(Script::always(plan)).unwrap();
        let stops = Plan {
            timings: true,
            ..Plan::default()
        };
        let to_the_end = Plan {
            cancel: Cancel::BillsToEnd,
            ..Plan::default()
        };
        Self {
            alpha: start(stops.clone()),
            beta: start(stops),
            gamma: start(to_the_end),
        }
    }

    /// Models: `test/echo` at alpha and beta, `test/alpha`, `test/progress` (alpha, with timings in every chunk),
    /// `test/drain` at gamma, `test/keyless` at a provider without a key, `test/half` at a provider that is down and,
    /// dearer, at beta.
    pub fn catalog(&self) -> Value {
        let provider = |slug: &str, name: &str, base_url: &str, cancel: &str, progress: &str| {
            let owner = if matches!(slug, "delta" | "down") {
                "alpha"
            } else {
                slug
            };
            let setting = format!("{}_API_KEY", owner.to_uppercase());
            json!({"slug": slug, "name": name, "base_url": base_url, "dialect": "openai-chat", "auth": "bearer",
                "key_setting": setting, "cancel": cancel, "progress": progress})
        };
        let (alpha, beta, gamma) = (self.alpha.base_url(), self.beta.base_url(), self.gamma.base_url());
        let models = ["echo", "alpha", "progress", "drain", "keyless", "half"];
        json!({
            "providers": [
                provider("alpha", "Alpha", &alpha, "stops", "at-end"),
                provider("beta", "Beta", &beta, "stops", "at-end"),
                provider("gamma", "Gamma", &gamma, "bills-to-end", "at-end"),
                provider("delta", "Delta", &alpha, "stops", "timings"),
                provider("down", "Down", "http://127.0.0.1:1/v1", "stops", "at-end"),
                provider("keyless", "Keyless", "https://keyless.invalid/v1", "stops", "at-end"),
            ],
            "models": models.map(model),
            "endpoints": [
                endpoint("echo", "alpha", 10),
                endpoint("echo", "beta", 15),
                endpoint("alpha", "alpha", 10),
                endpoint("progress", "delta", 10),
                endpoint("drain", "gamma", 10),
                endpoint("keyless", "keyless", 10),
                endpoint("half", "down", 5),
                endpoint("half", "beta", 15),
            ],
        })
    }
}

/// The charge that follows from a generation's usage at alpha's and gamma's prices, computed by hand.
pub fn cost_nano(generation: &Generation) -> i64 {
    let usage = generation.usage;
    let tokens = |count: u64| i64::try_from(count).unwrap();
    tokens(usage.prompt - usage.cache_read) * PROMPT_NANO
        + tokens(usage.cache_read) * CACHED_NANO
        + tokens(usage.completion) * COMPLETION_NANO
}

/// A chat request of one user message.
pub fn ask(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// As [`ask`], streaming with usage at the end.
pub fn ask_stream(model: &str, text: &str) -> Value {
    let mut body = ask(model, text);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

fn model(name: &str) -> Value {
    json!({"slug": format!("test/{name}"), "name": format!("Test {name}"), "kind": "chat", "context_length": 131_072,
        "input_modalities": ["text"], "output_modalities": ["text"]})
}

/// Prices are `tenths` of alpha's.
fn endpoint(model: &str, provider: &str, tenths: i64) -> Value {
    json!({"id": format!("test/{model}|{provider}"), "model": format!("test/{model}"), "provider": provider,
        "provider_model_id": format!("{provider}/{model}"), "context_length": 131_072, "max_completion_tokens": 32_768,
        "prices": {"prompt": PROMPT_NANO * 100 * tenths, "completion": COMPLETION_NANO * 100 * tenths,
            "cache_read": CACHED_NANO * 100 * tenths},
        "supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice", "response_format"]})
}
