//! The table of every URL that is not a page (those stand in `app/src/lib.rs`), and what surrounds each group.

use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::linger::linger;
use crate::web::{self, Web};
use crate::{api, checkout};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use domain::error_type::ErrorType;
use gateway::surface::Surface;
use http::HeaderValue;
use http::header::{
    CONTENT_SECURITY_POLICY, COOKIE, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use leptos::prelude::LeptosOptions;
use leptos_axum::LeptosRoutes;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tower_http::csrf::CsrfLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::ServeDir;

/// Forms and calls of our own pages; prompts go another way.
const FORM_BYTES_MAX: usize = 1024 * 1024;
const CORS_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);
const HSTS: &str = "max-age=63072000; includeSubDomains";
const NOTHING_ALLOWED: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Everything. Call on the web runtime: listing the pages runs the app once.
pub fn router(web: &Arc<Web>) -> Router {
    let (site, shared) = (site(web), Arc::clone(web));
    let is_https = web.data.config.is_https();
    Router::new()
        .nest("/api/v1", api_v1(web))
        .nest("/api/v1beta", api_v1beta(web))
        .route("/api", any(api::unknown))
        .route("/api/{*rest}", any(api::unknown))
        .route("/health", get(api::health::get))
        .merge(playground(web))
        .fallback(move |request: Request| web::answer_on(Arc::clone(&shared), site.clone(), request))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(move |response: Response| async move {
            secured(response, is_https)
        }))
}

/// Bearer keys only: nothing here reads a cookie, so any origin may call it.
fn api_v1(web: &Arc<Web>) -> Router {
    let chat = Router::new().route("/chat/completions", post(api::chat::create));
    let messages = Router::new()
        .route("/messages", post(api::messages::create))
        .route("/messages/count_tokens", post(api::messages::count_tokens));
    let responses = Router::new()
        .route("/responses", post(api::responses::create))
        .route(
            "/responses/{id}",
            get(api::responses::get).delete(api::responses::delete),
        )
        .route("/responses/{id}/input_items", get(api::responses::input_items));
    let completions = Router::new().route("/completions", post(api::completions::create));
    // Google's own address has `v1beta` and takes names with any number of slashes.
    let gemini = Router::new()
        .route("/models/{author}", post(api::gemini::act))
        .route("/models/{author}/{slug}", post(api::gemini::act_on_two))
        .layer(from_fn(api::gemini::key_of_query));
    let inference = chat
        .merge(completions)
        .merge(spoken(Surface::Gemini, gemini))
        .merge(spoken(Surface::Messages, messages))
        .merge(spoken(Surface::Responses, responses));
    let account = Router::new()
        .route("/key", get(api::key::get))
        .route("/auth/key", get(api::key::get_by_old_address))
        .route("/credits", get(api::credits::get))
        .route("/generation", get(api::generation::get));
    let catalog = Router::new()
        .route("/models", get(api::models::list))
        .route("/models/count", get(api::models::count))
        .route("/models/{author}/{slug}/endpoints", get(api::models::endpoints))
        .route("/model/{author}/{slug}", get(api::models::get))
        .with_state(Arc::new(api::models::Models::new(Arc::clone(&web.data))));
    let providers = Router::new()
        .route("/providers", get(api::providers::list))
        .with_state(Arc::clone(&web.data));
    let all = Router::new()
        .route("/openapi.json", get(api::openapi::get))
        .merge(inference)
        .merge(account)
        .with_state(Arc::clone(&web.data))
        .merge(catalog.merge(providers).layer(CompressionLayer::new()))
        .fallback(api::unknown);
    keyed(web, all)
}

/// As Google's clients address it.
fn api_v1beta(web: &Arc<Web>) -> Router {
    let gemini = Router::new()
        .route("/models/{*rest}", post(api::gemini::act))
        .layer(from_fn(api::gemini::key_of_query));
    let all = spoken(Surface::Gemini, gemini)
        .with_state(Arc::clone(&web.data))
        .fallback(api::unknown);
    keyed(web, all)
}

/// What surrounds everything that is asked with a key.
fn keyed(web: &Web, router: Router) -> Router {
    router
        .layer(from_fn(without_cookies))
        .layer(DefaultBodyLimit::max(web.data.config.body_bytes_max))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(api::published))
        .layer(from_fn(linger))
        .layer(cors())
        .layer(from_fn(access_log))
}

/// Failures in the shape that callers of a surface know.
fn spoken(surface: Surface, router: Router<Arc<DataPlane>>) -> Router<Arc<DataPlane>> {
    router.layer(map_response(move |response: Response| api::spoken(surface, response)))
}

/// Inference for the chat page, by session cookie.
fn playground(web: &Arc<Web>) -> Router {
    Router::new()
        .route("/playground/chat/completions", post(api::playground::complete))
        .with_state(Arc::clone(web))
        .layer(DefaultBodyLimit::max(web.data.config.body_bytes_max))
        .layer(csrf(web))
        .layer(map_response(api::published))
        .layer(from_fn(linger))
        .layer(from_fn(access_log))
}

/// Pages, server functions (`/rpc`), the checkout, webhooks, and the files under the site's root.
fn site(web: &Arc<Web>) -> Router {
    let options = web.options();
    let pages: Router<LeptosOptions> =
        Router::new().leptos_routes_with_context(&options, web.pages(), web.context(), {
            let options = options.clone();
            move || app::shell(options.clone())
        });
    let root = &web.data.config.site_root;
    let base_url: Arc<str> = web.site.base_url.as_str().into();
    let protected = pages
        .with_state(options.clone())
        .merge(dev_checkout(web))
        // By name, since a page's address has two parts as well: /{author}/{slug}.
        .nest_service(
            "/pkg",
            ServeDir::new(root.join("pkg")).precompressed_br().precompressed_gzip(),
        )
        .nest_service("/fonts", ServeDir::new(root.join("fonts")))
        .fallback_service(public_files(web, options))
        .layer(csrf(web))
        .layer(from_fn_with_state(base_url, web::explain_refusal))
        .layer(RequestBodyLimitLayer::new(FORM_BYTES_MAX));
    // Signed by the processor instead of coming from our pages.
    let webhooks = Router::new()
        .route("/webhooks/{processor}", post(checkout::pages::webhook))
        .with_state(Arc::clone(web))
        .layer(DefaultBodyLimit::max(checkout::WEBHOOK_BYTES_MAX))
        .layer(map_response(api::published));
    protected
        .merge(webhooks)
        .layer(from_fn(web::cache_headers))
        // Wasm is compressed ahead, in release builds: megabytes compressed anew for each browser would take seconds.
        .layer(
            CompressionLayer::new()
                .compress_when(DefaultPredicate::new().and(NotForContentType::const_new("application/wasm"))),
        )
}

/// Exists in development mode only.
fn dev_checkout(web: &Arc<Web>) -> Router {
    if web.checkout.dev().is_none() {
        return Router::new();
    }
    Router::new()
        .route("/checkout/{purchase}", get(checkout::pages::show))
        .route("/checkout/{purchase}/pay", post(checkout::pages::pay))
        .route("/checkout/{purchase}/cancel", post(checkout::pages::cancel))
        .with_state(Arc::clone(web))
}

/// The icon, robots.txt and their like; the app's own "not found" page for everything else.
fn public_files(web: &Arc<Web>, options: LeptosOptions) -> ServeDir<Router> {
    let not_found = leptos_axum::file_and_error_handler_with_context::<LeptosOptions, _>(web.context(), app::shell);
    ServeDir::new(&web.data.config.site_root)
        .append_index_html_on_directories(false)
        .call_fallback_on_method_not_allowed(true)
        .fallback(Router::new().fallback(not_found).with_state(options))
}

fn csrf(web: &Arc<Web>) -> CsrfLayer {
    // A proxy in front may change `Host`; the public address is always ours.
    CsrfLayer::new().add_trusted_origin(&web.site.base_url).unwrap_or_else(|error| {
        tracing::warn!(error.cause = %error, "the base URL is no origin; forms must come from the host that is asked");
        CsrfLayer::new()
    })
}

fn cors() -> CorsLayer {
    let exposed = [
        "x-generation-id",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-limit-concurrent",
        "x-ratelimit-remaining-concurrent",
        "x-credits-remaining",
        "x-budget-remaining",
        "x-key-limit-remaining",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(CORS_MAX_AGE)
}

async fn without_cookies(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(COOKIE);
    next.run(request).await
}

/// One line per API request when its answer begins; a stream goes on after it.
async fn access_log(request: Request, next: Next) -> Response {
    let (started, method) = (Instant::now(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    tracing::info!(
        http.method = %method,
        http.route = route.as_ref().map_or("unknown", MatchedPath::as_str),
        http.status = response.status().as_u16(),
        http.ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        error.r#type = response.extensions().get::<ErrorType>().map(|kind| kind.name()),
        generation.id = response.headers().get("x-generation-id").and_then(|id| id.to_str().ok()),
        "request"
    );
    response
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast::<String>()
        .map(|text| *text)
        .or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned()));
    let cause = format!("panic: {}", text.unwrap_or_else(|_| "of an unknown kind".to_owned()));
    ApiError::internal(&cause).into_response()
}

fn secured(mut response: Response, is_https: bool) -> Response {
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(X_FRAME_OPTIONS, "DENY");
    add(REFERRER_POLICY, "same-origin");
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    add(CONTENT_SECURITY_POLICY, NOTHING_ALLOWED);
    if is_https {
        add(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}
