use super::*;
use domain::catalog::CatalogData;
use serde_json::{Value, json};

fn catalog() -> Catalog {
    let provider =
        json!({"slug": "p", "name": "Pro", "base_url": "http://127.0.0.1:1", "dialect": "openai-chat", "auth": "none"});
    let model = |slug: &str, released: &str, context: u64, output: &str| {
        json!({"slug": slug, "name": slug, "kind": "chat", "context_length": context, "released": released,
            "input_modalities": ["text", "image"], "output_modalities": [output]})
    };
    let endpoint = |model: &str, price: i64| {
        json!({"id": format!("{model}|p"), "model": model, "provider": "p", "provider_model_id": "m", "context_length": 10,
            "max_completion_tokens": 5, "supported_parameters": ["tools", "seed"], "prices": {"prompt": price,
            "completion": 2, "cache_read": 1, "tiers": [{"min_prompt_tokens": 7, "prompt": 9}]}})
    };
    let data = json!({
        "providers": [provider],
        "models": [model("a/old", "2024-01-01", 10, "text"), model("b/new", "2026-01-01", 90, "text"),
            model("b/pictures", "2025-01-01", 90, "image"), model("b/nowhere", "2026-01-01", 90, "text")],
        "endpoints": [endpoint("a/old", 1_500_000), endpoint("b/new", 3), endpoint("b/pictures", 3)],
    });
    Catalog::new(4, serde_json::from_value::<CatalogData>(data).unwrap()).unwrap()
}

fn listed(query: &str) -> (Vec<String>, Value) {
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = Listing::new(&catalog()).page(&Page::parse(&query).unwrap(), &query);
    let value: Value = serde_json::from_slice(&body).unwrap();
    let ids = value["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned());
    (ids.collect(), value)
}

fn check(query: &str, expected: &[&str]) {
    assert_eq!(listed(query).0, expected, "{query}");
}

#[test]
fn models_are_filtered_sorted_and_paged_as_documented() {
    check("", &["b/new", "a/old"]);
    check("output_modalities=all", &["b/new", "b/pictures", "a/old"]);
    check("output_modalities=image", &["b/pictures"]);
    check("q=OLD", &["a/old"]);
    check("supported_parameters=tools,seed", &["b/new", "a/old"]);
    check("supported_parameters=tools,logprobs", &[]);
    check("sort=pricing-high-to-low", &["a/old", "b/new"]);
    check("sort=top-weekly", &["b/new", "a/old"]);
    check("context=50", &["b/new"]);
    check("model_authors=a&providers=p", &["a/old"]);
    check("offset=1", &["a/old"]);
}

#[test]
fn a_cut_list_links_to_the_rest() {
    let (_, value) = listed("limit=1&q=b%2Fnew a");
    assert_eq!(
        (value["total_count"].clone(), value["links"]["next"].clone()),
        (json!(0), json!(null))
    );
    let (ids, value) = listed("limit=1&sort=newest");
    assert_eq!(ids, ["b/new"]);
    assert_eq!(value["links"]["next"], "/api/v1/models?limit=1&sort=newest&offset=1");
    assert_eq!(value["total_count"], 2);
}

#[test]
fn nonsense_is_explained() {
    for query in [("limit", "many"), ("sort", "best"), ("offset", "-1")] {
        let query = BTreeMap::from([(query.0.to_owned(), query.1.to_owned())]);
        assert_eq!(Page::parse(&query).unwrap_err().code(), 400);
    }
}

#[test]
fn a_model_has_the_documented_fields() {
    let (_, value) = listed("q=a/old");
    let model = &value["data"][0];
    for field in [
        "canonical_slug",
        "name",
        "description",
        "per_request_limits",
        "default_parameters",
        "supported_voices",
    ] {
        assert!(model.get(field).is_some(), "{field}");
    }
    assert_eq!(model["created"], 1_704_067_200);
    assert_eq!(model["architecture"]["modality"], "text+image->text");
    assert_eq!(model["pricing"]["prompt"], "0.0000015");
    assert_eq!(
        model["pricing"]["overrides"],
        json!([{"min_prompt_tokens": 7, "prompt": "0.000000000009"}])
    );
    assert_eq!(
        model["top_provider"],
        json!({"context_length": 10, "max_completion_tokens": 5, "is_moderated": false})
    );
    assert_eq!(model["links"]["details"], "/api/v1/models/a/old/endpoints");
}

#[test]
fn endpoints_have_the_documented_fields() {
    let catalog = catalog();
    let list = EndpointList::new(&catalog, find(&catalog, "A", "old:nitro").ok().unwrap());
    let value = serde_json::to_value(list).unwrap();
    let endpoint = &value["endpoints"][0];
    assert_eq!(endpoint["name"], "Pro | a/old");
    assert_eq!(
        (endpoint["tag"].clone(), endpoint["quantization"].clone()),
        (json!("p"), json!("unknown"))
    );
    assert_eq!(endpoint["pricing"]["input_cache_read"], "0.000000000001");
    for field in [
        "uptime_last_30m",
        "latency_last_30m",
        "throughput_last_30m",
        "max_prompt_tokens",
        "status",
    ] {
        assert!(endpoint.get(field).is_some(), "{field}");
    }
}

#[test]
fn an_unknown_model_is_404_with_what_was_meant() {
    let error = find(&catalog(), "b", "neww").err().unwrap();
    assert_eq!(error.code(), 404);
    assert_eq!(error.body()["error"]["metadata"]["suggestions"][0], "b/new");
}

#[test]
fn whoever_has_the_list_is_told_so() {
    let listing = Listing::new(&catalog());
    let ask = |headers: &[(http::HeaderName, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        kept(&headers.collect(), &listing.standard)
    };
    let plain = ask(&[]);
    let etag = plain.headers()[ETAG].to_str().unwrap().to_owned();
    assert_eq!(ask(&[(IF_NONE_MATCH, &format!("\"x\", {etag}"))]).status(), 304);
    assert_eq!(
        ask(&[(ACCEPT_ENCODING, "br, gzip;q=0.5")]).headers()[CONTENT_ENCODING],
        "gzip"
    );
    assert!(
        !ask(&[(ACCEPT_ENCODING, "br, gzip;q=0")])
            .headers()
            .contains_key(CONTENT_ENCODING)
    );
}
