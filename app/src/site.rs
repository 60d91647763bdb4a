//! What the server lends to the pages: the store, the catalog, the clock, chance, and a few doors into the rest of the house.

use crate::attempts::{Action, Attempts};
use crate::fail::Fail;
use domain::api_key::KeyHash;
use domain::catalog::{Catalog, Provider};
use domain::id::hex;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, Refund};
use domain::time::Micros;
use http::header::{ACCEPT, LOCATION, REFERER, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use store::Store;
use store::topups::PaymentMethod;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Provided by the server as a context of type `Arc<Site>`, for pages and server functions alike.
pub struct Site {
    /// On the pool of the web side, so that a slow page never delays a token.
    pub store: Store,
    /// The current snapshot.
    pub catalog: Box<dyn Fn() -> Arc<Catalog> + Send + Sync>,
    /// Whether the operator has configured this provider's key.
    pub callable: Box<dyn Fn(&Provider) -> bool + Send + Sync>,
    pub now: fn() -> Micros,
    pub random: fn(&mut [u8]),
    /// The address people use, without a trailing slash: `https://tollway.example`.
    pub base_url: String,
    /// The site is served over https: cookies are `Secure` and carry the `__Host-` prefix.
    pub secure_cookies: bool,
    /// The dev mailbox and the dev checkout exist.
    pub dev: bool,
    /// Who takes the money, as in `purchases.processor`: `dev` or `stripe`.
    pub processor: &'static str,
    /// What a buyer may choose to pay with: `card`, `crypto`. Empty when there is nothing to choose.
    pub methods: Vec<&'static str>,
    /// Whether a card can be kept for later purchases.
    pub keeps_methods: bool,
    /// Who sells, as on a receipt: name and address, lines separated by ` | `.
    pub seller: String,
    /// The origin of the processor's pages, where the form that buys leads to.
    pub payment_pages: String,
    /// What is paid on top of so many credits.
    pub fee: Box<dyn Fn(NanoUsd) -> NanoUsd + Send + Sync>,
    /// Opens a checkout at the payment processor for a stored purchase and answers with the address to send the buyer to.
    pub start_checkout: Box<dyn Fn(&Purchase, CheckoutOptions) -> BoxFuture<Result<String, String>> + Send + Sync>,
    /// Asks the payment processor what has become of a purchase, and stores it.
    pub check_purchase: Box<dyn Fn(&Purchase) -> BoxFuture<Result<(), String>> + Send + Sync>,
    /// Has the payment processor forget a saved method.
    pub forget_method: Box<dyn Fn(&PaymentMethod) -> BoxFuture<Result<(), String>> + Send + Sync>,
    /// Sends a stored refund to the payment processor. What fails for a moment is tried again by itself.
    pub refund: Box<dyn Fn(&Refund) -> BoxFuture<Result<(), String>> + Send + Sync>,
    /// The data plane loads this key anew.
    pub key_changed: Box<dyn Fn(&KeyHash) + Send + Sync>,
    /// Wakes the mail worker.
    pub mail_queued: Box<dyn Fn() + Send + Sync>,
    /// Resolves when all outcomes so far are in the store.
    pub settled: Box<dyn Fn() -> BoxFuture<()> + Send + Sync>,
    /// How often each address has tried; start it with `Attempts::default()`.
    pub attempts: Attempts,
}

/// What a buyer wants beside the credits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutOptions {
    /// Keep the card for automatic top-ups.
    pub save_method: bool,
    /// One of [`Site::methods`]; else any.
    pub method: Option<String>,
}

impl Site {
    /// Whether `action` may be tried once more from `ip`; counts the try.
    pub fn allow(&self, action: Action, ip: IpAddr) -> bool {
        self.attempts.allow(action, ip, (self.now)(), self.dev)
    }

    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    /// A secret of 256 bits in hexadecimal, for a cookie or a mailed link.
    #[must_use]
    pub fn secret(&self) -> String {
        hex(&self.bytes::<32>())
    }
}

/// The site this page or server function runs in.
pub fn site() -> Result<Arc<Site>, Fail> {
    use_context::<Arc<Site>>().ok_or(Fail::Internal)
}

/// The head of the request being answered.
pub fn parts() -> Result<Parts, Fail> {
    use_context::<Parts>().ok_or(Fail::Internal)
}

/// The peer's address: the `SocketAddr` or `IpAddr` that the server put into the request's extensions.
#[must_use]
pub fn client_ip(parts: &Parts) -> IpAddr {
    let address = parts.extensions.get::<IpAddr>().copied();
    let peer = || parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    address.or_else(peer).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Runs the body of a server function and finishes the response: a failure gets the status that fits it, and a plain form
/// leads back to its page, which shows the failure.
pub async fn answer<T>(body: impl Future<Output = Result<T, Fail>>) -> Result<T, Fail> {
    let result = body.await;
    let (Some(parts), Some(options)) = (use_context::<Parts>(), use_context::<ResponseOptions>()) else {
        return result;
    };
    let accepts_html = accepts_html(&parts.headers);
    let is_plain_form = parts.method == Method::POST && accepts_html;
    match result {
        Ok(_) if is_plain_form => lead_back(&parts.headers, &options),
        Err(fail) if !(is_plain_form || accepts_html && fail == Fail::SignedOut) => {
            let status = StatusCode::from_u16(fail.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            options.set_status(status);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                options.insert_header(RETRY_AFTER, HeaderValue::from_static("5"));
            }
        }
        _ => {}
    }
    result
}

/// Unless the form leads elsewhere: to the page it was on, without the failure of an earlier try.
fn lead_back(headers: &HeaderMap, options: &ResponseOptions) {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let leads_elsewhere = options.0.read().is_ok_and(|parts| parts.headers.contains_key(LOCATION));
    if !leads_elsewhere && let Some(path) = referer.and_then(page_of) {
        leptos_axum::redirect(&path);
    }
}

/// The path and query of an address of ours.
fn page_of(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let path = rest.get(rest.find('/')?..)?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_kept = |pair: &&str| !pair.is_empty() && !pair.starts_with("__path=") && !pair.starts_with("__err=");
    let query: Vec<&str> = query.split('&').filter(is_kept).collect();
    let page = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    };
    local_path(&page).map(str::to_owned)
}

/// Gives the page being rendered the status 404; a call of our own script keeps 200, since its answer is complete.
pub fn mark_missing() {
    if let (Some(parts), Some(options)) = (use_context::<Parts>(), use_context::<ResponseOptions>())
        && parts.method == Method::GET
    {
        options.set_status(StatusCode::NOT_FOUND);
    }
}

/// Only a path on this site, never another host: what may follow `next=`.
#[must_use]
pub fn local_path(text: &str) -> Option<&str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (text.starts_with('/') && !text.starts_with("//") && is_plain && text.len() <= 512).then_some(text)
}

/// Whether this is a navigation or plain form of a browser rather than a call of our own script.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_back_without_the_failure_of_an_earlier_try() {
        let page = |address| page_of(address).unwrap_or_default();
        assert_eq!(
            page("http://localhost:3000/account/keys?__path=%2Frpc&__err=x"),
            "/account/keys"
        );
        assert_eq!(
            page("https://tollway.example/models?q=a&__err=x&page=2"),
            "/models?q=a&page=2"
        );
        assert_eq!(
            [page("https://tollway.example//evil.example"), page("nonsense")],
            ["", ""]
        );
    }

    #[test]
    fn only_local_paths_may_follow_a_sign_in() {
        for good in ["/", "/account/keys?x=1", "/models/a/b"] {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "account",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
    }
}
