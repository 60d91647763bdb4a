use super::*;
use bytes::Bytes;
use domain::catalog::CatalogData;
use serde_json::{Value, json};

#[derive(Default)]
struct World {
    cooling: Vec<&'static str>,
    without_key: Vec<&'static str>,
}

impl Conditions for World {
    fn missing_setting(&self, provider: &Provider, _: &Endpoint) -> Option<String> {
        self.without_key
            .contains(&provider.slug.as_str())
            .then(|| format!("{}_API_KEY", provider.slug.to_uppercase()))
    }
    fn is_cooling_down(&self, endpoint: &str) -> bool {
        self.cooling.contains(&endpoint)
    }
    fn now(&self) -> Micros {
        Micros::new(1_795_421_106_000_000)
    }

    fn today(&self) -> &str {
        "2026-11-23"
    }
}

fn provider(slug: &str, extra: &Value) -> Value {
    let mut provider =
        json!({"slug": slug, "name": slug, "base_url": "http://x", "dialect": "openai-chat", "auth": "bearer"});
    provider
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    provider
}

fn endpoint(provider: &str, price: i64, extra: &Value) -> Value {
    let mut endpoint = json!({"id": format!("a/m|{provider}"), "model": "a/m", "provider": provider, "provider_model_id": "m",
        "context_length": 1000, "prices": {"prompt": price, "completion": price}});
    endpoint
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    endpoint
}

/// `cheap` at 1, `middle` at 2, `dear` at 10 with tools.
fn catalog() -> Catalog {
    let models = ["a/m", "a/other"].map(|slug| {
        json!({"slug": slug, "name": "M", "kind": "chat", "context_length": 1000,
        "input_modalities": ["text"], "output_modalities": ["text"]})
    });
    let data = json!({
        "providers": [provider("cheap", &json!({"data_policy": {"trains": true}})), provider("middle", &json!({"data_policy": {"trains": false}})),
            provider("dear", &json!({})), provider("odd", &json!({"dialect": "other"}))],
        "models": models,
        "endpoints": [
            endpoint("cheap", 1, &json!({"max_completion_tokens": 10, "supported_parameters": ["temperature"]})),
            endpoint("middle", 2, &json!({"quantization": "fp8", "supported_parameters": ["temperature"]})),
            endpoint("dear", 10, &json!({"supported_parameters": ["tools", "temperature"]})),
            endpoint("odd", 1, &json!({})),
        ]
    });
    Catalog::new(1, serde_json::from_value::<CatalogData>(data).unwrap()).unwrap()
}

fn request(extra: &Value) -> ChatRequest {
    let mut body = json!({"model": "a/m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    ChatRequest::parse(&Bytes::from(body.to_string())).unwrap()
}

fn providers(world: &World, extra: &Value, seed: u64) -> Vec<String> {
    let route = route(&catalog(), &request(extra), world, seed).unwrap();
    route
        .attempts
        .iter()
        .map(|candidate| candidate.provider.slug.clone())
        .collect()
}

fn check(extra: &Value, expected: &[&str]) {
    let mut found = providers(&World::default(), extra, 1);
    let is_ordered = extra["provider"]["order"].is_array() || extra["provider"]["sort"].is_string();
    if !is_ordered {
        found.sort();
    }
    assert_eq!(found, expected, "{extra}");
}

#[test]
fn each_preference_has_its_effect() {
    check(&json!({}), &["cheap", "dear", "middle"]);
    check(&json!({"provider": {"only": ["Middle", "dear"]}}), &["dear", "middle"]);
    check(&json!({"provider": {"ignore": ["cheap"]}}), &["dear", "middle"]);
    check(
        &json!({"provider": {"order": ["dear", "cheap"]}}),
        &["dear", "cheap", "middle"],
    );
    check(
        &json!({"provider": {"order": ["dear"], "allow_fallbacks": false}}),
        &["dear"],
    );
    check(&json!({"provider": {"sort": "price"}}), &["cheap", "middle", "dear"]);
    check(
        &json!({"provider": {"sort": "price", "allow_fallbacks": false}}),
        &["cheap"],
    );
    check(&json!({"provider": {"data_collection": "deny"}}), &["middle"]);
    check(&json!({"provider": {"quantizations": ["fp8"]}}), &["middle"]);
    check(&json!({"provider": {"quantizations": ["unknown"]}}), &["cheap", "dear"]);
    check(
        &json!({"provider": {"max_price": {"prompt": "0.000005"}}}),
        &["cheap", "middle"],
    );
    check(&json!({"max_tokens": 11}), &["dear", "middle"]);
    check(&json!({"tools": []}), &["dear"]);
    check(&json!({"top_k": 3}), &["cheap", "dear", "middle"]);
    check(
        &json!({"temperature": 1, "provider": {"require_parameters": true}}),
        &["cheap", "dear", "middle"],
    );
    check(&json!({"model": "a/m:floor"}), &["cheap", "dear", "middle"]);
}

#[test]
fn the_first_is_drawn_by_price_and_the_seed_decides() {
    let first = |seed| providers(&World::default(), &json!({}), seed)[0].clone();
    let draws: Vec<String> = (0..1_000).map(first).collect();
    let share = |name: &str| draws.iter().filter(|draw| *draw == name).count();
    // Weights 1 : 1/4 : 1/100.
    assert!(
        (730..860).contains(&share("cheap")) && (150..260).contains(&share("middle")),
        "{}",
        share("cheap")
    );
    assert_eq!(first(42), first(42));
}

#[test]
fn an_endpoint_that_just_failed_comes_last() {
    let world = World {
        cooling: vec!["a/m|cheap"],
        ..World::default()
    };
    for seed in 0..50 {
        assert_eq!(providers(&world, &json!({}), seed).last().unwrap(), "cheap");
    }
}

#[test]
fn a_missing_key_is_named() {
    let world = World {
        without_key: vec!["cheap", "middle", "dear"],
        ..World::default()
    };
    let error = route(&catalog(), &request(&json!({})), &world, 1).unwrap_err();
    let RouteError::NoKey { settings, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(settings, ["CHEAP_API_KEY", "DEAR_API_KEY", "MIDDLE_API_KEY"]);
}

#[test]
fn every_endpoint_left_out_has_its_reason() {
    let error = route(
        &catalog(),
        &request(&json!({"provider": {"only": ["odd"]}})),
        &World::default(),
        1,
    )
    .unwrap_err();
    let RouteError::NoEndpoint { skipped, .. } = error else {
        panic!("{error:?}")
    };
    let reasons: Vec<_> = skipped
        .iter()
        .map(|s| (s.provider.as_str(), s.reason.to_string()))
        .collect();
    assert!(reasons.contains(&("odd", "its protocol is not spoken".to_owned())));
    assert!(reasons.contains(&("cheap", "not in provider.only".to_owned())));
}

#[test]
fn unknown_models_and_variants_are_told_apart() {
    let unknown = route(&catalog(), &request(&json!({"model": "a/mm"})), &World::default(), 1).unwrap_err();
    assert_eq!(
        unknown,
        RouteError::UnknownModel {
            model: "a/mm".into(),
            near: vec!["a/m".into()]
        }
    );
    let variant = route(
        &catalog(),
        &request(&json!({"model": "a/m:shiny"})),
        &World::default(),
        1,
    )
    .unwrap_err();
    assert_eq!(
        variant,
        RouteError::UnknownVariant {
            model: "a/m".into(),
            variant: "shiny".into()
        }
    );
}

#[test]
fn fallback_models_follow_and_unknown_ones_do_not_hurt() {
    let found = providers(&World::default(), &json!({"model": "a/none", "models": ["a/m"]}), 1);
    assert_eq!(found.len(), 3);
}

#[test]
fn a_request_is_charged_by_the_prices_of_its_service_tier_and_hour() {
    let mut data: CatalogData = serde_json::from_value(json!({
        "providers": [provider("p", &json!({}))],
        "models": [{"slug": "a/m", "name": "M", "kind": "chat", "context_length": 1000,
            "input_modalities": ["text"], "output_modalities": ["text"]}],
        "endpoints": [endpoint("p", 10, &json!({}))],
    }))
    .unwrap();
    data.endpoints[0].prices = serde_json::from_value(json!({"prompt": 10, "completion": 10,
        "services": [{"name": "flex", "prompt": 5}], "windows": [{"from_minute": 480, "until_minute": 490, "completion": 7}]}))
    .unwrap();
    let catalog = Catalog::new(1, data).unwrap();
    let chosen = |body: &str| {
        let request = ChatRequest::parse(&Bytes::from(body.to_owned())).unwrap();
        let route = route(&catalog, &request, &World::default(), 1).unwrap();
        let prices = route.attempts[0].endpoint.prices.clone();
        (prices.prompt.get(), prices.completion.get(), prices.services.len())
    };
    assert_eq!(
        chosen(r#"{"model":"a/m","messages":[{"role":"user","content":"hi"}]}"#),
        (10, 7, 0)
    );
    assert_eq!(
        chosen(r#"{"model":"a/m","messages":[{"role":"user","content":"hi"}],"service_tier":"flex"}"#),
        (5, 7, 0)
    );
}
