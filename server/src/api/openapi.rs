//! `GET /openapi.json`: this API, described from its code.

use super::{chat, credits, generation, key, models, providers};
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::sync::LazyLock;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

pub mod completion;
pub mod failure;
mod gemini;
mod messages;
mod responses;
mod text;

/// Described with its handler; what the gateway writes is described in the modules here.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollway",
        description = "Hundreds of models of dozens of providers through one API.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/api/v1")),
    security(("bearer" = []), ("x-api-key" = []), ("x-goog-api-key" = [])),
    modifiers(&Keys),
    paths(
        get,
        chat::create,
        credits::get,
        generation::get,
        key::get,
        key::get_by_old_address,
        models::list,
        models::count,
        models::get,
        models::endpoints,
        providers::list,
        text::create,
        messages::create,
        messages::count_tokens,
        responses::create,
        responses::get,
        responses::delete,
        responses::input_items,
        gemini::act,
        gemini::act_on_two,
    )
)]
struct Document;

/// The headers that a key may come in.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        for header in ["x-api-key", "x-goog-api-key"] {
            let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header)));
            components.add_security_scheme(header, scheme);
        }
    }
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenapi",
    tag = "API",
    security(()),
    responses((status = 200, description = "What you are reading.", body = Object))
)]
pub async fn get() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| Document::openapi().to_json().unwrap_or_default());
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (headers, TEXT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ROUTER: &str = include_str!("../router.rs");

    /// The addresses in the router's function for the API, as it writes them.
    fn routed() -> BTreeSet<String> {
        let api = ROUTER.split("fn api_v1").nth(1).unwrap().split("\nfn ").next().unwrap();
        let routes = api.split(".route(").skip(1).filter_map(|route| route.split('"').nth(1));
        routes.map(str::to_owned).collect()
    }

    #[test]
    fn what_is_described_is_there() {
        let described: BTreeSet<String> = Document::openapi().paths.paths.into_keys().collect();
        let unknown: Vec<_> = described.difference(&routed()).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let text = Document::openapi().to_json().unwrap();
        let mut names: Vec<&str> = text.split("\"operationId\":\"").skip(1).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup_by_key(|rest| rest.split('"').next().map(str::to_owned));
        assert_eq!(names.len(), count);
    }
}
