//! The site: pages, server functions, static files and the checkout, on a runtime of their own.

use crate::checkout::{Checkout, Processor};
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use app::site::Site;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::error_type::ErrorType;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use leptos::prelude::{LeptosOptions, provide_context};
use leptos_axum::AxumRouteListing;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tower::ServiceExt;

/// What the site's handlers share.
pub struct Web {
    pub site: Arc<Site>,
    pub data: Arc<DataPlane>,
    pub checkout: Arc<Checkout>,
    /// Where pages are rendered and their queries run, so that neither ever delays a token.
    pub runtime: Handle,
}

/// Longer than any page takes; what takes longer is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const OUTPUT_NAME: &str = "tollway";

impl Web {
    #[must_use]
    pub fn new(
        data: Arc<DataPlane>,
        store: Store,
        checkout: Arc<Checkout>,
        mail_queued: Arc<Notify>,
        runtime: Handle,
    ) -> Self {
        Self {
            site: Arc::new(site(&data, store, &checkout, mail_queued)),
            data,
            checkout,
            runtime,
        }
    }

    /// How the shell finds script and style: `/pkg/tollway.js`, `/pkg/tollway.css`.
    #[must_use]
    pub fn options(&self) -> LeptosOptions {
        let config = &self.data.config;
        LeptosOptions::builder()
            .output_name(OUTPUT_NAME)
            .site_root(config.site_root.display().to_string())
            .site_addr(config.addr)
            .build()
    }

    /// What pages and server functions find in their context.
    pub fn context(self: &Arc<Self>) -> impl Fn() + Clone + Send + Sync + 'static {
        let site = Arc::clone(&self.site);
        move || provide_context(Arc::clone(&site))
    }

    /// The pages, as the app lists them.
    #[must_use]
    pub fn pages(self: &Arc<Self>) -> Vec<AxumRouteListing> {
        let list = leptos_axum::generate_route_list_with_exclusions_and_ssg_and_context;
        list(app::App, None, self.context()).0
    }
}

/// Answers on the web runtime. The whole body is made there, so that no rendering happens on a data-plane thread; and
/// an answer once begun is finished even if the caller leaves, so that no form is half done.
pub async fn answer_on(web: Arc<Web>, router: Router, request: Request) -> Response {
    let answer = async move {
        let answered = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answered.into_parts();
        match body.collect().await {
            Ok(whole) => Response::from_parts(parts, Body::from(whole.to_bytes())),
            Err(error) => ApiError::internal(&error).into_response(),
        }
    };
    let timed = tokio::time::timeout(ANSWER_TIMEOUT, answer);
    match web.runtime.spawn(timed).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!(timeout_secs = ANSWER_TIMEOUT.as_secs(), "a page took too long");
            ApiError::new(ErrorType::Timeout, "The page took too long. Try again.").into_response()
        }
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// What was made for a signed-in person is not kept by anybody, unless the page itself says otherwise; everything else
/// may be kept if it is asked for again.
pub async fn cache_headers(request: Request, next: Next) -> Response {
    let has_cookie = request.headers().contains_key(COOKIE);
    let mut response = next.run(request).await;
    let is_personal = has_cookie || response.headers().contains_key(SET_COOKIE);
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let is_page = kind.starts_with(b"text/html") || kind.starts_with(b"application/json");
    let value = if is_page && is_personal {
        "private, no-store"
    } else {
        "no-cache"
    };
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(value));
    response
}

/// Tells a browser in plain words that a form was refused because it came from another site.
pub async fn explain_refusal(State(base_url): State<Arc<str>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let refused = response
        .extensions()
        .get::<tower_http::csrf::ProtectionError>()
        .is_some();
    match refused {
        true => (
            StatusCode::FORBIDDEN,
            format!(
                "This form was not sent from {base_url}, so it was not accepted. Open the page there and try again.\n"
            ),
        )
            .into_response(),
        false => response,
    }
}

fn site(data: &Arc<DataPlane>, store: Store, checkout: &Arc<Checkout>, mail_queued: Arc<Notify>) -> Site {
    let config = &data.config;
    let (snapshot, providers, keys, outcomes) =
        (Arc::clone(data), Arc::clone(data), Arc::clone(data), Arc::clone(data));
    let shared = || Arc::clone(checkout);
    let (fee, checks, methods, refunds, checkout) = (shared(), shared(), shared(), shared(), shared());
    let payment_pages = checkout
        .processor()
        .and_then(Processor::payment_pages)
        .map(str::to_owned);
    Site {
        store,
        catalog: Box::new(move || snapshot.catalog.load_full()),
        callable: Box::new(move |provider| provider.is_spoken() && providers.missing_setting(provider, None).is_none()),
        now: clock::now,
        random: clock::fill,
        base_url: config.base_url.clone(),
        secure_cookies: config.is_https(),
        dev: config.dev,
        processor: checkout.processor().map_or("stripe", Processor::name),
        methods: checkout.processor().map(Processor::methods).unwrap_or_default(),
        keeps_methods: matches!(checkout.processor(), Some(Processor::Stripe(_))),
        seller: config.payments.seller.clone(),
        payment_pages: payment_pages.unwrap_or_default(),
        fee: Box::new(move |amount| fee.fee(amount)),
        start_checkout: Box::new(move |purchase, options| {
            let (checkout, purchase) = (Arc::clone(&checkout), purchase.clone());
            Box::pin(async move { checkout.start(&purchase, &options).await })
        }),
        check_purchase: Box::new(move |purchase| {
            let (checkout, purchase) = (Arc::clone(&checks), purchase.clone());
            Box::pin(async move { checkout.check(&purchase).await })
        }),
        forget_method: Box::new(move |method| {
            let (checkout, method) = (Arc::clone(&methods), method.clone());
            Box::pin(async move { checkout.forget_method(&method).await })
        }),
        refund: Box::new(move |refund| {
            let (checkout, refund) = (Arc::clone(&refunds), refund.clone());
            Box::pin(async move { checkout.refund(&refund).await })
        }),
        key_changed: Box::new(move |key| keys.key_changed(key)),
        mail_queued: Box::new(move || mail_queued.notify_one()),
        settled: Box::new(move || {
            let outcomes = Arc::clone(&outcomes);
            Box::pin(async move { outcomes.settled().await })
        }),
        attempts: app::attempts::Attempts::default(),
    }
}
