//! The catalog's files decode, index, and hold what the product promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use domain::catalog::{Auth, Catalog, CatalogData, Dialect, Endpoint, Model, ModelKind, Provider};
use domain::money::PicoUsd;
use domain::slug::ModelSlug;
use serde::de::DeserializeOwned;
use std::path::Path;

fn rows<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines()
        .filter(|line| !matches!(*line, "[" | "]"))
        .map(|line| {
            serde_json::from_str(line.trim_end_matches(',')).unwrap_or_else(|error| panic!("{file}: {error}: {line}"))
        })
        .collect()
}

fn catalog() -> Catalog {
    let data = CatalogData {
        providers: rows::<Provider>("providers.json"),
        models: rows::<Model>("models.json"),
        endpoints: rows::<Endpoint>("endpoints.json"),
    };
    Catalog::new(1, data).unwrap()
}

fn slug(text: &str) -> ModelSlug {
    ModelSlug::parse(text).unwrap()
}

#[test]
fn there_are_hundreds_of_models_from_scores_of_providers() {
    let catalog = catalog();
    let chat = catalog
        .models()
        .filter(|entry| entry.model.kind == ModelKind::Chat)
        .count();
    assert!(chat >= 500, "{chat} chat models");
    assert!(
        catalog.providers().len() >= 70,
        "{} providers",
        catalog.providers().len()
    );
    assert!(
        catalog.endpoints_count() >= 1_500,
        "{} endpoints",
        catalog.endpoints_count()
    );
}

#[test]
fn a_popular_model_has_many_hosts() {
    let catalog = catalog();
    let entry = catalog.model(&slug("meta-llama/llama-3.3-70b-instruct")).unwrap();
    assert!(entry.endpoints.len() >= 20, "{} endpoints", entry.endpoints.len());
}

#[test]
fn the_local_model_needs_no_key_and_is_not_free() {
    let catalog = catalog();
    let entry = catalog.model(&slug("local/smollm2-135m-instruct")).unwrap();
    let provider = catalog.provider("local").unwrap();
    assert_eq!((provider.auth, provider.key_setting.as_deref()), (Auth::None, None));
    assert!(provider.is_spoken());
    assert_eq!(entry.endpoints[0].prices.completion, PicoUsd::new(200_000));
}

#[test]
fn every_model_is_offered_by_somebody_and_shows_its_longest_context() {
    for entry in catalog().models() {
        let longest = entry.endpoints.iter().map(|endpoint| endpoint.context_length).max();
        assert_eq!(longest, Some(entry.model.context_length), "{}", entry.model.slug);
    }
}

#[test]
fn every_model_has_a_name_and_reads_and_writes_text() {
    for entry in catalog().models() {
        let model = &entry.model;
        assert!(!model.name.is_empty(), "{}", model.slug);
        assert!(model.input_modalities.contains(&"text".to_owned()), "{}", model.slug);
        assert!(model.output_modalities.contains(&"text".to_owned()), "{}", model.slug);
    }
}

#[test]
fn every_endpoint_is_named_after_its_model_and_provider() {
    for endpoint in catalog().endpoints() {
        let start = format!("{}|{}", endpoint.model, endpoint.provider);
        let rest = endpoint
            .id
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{}", endpoint.id));
        assert!(rest.is_empty() || rest.starts_with('|'), "{}", endpoint.id);
        assert!(
            endpoint.max_completion_tokens.is_none_or(|tokens| tokens > 0),
            "{}",
            endpoint.id
        );
    }
}

#[test]
fn every_endpoint_costs_something_believable() {
    // Ten cents for a single token.
    let dearest = PicoUsd::new(100_000_000_000);
    for endpoint in catalog().endpoints() {
        let prices = &endpoint.prices;
        assert!(!prices.is_free(), "{}", endpoint.id);
        assert!(
            prices.prompt <= dearest && prices.completion <= dearest,
            "{}",
            endpoint.id
        );
        assert!(
            prices.cache_read.unwrap_or_default() <= prices.prompt,
            "{}",
            endpoint.id
        );
    }
}

#[test]
fn tiers_ascend_and_never_get_cheaper() {
    for endpoint in catalog().endpoints() {
        let tiers = &endpoint.prices.tiers;
        assert!(
            tiers.is_sorted_by(|a, b| a.min_prompt_tokens < b.min_prompt_tokens),
            "{}",
            endpoint.id
        );
        let mut prompt = endpoint.prices.prompt;
        for tier in tiers {
            assert!(tier.prompt.unwrap_or(prompt) >= prompt, "{}", endpoint.id);
            prompt = tier.prompt.unwrap_or(prompt);
        }
    }
}

#[test]
fn a_provider_that_can_be_called_has_a_whole_address_and_a_key_setting() {
    let catalog = catalog();
    for provider in catalog.providers() {
        assert!(!provider.base_url.ends_with('/'), "{}", provider.slug);
        if provider.auth == Auth::Other || provider.slug == "local" {
            continue;
        }
        assert!(provider.base_url.starts_with("https://"), "{}", provider.slug);
        assert!(!provider.base_url.contains(' '), "{}", provider.slug);
        let setting = provider.key_setting.as_deref().unwrap_or_default();
        assert!(
            !setting.is_empty()
                && setting
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            "{}",
            provider.slug
        );
    }
}

#[test]
fn no_two_providers_share_a_key_setting() {
    let catalog = catalog();
    let mut settings: Vec<&str> = catalog
        .providers()
        .filter_map(|provider| provider.key_setting.as_deref())
        .collect();
    let all = settings.len();
    settings.sort_unstable();
    settings.dedup();
    assert_eq!(settings.len(), all);
}

#[test]
fn most_providers_speak_the_chat_protocol() {
    let catalog = catalog();
    let spoken = catalog
        .providers()
        .filter(|provider| provider.dialect == Dialect::OpenaiChat)
        .count();
    assert!(spoken >= 70, "{spoken}");
}
